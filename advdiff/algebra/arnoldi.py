"""The Arnoldi process of an operator L in an inner product, on a SLEPc BV.

From a start z = β v_1 it builds an orthonormal V_m and an upper Hessenberg H_m with
L V_m = V_m H_m + h_{m+1,m} v_{m+1} e_mᵀ.  Every projection is made twice, which keeps the
vectors orthogonal to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from petsc4py import PETSc
from slepc4py import SLEPc

_COLUMNS = 32


class Operator(Protocol):
    """L, and the inner product to be orthonormal in.

    Attributes:
        inner: its symmetric positive definite matrix; None: the Euclidean one.
    """

    inner: PETSc.Mat | None

    def apply(self, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """y = L x (collective); x and y differ."""

    def norm(self, x: PETSc.Vec) -> float:
        """The norm of the inner product (collective)."""


class Arnoldi:
    """The process started at a vector; ``extend`` adds one at the price of one application.

    Args:
        operator: L.
        start: z, not changed.
        prefix: options prefix of the BV.

    Attributes:
        norm: β = ‖z‖.
        dimension: m.
        broken: the Krylov space is invariant, no vector can be added.
    """

    def __init__(self, operator: Operator, start: PETSc.Vec, prefix: str = "advdiff_shift_invert_"):
        self._operator = operator
        self._columns = _COLUMNS
        self.basis = SLEPc.BV().create(start.comm)
        self.basis.setSizesFromVec(start, self._columns + 1)
        self.basis.setOptionsPrefix(prefix)
        self.basis.setFromOptions()
        if operator.inner is not None:
            self.basis.setMatrix(operator.inner, False)
        self._work = start.copy()
        self.restart(start)

    def restart(self, start: PETSc.Vec) -> None:
        """Begin again from another start in the same memory (collective)."""
        self.norm = self._operator.norm(start)
        self.dimension = 0
        self.broken = self.norm == 0.0
        self._hessenberg = np.zeros((self._columns + 1, self._columns))
        if not self.broken:
            start.copy(self._work)
            self._work.scale(1.0 / self.norm)
            self.basis.insertVec(0, self._work)

    @property
    def hessenberg(self) -> np.ndarray:
        """H_m, m × m."""
        return self._hessenberg[: self.dimension, : self.dimension]

    @property
    def rest(self) -> float:
        """h_{m+1,m}; 0 where the space is invariant."""
        m = self.dimension
        return 0.0 if self.broken else float(self._hessenberg[m, m - 1])

    def extend(self) -> None:
        """One more column of H and vector of V (collective); no-op once the space is invariant."""
        if self.broken:
            return
        j = self.dimension
        if j == self._columns:
            self._grow()
        work, norm = self._work, self._operator.norm
        with self.column(j) as v:
            self._operator.apply(v, work)
        length = norm(work)
        self.basis.setActiveColumns(0, j + 1)
        for _ in range(2):
            h = self.basis.dotVec(work)
            self.basis.multVec(-1.0, 1.0, work, h)
            self._hessenberg[: j + 1, j] += h
        rest = norm(work)
        self.dimension = j + 1
        self.broken = rest <= np.finfo(float).eps * length
        if not self.broken:
            self._hessenberg[j + 1, j] = rest
            work.scale(1.0 / rest)
            self.basis.insertVec(j + 1, work)

    def add(self, coefficients: np.ndarray, y: PETSc.Vec) -> None:
        """y += V_m coefficients (collective)."""
        self.basis.setActiveColumns(0, len(coefficients))
        self.basis.multVec(1.0, 1.0, y, coefficients)

    def destroy(self) -> None:
        """Free the basis (collective)."""
        self.basis.destroy()
        self._work.destroy()

    @contextmanager
    def column(self, j: int) -> Iterator[PETSc.Vec]:
        """v_{j+1} for the time of a with statement, not to be changed (collective)."""
        vector = self.basis.getColumn(j)
        try:
            yield vector
        finally:
            self.basis.restoreColumn(j, vector)

    def _grow(self) -> None:
        self._columns += self._columns // 2
        self.basis.resize(self._columns + 1, True)
        larger = np.zeros((self._columns + 1, self._columns))
        rows, columns = self._hessenberg.shape
        larger[:rows, :columns] = self._hessenberg
        self._hessenberg = larger
