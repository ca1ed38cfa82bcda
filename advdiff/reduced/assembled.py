"""Terms as sparse matrices of the operator's pattern: what :mod:`advdiff.reduced.points` avoids."""

from __future__ import annotations

import numpy as np
from dolfinx import fem
from petsc4py import PETSc
from slepc4py import SLEPc

from advdiff.operator import Operator
from advdiff.reduced.basis import Basis, plain

ROUNDING = 1e-13
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

    def along(
        self, control: str, direction: fem.Function
    ) -> tuple[PETSc.Mat, PETSc.Vec | None]:
        """Their derivatives along a direction of a control."""
        stiffness, load = self._operator.push({control: direction})
        return stiffness.copy(), None if load is None else load.copy()

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
            if y.norm() <= ROUNDING * size:
                return sign
            y.axpy(sign, z)
        return 0

    def side(self, block: SLEPc.BV) -> SLEPc.BV:
        """What ``between`` takes: the block itself."""
        return block

    def between(
        self,
        stiffness: PETSc.Mat,
        left: SLEPc.BV,
        count: int,
        right: SLEPc.BV,
        transposed: bool = False,
    ) -> np.ndarray:
        """Lᵀ K X, or Lᵀ Kᵀ X, for the first ``count`` columns of L."""
        columns = right.getActiveColumns()[1]
        if self._work is None or self._work.getActiveColumns()[1] != columns:
            if self._work is not None:
                self._work.destroy()
            self._work = plain(right, columns)
        multiply = right.matMultHermitianTranspose if transposed else right.matMult
        multiply(stiffness, self._work)
        left.setActiveColumns(0, count)
        return Basis.inner(left, self._work)

    def image(self, stiffness: PETSc.Mat, block: SLEPc.BV, out: SLEPc.BV) -> None:
        """out = K X."""
        block.matMult(stiffness, out)
