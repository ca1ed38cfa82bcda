/* The two-term recurrence y = Bx - cz + f, sixteen steps in one sweep over blocks of rows that stay
   in the cache; sums of its vectors, and their products on the pattern of B, on the way.

   Rows stand in strips of STRIP.  A matrix is kept by diagonals, where it has few,

       value[(strip diagonals + d) STRIP + r],    y_i += value x_{i + offset[d]},

   or as sliced rows: LANES of them share a width, padded by zeros,

       value[p LANES + r], column[p LANES + r],   p = start[slice] … start[slice + 1] - 1.

   Behind a step the next one follows `reach` strips later, beyond which no row looks; so a block of
   rows passes through all steps while it, and the matrix, are in the cache.  Vectors have zeros on
   either side of their rows, as far as a diagonal reaches. */

#include <stddef.h>

enum { LANES = 8, STRIP = 32, PARTS = STRIP / LANES, CHUNK = 16, GROUP = 4 };

typedef double lanes __attribute__((vector_size(64)));
typedef double unaligned __attribute__((vector_size(64), aligned(8), may_alias));

typedef struct {
    long strips, reach, diagonals;
    const long *offset, *start;
    const int *column;
    const double *value;
} Matrix;

typedef struct { /* f = sum_k weight[step][k] field[place[slice]][k], where place is not negative */
    long count;
    const double *weight, *field;
    const long *place;
} Source;

typedef struct { /* total[k] += sum_steps weight[step][k] x_step */
    long count, stride;
    const double *weight;
    double *total;
} Sums;

typedef struct { /* entry_ab += sum_steps (left_step)_a (right_step)_b, laid out as the values */
    double *entry, *packed;
    double *const *right;
} Pairs;

static inline lanes load(const double *x) { return *(const unaligned *)x; }
static inline void store(double *x, lanes v) { *(unaligned *)x = v; }

/* sum += Bx on one strip */
static inline __attribute__((always_inline)) void product(const Matrix *m, long strip,
                                                          const double *x, lanes sum[PARTS])
{
    if (m->diagonals) {
        const double *value = m->value + strip * m->diagonals * STRIP;
        x += strip * STRIP;
        for (long d = 0; d < m->diagonals; d++, value += STRIP) {
            const double *shifted = x + m->offset[d];
            for (int p = 0; p < PARTS; p++)
                sum[p] += load(value + p * LANES) * load(shifted + p * LANES);
        }
        return;
    }
    for (int p = 0; p < PARTS; p++) {
        const long *start = m->start + strip * PARTS + p;
        for (long e = start[0] * LANES; e < start[1] * LANES; e += LANES) {
            lanes gathered;
            for (int r = 0; r < LANES; r++)
                gathered[r] = x[m->column[e + r]];
            sum[p] += load(m->value + e) * gathered;
        }
    }
}

/* y = Bx - cz + f, and + Ew, on strips first ... last - 1 */
static void step(const Matrix *restrict m, const Matrix *restrict extra, long first, long last,
                 const double *restrict x, const double *restrict z, double *restrict y,
                 const double *restrict w, double c, const Source *restrict source,
                 const double *restrict weight)
{
    for (long strip = first; strip < last; strip++) {
        lanes sum[PARTS];
        for (int p = 0; p < PARTS; p++)
            sum[p] = -c * load(z + strip * STRIP + p * LANES);
        product(m, strip, x, sum);
        if (extra)
            product(extra, strip, w, sum);
        if (source)
            for (int p = 0; p < PARTS; p++) {
                long place = source->place[strip * PARTS + p];
                if (place >= 0)
                    for (long k = 0; k < source->count; k++)
                        sum[p] += weight[k] * load(source->field
                                                   + (place * source->count + k) * LANES);
            }
        for (int p = 0; p < PARTS; p++)
            store(y + strip * STRIP + p * LANES, sum[p]);
    }
}

/* GROUP or one of the totals at once, so that each vector is read once for them */
static inline __attribute__((always_inline)) void add(int group, const Sums *s, long k, long strip,
                                                      double *const *x, long count)
{
    for (int p = 0; p < PARTS; p += 2) {
        long i = strip * STRIP + p * LANES;
        lanes one[GROUP], two[GROUP];
        for (int g = 0; g < group; g++) {
            one[g] = load(s->total + (k + g) * s->stride + i);
            two[g] = load(s->total + (k + g) * s->stride + i + LANES);
        }
        for (long t = 0; t < count; t++) {
            lanes a = load(x[t] + i), b = load(x[t] + i + LANES);
            const double *weight = s->weight + t * s->count + k;
            for (int g = 0; g < group; g++) {
                one[g] += weight[g] * a;
                two[g] += weight[g] * b;
            }
        }
        for (int g = 0; g < group; g++) {
            store(s->total + (k + g) * s->stride + i, one[g]);
            store(s->total + (k + g) * s->stride + i + LANES, two[g]);
        }
    }
}

static int idle(const Sums *s, long k, long count)
{
    for (long t = 0; t < count; t++)
        if (s->weight[t * s->count + k] != 0.0)
            return 0;
    return 1;
}

static void sums(const Sums *s, long first, long last, double *const *x, long count)
{
    long begin = 0, end = s->count;
    while (begin < end && idle(s, begin, count))
        begin++;
    while (begin < end && idle(s, end - 1, count))
        end--;
    for (long strip = first; strip < last; strip++) {
        long k = begin;
        for (; k + GROUP <= end; k += GROUP)
            add(GROUP, s, k, strip, x, count);
        for (; k < end; k++)
            add(1, s, k, strip, x, count);
    }
}

static inline __attribute__((always_inline)) void pair_diagonals(const Matrix *m, double *entry,
                                                                 long first, long last,
                                                                 double *const *left,
                                                                 double *const *right, long count)
{
    for (long slice = first * PARTS; slice < last * PARTS; slice++) {
        long i = slice * LANES;
        double *at = entry + slice / PARTS * m->diagonals * STRIP + slice % PARTS * LANES;
        lanes mine[CHUNK];
        for (long t = 0; t < count; t++)
            mine[t] = load(left[t] + i);
        for (long d = 0; d < m->diagonals; d++, at += STRIP) {
            lanes even = load(at), odd = {0.0};
            long j = i + m->offset[d];
            for (long t = 0; t + 1 < count; t += 2) {
                even += mine[t] * load(right[t] + j);
                odd += mine[t + 1] * load(right[t + 1] + j);
            }
            if (count % 2)
                even += mine[count - 1] * load(right[count - 1] + j);
            store(at, even + odd);
        }
    }
}

/* packed[i][t] = vector[t][i], zero for t >= count */
static void pack(double *packed, long first, long last, double *const *vector, long count)
{
    for (long i = first; i < last; i += LANES)
        for (long t = 0; t < CHUNK; t++)
            for (int r = 0; r < LANES; r++)
                packed[(i + r) * CHUNK + t] = t < count ? vector[t][i + r] : 0.0;
}

static void pair_rows(const Matrix *m, double *entry, long first, long last, double *const *left,
                      const double *packed, long count)
{
    double mine[LANES * CHUNK];
    for (long slice = first * PARTS; slice < last * PARTS; slice++) {
        for (long t = 0; t < CHUNK; t++)
            for (int r = 0; r < LANES; r++)
                mine[r * CHUNK + t] = t < count ? left[t][slice * LANES + r] : 0.0;
        for (int r = 0; r < LANES; r++) {
            lanes a = load(mine + r * CHUNK), b = load(mine + r * CHUNK + LANES);
            for (long e = m->start[slice] * LANES + r; e < m->start[slice + 1] * LANES; e += LANES) {
                const double *other = packed + (long)m->column[e] * CHUNK;
                lanes dot = a * load(other) + b * load(other + LANES);
                entry[e] += ((dot[0] + dot[4]) + (dot[2] + dot[6]))
                          + ((dot[1] + dot[5]) + (dot[3] + dot[7]));
            }
        }
    }
}

static long clamp(long value, long limit) { return value < 0 ? 0 : value > limit ? limit : value; }

/* What is done with vectors, once strips up to `last` have been through all steps */
static void use(const Matrix *m, const Sums *s, const Pairs *pairs, long first, long last,
                double *const *x, long count, long *ready)
{
    if (first >= last)
        return;
    if (s)
        sums(s, first, last, x + 2, count);
    if (!pairs)
        return;
    if (m->diagonals) {
        if (count == CHUNK)
            pair_diagonals(m, pairs->entry, first, last, x + 1, pairs->right, CHUNK);
        else
            pair_diagonals(m, pairs->entry, first, last, x + 1, pairs->right, count);
        return;
    }
    long ahead = clamp(last + m->reach, m->strips);
    pack(pairs->packed, *ready * STRIP, ahead * STRIP, pairs->right, count);
    *ready = ahead;
    pair_rows(m, pairs->entry, first, last, x + 1, pairs->packed, count);
}

/* What is done with vectors that are there, block by block, so that each is read once for all */
void gather(const Matrix *m, const Sums *s, const Sums *more, const Pairs *pairs,
            double *const *x, double *const *y, long count, long block)
{
    long ready = 0;
    for (long first = 0; first < m->strips; first += block) {
        long last = clamp(first + block, m->strips);
        use(m, s, pairs, first, last, x, count, &ready);
        if (y)
            use(m, more, NULL, first, last, y, count, &ready);
    }
}

/* x[2 + t] = B x[1 + t] - c[t] x[t] + f for t = 0 ... count - 1, at most CHUNK, `steps` of them in
   one sweep over blocks of `block` strips; with y, the tangent y[2 + t] = B y[1 + t] - c[t] y[t] +
   E x[1 + t] as well, whose sums are taken by more.  A step c[t] = 0 without a vector before it has
   zeros there. */
static void advance(const Matrix *m, const Matrix *extra, double *const *x, double *const *y,
             const double *c, long count, long steps, long block, const Source *source,
             const Sums *s, const Sums *more, const Pairs *pairs)
{
    long strips = m->strips, reach = m->reach, ready = 0;
    if (extra && extra->reach > reach)
        reach = extra->reach;
    for (long begin = 0; begin < count; begin += steps) {
        long now = count - begin < steps ? count - begin : steps;
        for (long front = 0; front < strips + (now - 1) * reach; front += block) {
            for (long t = 0; t < now; t++) {
                long first = clamp(front - t * reach, strips);
                long last = clamp(front + block - t * reach, strips);
                long j = begin + t;
                const double *weight = source ? source->weight + j * source->count : NULL;
                step(m, NULL, first, last, x[1 + j], x[j], x[2 + j], NULL, c[j], source, weight);
                if (y)
                    step(m, extra, first, last, y[1 + j], y[j], y[2 + j], x[1 + j], c[j], NULL,
                         NULL);
            }
            if (steps >= count) {
                long first = clamp(front - (now - 1) * reach, strips);
                long last = clamp(front + block - (now - 1) * reach, strips);
                use(m, s, pairs, first, last, x, count, &ready);
                if (y)
                    use(m, more, NULL, first, last, y, count, &ready);
            }
        }
    }
    if (steps < count)
        gather(m, s, more, pairs, x, y, count, block);
}

/* sum_i mass_i x_i^2 */
static double square(const double *mass, const double *x, long rows)
{
    lanes sum[2] = {{0.0}, {0.0}};
    for (long i = 0; i < rows; i += 2 * LANES) {
        lanes a = load(x + i), b = load(x + i + LANES);
        sum[0] += load(mass + i) * a * a;
        sum[1] += load(mass + i + LANES) * b * b;
    }
    double value = 0.0;
    for (int r = 0; r < LANES; r++)
        value += sum[0][r] + sum[1][r];
    return value;
}

/* Any number of steps, CHUNK at once; of every vector that is looked at, the square of its norm */
void chain(const Matrix *m, const Matrix *extra, double *const *x, double *const *y,
           const double *c, long count, long steps, long block, const Source *source,
           const Sums *s, const Sums *more, const Pairs *pairs, const double *mass,
           const char *looked_at, double *squares)
{
    for (long begin = 0; begin < count; begin += CHUNK) {
        long now = count - begin < CHUNK ? count - begin : CHUNK;
        Source f = source ? *source : (Source){0};
        Sums one = s ? *s : (Sums){0}, two = more ? *more : (Sums){0};
        Pairs products = pairs ? *pairs : (Pairs){0};
        f.weight += begin * f.count;
        one.weight += begin * one.count;
        two.weight += begin * two.count;
        products.right += begin;
        advance(m, extra, x + begin, y ? y + begin : NULL, c + begin, now, steps, block,
                source ? &f : NULL, s ? &one : NULL, more ? &two : NULL,
                pairs ? &products : NULL);
        for (long t = begin; t < begin + now; t++)
            if (looked_at[t])
                squares[t] = square(mass, x[2 + t], m->strips * STRIP);
    }
}

/* scale (M^-1 K - centre) laid out: entry e of row i, and of column j, stands at place[e]; by column
   for the adjoint, whose places are those of the transposed entries */
void fill(long rows, const int *start, const int *column, const double *entry,
          const double *inverse, int by_column, double scale, double centre, const long *place,
          const long *diagonal, double *value)
{
    for (long i = 0; i < rows; i++) {
        for (int e = start[i]; e < start[i + 1]; e++)
            value[place[e]] = scale * (entry[e] * inverse[by_column ? column[e] : i]);
        value[diagonal[i]] -= scale * centre;
    }
}
