"""Padé [5/6] by partial fractions and Crank–Nicolson, with their discrete adjoints (one rank).

    r(hA) x = Σ_i 2 Re c_i (hA − p_i)⁻¹ x,     three conjugate pairs of poles: three complex LUs,

by SuperLU in a nested-dissection order from PETSc, diagonal pivots preferred.  Crank–Nicolson has
one real LU, PETSc's, with nested dissection.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.sparse as sp
from case import OUTPUTS, Case
from petsc4py import PETSc
from scipy.sparse.linalg import splu

from advdiff.algebra.pattern import PatternCotangent


@lru_cache(maxsize=1)
def _fractions() -> tuple[np.ndarray, np.ndarray]:
    """Poles (upper half plane) and residues of the Padé approximation [5/6] of the exponential."""
    low, high = np.array([1.0]), np.array([1.0])
    for k in range(5):
        low = np.append(low, low[-1] * (5 - k) / ((11 - k) * (k + 1)))
    for k in range(6):
        high = np.append(high, -high[-1] * (6 - k) / ((11 - k) * (k + 1)))
    poles = np.roots(high[::-1])
    poles = poles[poles.imag > 0.0]
    slope = np.polyder(high[::-1])
    return poles, np.polyval(low[::-1], poles) / np.polyval(slope, poles)


def csr(case: Case) -> sp.csr_matrix:
    start, columns, values = case.generator.stiffness.getValuesCSR()
    return sp.csr_matrix((values, columns, start))


def _wrapped(values: np.ndarray) -> PETSc.Vec:
    return PETSc.Vec().createWithArray(np.ascontiguousarray(values), comm=PETSc.COMM_SELF)


class Pade:
    """Steps of T/(10·steps)."""

    order = 11

    def __init__(self, case: Case, final: float, steps: int):
        self.case, self.steps, self.h = case, steps, final / (OUTPUTS * steps)
        self.mass = case.generator.mass.diagonal.array_r.copy()
        rows, _ = case.generator.stiffness.getOrdering("nd")
        self._order = rows.getIndices().copy()
        self._inverse = np.argsort(self._order)
        self.poles, self.residues = _fractions()
        stiffness, mass = csr(case), sp.diags(self.mass)
        self._lus = []
        for pole in self.poles:
            matrix = (self.h * stiffness - pole * mass).tocsc()
            self._lus.append(
                splu(
                    matrix[self._order][:, self._order],
                    permc_spec="NATURAL",
                    diag_pivot_thresh=0.0,
                    options={"SymmetricMode": True},
                )
            )

    def _solve(self, i: int, right: np.ndarray, trans: str = "N") -> np.ndarray:
        right = right[self._order].astype(complex)
        return self._lus[i].solve(right, trans)[self._inverse]

    def forward(self, record: bool = False) -> tuple[list, list]:
        states, tape, y = [], [], self.case.initial.array_r.copy()
        for _ in range(OUTPUTS):
            for _ in range(self.steps):
                right = self.mass * y
                parts = [self._solve(i, right) for i in range(3)]
                y = 2.0 * sum((c * w).real for c, w in zip(self.residues, parts, strict=True))
                if record:
                    tape.append(parts)
            states.append(y)
        return states, tape

    def gradient(self) -> tuple[np.ndarray, np.ndarray]:
        states, tape = self.forward(record=True)
        cotangent = PatternCotangent(self.case.generator.stiffness)
        residuals = self.case.residuals([_wrapped(y) for y in states])
        left, right = [], []
        adjoint = np.zeros(len(self.mass))
        for k in reversed(range(OUTPUTS)):
            adjoint += residuals[k].array_r
            for _ in range(self.steps):
                total = 0.0
                for i, (c, w) in enumerate(zip(self.residues, tape.pop(), strict=True)):
                    v = -2.0 * c * self._solve(i, adjoint, "T")
                    total = total - v.real
                    left += [_wrapped(v.real.copy()), _wrapped(-v.imag)]
                    right += [_wrapped(w.real.copy()), _wrapped(w.imag.copy())]
                adjoint = self.mass * total
                if len(left) >= 12:
                    cotangent.add(left, right, self.h)
                    left, right = [], []
        if left:
            cotangent.add(left, right, self.h)
        return self.case.gradient(cotangent)

    def count(self) -> str:
        return f"{3 * self.steps * OUTPUTS} complex solves"


class CrankNicolson:
    """y⁺ = (M − hK/2)⁻¹ (M + hK/2) y, steps of T/(10·steps)."""

    order = 2

    def __init__(self, case: Case, final: float, steps: int):
        self.case, self.steps, self.h = case, steps, final / (OUTPUTS * steps)
        generator = case.generator
        self._explicit = generator.stiffness.copy()
        self._explicit.scale(0.5 * self.h)
        implicit = self._explicit.copy()
        implicit.scale(-1.0)
        for matrix in (self._explicit, implicit):
            matrix.setDiagonal(generator.mass.diagonal, PETSc.InsertMode.ADD_VALUES)
        self._ksp = PETSc.KSP().create(implicit.comm)
        self._ksp.setOperators(implicit)
        self._ksp.setType("preonly")
        self._ksp.getPC().setType("lu")
        self._ksp.getPC().setFactorOrdering("nd")
        self._ksp.setUp()

    def gradient(self, outputs: int = OUTPUTS) -> tuple[np.ndarray, np.ndarray]:
        """Over the first ``outputs`` intervals; all states kept."""
        generator = self.case.generator
        states, work = [self.case.initial.copy()], generator.vector()
        for _ in range(outputs * self.steps):
            self._explicit.mult(states[-1], work)
            states.append(generator.vector())
            self._ksp.solve(work, states[-1])
        residuals = self.case.residuals(states[self.steps :: self.steps])
        cotangent = PatternCotangent(generator.stiffness)
        adjoint, left, right = generator.vector(), [], []
        for k in reversed(range(outputs * self.steps)):
            if (k + 1) % self.steps == 0:
                adjoint.axpy(1.0, residuals[k // self.steps])
            left.append(generator.vector())
            self._ksp.solveTranspose(adjoint, left[-1])
            newer = states.pop()
            newer.axpy(1.0, states[-1])
            right.append(newer)
            self._explicit.multTranspose(left[-1], adjoint)
            if len(left) == 16 or k == 0:
                cotangent.add(left, right, 0.5 * self.h)
                for vector in left + right:
                    vector.destroy()
                left, right = [], []
        return self.case.gradient(cotangent)

    def count(self) -> str:
        return f"{self.steps * OUTPUTS} solves each way"
