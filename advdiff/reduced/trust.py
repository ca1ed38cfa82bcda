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
from advdiff.reduced.full import Point
from advdiff.reduced.reducer import Reducer

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


class Corrected:
    """The reduced objective in ξ, with the full model's value and gradient at a centre."""

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


def invert(
    reducer: Reducer,
    start: np.ndarray,
    *,
    gradient_tolerance: float = 1e-4,
    max_iterations: int = 300,
    watch: Callable[[Iteration, np.ndarray], None] | None = None,
    reference: float | None = None,
    resume: Progress | None = None,
    save: Callable[[Progress], None] | None = None,
) -> ReducedEstimate:
    """Minimise the full objective (collective; every rank does the same online work).

    Args:
        start: first guess.
        gradient_tolerance: of the full ‖∇_ξ‖, relative to ``reference`` (None: that at ``start``).
        max_iterations: of each reduced problem.
        watch: called with every accepted iteration and its m, on every rank.
        resume: go on from here; the basis is made again from its points.
        save: called at the start and after every correction, on every rank.
    """
    options, prior = reducer.options, reducer.prior
    began = time.perf_counter()
    estimate = ReducedEstimate(np.array(start, dtype=float))
    # the initial evaluation is not a correction
    inverse, radius, corrections, earlier = None, options.radius, 0, 0
    if resume is None:
        centre = reducer.evaluate(start)
        reducer.enrich([centre])
    else:
        centre = _again(reducer, resume)
        inverse, radius, corrections = resume.inverse, resume.radius, resume.corrections
        reference, earlier = resume.reference, resume.evaluations

    def norm(point: Point) -> float:
        return float(np.linalg.norm(prior.factor.T @ point.gradient))

    def note(point: Point) -> None:
        entry = Iteration(
            len(estimate.history),
            point.objective,
            point.misfit,
            point.regularization,
            norm(point),
            earlier + reducer.full.evaluations,
            time.perf_counter() - began,
        )
        estimate.history.append(entry)
        if watch is not None:
            watch(entry, point.m)

    def keep() -> None:
        if save is None:
            return
        points, tolerances = zip(*reducer.enriched, strict=True)
        save(
            Progress(
                centre.m,
                reference,
                radius,
                reducer.tolerance,
                inverse,
                corrections,
                earlier + reducer.full.evaluations,
                np.array(points),
                np.array(tolerances),
            )
        )

    reference = norm(centre) if reference is None else reference
    estimate.sizes.append(reducer.basis.size)
    note(centre)
    keep()
    target = gradient_tolerance * reference
    while norm(centre) > target and corrections < options.corrections:
        corrections += 1
        model = Corrected(reducer, centre)
        before = time.perf_counter()
        xi, inverse = _propose(reducer, model, radius, INNER * target, max_iterations, inverse)
        predicted = centre.objective - model.value_and_gradient(xi)[0]
        estimate.online_seconds += time.perf_counter() - before
        estimate.reduced_evaluations += reducer.reduced.evaluations
        trial = reducer.evaluate(prior.color(xi))
        estimate.checks.append(reducer.check(trial))
        if norm(trial) > STALLED * norm(centre):
            reducer.tolerance *= FINER
        gained = centre.objective - trial.objective
        small = abs(gained) <= ROUNDING * abs(centre.objective)
        ratio = gained / predicted if predicted > 0.0 else -1.0
        if small and norm(trial) < norm(centre):
            ratio = 1.0
        if ratio < POOR:
            radius *= 0.25
        elif ratio > GOOD:
            radius *= 2.0
        if ratio > ACCEPT:
            centre = trial
        if norm(centre) > target:
            reducer.enrich([trial])
        estimate.sizes.append(reducer.basis.size)
        if centre is trial:
            note(centre)
        keep()
    estimate.m, estimate.point = centre.m, centre
    estimate.evaluations = earlier + reducer.full.evaluations
    estimate.converged = norm(centre) <= target
    verdict = "reached" if estimate.converged else "NOT reached"
    estimate.message = (
        f"gradient tolerance {gradient_tolerance:g} {verdict}: gradient "
        f"{norm(centre) / reference if reference else 0.0:.1e} of its first norm after "
        f"{corrections} reduced problems and {estimate.evaluations} full evaluations"
    )
    return estimate


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


def _propose(
    reducer: Reducer,
    model: Corrected,
    radius: float,
    tolerance: float,
    max_iterations: int,
    inverse: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The reduced optimum, or the first iterate whose bound exceeds the radius.

    With it the inverse Hessian that BFGS has learned, which is where the next one starts.
    """
    prior = reducer.prior
    bounded = reducer.reduced.bound is not None
    limit = radius
    if bounded:
        limit = max(radius, 2.0 * reducer.relative_bound(prior.color(model.centre)))

    def leave(xi: np.ndarray) -> None:
        if bounded and reducer.relative_bound(prior.color(xi)) > limit:
            raise StopIteration

    if inverse is None:
        # the first step has the prior's unit length
        size = np.linalg.norm(model.value_and_gradient(model.centre)[1])
        inverse = np.eye(prior.mean.size) / (size or 1.0)
    result = minimize(
        model.value_and_gradient,
        model.centre,
        jac=True,
        method="BFGS",
        callback=leave,
        options={
            "gtol": tolerance,
            "norm": 2,
            "maxiter": max_iterations,
            "hess_inv0": 0.5 * (inverse + inverse.T),
        },
    )
    learned = np.array(result.hess_inv)
    sound = np.isfinite(learned).all() and np.linalg.eigvalsh(0.5 * (learned + learned.T))[0] > 0
    return np.array(result.x), learned if sound else None
