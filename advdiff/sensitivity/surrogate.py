"""Surrogates of ρ on a closed problem, each with a bound on its error at every output time.

In a closed problem (nothing crosses the boundary, no source, ∇·u = 0) the constants are the kernel
of A, Π is the mean, and E(t) = S(t) − Π decays like e^{−gt}.  With J the derivative of A:

    first-order   ρ ≈ t S(t)Jθ0                              error O(t²) as t → 0
    asymptotic    ρ ≈ tS(t)JΠθ0 − S(t)JA^#θ0 − A^#JΠθ0       error O(te^{−gt}) as t → ∞

A direction with JΠ = 0 and ΠJ = 0 (a stream function, the diffusivity) moves neither the constants
nor the mean: then ρ itself decays, and the asymptotic form keeps but −S(t)JA^#θ0, which decays like
it and is of no more use than zero.  First-order is meant for short times and smooth θ0;
asymptotic for long ones and a direction with ∇·v ≠ 0, whose ρ has a limit.

The certificate: ‖error‖ ≤ the smallest of these, in L² (docs/theory.md has the proofs),

    long time    ‖surrogate − Y(t)‖ + r(t)‖θ0 − Πθ0‖,    Y = ΠJΠ, ΠJE and EJΠ of the integral
    short time   r̂(t)‖Aθ0‖ + ½t²‖AJθ0‖                   (first-order)

where r(t) bounds ∫E(t−s)(I−Π)J E(s)ds and r̂(t) the same integrated once more: by the operator norm
‖J‖, which grows like 1/h under refinement; or by the energy that diffusion takes out, which does
not depend on the mesh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from dolfinx import fem
from petsc4py import PETSc

from advdiff.equation.operator import Operator
from advdiff.semigroup.engine import Engine, Solution, finite
from advdiff.sensitivity.certificate import Bound, Remainder, least, remainder_of
from advdiff.sensitivity.constants import Kernel, kernel

METHODS = ("first-order", "asymptotic")
Method = Literal["first-order", "asymptotic"]


def push(
    operator: Operator,
    engine: Engine,
    method: Method,
    directions: Mapping[str, fem.Function],
    d_initial: PETSc.Vec | None,
    initial: PETSc.Vec,
    times: Sequence[float],
    tolerance: float,
) -> tuple[Solution, list[PETSc.Vec], list[Bound]]:
    """θ, a surrogate of ρ and the bound on its error in L², at the times (collective).

    Args:
        engine: of the operator's generator.
        directions, d_initial: as in :class:`~advdiff.sensitivity.rho.Direction`; the part of ρ that
            comes from ``d_initial`` is exact.
        tolerance: of the engine; the bounds allow for it.

    Raises:
        InputError: where the problem is not closed.
        ConvergenceError: where an action, a solve or an eigenvalue does not reach its tolerance.
    """
    found = kernel(operator)
    matrix = operator.push(directions).stiffness
    solution = engine.forward(initial, times)
    finite(solution.states, "the state")
    if matrix is None:
        tangents = [initial.duplicate() for _ in times]
        for tangent in tangents:
            tangent.set(0.0)
        bounds = [Bound(0.0, "exact")] * len(times)
    else:
        work = _Work(found, engine, matrix, initial, times, tolerance)
        remainder = remainder_of(operator, found, matrix, directions)
        tangents = work.first_order() if method == "first-order" else work.asymptotic()
        bounds = work.certify(tangents, solution, remainder, method)
    if d_initial is not None:
        allowance = tolerance * operator.mass.norm(d_initial)
        for tangent, state in zip(tangents, engine.forward(d_initial, times).states, strict=True):
            tangent.axpy(1.0, state)
        bounds = [Bound(bound.value + allowance, bound.reason) for bound in bounds]
    found.destroy()
    return solution, list(finite(tangents, "the sensitivity")), bounds


class _Work:
    """The vectors that surrogates and certificate share; all methods are collective."""

    def __init__(
        self,
        kernel: Kernel,
        engine: Engine,
        matrix: PETSc.Mat,
        initial: PETSc.Vec,
        times: Sequence[float],
        tolerance: float,
    ):
        self.kernel, self.engine, self.matrix = kernel, engine, matrix
        self.initial, self.times, self.tolerance = initial, times, tolerance
        self.mass = kernel.generator.mass
        self.is_closed = kernel.holds(matrix)
        self.allowance = [0.0] * len(times)
        self.response = None if self.is_closed else self._respond()

    def _apply(self, state: PETSc.Vec) -> PETSc.Vec:
        """Jx."""
        image, result = self.kernel.generator.vector(), self.kernel.generator.vector()
        self.matrix.mult(state, image)
        self.mass.solve(image, result)
        image.destroy()
        return result

    def _respond(self) -> tuple[PETSc.Vec, list[PETSc.Vec]]:
        """w = JΠθ0 and S(t)w."""
        constant = self.kernel.one.copy()
        constant.scale(self.kernel.mean(self.initial))
        start = self._apply(constant)
        constant.destroy()
        return start, self.engine.forward(start, self.times).states

    def _allow(self, start: PETSc.Vec, powers: int) -> None:
        size = self.tolerance * self.mass.norm(start)
        for k, t in enumerate(self.times):
            self.allowance[k] += t**powers * size

    def first_order(self) -> list[PETSc.Vec]:
        """t S(t)Jθ0."""
        start = self._apply(self.initial)
        states = self.engine.forward(start, self.times).states
        for t, state in zip(self.times, states, strict=True):
            state.scale(t)
        self._allow(start, 1)
        return states

    def asymptotic(self) -> list[PETSc.Vec]:
        """t S(t)w − S(t)JA^#θ0 − A^#w."""
        inverse = self.kernel.group_inverse(self.initial)
        start = self._apply(inverse)
        states = self.engine.forward(start, self.times).states
        self._allow(start, 0)
        for state in states:
            state.scale(-1.0)
        if self.response is not None:
            begin, moved = self.response
            constant = self.kernel.group_inverse(begin)
            for t, state, response in zip(self.times, states, moved, strict=True):
                state.axpy(t, response)
                state.axpy(-1.0, constant)
            self._allow(begin, 1)
        return states

    def certify(
        self, surrogate: list[PETSc.Vec], solution: Solution, remainder: Remainder, method: Method
    ) -> list[Bound]:
        """The smallest of the bounds at each time."""
        size = self._centred_norm()
        near = self._short_sizes() if method == "first-order" else None
        bounds = []
        for k, t in enumerate(self.times):
            distance = self._distance(surrogate[k], solution.states[k], k, remainder)
            r = remainder.long(t)
            best = Bound(distance + r.value * size, f"long time, {r.reason}")
            if near is not None:
                r = remainder.short(t)
                value = r.value * near[0] + 0.5 * t**2 * near[1]
                best = least(best, Bound(value, f"short time, {r.reason}"))
            bounds.append(Bound(best.value + self.allowance[k], best.reason))
        return bounds

    def _centred_norm(self) -> float:
        centred = self.kernel.remove_mean(self.initial.copy())
        value = self.mass.norm(centred)
        centred.destroy()
        return value

    def _short_sizes(self) -> tuple[float, float]:
        """‖Aθ0‖ and ‖AJθ0‖."""
        moved = self.kernel.generator.vector()
        sizes = []
        for state in (self.initial, self._apply(self.initial)):
            self.kernel.generator.mult(state, moved)
            sizes.append(self.mass.norm(moved))
        return sizes[0], sizes[1]

    def _distance(
        self, surrogate: PETSc.Vec, state: PETSc.Vec, k: int, remainder: Remainder
    ) -> float:
        """‖surrogate − Y(t)‖, Y = tΠJΠθ0 + ΠJA^#(S(t) − I)θ0 + A^#(S(t) − I)JΠθ0."""
        if self.response is None:
            return self.mass.norm(surrogate)
        start, moved = self.response
        difference, change, turn = surrogate.copy(), state.copy(), moved[k].copy()
        change.axpy(-1.0, self.initial)
        inner = self._apply(self.kernel.group_inverse(change))
        mean = self.times[k] * self.kernel.mean(start) + self.kernel.mean(inner)
        difference.axpy(-mean, self.kernel.one)
        turn.axpy(-1.0, start)
        difference.axpy(-1.0, self.kernel.group_inverse(turn))
        # the engine's errors in S(t)θ0 and S(t)w pass through A^#, whose norm is at most 1/g
        sizes = remainder.norm * self.mass.norm(self.initial) + self.mass.norm(start)
        self.allowance[k] += self.tolerance * sizes / remainder.gap
        value = self.mass.norm(difference)
        for vector in (difference, change, turn, inner):
            vector.destroy()
        return value
