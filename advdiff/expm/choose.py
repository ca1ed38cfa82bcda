"""``method = "auto"``: the Faber recurrence or shift-invert, by predicted cost.

Products against solves, from sizes and bounds alone.  No clock is read, so that one file leads to
one choice on every machine and any number of ranks.  (Across ranks the bounds agree to rounding:
only a tie within that could be decided differently.)

* Faber needs a diagonal mass.  Its number of products is known beforehand: the expansion on the
  ellipse for these times and this tolerance.
* Shift-invert needs m solves: for gradients the dimension of the rational filter, for values a fit
  to what the Krylov process was measured to take on smooth states.  A factorisation by nested
  dissection has about n log n entries and costs n^{3/2} in two dimensions, n^{4/3} and n² in three.

Costs are nanoseconds of the machine where ``scripts/bench`` calibrated them; only their ratios
count, and those are much the same elsewhere.  MFN is slower than one of the two in every row of
the benchmark and is taken only where it is asked for by name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from petsc4py import PETSc

from advdiff.errors import ConvergenceError
from advdiff.expm.ellipse import Ellipse, expand, search
from advdiff.expm.generator import Generator
from advdiff.expm.numerical_range import bounds
from advdiff.expm.rational_filter import design_filter

# Nanoseconds.  A product, an entry of K; a vector added to another, an entry; a sampled product of
# two vectors on the pattern, an entry of K with its share of packing.
PRODUCT = 0.6
AXPY = 0.35
PAIR = 1.0
# A triangular solve, an entry of the factors, and the factor by which the transposed one is slower.
SOLVE = 1.6
TRANSPOSED = 2.2
# Entries of the factors and nanoseconds of a factorisation, by dimension of the mesh.
FILL = {2: lambda n: n * max(8.0 * math.log2(n) - 49.0, 7.0), 3: lambda n: 12.0 * n ** (4.0 / 3.0)}
FACTOR = {2: lambda n: 24.0 * n**1.5, 3: lambda n: 7.0 * n**2}
# Rows of P1 (and P2) matrices have fewer entries than this in two dimensions.
_ROW = 13.0
_MEMORY = 2.0**30  # the tape of Faber, see FaberOptions
_UNKNOWN_STRENGTH = 1e3  # P·T where P is infinite


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        method: "faber" or "shift-invert".
        reason: one sentence.
        predicted: counts and costs by name, plain numbers fit for HDF5 attributes: ``products``
            and ``faber_cost`` where the mass is diagonal, ``solves`` and ``shift_invert_cost``
            (both costs in nanoseconds of the machine of the calibration).
        ellipse: for :class:`~advdiff.expm.faber.FaberEngine`, to save it the search; or None.
    """

    method: str
    reason: str
    predicted: dict[str, float]
    ellipse: Ellipse | None = None


def choose(
    generator: Generator,
    times: Sequence[float],
    tolerance: float,
    *,
    gradient: bool = False,
    dimension: int | None = None,
) -> Choice:
    """The engine with the smaller predicted cost (collective).

    Args:
        times: 0 < t_1 < … < t_K.
        gradient: choose for value and gradient together, not for values alone.
        dimension: of the mesh, 2 or 3; None: by the number of entries a row of K.
    """
    times = tuple(float(time) for time in times)
    size = generator.size
    entries = float(generator.stiffness.getInfo(PETSc.Mat.InfoType.GLOBAL_SUM)["nz_used"])
    if dimension is None:
        dimension = 2 if entries < _ROW * size else 3
    dimension = max(dimension, 2)
    solves = _solves(generator, times, tolerance, gradient, dimension)
    predicted = {"solves": solves} if math.isfinite(solves) else {}
    predicted["shift_invert_cost"] = _solve_cost(solves, size, entries, dimension, gradient)
    if not generator.mass.is_diagonal:
        reason = f"the mass is not diagonal, about {solves:.0f} solves are predicted"
        return Choice("shift-invert", reason, predicted)
    ellipse = search(bounds(generator), times[-1], tolerance)
    try:
        terms = expand(ellipse, times, tolerance).terms
    except ConvergenceError as error:
        return Choice("shift-invert", f"no Faber recurrence: {error}", predicted)
    products, cost = _product_cost(terms, size, entries, gradient)
    predicted |= {"products": products, "faber_cost": cost}
    count = f"{solves:.0f} solves" if math.isfinite(solves) else "no filter within its limits"
    reason = (
        f"{products} products of {entries:.3g} entries should cost {cost * 1e-9:.2g} units, "
        f"a factorisation and {count} {predicted['shift_invert_cost'] * 1e-9:.2g}"
    )
    if cost <= predicted["shift_invert_cost"]:
        return Choice("faber", reason, predicted, ellipse)
    return Choice("shift-invert", reason, predicted)


def _product_cost(terms, size: int, entries: float, gradient: bool) -> tuple[int, float]:
    """Number of products, and cost of all; m is known from the expansion."""
    last, sums = int(terms.max()), float((terms + 1).sum())
    sweep = last * (PRODUCT * entries + 3.0 * AXPY * size) + sums * AXPY * size
    if not gradient:
        return last, sweep
    kept = 8.0 * size * (last + 1) <= _MEMORY
    sweeps = 2 if kept else 3
    return sweeps * last, sweeps * sweep + last * PAIR * entries


def _solve_cost(solves: float, size: int, entries: float, dimension: int, gradient: bool) -> float:
    """Factorisation, solves, and the projections that grow with every vector."""
    factor, solve = FACTOR[dimension](size), SOLVE * FILL[dimension](size)
    projections = solves**2 * AXPY * size
    if not gradient:
        return factor + solves * solve + 2.0 * projections
    pairs = solves * PAIR * entries
    return factor + solves * (1.0 + TRANSPOSED) * solve + 3.0 * projections + pairs


def _solves(
    generator: Generator,
    times: tuple[float, ...],
    tolerance: float,
    gradient: bool,
    dimension: int,
) -> float:
    """Predicted m; infinite where no filter is short enough."""
    flow, final, digits = generator.flow_bound, times[-1], -math.log10(tolerance)
    if gradient and math.isfinite(flow):
        try:
            return float(design_filter(flow, times, tolerance).dimension)
        except ConvergenceError:
            return math.inf
    if math.isinf(flow):
        flow = _UNKNOWN_STRENGTH / final
    # with P = |u|²/κ: how many widths of the domain the flow covers
    cells = generator.size ** (1.0 / dimension)
    turns = final * math.sqrt(flow * _diffusion(generator, dimension)) / cells
    smooth = digits * (2.0 + min(turns, 3.0) * math.log10(1.0 + flow * final))
    # a filter for this probe is learned by as many solves again, and two digits beyond
    return math.ceil(smooth * (2.0 if gradient else 1.0))


def _diffusion(generator: Generator, dimension: int) -> float:
    """κ/h², from the mean diagonal of A, where the skew part has nothing."""
    mass = generator.mass
    ratio, diagonal = generator.stiffness.getDiagonal(), mass.diagonal
    if diagonal is None:
        diagonal = mass.matrix.getDiagonal()
    ratio.pointwiseDivide(ratio, diagonal)
    value = abs(ratio.sum()) / generator.size / (2.0 * dimension)
    ratio.destroy()
    return value
