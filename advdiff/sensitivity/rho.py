"""ρ(t) = the derivative of θ(t) along a direction: of the velocity, the diffusivity or the start.

With ρ' = Aρ + Jθ, where J = dA/du[v] is minus the discrete v·∇:

    ρ(t) = −∫₀ᵗ S(t−s) v·∇ S(s)θ0 ds          (a velocity direction v; mind the sign)

``recurrence`` pushes the direction through the engine's own recurrence.  Two independent checks of
it use Krylov actions of the exponential: ``quadrature`` evaluates the integral by marched
Gauss-Legendre rules, the order raised until two agree to the tolerance; ``augmented`` takes one
action of the block matrix [[A, J], [0, A]].

``first-order`` and ``asymptotic`` are not ρ but surrogates of it, with a bound on their error
(``surrogate``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from dolfinx import fem
from petsc4py import PETSc

from advdiff.core.errors import ConvergenceError
from advdiff.equation.operator import Operator
from advdiff.semigroup.engine import Solution, checked_times, finite
from advdiff.semigroup.mfn import augmented, quadrature
from advdiff.semigroup.mfn.engine import MFNEngine, MFNOptions
from advdiff.semigroup.semigroup import SolverOptions, make_engine
from advdiff.sensitivity import surrogate
from advdiff.sensitivity.certificate import Bound


@dataclass(frozen=True)
class Direction:
    """A direction: functions by name of the operator's control, and a state for the start."""

    controls: Mapping[str, fem.Function]
    initial: PETSc.Vec | None = None


@dataclass
class Sensitivity:
    """ρ at the output times, with θ.

    Attributes:
        solution: θ and the engine's report.
        tangents: ρ(t_k), one vector a time.
        error_estimate: relative to the largest ‖ρ(t_k)‖; for a surrogate from its bounds.
        bounds: of a surrogate: on ‖tangents[k] − ρ(t_k)‖ in L², with the argument they come from.

    ρ has the unit of θ over that of the direction.

    θ(1) = e^{κλ} cos πx along dκ = 1 moves by ρ = λθ(1), on eight cells λ = -256 sin²(π/16):

    >>> import advdiff
    >>> from advdiff.config.load import parse
    >>> tables = {"task": "solve", "domain": {"shape": "interval", "cells": [8]}}
    >>> tables |= {"time": {"final": 1.0}, "physics": {"diffusivity": 0.1, "initial": "cos(pi*x)"}}
    >>> problem = advdiff.Problem(parse(tables))
    >>> one = fem.Function(problem.operator.diffusivity.function_space)
    >>> one.x.array[:] = 1.0
    >>> found = problem.sensitivity(Direction({"diffusivity": one}), [1.0])
    >>> theta, rho = found.solution.states[0], found.tangents[0]
    >>> round(rho.dot(theta) / theta.dot(theta), 3)
    -9.743
    """

    solution: Solution
    tangents: list[PETSc.Vec]
    error_estimate: float
    bounds: list[Bound] = field(default_factory=list)


def sensitivity(
    operator: Operator,
    direction: Direction,
    initial: PETSc.Vec,
    times: Sequence[float],
    *,
    method: Literal[
        "recurrence", "quadrature", "augmented", "first-order", "asymptotic"
    ] = "recurrence",
    tolerance: float = 1e-6,
    options: SolverOptions | None = None,
) -> Sensitivity:
    """ρ along one direction (collective); the operator must be assembled.

    Args:
        tolerance: relative to the largest ‖ρ(t_k)‖.
        options: of the actions of the exponential; their tolerance is lowered to a tenth of
            ``tolerance`` where it is larger.

    Raises:
        InputError: for a surrogate of a problem that is not closed, or times that are not positive,
            finite and increasing.
        ConvergenceError: where the quadrature or an action does not reach its tolerance.
    """
    times = checked_times(times)
    options = SolverOptions() if options is None else options
    tight = min(options.tolerance, 0.1 * tolerance)
    options = replace(options, tolerance=tight)
    if method in surrogate.METHODS:
        engine = make_engine(operator.generator, options)
        start = (direction.initial, initial, times, tight)
        solution, tangents, bounds = surrogate.push(
            operator, engine, method, direction.controls, *start
        )
        size, worst = max(map(operator.mass.norm, tangents)), max(b.value for b in bounds)
        relative = worst / size if size > 0.0 else float("inf") if worst > 0.0 else 0.0
        return Sensitivity(solution, tangents, relative, bounds)
    mfn = MFNOptions.of(options)
    change = operator.push(direction.controls)._replace(initial=direction.initial)
    given = (initial, times, change, operator.load)
    if method == "recurrence" and options.engine.has_exact_gradients:
        engine = make_engine(operator.generator, options)
        try:
            solution, tangents = engine.push(*given)
        except ConvergenceError as error:
            if options.method != "auto":
                raise
            solution, tangents = augmented.push(operator.generator, mfn, *given)
            solution.report["reason"] = f"the engine of choice gave up ({error})"
            return _bounded(solution, tangents)
        # rounding enters twice, before the direction and after it
        error = tight + 2.0 * float(solution.report.get("rounding", 0.0))
        error = float(solution.report.get("tangent_error", error))
        return Sensitivity(solution, list(finite(tangents, "the sensitivity")), error)
    if method == "augmented":
        return _bounded(*augmented.push(operator.generator, mfn, *given))
    engine = MFNEngine(operator.generator, mfn)
    return Sensitivity(
        *quadrature.converged_push(
            engine, tolerance, lambda nodes: quadrature.push(engine, *given, nodes=nodes)
        )
    )


def _bounded(solution: Solution, tangents: list[PETSc.Vec]) -> Sensitivity:
    """With the bound that the augmented action reports."""
    return Sensitivity(solution, tangents, solution.report["tangent_error_bound"])
