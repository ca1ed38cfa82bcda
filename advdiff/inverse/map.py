"""The maximum a posteriori estimate by TAO.

The optimiser works in the white coordinates ξ, m = m₀ + Lξ: there every unknown has the prior's
unit, and the gradient norm is a number without dimension.  TAO sees objective and gradient divided
by the first gradient norm.  Every ``-tao_`` option applies.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import get_args

from petsc4py import PETSc

from advdiff.errors import InputError
from advdiff.inverse.objective import Evaluation, Objective
from advdiff.keytypes import TaoType
from advdiff.petsc_errors import good_options


@dataclass(frozen=True)
class Iteration:
    """One line of the history; ``solves`` counts evaluations of value and gradient."""

    iteration: int
    objective: float
    misfit: float
    regularization: float
    gradient_norm: float
    solves: int
    seconds: float


@dataclass
class Estimate:
    """The result of the optimisation.

    Attributes:
        m: the estimate.
        history: one entry an iteration.
        converged: whether the gradient tolerance was reached.
        message: what was reached, in a sentence.
        evaluation: the objective at ``m``.
    """

    m: PETSc.Vec
    history: list[Iteration] = field(default_factory=list)
    converged: bool = False
    message: str = ""
    evaluation: Evaluation | None = None


def make_tao(comm, type: str) -> PETSc.TAO:
    """An optimiser of a type, which ``-tao_type`` overrides (collective).

    Raises:
        InputError: for a type or an option that TAO does not know, or that needs a Hessian.
    """
    tao = PETSc.TAO().create(comm)
    with good_options():
        tao.setType(type)
        tao.setFromOptions()
    known = get_args(TaoType)
    if tao.getType() not in known:
        raise InputError(
            f"-tao_type {tao.getType()}: needs more than a gradient; take one of "
            + ", ".join(known)
        )
    return tao


def _keeping(raised: list[BaseException], callback: Callable) -> Callable:
    """The callback, its exception kept: PETSc turns what passes through it into an error code."""

    def call(*arguments):
        try:
            return callback(*arguments)
        except BaseException as error:
            raised.append(error)
            raise

    return call


def minimise(
    objective: Objective,
    start: PETSc.Vec,
    *,
    type: str = "lmvm",
    gradient_tolerance: float = 1e-4,
    max_iterations: int = 300,
    watch: Callable[[Iteration, PETSc.Vec], None] | None = None,
    reference: float | None = None,
) -> Estimate:
    """Minimise the objective (collective).

    Args:
        start: first guess of m.
        type: a TAO type for smooth unconstrained problems.
        gradient_tolerance: of ‖∇_ξ‖, relative to ``reference``.
        watch: called with every iteration and its m, on every rank.
        reference: the gradient norm to be relative to; None: that at ``start``.

    Raises:
        InputError: for a type that TAO does not know.
    """
    prior = objective.prior
    xi = prior.whiten(start)
    began, solves = time.perf_counter(), 0
    estimate = Estimate(m=start)

    def white_gradient(at: Evaluation, x: PETSc.Vec) -> PETSc.Vec:
        gradient = prior.color_transpose(at.data_gradient)
        gradient.axpy(1.0, x)
        return gradient

    if reference is None:
        gradient = white_gradient(objective.evaluate(start), xi)
        reference = gradient.norm()
        gradient.destroy()
    # TAO's first step is minus the gradient: scaled like this it has the prior's unit length.
    scale = reference or 1.0

    def evaluate(_tao, x: PETSc.Vec, gradient: PETSc.Vec) -> float:
        nonlocal solves
        m = prior.color(x)
        at = objective.evaluate(m)
        solves += 1
        white = white_gradient(at, x)
        white.copy(gradient)
        gradient.scale(1.0 / scale)
        for vector in (white, m):
            vector.destroy()
        return at.objective / scale

    def monitor(tao) -> None:
        iteration, value, norm = tao.getSolutionStatus()[:3]
        value, norm = scale * value, scale * norm
        x = tao.getSolution()
        m = prior.color(x)
        regularization = 0.5 * x.dot(x) + objective.penalty(m)
        entry = Iteration(
            iteration,
            value,
            value - regularization,
            regularization,
            norm,
            solves,
            time.perf_counter() - began,
        )
        estimate.history.append(entry)
        if watch is not None:
            watch(entry, m)
        m.destroy()

    tao = make_tao(start.comm, type)
    raised: list[BaseException] = []
    tao.setObjectiveGradient(_keeping(raised, evaluate), xi.duplicate())
    tao.setMonitor(_keeping(raised, monitor))
    tao.setMaximumIterations(max_iterations)
    tao.setMaximumFunctionEvaluations(20 * max_iterations)
    tao.setTolerances(gatol=gradient_tolerance, grtol=0.0, gttol=0.0)
    tao.setSolution(xi)
    tao.setFromOptions()
    try:
        tao.solve()
    except PETSc.Error:
        if raised:
            raise raised[0] from None
        raise
    reason = tao.getConvergedReason()
    estimate.m = prior.color(xi)
    estimate.converged = reason > 0
    final = estimate.history[-1]
    reached = f"{final.gradient_norm / scale:.1e}"
    verdict = "reached" if estimate.converged else f"NOT reached (TAO reason {reason})"
    estimate.message = (
        f"gradient tolerance {gradient_tolerance:g} {verdict}: gradient {reached} of its first "
        f"norm after {tao.getIterationNumber()} iterations and {solves} solves"
    )
    estimate.evaluation = objective.evaluate(estimate.m)
    tao.destroy()
    return estimate
