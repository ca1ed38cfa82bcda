"""The full model's optimum by way of reduced models.

At every centre the reduced objective gets a constant and a linear term that make its value and its
gradient those of the full model there (Alexandrov, Dennis, Lewis & Torczon 1998), so the iteration
can only stop at the full model's optimum.  It is minimised by BFGS, which
hands its matrix on from centre to centre, until it converges or leaves the region where the bound
of the state says that the model is worth something (error-aware trust regions: Yue & Meerbergen
2013; Keil et al. 2021).  There the full model is evaluated, which judges the step and enriches the
basis.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize

from advdiff.inverse.map import Iteration
from advdiff.inverse.stop import DISTANCE, Stop
from advdiff.reduced.offline.full import Point
from advdiff.reduced.offline.reducer import Reducer

ACCEPT, GOOD, POOR = 1e-4, 0.75, 0.25
ROUNDING = 1e-10
"""Relative size of a difference of objectives that is left to rounding and solver tolerance."""
STALLED, FINER = 0.1, 0.1
"""A correction that leaves more than the one of the gradient: the tolerance times the other."""
INNER = 0.1
"""The reduced problem is solved to this fraction of the tolerance."""


@dataclass
class ReducedEstimate:
    """The estimate, and what it took.

    Attributes:
        m: coefficients.
        history: one entry an evaluation of the full model that was accepted.
        converged, message: as in ``inverse.map.Estimate``.
        checks: ``Reducer.check`` of each trial point by the model that proposed it.
        sizes: of the basis, at each full evaluation.
        evaluations: of the full model, with those before a stop and those that it made again.
        reduced_evaluations: of value and gradient.
        online_seconds: spent in the reduced problems.
        point: the full model at ``m``.
    """

    m: np.ndarray
    history: list[Iteration] = field(default_factory=list)
    converged: bool = False
    message: str = ""
    checks: list[dict[str, float]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    evaluations: int = 0
    reduced_evaluations: int = 0
    online_seconds: float = 0.0
    point: Point | None = None


@dataclass
class Progress:
    """Where an estimate stands after a correction: all that it takes to go on.

    Attributes:
        m: the centre.
        reference: norm of the first gradient.
        radius: of the trust region.
        tolerance: of the next compression.
        inverse: what BFGS has learned, shape (parameter, parameter).
        corrections, evaluations: so far.
        points, tolerances: ``Reducer.enriched``, shapes (point, parameter) and (point,).
    """

    m: np.ndarray
    reference: float
    radius: float
    tolerance: float
    inverse: np.ndarray | None
    corrections: int
    evaluations: int
    points: np.ndarray
    tolerances: np.ndarray


class CorrectedObjective:
    """The surrogate: the reduced objective in ξ, value and gradient the full one's at a centre.

    Args:
        reducer: has the reduced model of the present basis.
        centre: the full model where the two agree.
    """

    def __init__(self, reducer: Reducer, centre: Point):
        self.objective, self.prior = reducer.objective(), reducer.prior
        self.centre = self.prior.whiten(centre.m)
        self._known: tuple[bytes, object] | None = None
        at = self._at(self.centre)
        self.shift = centre.objective - at.objective
        self.slope = self.prior.factor.T @ (centre.gradient - at.gradient)

    def _at(self, xi: np.ndarray):
        key = xi.tobytes()
        if self._known is None or self._known[0] != key:
            self._known = key, self.objective.evaluate(self.prior.color(xi))
        return self._known[1]

    def value_and_gradient(self, xi: np.ndarray) -> tuple[float, np.ndarray]:
        """Objective and gradient."""
        at = self._at(xi)
        value = at.objective + self.shift + float(self.slope @ (xi - self.centre))
        return value, self.prior.factor.T @ at.gradient + self.slope


@dataclass(frozen=True)
class Criterion:
    """What becomes of a trial point and of the radius.

    Attributes:
        ratio: what the full objective gained over what the surrogate foretold.
    """

    ratio: float

    @classmethod
    def of(cls, centre: Point, trial: Point, foretold: float, flatter: bool) -> Criterion:
        """Compare; where the gain is but rounding, a gradient that became ``flatter`` decides."""
        gained = centre.objective - trial.objective
        if flatter and abs(gained) <= ROUNDING * abs(centre.objective):
            return cls(1.0)
        return cls(gained / foretold if foretold > 0.0 else -1.0)

    @property
    def accepts(self) -> bool:
        """Whether the trial point is the next centre."""
        return self.ratio > ACCEPT

    @property
    def growth(self) -> float:
        """The factor of the radius."""
        if self.ratio < POOR:
            return 0.25
        return 2.0 if self.ratio > GOOD else 1.0


class TrustRegion:
    """The iteration from centre to centre (collective; every rank does the same online work).

    Args:
        reducer: makes the reduced models; a new one, or one that has a basis already.
        start: first guess.
        distance_tolerance: see :func:`advdiff.inverse.map.minimise`.
        gradient_tolerance: of the full ‖∇_ξ‖, relative to ``reference`` (None: that at ``start``).
        max_iterations: of each reduced problem.
        watch: called with every accepted iteration and its m, on every rank.
        resume: go on from here; the basis is made again from its points.
        save: called at the start and after every correction, on every rank.

    Attributes:
        centre: the full model at the best point so far.
        radius: up to which bound the surrogate is trusted, relative to ‖θ0‖.
        inverse: the inverse Hessian that BFGS has learned; None: nothing yet.
        corrections: reduced problems solved; the first evaluation is none.
        estimate: what is known of the answer.
    """

    def __init__(
        self,
        reducer: Reducer,
        start: np.ndarray,
        *,
        distance_tolerance: float = DISTANCE,
        gradient_tolerance: float | None = None,
        max_iterations: int = 300,
        watch: Callable[[Iteration, np.ndarray], None] | None = None,
        reference: float | None = None,
        resume: Progress | None = None,
        save: Callable[[Progress], None] | None = None,
    ):
        self.reducer, self.stop = reducer, Stop(distance_tolerance, gradient_tolerance)
        self.max_iterations, self._watch, self._save = max_iterations, watch, save
        self._began = time.perf_counter()
        self.estimate = ReducedEstimate(np.array(start, dtype=float))
        if resume is None:
            self.inverse, self.radius, self.corrections = None, reducer.options.radius, 0
            self._earlier = 0
            self.centre = reducer.evaluate(start)
            reducer.enrich([self.centre])
        else:
            self.inverse, self.radius = resume.inverse, resume.radius
            self.corrections, self._earlier = resume.corrections, resume.evaluations
            self.centre, reference = _again(reducer, resume), resume.reference
        self.reference = self.norm(self.centre) if reference is None else reference

    def norm(self, point: Point) -> float:
        """‖∇_ξ‖ of the full objective."""
        return float(np.linalg.norm(self.reducer.prior.factor.T @ point.gradient))

    @property
    def target(self) -> float:
        """The norm of the gradient to reach."""
        return self.stop.target(self.reference)

    @property
    def reached(self) -> bool:
        """Whether the centre is an optimum."""
        return self.norm(self.centre) <= self.target

    @property
    def evaluations(self) -> int:
        """Of the full model, those before a stop among them."""
        return self._earlier + self.reducer.full.evaluations

    def run(self) -> ReducedEstimate:
        """Minimise the full objective (collective)."""
        self.estimate.sizes.append(self.reducer.basis.size)
        self._note()
        self._keep()
        most = self.reducer.options.corrections
        while self.norm(self.centre) > self.target and self.corrections < most:
            self._correct()
            self._keep()
        return self._finished()

    def _correct(self) -> None:
        """Solve a reduced problem, judge its optimum by the full model, enrich the basis."""
        estimate, reducer = self.estimate, self.reducer
        self.corrections += 1
        surrogate, began = CorrectedObjective(reducer, self.centre), time.perf_counter()
        xi = self._propose(surrogate)
        foretold = self.centre.objective - surrogate.value_and_gradient(xi)[0]
        estimate.online_seconds += time.perf_counter() - began
        estimate.reduced_evaluations += reducer.reduced.evaluations
        trial = reducer.evaluate(reducer.prior.color(xi))
        estimate.checks.append(reducer.check(trial))
        before, after = self.norm(self.centre), self.norm(trial)
        if after > STALLED * before:
            reducer.tolerance *= FINER
        criterion = Criterion.of(self.centre, trial, foretold, flatter=after < before)
        self.radius *= criterion.growth
        if criterion.accepts:
            self.centre = trial
        if not self.reached:
            reducer.enrich([trial])
        estimate.sizes.append(reducer.basis.size)
        if criterion.accepts:
            self._note()

    def _propose(self, surrogate: CorrectedObjective) -> np.ndarray:
        """The surrogate's optimum, or the first iterate whose bound exceeds the radius; BFGS starts
        from what it has learned, and goes on learning.
        """
        reducer, prior, limit = self.reducer, self.reducer.prior, self.radius
        bounded = reducer.reduced.bound is not None
        if bounded:
            limit = max(limit, 2.0 * reducer.relative_bound(prior.color(surrogate.centre)))

        def leave(xi: np.ndarray) -> None:
            if bounded and reducer.relative_bound(prior.color(xi)) > limit:
                raise StopIteration

        inverse = self.inverse
        if inverse is None:
            # the first step has the prior's unit length
            size = np.linalg.norm(surrogate.value_and_gradient(surrogate.centre)[1])
            inverse = np.eye(prior.mean.size) / (size or 1.0)
        result = minimize(
            surrogate.value_and_gradient,
            surrogate.centre,
            jac=True,
            method="BFGS",
            callback=leave,
            options={
                "gtol": INNER * self.target,
                "norm": 2,
                "maxiter": self.max_iterations,
                "hess_inv0": _symmetric(inverse),
            },
        )
        learned = np.array(result.hess_inv)
        sound = np.isfinite(learned).all() and np.linalg.eigvalsh(_symmetric(learned))[0] > 0
        self.inverse = learned if sound else None
        return np.array(result.x)

    def _note(self) -> None:
        """The centre is an iteration."""
        centre, history = self.centre, self.estimate.history
        entry = Iteration(
            len(history),
            centre.objective,
            centre.misfit,
            centre.regularization,
            self.norm(centre),
            self.evaluations,
            time.perf_counter() - self._began,
        )
        history.append(entry)
        if self._watch is not None:
            self._watch(entry, centre.m)

    def _keep(self) -> None:
        if self._save is None:
            return
        points, tolerances = zip(*self.reducer.enriched, strict=True)
        self._save(
            Progress(
                self.centre.m,
                self.reference,
                self.radius,
                self.reducer.tolerance,
                self.inverse,
                self.corrections,
                self.evaluations,
                np.array(points),
                np.array(tolerances),
            )
        )

    def _finished(self) -> ReducedEstimate:
        estimate, norm = self.estimate, self.norm(self.centre)
        estimate.m, estimate.point = self.centre.m, self.centre
        estimate.evaluations, estimate.converged = self.evaluations, self.reached
        short = None if estimate.converged else "reduced.corrections"
        work = f"{self.corrections} reduced problems and {estimate.evaluations} full evaluations"
        estimate.message = self.stop.message(norm, self.reference, short, work)
        return estimate


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return 0.5 * (matrix + matrix.T)


def _again(reducer: Reducer, progress: Progress) -> Point:
    """The basis from its points, and the full model at the centre (collective)."""
    centre = None
    for m, tolerance in zip(progress.points, progress.tolerances, strict=True):
        reducer.tolerance = float(tolerance)
        point = reducer.evaluate(m)
        reducer.enrich([point])
        if np.array_equal(m, progress.m):
            centre = point
    reducer.tolerance = progress.tolerance
    return reducer.evaluate(progress.m) if centre is None else centre
