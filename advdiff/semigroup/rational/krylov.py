"""Increments ψ_t(A) z0 at many times from one Krylov space of the resolvent, and when to stop.

The increment x(t) = y(t) − θ0 solves x' = A x + (A θ0 + M⁻¹F), x(0) = 0, and one resolvent makes a
start for it that holds both initial state and load, and is bounded however rough they are:

    z0 = γ L (A θ0 + M⁻¹F) = R (M θ0 + γF) − θ0,        L = R M,  R = (M − γK)⁻¹.

Arnoldi with L from z0 gives L V = V H + r eᵀ, and with A_m = (I − H⁻¹)/γ

    x(t_k) ≈ β V w(t_k),      w' = A_m w + H⁻¹e₁/γ,  w(0) = 0.

Without a load this costs exactly as many solves as Arnoldi from θ0 and is as accurate (measured);
a load comes free; and a closed flow keeps its mean to rounding, since z0 has none.
Sources: van den Eshof & Hochbruck (2006), Moret & Novati (2004).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from petsc4py import PETSc

from advdiff.algebra.arnoldi import Arnoldi
from advdiff.algebra.resolvent import Resolvent
from advdiff.semigroup.rational.pair import PairResolvent
from advdiff.semigroup.rational.small_exponential import resolvent_increments

_STRIDE = 2
_SLOWEST = 0.95


class KrylovIncrements:
    """The basis and the coefficients of all increments (collective).

    The error estimate is the change of the coefficients over the last two steps, which is the
    error of two steps ago where convergence is fast; where it is slow, the sum of the geometric
    series that the last two changes begin.

    Args:
        resolvent: (M − γK)⁻¹, of states or of pairs.
        start: z0, not changed.
        times: 0 < t_1 < … < t_K.
        tolerance: stop where the estimate is within it.
        scale: the estimate is relative to this or to the largest increment, whichever is larger.
        max_dimension: stop there anyhow.
        fixed: go to max_dimension whatever the estimate (less at a happy breakdown).

    Attributes:
        arnoldi: the process, until ``destroy``.
        coefficients: β w(t_k), m × K.
        estimate: the relative error estimate at the end.
        size: what it is relative to.
    """

    def __init__(
        self,
        resolvent: Resolvent | PairResolvent,
        start: PETSc.Vec,
        times: Sequence[float],
        *,
        tolerance: float,
        scale: float,
        max_dimension: int,
        fixed: bool = False,
    ):
        self._pole = resolvent.pole
        self._times = times
        self.arnoldi = Arnoldi(resolvent, start)
        self.coefficients = np.zeros((0, len(times)))
        self.estimate, self.size = 0.0, scale
        last_change = np.inf
        while self.arnoldi.dimension < max_dimension and not self.arnoldi.broken:
            self.arnoldi.extend()
            remaining = max_dimension - self.arnoldi.dimension
            if self.arnoldi.broken:
                self.coefficients = self._reduced()
                self.estimate = float(np.finfo(float).eps)
                break
            if remaining % _STRIDE or (fixed and remaining > 2 * _STRIDE):
                continue
            change = self._update()
            ratio = min(change / last_change, _SLOWEST)
            self.size = max(scale, _largest_column(self.coefficients))
            self.estimate = change * max(1.0, ratio / (1.0 - ratio)) / self.size
            if not fixed and self.estimate <= tolerance:
                break
            last_change = change

    def add(self, k: int, y: PETSc.Vec) -> None:
        """y += x(t_k) (collective)."""
        if len(self.coefficients):
            self.arnoldi.add(self.coefficients[:, k], y)

    def destroy(self) -> None:
        """Free the basis (collective)."""
        self.arnoldi.destroy()

    def _update(self) -> float:
        """New coefficients, and the largest norm of their change."""
        previous, self.coefficients = self.coefficients, self._reduced()
        step = self.coefficients.copy()
        step[: len(previous)] -= previous
        return _largest_column(step)

    def _reduced(self) -> np.ndarray:
        arnoldi = self.arnoldi
        return arnoldi.norm * resolvent_increments(arnoldi.hessenberg, self._pole, self._times)


def _largest_column(matrix: np.ndarray) -> float:
    with np.errstate(over="ignore"):  # of what has not converged
        return float(np.max(np.linalg.norm(matrix, axis=0)))
