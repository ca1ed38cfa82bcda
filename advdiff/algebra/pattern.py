"""The sparse cotangent: Ḡ = Σ_j w λ_j θ_jᵀ on the sparsity pattern of K (a sampled product).

Sixteen pairs at a time: the vectors are packed row by row, so that an entry (a, b) of the pattern
costs one dot product of two short contiguous rows; the ghost rows of θ travel in one message a
neighbour for all sixteen.  Memory beside the entries themselves: 32 vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

_WIDTH = 16
_TILE = 64


class PatternCotangent:
    """Ḡ on the pattern of a distributed AIJ matrix (collective).

    Attributes:
        indptr, indices: local rows of the pattern, with global column numbers.
        values: the entries of Ḡ in that order, float64.
    """

    def __init__(self, stiffness: PETSc.Mat):
        self._comm = stiffness.comm
        self._sizes = stiffness.getSizes()
        indptr, indices, _ = stiffness.getValuesCSR()
        self.indptr, self.indices = indptr.copy(), indices.copy()
        self.values = np.zeros(self.indices.size)
        first, stop = stiffness.getOwnershipRangeColumn()
        rows = stop - first
        outside = (self.indices < first) | (self.indices >= stop)
        ghosts = np.unique(self.indices[outside])
        self._columns = self.indices - PETSc.IntType(first)
        self._columns[outside] = rows + np.searchsorted(ghosts, self.indices[outside])
        total = self._sizes[1][1]
        self._right = PETSc.Vec().createGhost(
            ghosts, (_WIDTH * rows, _WIDTH * total), bsize=_WIDTH, comm=self._comm
        )
        self._left = np.zeros((rows, _WIDTH))

    def add(
        self, left: Sequence[PETSc.Vec], right: Sequence[PETSc.Vec], weight: float = 1.0
    ) -> None:
        """Ḡ += weight · Σ_j left[j] right[j]ᵀ on the pattern (collective).

        Raises:
            ValueError: as many left as right vectors are needed.
        """
        if len(left) != len(right):
            raise ValueError(f"{len(left)} left vectors, but {len(right)} right ones")
        for start in range(0, len(left), _WIDTH):
            chunk = slice(start, start + _WIDTH)
            self._add(left[chunk], right[chunk], weight)

    def _add(self, left: Sequence[PETSc.Vec], right: Sequence[PETSc.Vec], weight: float) -> None:
        _pack(_arrays(right), len(right), self._right.array_w.reshape(-1, _WIDTH))
        insert, forward = PETSc.InsertMode.INSERT, PETSc.ScatterMode.FORWARD
        self._right.ghostUpdateBegin(insert, forward)
        _pack(_arrays(left), len(left), self._left)
        self._right.ghostUpdateEnd(insert, forward)
        with self._right.localForm() as ghosted:
            _sampled_product(
                self.indptr,
                self._columns,
                self._left,
                ghosted.array_r.reshape(-1, _WIDTH),
                weight,
                self.values,
            )

    @property
    def entries(self) -> np.ndarray:
        """See ``values``."""
        return self.values

    def clear(self) -> None:
        """Ḡ = 0."""
        self.values[:] = 0.0

    def matrix(self) -> PETSc.Mat:
        """A new matrix with the pattern of K and the entries of Ḡ (collective)."""
        return PETSc.Mat().createAIJ(
            self._sizes, csr=(self.indptr, self.indices, self.values), comm=self._comm
        )

    def inner(self, direction: PETSc.Mat) -> float:
        """⟨Ḡ, dK⟩ for a matrix with the pattern of K (collective).

        Raises:
            ValueError: the pattern is another one (on every rank).
        """
        comm = self._comm.tompi4py()
        indptr, indices, values = direction.getValuesCSR()
        same = np.array_equal(indptr, self.indptr) and np.array_equal(indices, self.indices)
        if not comm.allreduce(same, MPI.LAND):
            raise ValueError("the direction does not have the sparsity pattern of the cotangent")
        return comm.allreduce(float(np.dot(self.values, values)))


def _arrays(vectors: Sequence[PETSc.Vec]) -> tuple[np.ndarray, ...]:
    """The local arrays, padded to the width the kernels are compiled for."""
    arrays = [vector.getArray(readonly=True) for vector in vectors]
    return tuple(arrays + arrays[-1:] * (_WIDTH - len(arrays)))


@numba.njit(cache=True)
def _pack(arrays, count, rows):
    """rows[i, j] = arrays[j][i], zero for j ≥ count; four columns and one tile at a time, so that
    a line of the cache is written once."""
    size = rows.shape[0]
    for start in range(0, size, _TILE):
        stop = min(start + _TILE, size)
        for j in range(0, _WIDTH, 4):
            a, b, c, d = arrays[j], arrays[j + 1], arrays[j + 2], arrays[j + 3]
            for i in range(start, stop):
                rows[i, j] = a[i]
                rows[i, j + 1] = b[i]
                rows[i, j + 2] = c[i]
                rows[i, j + 3] = d[i]
        for j in range(count, _WIDTH):
            for i in range(start, stop):
                rows[i, j] = 0.0


@numba.njit(cache=True, fastmath={"reassoc", "contract"})
def _sampled_product(indptr, columns, left, right, weight, values):
    width = left.shape[1]  # a constant would be unrolled, and then not vectorised
    for i in range(indptr.size - 1):
        mine = left[i]
        for p in range(indptr[i], indptr[i + 1]):
            other = right[columns[p]]
            entry = 0.0
            for j in range(width):
                entry += mine[j] * other[j]
            values[p] += weight * entry
