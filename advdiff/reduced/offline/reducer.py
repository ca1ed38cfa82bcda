"""One object for the offline phase: full model, family, basis and projection of one problem."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.core.errors import InputError
from advdiff.inverse.prior import Prior
from advdiff.problem.model import TransportModel
from advdiff.reduced.misfit import GaussianPrior, ReducedMisfit
from advdiff.reduced.model import ReducedModel
from advdiff.reduced.offline.basis import Basis
from advdiff.reduced.offline.family import Family
from advdiff.reduced.offline.full import FullModel, Point, krylov_vectors, scaled, sensor_vectors
from advdiff.reduced.offline.groups import Groups
from advdiff.reduced.offline.projection import Projection


@dataclass(frozen=True)
class ReducedOptions:
    """How a reduced model is made; the keys of ``[reduced]``.

    Attributes:
        dimension: largest basis.
        tolerance: of the compression of snapshots, relative.
        snapshots: states a trajectory, about.
        sensors: resolvents applied to every sensor, for the basis to start with; 0: none.
        adjoint: whether a point gives adjoint states too, by one more march; the sensors' vectors
            may do instead.
        krylov: vectors of a resolvent's Krylov space at each point, forward and adjoint; 0: none.
        residuals: "sketch", "orthonormal" or "none".
        sketch: test functions of a sketch.
        method: of :data:`advdiff.matexp.METHODS`, "spectral" or "auto".
        box: half width of the parameter box of the greedy choice, in standard deviations of the
            prior; 0: no greedy choice.
        candidates, batch, rounds: points that it looks at, and takes at a time, how often.
        bound: of the state, relative to ‖θ0‖, at which it stops.
        radius: first trust radius: the bound relative to ‖θ0‖ up to which the model is trusted.
        corrections: most evaluations of the full model.
        seed: of the candidates.
    """

    dimension: int = 300
    tolerance: float = 3e-3
    snapshots: int = 40
    sensors: int = 0
    adjoint: bool = True
    krylov: int = 0
    residuals: str = "sketch"
    sketch: int = 64
    method: str = "auto"
    box: float = 0.0
    candidates: int = 64
    batch: int = 4
    rounds: int = 10
    bound: float = 1e-2
    radius: float = 4.0
    corrections: int = 40
    seed: int = 0


class Reducer:
    """Makes and enriches the reduced model of a problem (collective, on every group alike).

    Args:
        model: the problem's full model.
        prior: of its unknowns.
        options: see :class:`ReducedOptions`.
        groups: how the ranks are divided.

    Attributes:
        full: counts the full solutions.
        reduced: the model of the present basis.
        seconds: spent offline, by what on.
        tolerance: of the compression; starts as the options', who enriches may tighten it.
        sensor_solves: linear systems solved for the sensors' vectors.
        enriched: the points of the basis and the tolerances they were compressed with, in order.
    """

    def __init__(
        self,
        model: TransportModel,
        prior: Prior,
        options: ReducedOptions | None = None,
        groups: Groups | None = None,
    ):
        if model.sensors.moves:
            raise InputError(
                "reduced: a reading of a flux or of a boundary part depends on the flow, and a "
                "reduced model keeps its sensors; remove [reduced], or give places"
            )
        self.options = ReducedOptions() if options is None else options
        self.model = model
        self.groups = Groups(model.operator.domain.comm) if groups is None else groups
        parts = ("solves", "sensors", "family", "basis", "projection")
        self.seconds = dict.fromkeys(parts, 0.0)
        began = time.perf_counter()
        unknowns, operator = model.unknowns, model.operator
        self.mean = unknowns.to_numpy(prior.mean)
        self.family = Family(operator, unknowns, prior.mean, self.groups)
        self.seconds["family"] = time.perf_counter() - began
        self.full = FullModel(model, prior, self.options.snapshots)
        self.prior = dense_prior(prior)
        self.scale = operator.mass.norm(model.initial) or 1.0
        self.reduced: ReducedModel | None = None
        self.sensor_solves, self.tolerance = 0, self.options.tolerance
        self.enriched: list[tuple[np.ndarray, float]] = []
        self._gram: PETSc.Mat | None = None
        self._start_basis()

    def _start_basis(self) -> None:
        operator, options = self.model.operator, self.options
        limit = min(options.dimension, self.model.initial.getSize())
        self.basis = Basis(operator.mass, self.model.initial, limit, self._gram)
        self._gram = self.basis.gram
        self.projection = Projection(
            self.model,
            self.family,
            self.basis,
            residuals=options.residuals,
            sketch=options.sketch,
            method=options.method,
        )

    def restart(self, tolerance: float) -> None:
        """Forget the basis; the next has another tolerance (collective)."""
        self.tolerance, self.enriched = tolerance, []
        self._start_basis()

    # -- enrichment -----------------------------------------------------------------------------

    def evaluate(self, m: np.ndarray) -> Point:
        """The full model at m (collective)."""
        began = time.perf_counter()
        point = self.full.evaluate(m)
        self.seconds["solves"] += time.perf_counter() - began
        return point

    def vectors(self, point: Point) -> list[PETSc.Vec]:
        """What a point offers to the basis: forward and adjoint sets of equal weight."""
        began = time.perf_counter()
        if self.options.adjoint:
            self.full.complete(point)
        elif self.options.krylov:
            self.full.stand(point)
        self.seconds["solves"] += time.perf_counter() - began
        norm = self.model.operator.mass.norm
        found = scaled([v.copy() for v in point.forward], norm)
        found += scaled([v.copy() for v in point.adjoint], norm)
        return found + self._krylov(point)

    def _krylov(self, point: Point) -> list[PETSc.Vec]:
        """The operator stands at the point."""
        count = self.options.krylov
        if count == 0:
            return []
        operator, readings = self.model.operator, self.full.readings
        generator: Generator = operator.generator
        pole = readings.times[-1] / 20.0
        weights = (point.predicted - readings.values) / readings.std**2
        last = np.zeros(len(readings.points))
        np.add.at(last, readings.sensor, weights)
        load, start = generator.vector(), generator.vector()
        self.model.sensors.spread(last, load)
        generator.mass.solve(load, start)
        found = krylov_vectors(generator, point.forward[0], count, pole)
        return found + krylov_vectors(generator, start, count, pole, adjoint=True)

    def enrich(self, points: Sequence[Point]) -> int:
        """Add what the points offer to the basis, and project again (collective).

        Where the basis is full it is made anew from these points alone.

        Returns:
            How many vectors were added.
        """
        return self.extend([p.m for p in points], [self.vectors(point) for point in points])

    def extend(self, points: Sequence[np.ndarray], offers: Sequence[Sequence[PETSc.Vec]]) -> int:
        """The same with the vectors themselves, one set a point."""
        self.enriched += [(np.array(m), self.tolerance) for m in points]
        if self.basis.size == self.basis.limit:
            self._start_basis()
        if self.basis.size == 0 and self.options.sensors:
            offers = [self._sensors(), *offers]
        began, before = time.perf_counter(), self.basis.size
        added = sum(self.basis.extend(list(v), self.tolerance) for v in offers)
        self.seconds["basis"] += time.perf_counter() - began
        began = time.perf_counter()
        if added or before == 0:
            self.reduced = self.projection.project()
        self.seconds["projection"] += time.perf_counter() - began
        return added

    def _sensors(self) -> list[PETSc.Vec]:
        """Every sensor's vector at the mean."""
        model, operator, began = self.model, self.model.operator, time.perf_counter()
        self.full.stand_at(self.mean)
        pole = float(self.full.readings.times[-1]) / 20.0
        found = sensor_vectors(operator.generator, model.sensors, self.options.sensors, pole)
        self.sensor_solves += self.options.sensors * len(found)
        self.seconds["sensors"] += time.perf_counter() - began
        return found

    # -- what the reduced model is worth --------------------------------------------------------

    def objective(self) -> ReducedMisfit:
        """Misfit and prior of the reduced model."""
        readings = self.full.readings
        return ReducedMisfit(self.reduced, readings.values, readings.std, self.prior)

    def relative_bound(self, m: np.ndarray) -> float:
        """The bound of ‖θ − Vc‖ at the last time, relative to ‖θ0‖."""
        return float(self.reduced.state_bound(m)[-1]) / self.scale

    def check(self, point: Point) -> dict[str, float]:
        """The reduced model against the full one at a point (collective).

        Returns:
            ``state_error`` (largest of the times, relative to ‖θ0‖), ``bound`` (alike),
            ``effectivity`` (their ratio), ``reading_error`` and ``reading_bound`` (largest, over
            the noise), ``objective_error`` and ``gradient_error`` (relative).
        """
        at = self.objective().evaluate(point.m)
        std = self.full.readings.std
        errors = self.projection.state_errors(
            self.reduced, point.m, point.forward[1:], self.full.times
        )
        found = {
            "state_error": float(errors.max()) / self.scale,
            "reading_error": float(np.max(np.abs(at.predicted - point.predicted) / std)),
            "objective_error": abs(at.objective - point.objective) / abs(point.objective),
            "gradient_error": float(
                np.linalg.norm(self.prior.factor.T @ (at.gradient - point.gradient))
                / (np.linalg.norm(self.prior.factor.T @ point.gradient) or 1.0)
            ),
        }
        if self.reduced.bound is not None:
            found["bound"] = self.relative_bound(point.m)
            found["effectivity"] = found["bound"] / (found["state_error"] or np.inf)
            found["reading_bound"] = float(np.max(self.reduced.reading_bound(point.m) / std))
        return found


def dense_prior(prior: Prior) -> GaussianPrior:
    """The prior of a few coefficients in numpy (collective)."""
    unknowns = prior.unknowns
    mean = unknowns.to_numpy(prior.mean)
    columns = []
    for unit in np.eye(len(mean)):
        vector = unknowns.from_numpy(unit)
        columns.append(unknowns.to_numpy(prior.color(vector)) - mean)
        vector.destroy()
    return GaussianPrior(mean, np.array(columns).T)
