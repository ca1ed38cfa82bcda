"""States at many times from one Krylov space of the resolvent, with a rule when to stop.

The increment y(t) − θ0 solves x' = A x + (A θ0 + M⁻¹F), x(0) = 0, and one resolvent makes a start
for it that holds both initial state and load, and is bounded however rough they are:

    z0 = γ L (A θ0 + M⁻¹F) = R (M θ0 + γF) − θ0,        L = R M,  R = (M − γK)⁻¹.

Arnoldi with L from z0 gives L V = V H + r eᵀ, and with A_m = (I − H⁻¹)/γ

    y(t_k) ≈ θ0 + β V w(t_k),      w' = A_m w + H⁻¹e₁/γ,  w(0) = 0.

Without a load this costs exactly as many solves as Arnoldi from θ0 and is as accurate (measured);
a load comes free; and a closed flow keeps its mean to rounding, since z0 has none.
Sources: van den Eshof & Hochbruck (2006), Moret & Novati (2004).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from petsc4py import PETSc

from advdiff.expm.arnoldi import Arnoldi
from advdiff.expm.filter_flow import lift
from advdiff.expm.resolvent import Resolvent
from advdiff.expm.small_exponential import small_increments

_STRIDE = 2
_SLOWEST = 0.95


class KrylovFlow:
    """All states y(t_k) from one basis, which is gone when the constructor returns (collective).

    Args:
        resolvent: (M − γK)⁻¹.
        initial: θ0.
        load: F or None.
        times: 0 < t_1 < … < t_K.
        tolerance: bound on the estimated error of every state, relative to ‖θ0‖ (with a load: to
            the larger of ‖θ0‖ and the largest increment).
        max_dimension: give up there; ``converged`` tells.
        dimension: if given, exactly this dimension (less at a happy breakdown), no stopping rule.

    Attributes:
        states: y(t_k), new vectors which belong to the caller.
        dimension: m, the number of basis vectors; m + 1 solves were needed.
        estimate: the relative error estimate at the end.
        converged: whether it is within the tolerance.
    """

    def __init__(
        self,
        resolvent: Resolvent,
        initial: PETSc.Vec,
        load: PETSc.Vec | None,
        times: Sequence[float],
        tolerance: float,
        max_dimension: int,
        dimension: int | None = None,
    ):
        self._pole = resolvent.pole
        self._times = times
        lifted, start = lift(resolvent, initial, load)
        arnoldi = Arnoldi(resolvent, start)
        lifted.destroy()
        start.destroy()
        size = resolvent.generator.mass.norm(initial)
        self._scale = (size, load is not None)
        self.estimate = 0.0
        self._coefficients = np.zeros((0, len(times)))
        if not arnoldi.broken:
            self._build(arnoldi, tolerance, dimension or max_dimension, dimension is not None)
        self.dimension = arnoldi.dimension
        self.converged = self.estimate <= tolerance
        self.states = []
        for coefficients in self._coefficients.T:
            y = initial.copy()
            if len(coefficients):
                arnoldi.add(coefficients, y)
            self.states.append(y)
        arnoldi.destroy()

    def _build(self, arnoldi: Arnoldi, tolerance: float, limit: int, fixed: bool) -> None:
        """Extend the basis until the estimate, the dimension or a breakdown says stop.

        The estimate is the change of the coefficients over the last two steps, which is the error
        of two steps ago where convergence is fast; where it is slow, the sum of the geometric
        series that the last two changes begin.
        """
        last_change = np.inf
        while arnoldi.dimension < limit and not arnoldi.broken:
            arnoldi.extend()
            remaining = limit - arnoldi.dimension
            if arnoldi.broken:
                self._coefficients = self._reduced(arnoldi)
                self.estimate = float(np.finfo(float).eps)
                return
            if remaining % _STRIDE or (fixed and remaining > 2 * _STRIDE):
                continue
            previous, self._coefficients = self._coefficients, self._reduced(arnoldi)
            step = self._coefficients.copy()
            step[: len(previous)] -= previous
            change = _largest_column(step)
            ratio = min(change / last_change, _SLOWEST)
            size, has_load = self._scale
            scale = max(size, _largest_column(self._coefficients)) if has_load else size
            self.estimate = change * max(1.0, ratio / (1.0 - ratio)) / scale
            if not fixed and self.estimate <= tolerance:
                return
            last_change = change

    def _reduced(self, arnoldi: Arnoldi) -> np.ndarray:
        """Coefficients of the increments in the basis, m × K."""
        inverse = np.linalg.inv(arnoldi.hessenberg)
        matrix = (np.eye(arnoldi.dimension) - inverse) / self._pole
        return arnoldi.norm * small_increments(matrix, inverse[:, 0] / self._pole, self._times)


def _largest_column(matrix: np.ndarray) -> float:
    return float(np.max(np.linalg.norm(matrix, axis=0)))
