"""The full model at a parameter point: objective and gradient, with the states on the way.

One forward pass serves the readings and the snapshots, for it is asked for more times than are
read; the adjoint pass gives the exact gradient; and the adjoint states that span the other half of
a basis come from a march with the transposed generator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from petsc4py import PETSc

from advdiff.algebra.arnoldi import Arnoldi
from advdiff.algebra.columns import column
from advdiff.algebra.generator import Generator
from advdiff.algebra.resolvent import Resolvent
from advdiff.core.errors import InputError
from advdiff.inverse.likelihood import Gaussian, Potential
from advdiff.inverse.objective import Objective
from advdiff.inverse.prior import Prior
from advdiff.problem.model import TransportModel
from advdiff.problem.readings import Readings
from advdiff.problem.sensors import Sensors


@dataclass
class Point:
    """The full model at one m.

    Attributes:
        m: the coefficients.
        misfit, regularization, gradient: of the objective, exact.
        predicted: shape (reading,).
        forward: θ0 and the states at ``FullModel.times``.
        adjoint: adjoint states between the readings, once ``FullModel.complete`` has made them.
    """

    m: np.ndarray
    misfit: float
    regularization: float
    gradient: np.ndarray
    predicted: np.ndarray
    forward: list[PETSc.Vec]
    adjoint: list[PETSc.Vec]

    @property
    def objective(self) -> float:
        return self.misfit + self.regularization


class FullModel:
    """Evaluations of the full model that leave snapshots behind.

    Args:
        model: the problem's own; its operator and unknowns are moved.
        prior: of m.
        snapshots: about how many states a trajectory.

    Attributes:
        times: of the snapshots: the readings' times, each interval divided evenly.
        passes: forward, adjoint and transposed solutions over the whole time so far.
    """

    def __init__(self, model: TransportModel, prior: Prior, snapshots: int):
        readings = model.readings
        positive = readings.times[readings.times > 0.0]
        self.pieces = max(1, round(snapshots / len(positive)))
        corners = np.concatenate([[0.0], positive])
        inner = [np.linspace(a, b, self.pieces + 1)[1:] for a, b in pairwise(corners)]
        self.times = np.concatenate(inner)
        times = np.concatenate([readings.times[readings.times == 0.0], self.times])
        # every time of a reading ends an interval, and linspace keeps its ends exactly
        where = np.searchsorted(times, readings.times)
        dense = replace(readings, times=times, time=where[readings.time])
        self.readings: Readings = readings
        self.model = TransportModel(
            model.operator, model.unknowns, dense, model.initial, model.make_engine
        )
        self.prior = prior
        if readings.censored is not None:
            raise InputError(
                "reduced: its misfit takes readings, not limits that they are beyond; remove the "
                "table, or those readings"
            )
        potential = Potential(self.model, Gaussian(readings.values, readings.std))
        self.objective = Objective(potential, prior)
        self.passes = {"forward": 0, "adjoint": 0, "transposed": 0}
        self._stands_at: Point | None = None

    @property
    def evaluations(self) -> int:
        """Values with gradients."""
        return self.passes["adjoint"]

    def evaluate(self, m: np.ndarray) -> Point:
        """Objective and gradient, with the forward snapshots (collective)."""
        unknowns = self.model.unknowns
        vector = unknowns.from_numpy(m)
        at = self.objective.evaluate(vector)
        self.passes["forward"] += 1
        self.passes["adjoint"] += 1
        solution = at.linearisation.solution
        point = Point(
            np.array(m, dtype=float),
            at.misfit,
            at.regularization,
            unknowns.to_numpy(at.gradient),
            at.predicted,
            [self.model.initial.copy(), *solution.states],
            [],
        )
        vector.destroy()
        self._stands_at = point
        return point

    def complete(self, point: Point) -> None:
        """Give a point its adjoint snapshots (collective)."""
        if point.adjoint:
            return
        self.stand(point)
        weights = (point.predicted - self.readings.values) / self.readings.std**2
        point.adjoint = self.adjoint_states(weights)

    def stand(self, point: Point) -> None:
        """Assemble the operator at a point, unless it is (collective)."""
        if self._stands_at is not point:
            self.stand_at(point.m)
            self._stands_at = point

    def stand_at(self, m: np.ndarray) -> None:
        """Assemble the operator at m (collective)."""
        vector = self.model.unknowns.from_numpy(m)
        self.model.unknowns.assign(vector)
        self.model.operator.assemble()
        vector.destroy()
        self._stands_at = None

    def adjoint_states(self, weights: np.ndarray) -> list[PETSc.Vec]:
        """λ(τ) = Σ_{t_k > τ} S*(t_k − τ) M⁻¹Cᵀw_k, at the inner times (collective).

        The operator must be assembled at the point.  The jumps themselves are left out: they are
        as rough as the sensors are small, and no gradient needs them resolved.
        """
        model, readings = self.model, self.readings
        table = np.zeros((len(readings.times), len(readings.points)))
        np.add.at(table, (readings.time, readings.sensor), weights)
        table = table[readings.times > 0.0]
        generator = model.operator.generator
        engine = model.make_engine(adjoint_of(generator))
        corners = np.concatenate([[0.0], readings.times[readings.times > 0.0]])
        state, load, jump = generator.vector(), generator.vector(), generator.vector()
        found: list[PETSc.Vec] = []
        for k in range(len(table) - 1, -1, -1):
            model.sensors.spread(table[k], load)
            generator.mass.solve(load, jump)
            state.axpy(1.0, jump)
            width = corners[k + 1] - corners[k]
            times = width * (np.arange(1, self.pieces + 1) / self.pieces) ** 2
            if state.norm() > 0.0:
                states = engine.forward(state, list(times)).states
                found += [state.copy(), *states]
                state = states[-1].copy()
        self.passes["transposed"] += 1
        return found


def adjoint_of(generator: Generator) -> Generator:
    """A* = M⁻¹Kᵀ."""
    transposed = generator.stiffness.transpose(PETSc.Mat())
    return replace(generator, stiffness=transposed)


def krylov_vectors(
    generator: Generator, start: PETSc.Vec, dimension: int, pole: float, *, adjoint: bool = False
) -> list[PETSc.Vec]:
    """An orthonormal basis of the resolvent's Krylov space from a state (collective).

    Args:
        start: a state; for the adjoint space M⁻¹Cᵀw.
        pole: γ of (I − γA)⁻¹, a time.
        adjoint: of A* instead.
    """
    if adjoint:
        generator = adjoint_of(generator)
    resolvent = Resolvent(generator, pole)
    process = Arnoldi(resolvent, start)
    while process.dimension < dimension - 1 and not process.broken:
        process.extend()
    count = process.dimension + (0 if process.broken else 1)
    vectors = []
    for i in range(count):
        with column(process.basis, i) as vector:
            vectors.append(vector.copy())
    process.destroy()
    resolvent.destroy()
    return vectors


def sensor_vectors(
    generator: Generator, sensors: Sensors, steps: int, pole: float
) -> list[PETSc.Vec]:
    """(I − γA*)⁻ʲM⁻¹c_s for every sensor s, j = ``steps`` (collective).

    They span what the readings can feel of a disturbance, whatever the data: the states θ'(t) of
    the model's derivatives need them as much as those of the model.

    Args:
        steps: resolvents a sensor, one linear system each; one factorisation serves all.
        pole: γ, a time.
    """
    resolvent, load = Resolvent(adjoint_of(generator), pole), generator.vector()
    loads = PETSc.Mat().createDense((load.getSizes(), (PETSc.DECIDE, len(sensors))), comm=load.comm)
    loads.setUp()
    for i, unit in enumerate(np.eye(len(sensors))):
        with dense_column(loads, i, "w") as vector:
            sensors.spread(unit, vector)
    loads.assemble()
    states = loads.duplicate(copy=True)
    for step in range(steps):
        if step:
            for i in range(len(sensors)):
                with dense_column(states, i, "r") as x, dense_column(loads, i, "w") as y:
                    generator.mass.mult(x, y)
        resolvent.solve_block(loads, states)
    vectors = []
    for i in range(len(sensors)):
        with dense_column(states, i, "r") as vector:
            vectors.append(vector.copy())
    for part in (resolvent, loads, states):
        part.destroy()
    return vectors


@contextmanager
def dense_column(matrix: PETSc.Mat, i: int, mode: str) -> Iterator[PETSc.Vec]:
    """A column of a dense matrix, to read ("r") or write ("w")."""
    vector = matrix.getDenseColumnVec(i, mode)
    try:
        yield vector
    finally:
        matrix.restoreDenseColumnVec(i, mode)


def scaled(vectors: Sequence[PETSc.Vec], norm) -> list[PETSc.Vec]:
    """The vectors divided by the largest of their norms, so that two sets weigh alike."""
    largest = max((norm(v) for v in vectors), default=0.0)
    for vector in vectors:
        vector.scale(1.0 / largest if largest > 0.0 else 1.0)
    return list(vectors)
