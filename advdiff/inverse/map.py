"""The maximum a posteriori estimate by TAO.

The optimiser works in the white coordinates ξ, m = m₀ + Lξ: there every unknown has the prior's
unit, and the gradient norm is a number without dimension.  TAO sees objective and gradient divided
by the first gradient norm.  Every ``-tao_`` option applies.

Newton's method (``nls``, ``ntr``, ``ntl``) takes the Gauss-Newton Hessian LᵀHL + 1 as a shell and
solves for its steps by conjugate gradients, as exactly as Eisenstat and Walker (1996) ask for.
Without a preconditioner: in white coordinates the prior is one, and the data see few directions, so
that the iterations do not grow with the mesh.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Protocol, get_args

from petsc4py import PETSc

from advdiff.errors import InputError
from advdiff.inverse.objective import Evaluation, Objective
from advdiff.keytypes import NewtonType, TaoType
from advdiff.petsc_errors import Callbacks, good_options

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
        converged: whether the gradient tolerance was reached.
        message: what was reached, in a sentence.
        evaluation: the objective at ``m``.
    """

    m: PETSc.Vec
    history: list[Iteration] = field(default_factory=list)
    converged: bool = False
    message: str = ""
    evaluation: Evaluation | None = None


VALUE, PRODUCT = 0, 1
"""What TAO asks for: the objective with its gradient, a product with the Hessian."""


class Tape(Protocol):
    """Keeps the answers that an optimiser was given, and gives them again when it is run again."""

    def replay(self, what: int, x: PETSc.Vec, out: PETSc.Vec) -> tuple[float, float] | None:
        """The next answer, its vector in ``out``: the value, and seconds since the start; None
        where there are no more (collective)."""

    def record(self, what: int, x: PETSc.Vec, value: float, out: PETSc.Vec, seconds: float) -> None:
        """Keep an answer (collective)."""


INEXACT = {"tao_ksp_ew": True, "tao_ksp_ew_rtol0": 0.5, "tao_ksp_ew_rtolmax": 0.5}
"""How exactly Newton's steps are solved for, where no option says otherwise."""


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
        options = PETSc.Options()
        ours = {name: value for name, value in INEXACT.items() if not options.hasName(name)}
        for name, value in ours.items():
            options.setValue(name, value)
        with good_options():
            tao.setFromOptions()
        for name in ours:
            options.delValue(name)
    return tao


def minimise(
    objective: Objective,
    start: PETSc.Vec,
    *,
    type: str = "lmvm",
    gradient_tolerance: float = 1e-4,
    max_iterations: int = 300,
    watch: Callable[[Iteration, PETSc.Vec], None] | None = None,
    tape: Tape | None = None,
) -> Estimate:
    """Minimise the objective (collective).

    Args:
        start: first guess of m.
        type: a TAO type for smooth unconstrained problems.
        gradient_tolerance: of ‖∇_ξ‖, relative to that at ``start``.
        watch: called with every iteration and its m, on every rank.
        tape: has the answers of a run that was stopped, and takes those of this one.

    Raises:
        InputError: for a type that TAO does not know.
    """
    prior = objective.prior
    xi = prior.whiten(start)
    estimate = Estimate(m=start)
    white = _White(objective, tape)
    gradient = xi.duplicate()
    white.gradient(xi, gradient)
    white.solves = 0
    # TAO's first step is minus the gradient: scaled like this it has the prior's unit length.
    scale = white.scale = gradient.norm() or 1.0

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
            white.solves,
            white.seconds,
            white.products,
        )
        estimate.history.append(entry)
        if watch is not None:
            watch(entry, m)
        m.destroy()

    tao = make_tao(start.comm, type)
    callbacks = Callbacks()
    tao.setObjectiveGradient(callbacks(white.evaluate), gradient)
    shell = SimpleNamespace(mult=callbacks(white.mult))
    hessian = PETSc.Mat().createPython((xi.getSizes(), xi.getSizes()), shell, comm=xi.comm)
    hessian.setUp()
    tao.setHessian(callbacks(white.linearise), hessian)
    tao.setMonitor(callbacks(monitor))
    tao.setMaximumIterations(max_iterations)
    tao.setMaximumFunctionEvaluations(20 * max_iterations)
    tao.setTolerances(gatol=gradient_tolerance, grtol=0.0, gttol=0.0)
    tao.setSolution(xi)
    tao.setFromOptions()
    with callbacks.raising():
        tao.solve()
    reason = tao.getConvergedReason()
    estimate.m = prior.color(xi)
    estimate.converged = reason > 0
    final = estimate.history[-1]
    reached = f"{final.gradient_norm / scale:.1e}"
    why = STOPPED.get(reason, f"TAO reason {reason}")
    verdict = "reached" if estimate.converged else f"NOT reached ({why})"
    products = f", {white.products} Hessian products" if white.products else ""
    estimate.message = (
        f"gradient tolerance {gradient_tolerance:g} {verdict}: gradient {reached} of its first "
        f"norm after {tao.getIterationNumber()} iterations and {white.solves} solves{products}"
    )
    estimate.evaluation = objective.evaluate(estimate.m)
    for thing in (tao, hessian):
        thing.destroy()
    return estimate


class _White:
    """The objective in white coordinates, divided by ``scale``, as TAO asks for it.

    Attributes:
        solves, products: evaluations, and products with the Hessian, on the tape or off.
    """

    def __init__(self, objective: Objective, tape: Tape | None):
        self.objective, self.tape, self.scale = objective, tape, 1.0
        self.solves = self.products = 0
        self._began = time.perf_counter()
        self._at: Evaluation | None = None
        # points: of the last evaluation asked for, of the Hessian, and where the model is
        self._asked = self._linearised = self._where = None

    @property
    def seconds(self) -> float:
        """Since the start, those of the run on the tape among them."""
        return time.perf_counter() - self._began

    def _answer(self, what: int, x: PETSc.Vec, out: PETSc.Vec, compute: Callable) -> float:
        """From the tape, else by ``compute``."""
        found = None if self.tape is None else self.tape.replay(what, x, out)
        if found is not None:
            value, seconds = found
            self._began = time.perf_counter() - seconds
            return value
        value = compute(x, out)
        if self.tape is not None:
            self.tape.record(what, x, value, out, self.seconds)
        return value

    def gradient(self, x: PETSc.Vec, out: PETSc.Vec) -> float:
        """The objective, and Lᵀg + ξ in ``out``."""
        self.solves += 1
        self._asked = x.copy()
        return self._answer(VALUE, x, out, self._gradient)

    def _gradient(self, x: PETSc.Vec, out: PETSc.Vec) -> float:
        self._move()
        gradient = self.objective.prior.color_transpose(self._at.data_gradient)
        gradient.copy(out)
        out.axpy(1.0, x)
        gradient.destroy()
        return self._at.objective

    def _move(self) -> None:
        """Evaluate where the last answer was asked for; the model stays there."""
        m = self.objective.prior.color(self._asked)
        self._at, self._where = self.objective.evaluate(m), self._asked
        m.destroy()

    def evaluate(self, _tao, x: PETSc.Vec, out: PETSc.Vec) -> float:
        value = self.gradient(x, out)
        out.scale(1.0 / self.scale)
        return value / self.scale

    def linearise(self, _tao, x: PETSc.Vec, *_matrices) -> None:
        """The Hessian is that at x: where the model is already, unless TAO looked further."""
        if not x.equal(self._asked):
            self._look(x)
        self._linearised = self._asked

    def _look(self, x: PETSc.Vec) -> None:
        scratch = x.duplicate()
        self.gradient(x, scratch)
        scratch.destroy()

    def mult(self, _mat, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """y = (LᵀHL + 1) x / scale, at the point of ``linearise``."""
        self.products += 1
        if self._asked is not self._linearised:
            self._look(self._linearised)
            self._linearised = self._asked
        self._answer(PRODUCT, x, y, self._product)
        y.scale(1.0 / self.scale)

    def _product(self, x: PETSc.Vec, y: PETSc.Vec) -> float:
        if self._where is not self._asked:  # the evaluation came from the tape
            self._move()
        self.objective.white_hessian(self._at, x).copy(y)
        y.axpy(1.0, x)
        return 0.0
