"""Terms as sparse matrices of the operator's pattern: what ``points`` avoids."""

from __future__ import annotations

import numpy as np
from dolfinx import fem
from petsc4py import PETSc
from slepc4py import SLEPc

from advdiff.algebra.columns import plain
from advdiff.equation.operator import Operator
from advdiff.reduced.offline.basis import Basis

SYMMETRIC = 1e-13
"""Relative difference of a matrix from its transpose that is rounding."""


class Assembled:
    """K_j by the operator's own derivatives; the same calls as ``Points`` (collective).

    Args:
        operator: assembled.
    """

    def __init__(self, operator: Operator):
        self._operator = operator
        self._work: SLEPc.BV | None = None

    def reference(self) -> tuple[PETSc.Mat, PETSc.Vec | None]:
        """K and F for the present controls."""
        load = self._operator.load
        return self._operator.generator.stiffness.copy(), None if load is None else load.copy()

    def along(self, control: str, direction: fem.Function) -> tuple[PETSc.Mat, PETSc.Vec | None]:
        """Their derivatives along a direction of a control."""
        change = self._operator.push({control: direction})
        return change.stiffness.copy(), None if change.load is None else change.load.copy()

    def scale(self, stiffness: PETSc.Mat, factor: float) -> None:
        """K ← factor K."""
        stiffness.scale(factor)

    def sign(self, stiffness: PETSc.Mat) -> int:
        """−1 where Kᵀ = −K, 1 where Kᵀ = K, 0 elsewhere."""
        x, y = stiffness.createVecs()
        z = y.duplicate()
        x.setRandom()
        stiffness.mult(x, y)
        stiffness.multTranspose(x, z)
        size = y.norm()
        for sign in (-1, 1):
            y.axpy(-sign, z)
            if y.norm() <= SYMMETRIC * size:
                return sign
            y.axpy(sign, z)
        return 0

    def side(self, block: SLEPc.BV) -> SLEPc.BV:
        """What :meth:`columns` and :meth:`below` take: the block itself."""
        return block

    def columns(
        self, stiffness: PETSc.Mat, sign: int, left: SLEPc.BV, right: SLEPc.BV
    ) -> np.ndarray:
        """[L, X]ᵀ K X, shape (columns of L and X, columns of X)."""
        right.matMult(stiffness, self._like(right))
        parts = [block for block in (left, right) if block.getActiveColumns()[1]]
        return np.vstack([Basis.inner(part, self._work) for part in parts])

    def below(self, stiffness: PETSc.Mat, left: SLEPc.BV, right: SLEPc.BV) -> np.ndarray:
        """Xᵀ K L."""
        right.matMultHermitianTranspose(stiffness, self._like(right))
        return Basis.inner(left, self._work).T

    def _like(self, block: SLEPc.BV) -> SLEPc.BV:
        columns = block.getActiveColumns()[1]
        if self._work is None or self._work.getActiveColumns()[1] != columns:
            if self._work is not None:
                self._work.destroy()
            self._work = plain(block, columns)
        return self._work

    def image(self, stiffness: PETSc.Mat, block: SLEPc.BV, out: SLEPc.BV) -> None:
        """out = K X."""
        block.matMult(stiffness, out)
