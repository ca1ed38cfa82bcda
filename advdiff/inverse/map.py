"""The maximum a posteriori estimate by TAO.

The optimiser works in the white coordinates ξ, m = m₀ + Lξ: there every unknown has the prior's
unit, and the gradient norm bounds the distance to the optimum (:mod:`advdiff.inverse.stop`).  TAO
sees objective and gradient divided by the first gradient norm.  Every ``-tao_`` option applies.

Newton's method (``nls``, ``ntr``, ``ntl``) takes the Gauss-Newton Hessian LᵀHL + 1 as a shell and
solves for its steps by conjugate gradients, as exactly as Eisenstat and Walker (1996) ask for.
Without a preconditioner: in white coordinates the prior is one, and the data see few directions, so
that the iterations do not grow with the mesh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import get_args

from petsc4py import PETSc

from advdiff.config.types import NewtonType, TaoType
from advdiff.core.errors import InputError
from advdiff.core.petsc_errors import Callbacks, good_options
from advdiff.inverse.objective import Evaluation, Objective
from advdiff.inverse.stop import DISTANCE, Stop, require_seen
from advdiff.inverse.white import Tape, _White

NEWTON = get_args(NewtonType)
KNOWN = get_args(TaoType)
REASON = PETSc.TAO.ConvergedReason
STOPPED = {
    REASON.DIVERGED_MAXITS: "optimizer.max_iterations",
    REASON.DIVERGED_MAXFCN: "20 evaluations an iteration",
    REASON.DIVERGED_NAN: "a value is not finite",
    REASON.DIVERGED_LS_FAILURE: "no step descends",
    REASON.DIVERGED_TR_REDUCTION: "no step descends",
}
"""Why TAO has stopped short."""


@dataclass(frozen=True)
class Iteration:
    """One line of the history; ``solves`` counts evaluations of value and gradient,
    ``hessian_products`` those of Newton's method: one push, one pull."""

    iteration: int
    objective: float
    misfit: float
    regularization: float
    gradient_norm: float
    solves: int
    seconds: float
    hessian_products: int = 0


@dataclass
class Estimate:
    """The result of the optimisation.

    Attributes:
        m: the estimate.
        history: one entry an iteration.
        converged: whether the tolerance was reached.
        message: what was reached, in a sentence.
        evaluation: the objective at ``m``.
    """

    m: PETSc.Vec
    history: list[Iteration] = field(default_factory=list)
    converged: bool = False
    message: str = ""
    evaluation: Evaluation | None = None


INEXACT = {"ksp_ew_rtol0": 0.1, "ksp_ew_rtolmax": 0.1}
"""How exactly Newton's steps are solved for, where no option says otherwise: ``-tao_ksp_ew``
asks for it, and these are read under the prefix of its KSP (``-tao_nls_``)."""
DAMPED = {"tao_nls_sval": 0.1, "tao_nls_psfac": 0.1, "tao_nls_pmgfac": 0.01}
"""Added to the Hessian over the first gradient norm, a tenth of it a step later and less with the
gradient: what is tried first is at most ten of the prior's standard deviations away, for beyond a
linear model means nothing."""


def make_tao(comm, type: str) -> PETSc.TAO:
    """An optimiser of a type, which ``-tao_type`` overrides (collective).

    Raises:
        InputError: for a type or an option that TAO does not know, or one with constraints.
    """
    tao = PETSc.TAO().create(comm)
    with good_options():
        tao.setType(type)
        tao.setFromOptions()
    if tao.getType() not in KNOWN:
        raise InputError(f"-tao_type {tao.getType()}: take one of {', '.join(KNOWN)}")
    if tao.getType() in NEWTON:
        ksp = tao.getKSP()
        if tao.getType() == "nls":
            ksp.setType("cg")
        ksp.getPC().setType("none")
    return tao


@contextmanager
def _defaults(tao: PETSc.TAO) -> Iterator[None]:
    """Ours among the options where the user gave none: TAO reads some of them only as it solves."""
    options = PETSc.Options()
    prefix = tao.getKSP().getOptionsPrefix() if tao.getType() in NEWTON else None
    inexact = {"tao_ksp_ew": True} | {f"{prefix}{k}": v for k, v in INEXACT.items()}
    ours = {} if prefix is None else DAMPED | inexact
    ours = {k: v for k, v in ours.items() if not options.hasName(k)}
    for name, value in ours.items():
        options.setValue(name, value)
    try:
        yield
    finally:
        for name in ours:
            options.delValue(name)


def minimise(
    objective: Objective,
    start: PETSc.Vec,
    *,
    type: str = "nls",
    distance_tolerance: float = DISTANCE,
    gradient_tolerance: float | None = None,
    max_iterations: int = 300,
    watch: Callable[[Iteration, PETSc.Vec], None] | None = None,
    tape: Tape | None = None,
) -> Estimate:
    """Minimise the objective (collective).

    Args:
        start: first guess of m.
        type: a TAO type for smooth unconstrained problems.
        distance_tolerance: posterior standard deviations to the optimum, bounded by ‖∇_ξ‖.
        gradient_tolerance: of ‖∇_ξ‖, relative to that at ``start``; decides instead if given.
        watch: called with every iteration and its m, on every rank.
        tape: has the answers of a run that was stopped, and takes those of this one.

    Raises:
        InputError: for a type that TAO does not know.
        ConvergenceError: where there is nothing to minimise, as no reading depends on m.

    Two states, looked at once a unit of time: 40 times in 100 it has changed, both ways.  With a
    wide prior the rates are those of (1 - e^{-2q})/2 = 0.4, q = ½ log 5 = 0.805:

    >>> import numpy as np
    >>> from advdiff.models.coefficients import independent_prior
    >>> from advdiff.models.rate_matrix import RateMatrixModel, Transitions
    >>> pairs, counts = [[0, 0, 1, 1], [0, 1, 0, 1]], [60, 40, 40, 60]
    >>> model = RateMatrixModel(2, Transitions.collect(*pairs, np.ones(4), counts))
    >>> prior = independent_prior(model.unknowns, mean=0.0, std=10.0)
    >>> estimate = minimise(Objective(model.potential(), prior), prior.mean)
    >>> estimate.converged, np.exp(estimate.m.array).round(2)
    (True, array([0.8, 0.8]))
    """
    prior, stop = objective.prior, Stop(distance_tolerance, gradient_tolerance)
    xi = prior.whiten(start)
    estimate = Estimate(m=start)
    white = _White(objective, tape)
    gradient = xi.duplicate()
    white.gradient(xi, gradient)
    white.solves = 0
    # TAO's first step is minus the gradient: scaled like this it has the prior's unit length.
    first = gradient.norm()
    white.scale = first or 1.0
    if not first > stop.target(first):
        require_seen(objective, objective.evaluate(start))

    def monitor(tao) -> None:
        m = prior.color(tao.getSolution())
        entry = _iteration(tao, white, m)
        estimate.history.append(entry)
        if watch is not None:
            watch(entry, m)
        m.destroy()

    tao = make_tao(start.comm, type)
    callbacks = Callbacks()
    hessian = _give(tao, white, gradient, callbacks)
    tao.setMonitor(callbacks(monitor))
    tao.setMaximumIterations(max_iterations)
    tao.setMaximumFunctionEvaluations(20 * max_iterations)
    tao.setTolerances(gatol=stop.target(first) / white.scale, grtol=0.0, gttol=0.0)
    if tao.getType() in NEWTON:  # no step need be solved for beyond what ends the iteration
        tao.getKSP().setTolerances(atol=0.5 * stop.target(first) / white.scale)
    tao.setSolution(xi)
    with _defaults(tao):
        with good_options():
            tao.setFromOptions()
        with callbacks.raising():
            tao.solve()
    estimate.m = prior.color(xi)
    estimate.converged = tao.getConvergedReason() > 0
    estimate.message = _message(tao, white, stop, first, estimate.history[-1].gradient_norm)
    estimate.evaluation = objective.evaluate(estimate.m)
    for thing in (tao, hessian):
        thing.destroy()
    return estimate


def _give(tao: PETSc.TAO, white: _White, gradient: PETSc.Vec, callbacks: Callbacks) -> PETSc.Mat:
    """Give TAO the objective, its gradient and its Hessian, which is returned."""
    tao.setObjectiveGradient(callbacks(white.evaluate), gradient)
    shell = SimpleNamespace(mult=callbacks(white.mult), shift=callbacks(white.shift))
    sizes = gradient.getSizes()
    hessian = PETSc.Mat().createPython((sizes, sizes), shell, comm=gradient.comm)
    hessian.setUp()
    tao.setHessian(callbacks(white.linearise), hessian)
    return hessian


def _iteration(tao: PETSc.TAO, white: _White, m: PETSc.Vec) -> Iteration:
    """Where TAO is, at m (collective)."""
    iteration, value, norm = tao.getSolutionStatus()[:3]
    value, norm, x = white.scale * value, white.scale * norm, tao.getSolution()
    regularization = 0.5 * x.dot(x) + white.objective.penalty(m)
    return Iteration(
        iteration,
        value,
        value - regularization,
        regularization,
        norm,
        white.solves,
        white.seconds,
        white.products,
    )


def _message(tao: PETSc.TAO, white: _White, stop: Stop, first: float, reached: float) -> str:
    """How TAO ended, in a sentence."""
    reason = tao.getConvergedReason()
    short = None if reason > 0 else STOPPED.get(reason, f"TAO reason {reason}")
    products = f", {white.products} Hessian products" if white.products else ""
    work = f"{tao.getIterationNumber()} iterations and {white.solves} solves{products}"
    return stop.message(reached, first, short, work)
