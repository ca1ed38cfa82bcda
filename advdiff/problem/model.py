"""The forward model m ↦ predicted readings, with its derivative and its adjoint.

What the inference sees: it acts, pushes a direction forward, and pulls residuals back, and knows
nothing of meshes or engines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.equation.affine import Affine, affine
from advdiff.equation.operator import Operator
from advdiff.inverse.unknowns import Unknowns
from advdiff.problem.readings import Readings
from advdiff.problem.sensors import Sensors
from advdiff.problem.unknowns.initial import INITIAL
from advdiff.semigroup.engine import Engine

if TYPE_CHECKING:
    from advdiff.algebra.pattern import PatternCotangent
    from advdiff.equation.cotangent import OperatorCotangent

FORWARD = PETSc.Log.Event("advdiff.forward")
ADJOINT = PETSc.Log.Event("advdiff.adjoint")

MakeEngine = Callable[[Generator], Engine]


class TransportModel:
    """Readings of the tracer for unknown velocity, diffusivity and initial state.

    Args:
        operator: its controls are what the unknowns move.
        unknowns: the parts of m.
        readings: where and when.
        initial: θ0, the vector an unknown initial state assigns to.
        make_engine: generator → engine.
        snap_distance: of sensors outside the domain.

    Making one is collective.  Predictions have the unit of θ; m has that of its parts, a logarithm
    none.

    A reading of e^{κλ} cos πx at x = 0, and its derivative κλe^{κλ} along log κ, on eight cells
    λ = -256 sin²(π/16):

    >>> import advdiff
    >>> from advdiff.config.load import parse
    >>> tables = {"task": "solve", "domain": {"shape": "interval", "cells": [8]}}
    >>> tables |= {"time": {"final": 1.0}, "physics": {"diffusivity": 0.1, "initial": "cos(pi*x)"}}
    >>> problem = advdiff.Problem(parse(tables | {"unknowns": {"diffusivity": True}}))
    >>> problem.readings = Readings.from_rows([[0.0]], [1.0], [0.4], [0.01])
    >>> at = problem.model.linearise(problem.unknowns.from_numpy([np.log(0.1)]))
    >>> at.predicted.round(4), at.pull(np.array([1.0])).array.round(4)
    (array([0.3774]), array([-0.3678]))
    """

    def __init__(
        self,
        operator: Operator,
        unknowns: Unknowns,
        readings: Readings,
        initial: PETSc.Vec,
        make_engine: MakeEngine,
        snap_distance: float = 0.0,
    ):
        self.operator, self.unknowns, self.readings = operator, unknowns, readings
        self.initial, self.make_engine = initial, make_engine
        self.sensors = Sensors(operator, readings.places, readings.rows, snap_distance)
        self.reads_initial = bool(readings.times[0] == 0.0)
        self.times = readings.times[1:] if self.reads_initial else readings.times
        self.evaluations = 0

    @cached_property
    def affine(self) -> Affine | None:
        """K and F as functions of m where they are affine, found for the first value
        (collective)."""
        return None if INITIAL in self.unknowns.controls else affine(self.operator, self.unknowns)

    @cached_property
    def cotangent(self) -> OperatorCotangent | PatternCotangent:
        """What gathers a gradient, made for the first one (collective)."""
        if self.affine is not None:
            return self.affine.pattern
        from advdiff.equation.cotangent import OperatorCotangent

        names = [name for name in self.unknowns.controls if name != INITIAL]
        return OperatorCotangent(self.operator, names)

    def _solve(self, m: PETSc.Vec, record: bool) -> TransportLinearisation:
        if self.initial.comm.size > 1:  # what Python drops there is only freed here
            PETSc.garbage_cleanup(self.initial.comm)
        summed = self.affine
        self.unknowns.assign(m)
        generator = self.operator.assemble() if summed is None else summed.assemble(m)
        self.sensors.assemble()
        with FORWARD:
            engine = self.make_engine(generator)
            load = self.operator.load
            solution = engine.forward(self.initial, self.times, load, record=record)
        self.evaluations += 1
        return TransportLinearisation(self, engine, solution)

    def observe(self, m: PETSc.Vec) -> np.ndarray:
        """Predicted readings, shape (reading,), on every rank (collective)."""
        return self._solve(m, record=False).predicted

    def linearise(self, m: PETSc.Vec) -> TransportLinearisation:
        """Predictions that can be pushed and pulled, until the next call (collective)."""
        return self._solve(m, record=True)

    def read(self, initial, states) -> list:
        """The states at all observation times."""
        return [initial, *states] if self.reads_initial else list(states)

    def sample(self, initial, states, *, boundary: bool) -> np.ndarray:
        """Values at all observation times, shape (time, sensor), picked reading by reading."""
        table = [
            np.zeros(len(self.sensors))
            if state is None
            else self.sensors.sample(state, boundary=boundary)
            for state in self.read(initial, states)
        ]
        return np.array(table)[self.readings.time, self.readings.sensor]


class TransportLinearisation:
    """One solution of the model, its derivative and its adjoint."""

    def __init__(self, model: TransportModel, engine: Engine, solution):
        self.model, self.engine, self.solution = model, engine, solution
        self.load = model.operator.load
        self.predicted = model.sample(model.initial, solution.states, boundary=True)

    @property
    def report(self) -> Mapping:
        """What the engine has to say."""
        return self.solution.report

    def push(self, dm: PETSc.Vec) -> np.ndarray:
        """Derivative of the predictions along dm, shape (reading,) (collective)."""
        model = self.model
        directions = model.unknowns.push(dm)
        d_initial = directions.pop(INITIAL, None)
        change = model.operator.push(directions)._replace(initial=d_initial)
        _, tangents = self.engine.push(model.initial, model.times, change, self.load)
        found = model.sample(d_initial, tangents, boundary=False)
        if model.sensors.moves:
            states = model.read(model.initial, self.solution.states)
            table = np.array([model.sensors.push(directions, state) for state in states])
            found += table[model.readings.time, model.readings.sensor]
        return found

    def pull(self, weights: np.ndarray) -> PETSc.Vec:
        """Σ_r w_r ∇(prediction r), the gradient for all of m at once (collective)."""
        model, readings = self.model, self.model.readings
        table = np.zeros((len(readings.times), len(model.sensors)))
        np.add.at(table, (readings.time, readings.sensor), weights)
        residuals = [model.sensors.spread(row, model.initial.duplicate()) for row in table]
        at_start = residuals.pop(0) if model.reads_initial else None
        model.cotangent.clear()
        with ADJOINT:
            pullback = self.engine.pull(self.solution, residuals, model.cotangent)
        if at_start is not None:
            pullback.initial.axpy(1.0, at_start)
        if model.affine is not None:
            found = model.affine.pull(pullback.load)
        else:
            gradient = model.cotangent.pull(pullback.load)
            found = model.unknowns.pull({**gradient, INITIAL: pullback.initial})
        if model.sensors.moves:
            found.axpy(1.0, self._pull_sensors(table))
        return found

    def _pull_sensors(self, table: np.ndarray) -> PETSc.Vec:
        """What a weighted sum of readings has for gradient through their sensors alone."""
        model = self.model
        gradient = {
            name: model.operator.controls[name].x.petsc_vec.duplicate()
            for name in model.unknowns.controls
            if name != INITIAL
        }
        for vector in gradient.values():
            with vector.localForm() as local:
                local.set(0.0)
        model.sensors.pull(table, model.read(model.initial, self.solution.states), gradient)
        still = model.initial.duplicate()
        still.set(0.0)
        return model.unknowns.pull({**gradient, INITIAL: still})
