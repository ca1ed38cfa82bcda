"""One shift-and-invert Krylov space that carries a state, and a constant load, through a time span.

The increment y(t) − θ0 solves x' = A x + (A θ0 + M⁻¹F), x(0) = 0, and one resolvent makes a start
for it that holds both initial state and load, and is bounded however rough they are:

    z = γ L (A θ0 + M⁻¹F) = R (M θ0 + γF) − θ0,        L = R M,  R = (M − γK)⁻¹.

Arnoldi with L from z gives L V = V H + r eᵀ, and with A_m = (I − H⁻¹)/γ

    y(t_k) ≈ θ0 + β V w(t_k),      w' = A_m w + H⁻¹e₁/γ,  w(0) = 0.

Without a load this costs exactly as many solves as Arnoldi from θ0 and is as accurate; with a load
it costs no more; and the mean of a closed flow is kept to rounding, since z has none.
Sources: van den Eshof & Hochbruck (2006), Moret & Novati (2004).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from petsc4py import PETSc

from advdiff.expm.arnoldi import Arnoldi, combine, make_basis, project
from advdiff.expm.engine import Cotangent, Pullback
from advdiff.expm.resolvent import Resolvent
from advdiff.expm.small_exponential import SmallFlow

_STRIDE = 2


class KrylovFlow:
    """All states y(t_k) of one span from one basis, with exact derivatives of what was computed.

    Args:
        resolvent: (M − γK)⁻¹.
        initial: θ0.
        load: F or None.
        times: 0 < t_1 < … < t_K, from the beginning of the span.
        tolerance: bound on the estimated error of every state, relative to ‖θ0‖ (with a load: to
            the larger of ‖θ0‖ and the largest increment).
        max_dimension: give up there; ``converged`` tells.
        dimension: if given, exactly this dimension and no stopping rule.

    Attributes:
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
        self.resolvent = resolvent
        self.times = tuple(times)
        self._initial = initial
        self._has_load = load is not None
        self._lifted = initial.duplicate()  # R (M θ0 + γF)
        start = initial.duplicate()
        resolvent.generator.mass.mult(initial, start)
        if load is not None:
            start.axpy(resolvent.pole, load)
        resolvent.solve(start, self._lifted)
        self._lifted.copy(start)
        start.axpy(-1.0, initial)
        self.arnoldi = Arnoldi(resolvent, start)
        start.destroy()
        self._scale = resolvent.generator.mass.norm(initial)
        self.estimate = 0.0
        if self.arnoldi.norm > 0.0:
            self._extend(tolerance, max_dimension, dimension)
            self._reduce()
        self.converged = dimension is not None or self.estimate <= tolerance

    @property
    def dimension(self) -> int:
        """m, the number of basis vectors in use."""
        return self.arnoldi.dimension

    def states(self) -> list[PETSc.Vec]:
        """New vectors y(t_k) (collective)."""
        states = []
        for k in range(len(self.times)):
            y = self._initial.copy()
            if self.arnoldi.norm > 0.0:
                combine(self.arnoldi.basis, self._coefficients[:, k], y, 1.0)
            states.append(y)
        return states

    def push(
        self,
        d_initial: PETSc.Vec | None,
        stiffness: PETSc.Mat | None,
        d_load: PETSc.Vec | None,
    ) -> list[PETSc.Vec]:
        """Derivative of the states along (dθ0, dK, dF), new vectors (collective)."""
        resolvent, mass = self.resolvent, self.resolvent.generator.mass
        d_start, load = self._initial.duplicate(), self._initial.duplicate()
        load.set(0.0)
        if stiffness is not None:
            stiffness.mult(self._lifted, load)
        if d_load is not None:
            load.axpy(1.0, d_load)
        load.scale(resolvent.pole)
        if d_initial is not None:
            mass.mult(d_initial, d_start)
            load.axpy(1.0, d_start)
        resolvent.solve(load, d_start)
        if d_initial is not None:
            d_start.axpy(-1.0, d_initial)
        beta = self.arnoldi.norm
        d_beta, dH, tangent = self.arnoldi.push(d_start, stiffness)
        d_inverse = -self._inverse @ dH @ self._inverse
        d_small = self._small.push(-d_inverse / resolvent.pole, d_inverse[:, 0] / resolvent.pole)
        d_coefficients = d_beta * self._small.states + beta * d_small
        result = []
        for k in range(len(self.times)):
            dy = self._initial.duplicate()
            combine(self.arnoldi.basis, d_coefficients[:, k], dy)
            combine(tangent, self._coefficients[:, k], dy, 1.0)
            if d_initial is not None:
                dy.axpy(1.0, d_initial)
            result.append(dy)
        tangent.destroy()
        d_start.destroy()
        load.destroy()
        return result

    def pull(self, residuals: Sequence[PETSc.Vec], cotangent: Cotangent) -> Pullback:
        """Adjoint of (θ0, K, F) ↦ states; Ḡ goes to the cotangent (collective)."""
        resolvent, mass = self.resolvent, self.resolvent.generator.mass
        basis, m, beta = self.arnoldi.basis, self.dimension, self.arnoldi.norm
        riesz = make_basis(resolvent, len(residuals))
        state = self._initial.duplicate()
        initial_bar = self._initial.duplicate()
        initial_bar.set(0.0)
        coefficients_bar = np.empty((m, len(residuals)))
        for k, residual in enumerate(residuals):
            initial_bar.axpy(1.0, residual)
            mass.solve(residual, state)
            riesz.insertVec(k, state)
            coefficients_bar[:, k] = project(basis, m, state)
        matrix_bar, source_bar = self._small.pull(beta * coefficients_bar)
        inverse_bar = -matrix_bar / resolvent.pole
        inverse_bar[:, 0] += source_bar / resolvent.pole
        start_bar = self.arnoldi.pull(
            riesz,
            self._coefficients,
            -self._inverse.T @ inverse_bar @ self._inverse.T,
            float(np.sum(coefficients_bar * self._small.states)),
            cotangent,
        )
        riesz.destroy()
        load_bar = self._initial.duplicate()
        resolvent.apply_adjoint(start_bar, load_bar)
        cotangent.add([load_bar], [self._lifted], resolvent.pole)
        load_bar.copy(state)
        state.axpy(-1.0, start_bar)
        mass.mult(state, start_bar)
        initial_bar.axpy(1.0, start_bar)
        state.destroy()
        start_bar.destroy()
        load_bar.scale(resolvent.pole)
        if self._has_load:
            return Pullback(initial_bar, load_bar)
        load_bar.destroy()
        return Pullback(initial_bar, None)

    def destroy(self) -> None:
        """Free the basis and the vectors kept (collective)."""
        self.arnoldi.destroy()
        self._lifted.destroy()

    def _extend(self, tolerance: float, max_dimension: int, dimension: int | None) -> None:
        """Arnoldi until the estimate or the dimension says stop.

        The estimate is the change of the coefficients over the last two steps, the error of two
        steps ago where convergence is fast; where it is slow, the sum of the geometric series
        that the last two changes begin.
        """
        previous, change = None, np.inf
        limit = dimension or max_dimension
        while self.dimension < limit and not self.arnoldi.broken:
            self.arnoldi.extend()
            if dimension is not None and self.dimension < dimension - 2 * _STRIDE:
                continue
            if self.dimension % _STRIDE != limit % _STRIDE and not self.arnoldi.broken:
                continue
            self._reduce()
            size = float(np.max(np.linalg.norm(self._coefficients, axis=0)))
            scale = max(self._scale, size) if self._has_load else self._scale
            if self.arnoldi.broken:
                self.estimate = np.finfo(float).eps
                return
            if previous is not None:
                step = self._coefficients.copy()
                step[: len(previous)] -= previous
                last, change = change, float(np.max(np.linalg.norm(step, axis=0)))
                ratio = min(change / last, 0.95)
                self.estimate = change * max(1.0, ratio / (1.0 - ratio)) / scale
                if dimension is None and self.estimate <= tolerance:
                    return
            else:
                self.estimate = np.inf
            previous = self._coefficients

    def _reduce(self) -> None:
        """The reduced problem at the present dimension."""
        m, pole = self.dimension, self.resolvent.pole
        self._inverse = np.linalg.inv(self.arnoldi.hessenberg[:m])
        self._small = SmallFlow(
            (np.eye(m) - self._inverse) / pole, self._inverse[:, 0] / pole, self.times
        )
        self._coefficients = self.arnoldi.norm * self._small.states
