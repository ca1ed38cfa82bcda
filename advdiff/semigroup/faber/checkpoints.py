"""The vectors x_0 … x_m of a two-term recurrence: passed through once, kept, or recomputed.

The indices are cut into segments of ``stride`` vectors.  A segment is always computed from the pair
of vectors before it, which is saved first; replaying it repeats the same operations on the same
numbers, so that what is recomputed equals what was kept, bit for bit.

* a passing run: one pair, overwritten from segment to segment;
* checkpoints: every pair kept, stride √(2m): 2m/stride + stride ≈ 2√2 √m vectors, and walking
  back costs one more pass;
* all kept: one segment of m + 1 vectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from petsc4py import PETSc

from advdiff.core import progress

CHUNK = 16  # vectors handed over together while they are still in the cache

# step(j, x_{j-2}, x_{j-1}, x_j) writes x_j for j >= 1; x_{-1} is None
Step = Callable[[int, PETSc.Vec | None, PETSc.Vec, PETSc.Vec], None]


def checkpoint_stride(count: int) -> int:
    """The stride with the fewest vectors for ``count`` = m + 1 of them."""
    return max(2, math.ceil(math.sqrt(2.0 * count)))


class Recurrence:
    """x_j = step(x_{j-2}, x_{j-1}), j = 1 … m, walked forwards and, if kept, backwards.

    Args:
        step: computes one vector from the two before it.
        count: how many vectors, m + 1.
        stride: vectors a segment.
        template: what a vector looks like.
        keep: whether x_0 and the pairs are kept, so that :meth:`backward` is possible.
        vectors: storage to use; what it lacks is created and appended.

    Attributes:
        size: number of vectors held.
    """

    def __init__(
        self,
        step: Step,
        count: int,
        stride: int,
        template: PETSc.Vec,
        *,
        keep: bool,
        vectors: list[PETSc.Vec] | None = None,
    ):
        self._step = step
        self._count = count
        self._stride = min(max(stride, 2), count)
        self._segments = -(-count // self._stride)
        self._keep = keep
        # one saved vector for x_0, two for every later segment; a passing run saves one pair
        saved = 2 * self._segments - 1 if keep else 2
        self.size = self._stride + (saved if self._segments > 1 else 0)
        storage = [] if vectors is None else vectors
        storage.extend(template.duplicate() for _ in range(self.size - len(storage)))
        self._vectors = storage[: self._stride]
        self._saved = storage[self._stride : self.size]
        self._current = -1

    def forward(self, start: PETSc.Vec) -> Iterator[tuple[int, list[PETSc.Vec]]]:
        """Yield (index of the first vector, vectors), at most ``CHUNK`` at once (collective).

        The vectors live until the next segment; they must not be changed.
        """
        before = [start]
        with progress.within(self._count, "products") as bar:
            for segment in range(self._segments):
                if self._segments > 1:
                    for vector, saved in zip(before, self._before(segment), strict=True):
                        vector.copy(saved)
                    before = self._before(segment)
                for first, vectors in self._compute(segment, before):
                    yield first, vectors
                    bar.at(first + len(vectors))
                before = self._vectors[-2:]

    def backward(self) -> Iterator[tuple[int, list[PETSc.Vec]]]:
        """Yield (index of the first vector, vectors) of whole segments, last one first; those that
        are gone are computed again (collective).

        Raises:
            RuntimeError: nothing was kept.
        """
        if not self._keep:
            raise RuntimeError("a passing run cannot be walked backwards: record it")
        for segment in reversed(range(self._segments)):
            if segment != self._current:
                for _ in self._compute(segment, self._before(segment)):
                    pass
            first = segment * self._stride
            yield first, self._vectors[: min(self._stride, self._count - first)]

    def _before(self, segment: int) -> list[PETSc.Vec]:
        """Where x_0, or the pair before a later segment, is saved."""
        if segment == 0:
            return self._saved[:1]
        place = 2 * segment - 1 if self._keep else 0
        return self._saved[place : place + 2]

    def _compute(
        self, segment: int, before: list[PETSc.Vec]
    ) -> Iterator[tuple[int, list[PETSc.Vec]]]:
        start = segment * self._stride
        stop = min(start + self._stride, self._count)
        self._current = segment
        older, newer = before if segment else (None, before[0])
        for first in range(start, stop, CHUNK):
            vectors = self._vectors[first - start : min(first + CHUNK, stop) - start]
            for j, vector in enumerate(vectors, first):
                if j == 0:
                    newer.copy(vector)
                else:
                    self._step(j, older, newer, vector)
                    older = newer
                newer = vector
            yield first, vectors
