"""The Arnoldi process of a resolvent in the M inner product, its derivative and its adjoint.

With L = (I − γA)⁻¹ and a start z = β v_1 the process builds an orthonormal V_m and an upper
Hessenberg H_m with L V_m = V_m H_m + r e_mᵀ, r = h_{m+1,m} v_{m+1}.  The vectors live in a SLEPc
BV; every projection is made twice, which keeps them orthogonal to rounding.

The derivative along (dz, dK) and the adjoint, for cotangents of V_m, H_m and β, are those of the
*computed* process at its dimension and pole (Krämer, Moreno-Muñoz, Roy & Hauberg 2024, here with
the M inner product and on distributed vectors): one solve, or one transposed solve, a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from petsc4py import PETSc
from slepc4py import SLEPc

from advdiff.expm.engine import Cotangent
from advdiff.expm.resolvent import Resolvent

_PAIRS = 8


@contextmanager
def column(basis: SLEPc.BV, j: int) -> Iterator[PETSc.Vec]:
    """Column j of a BV, to read."""
    vector = basis.getColumn(j)
    try:
        yield vector
    finally:
        basis.restoreColumn(j, vector)


def combine(basis: SLEPc.BV, coefficients: np.ndarray, y: PETSc.Vec, scale: float = 0.0) -> None:
    """y = scale·y + Σ_j coefficients[j] column_j (collective)."""
    basis.setActiveColumns(0, len(coefficients))
    basis.multVec(1.0, scale, y, coefficients)


def project(basis: SLEPc.BV, columns: int, x: PETSc.Vec) -> np.ndarray:
    """⟨column_j, x⟩ in the basis' inner product, j < columns (collective)."""
    basis.setActiveColumns(0, columns)
    return np.asarray(basis.dotVec(x))


def make_basis(resolvent: Resolvent, columns: int) -> SLEPc.BV:
    """Uninitialised columns with the M inner product; the caller destroys them (collective)."""
    vector = resolvent.generator.vector()
    basis = SLEPc.BV().create(vector.comm)
    basis.setSizesFromVec(vector, columns)
    basis.setOptionsPrefix("advdiff_shift_invert_")
    basis.setFromOptions()
    basis.setMatrix(resolvent.inner, False)
    vector.destroy()
    return basis


class Arnoldi:
    """The process started at a state; ``extend`` adds one vector at the price of one solve.

    Attributes:
        norm: β = ‖z‖.
        dimension: m.
        broken: the Krylov space is invariant, no vector can be added.
    """

    def __init__(self, resolvent: Resolvent, start: PETSc.Vec):
        self.resolvent = resolvent
        self.norm = resolvent.generator.mass.norm(start)
        self.dimension = 0
        self.broken = self.norm == 0.0
        self._columns = 32
        self._hessenberg = np.zeros((self._columns + 1, self._columns))
        self.basis = make_basis(resolvent, self._columns + 1)
        self._work = start.duplicate()
        start.copy(self._work)
        if not self.broken:
            self._work.scale(1.0 / self.norm)
        self.basis.insertVec(0, self._work)

    @property
    def hessenberg(self) -> np.ndarray:
        """H with its last row, (m + 1) × m."""
        return self._hessenberg[: self.dimension + 1, : self.dimension]

    def extend(self) -> None:
        """One more column of H and vector of V (collective); no-op once the space is invariant."""
        if self.broken:
            return
        j = self.dimension
        if j == self._columns:
            self._grow()
        with column(self.basis, j) as v:
            self.resolvent.apply(v, self._work)
        length = self.resolvent.generator.mass.norm(self._work)
        for _ in range(2):
            h = project(self.basis, j + 1, self._work)
            combine(self.basis, -h, self._work, 1.0)
            self._hessenberg[: j + 1, j] += h
        rest = self.resolvent.generator.mass.norm(self._work)
        self.dimension = j + 1
        if rest <= np.finfo(float).eps * length:
            self.broken = True
            self._work.set(0.0)
        else:
            self._hessenberg[j + 1, j] = rest
            self._work.scale(1.0 / rest)
        self.basis.insertVec(j + 1, self._work)

    def push(
        self, d_start: PETSc.Vec, stiffness: PETSc.Mat | None
    ) -> tuple[float, np.ndarray, SLEPc.BV]:
        """Derivative along (dz, dK) at fixed dimension and pole (collective).

        Returns:
            dβ, dH (m × m) and dV (m columns; the caller destroys it).
        """
        m, H = self.dimension, self.hessenberg
        resolvent, mass = self.resolvent, self.resolvent.generator.mass
        tangent = make_basis(resolvent, m)
        dH = np.zeros((m + 1, m))
        q, dw, load, part = (d_start.duplicate() for _ in range(4))
        d_norm = float(project(self.basis, 1, d_start)[0])
        d_start.copy(dw)
        combine(self.basis, np.array([-d_norm]), dw, 1.0)
        dw.scale(1.0 / self.norm)
        tangent.insertVec(0, dw)
        for j in range(m):
            combine(self.basis, H[: j + 2, j], q)
            mass.mult(dw, load)
            if stiffness is not None:
                stiffness.mult(q, part)
                load.axpy(resolvent.pole, part)
            resolvent.solve(load, dw)
            dH[: j + 1, j] = project(self.basis, j + 1, dw) + project(tangent, j + 1, q)
            if j + 1 < m:
                combine(self.basis, -dH[: j + 1, j], dw, 1.0)
                combine(tangent, -H[: j + 1, j], dw, 1.0)
                with column(self.basis, j + 1) as v:
                    mass.mult(v, load)
                    dH[j + 1, j] = load.dot(dw)
                    dw.axpy(-dH[j + 1, j], v)
                dw.scale(1.0 / H[j + 1, j])
                tangent.insertVec(j + 1, dw)
        for vector in (q, dw, load, part):
            vector.destroy()
        return d_norm, dH[:m], tangent

    def pull(
        self,
        riesz: SLEPc.BV,
        weights: np.ndarray,
        hessenberg_bar: np.ndarray,
        norm_bar: float,
        cotangent: Cotangent,
    ) -> PETSc.Vec:
        """Adjoint of the process (collective).

        Args:
            riesz, weights: the cotangent of v_j is Σ_k weights[j, k] · column_k, as a state.
            hessenberg_bar: cotangent of H_m, m × m.
            norm_bar: cotangent of β.
            cotangent: receives Ḡ += γ Σ_j p_j q_jᵀ with q_j = L v_j.

        Returns:
            The cotangent of the start as a state (Riesz vector); the caller destroys it.
        """
        m, H = self.dimension, self.hessenberg
        multipliers = make_basis(self.resolvent, m)  # λ_m … λ_1, in this order
        w, adjoint = self._work.duplicate(), self._work.duplicate()
        lefts = [w.duplicate() for _ in range(_PAIRS)]
        rights = [w.duplicate() for _ in range(_PAIRS)]
        symmetric = np.zeros((m, m))
        last = hessenberg_bar[:, m - 1]
        combine(self.basis, last, adjoint)
        for count, j in enumerate(reversed(range(m))):
            multipliers.insertVec(count, adjoint)
            p, q = lefts[count % _PAIRS], rights[count % _PAIRS]
            self.resolvent.apply_adjoint(adjoint, p)
            combine(self.basis, H[: j + 2, j], q)
            if (count + 1) % _PAIRS == 0 or j == 0:
                filled = count % _PAIRS + 1
                cotangent.add(lefts[:filled], rights[:filled], self.resolvent.pole)
            p.copy(w)
            combine(riesz, weights[j], w, 1.0)
            combine(multipliers, -H[j, j:][::-1], w, 1.0)
            coefficients = np.zeros(m + 1)
            coefficients[m] = last[j] * H[m, m - 1]
            coefficients[j + 1 : m] = symmetric[j + 1 :, j]
            if j > 0:
                wanted = H[j, j - 1] * hessenberg_bar[: j + 1, j - 1]
                coefficients[: j + 1] = wanted - project(self.basis, j + 1, w)
                symmetric[: j + 1, j] = symmetric[j, : j + 1] = coefficients[: j + 1]
                combine(self.basis, coefficients, w, 1.0)
                w.copy(adjoint)
                adjoint.scale(1.0 / H[j, j - 1])
        coefficients[0] = self.norm * norm_bar - project(self.basis, 1, w)[0]
        combine(self.basis, coefficients, w, 1.0)
        w.scale(1.0 / self.norm)
        for vector in (adjoint, *lefts, *rights):
            vector.destroy()
        multipliers.destroy()
        return w

    def destroy(self) -> None:
        """Free the basis (collective)."""
        self.basis.destroy()
        self._work.destroy()

    def _grow(self) -> None:
        self._columns += self._columns // 2
        self.basis.resize(self._columns + 1, True)
        larger = np.zeros((self._columns + 1, self._columns))
        rows, columns = self._hessenberg.shape
        larger[:rows, :columns] = self._hessenberg
        self._hessenberg = larger
