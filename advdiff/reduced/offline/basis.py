"""A reduced basis: distributed vectors V, orthonormal in the mass inner product, on SLEPc BVs.

New vectors are projected off the old ones, and what is left is compressed by the method of
snapshots (Sirovich 1987): the eigenvectors of its small Gram matrix, cut where the rest falls below
a tolerance.  A direction that rounding cannot tell from the others is cut whatever the tolerance.
Nothing is gathered but the Gram matrices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from petsc4py import PETSc
from slepc4py import SLEPc

from advdiff.algebra.columns import column, small
from advdiff.algebra.generator import Mass

DEPENDENT = 1e-13
"""Square of the relative size at which rounding decides: 0.3 millionth of the largest."""


def mass_matrix(mass: Mass) -> PETSc.Mat:
    """M as a matrix."""
    return PETSc.Mat().createDiagonal(mass.diagonal) if mass.is_diagonal else mass.matrix


class Basis:
    """V with V*V = I in the inner product of M.

    Args:
        mass: M.
        template: a vector like the columns.
        limit: largest number of columns.
        gram: M as a matrix, where another basis has it already (inner products between two need
            the same one).

    Attributes:
        size: number of columns.
        vectors: the BV that holds them as its active columns.
    """

    def __init__(self, mass: Mass, template: PETSc.Vec, limit: int, gram: PETSc.Mat | None = None):
        self.mass, self.template, self.limit = mass, template, limit
        self.gram = mass_matrix(mass) if gram is None else gram
        self.vectors = self._allocate(limit)
        self.size = 0
        self.vectors.setActiveColumns(0, 0)

    def _allocate(self, columns: int) -> SLEPc.BV:
        block = SLEPc.BV().create(self.template.comm)
        block.setSizesFromVec(self.template, columns)
        block.setOptionsPrefix("advdiff_reduced_")
        block.setFromOptions()
        block.setMatrix(self.gram, False)
        return block

    def block(self, vectors: Sequence[PETSc.Vec]) -> SLEPc.BV:
        """Copies of some vectors as a BV with the same inner product (collective)."""
        block = self._allocate(len(vectors))
        for i, vector in enumerate(vectors):
            block.insertVec(i, vector)
        block.setActiveColumns(0, len(vectors))
        return block

    @staticmethod
    def inner(left: SLEPc.BV, right: SLEPc.BV) -> np.ndarray:
        """⟨left_i, right_j⟩ in M, the same on every rank (collective)."""
        matrix = right.dot(left)
        values = matrix.getDenseArray().copy()
        matrix.destroy()
        return values

    def coordinates(self, block: SLEPc.BV) -> np.ndarray:
        """V*M X, shape (size, columns) (collective)."""
        return self.inner(self.vectors, block)

    def purge(self, block: SLEPc.BV) -> np.ndarray:
        """X ← (I − VV*M)X, twice; returns V*MX of the X there was (collective)."""
        total = np.zeros((self.size, block.getActiveColumns()[1]))
        for _ in range(2 if self.size else 0):
            found = self.coordinates(block)
            matrix = small(found)
            block.mult(-1.0, 1.0, self.vectors, matrix)
            matrix.destroy()
            total += found
        return total

    def extend(self, vectors: Sequence[PETSc.Vec], tolerance: float) -> int:
        """Add what some vectors have beyond V (collective).

        Args:
            tolerance: what may be left out of the vectors, root of the sum of squares, relative to
                that of the vectors themselves.

        Returns:
            How many columns were added.
        """
        if not vectors or self.size == self.limit:
            return 0
        block = self.block(vectors)
        added = self.extend_block(block, tolerance)
        block.destroy()
        return added

    def extend_block(self, block: SLEPc.BV, tolerance: float) -> int:
        """The same for a BV, which is overwritten (collective)."""
        total = float(np.trace(self.inner(block, block)))
        self.purge(block)
        values, turns = np.linalg.eigh(self.inner(block, block))
        values, turns = np.maximum(values[::-1], 0.0), turns[:, ::-1]
        left_out = np.cumsum(values[::-1])[::-1]
        keep = int(np.count_nonzero(left_out > max(tolerance**2, DEPENDENT) * total))
        keep = min(keep, self.limit - self.size)
        if keep == 0:
            return 0
        fresh = self._combined(block, turns[:, :keep] / np.sqrt(values[:keep]))
        self.purge(fresh)
        lengths, turns = np.linalg.eigh(self.inner(fresh, fresh))
        sound = lengths > 0.5  # they had length one: less is what rounding made of a dependent one
        ready = self._combined(fresh, turns[:, sound] / np.sqrt(lengths[sound]))
        for i in range(int(sound.sum())):
            with column(ready, i) as vector:
                self.vectors.insertVec(self.size, vector)
            self.size += 1
        self.vectors.setActiveColumns(0, self.size)
        for part in (fresh, ready):
            part.destroy()
        return int(sound.sum())

    def _combined(self, block: SLEPc.BV, coefficients: np.ndarray) -> SLEPc.BV:
        result = self._allocate(coefficients.shape[1])
        result.setActiveColumns(0, coefficients.shape[1])
        matrix = small(coefficients)
        result.mult(1.0, 0.0, block, matrix)
        matrix.destroy()
        return result

    def lift(self, coefficients: np.ndarray, out: PETSc.Vec) -> PETSc.Vec:
        """out = V c (collective)."""
        self.vectors.multVec(1.0, 0.0, out, np.ascontiguousarray(coefficients))
        return out

    def destroy(self) -> None:
        """Free the vectors (collective)."""
        self.vectors.destroy()
