"""A problem: the objects that an experiment file describes, made when they are first needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.config.load import Experiment
from advdiff.config.load import load as load_experiment
from advdiff.core.errors import InputError
from advdiff.domain.fields import interpolate
from advdiff.files.readings.stated import Stated
from advdiff.inverse.unknowns import Part, Unknowns
from advdiff.problem.model import TransportModel
from advdiff.problem.readings import Readings, read
from advdiff.problem.transport import Transport
from advdiff.problem.unknowns.base import Kind
from advdiff.semigroup.engine import Engine
from advdiff.semigroup.growth import require_bounded
from advdiff.semigroup.mfn import quadrature
from advdiff.semigroup.semigroup import Semigroup, SolverOptions, make_engine
from advdiff.sensitivity.rho import Direction, Sensitivity, sensitivity

if TYPE_CHECKING:
    from advdiff.inverse.likelihood import Gaussian
    from advdiff.inverse.map import Estimate
    from advdiff.inverse.noise import Noise
    from advdiff.inverse.objective import Objective
    from advdiff.inverse.prior import Prior
    from advdiff.inverse.white import Tape

CALIBRATION = 1e-6
"""Relative difference of two gradients at which the quadrature is fine enough for the optimiser."""


def load(
    path: str | Path, overrides: Sequence[str] = (), comm: MPI.Comm = MPI.COMM_WORLD
) -> Problem:
    """The problem of an experiment file (collective).

    Raises:
        InputError: on every rank, for anything wrong with the file.

    >>> import advdiff
    >>> problem = advdiff.load("experiments/sensitivity.toml", ["domain.cells=[4, 4]"])
    >>> problem.experiment.task, problem.domain.num_vertices
    ('sensitivity', 25)
    """
    experiment = load_experiment(path, tuple(overrides), comm)
    if not isinstance(experiment, Experiment):
        raise InputError(f"task = '{experiment.task}': has no problem; run it with 'advdiff run'")
    return Problem(experiment, comm)


class Problem(Transport):
    """The forward problem, its semigroup and sensitivities, its misfit and inversion.

    Args:
        experiment: the validated file.
        comm: everything is collective on it.

    All quantities are in the units of the file, which are yours.  InputError, on every rank, names
    the key that is wrong when what it describes is first made.

    >>> import advdiff
    >>> from advdiff.config.load import parse
    >>> tables = {"task": "solve", "domain": {"shape": "interval", "cells": [8]}}
    >>> tables |= {"time": {"final": 1.0}, "physics": {"diffusivity": 0.1, "initial": "cos(pi*x)"}}
    >>> problem = advdiff.Problem(parse(tables))
    >>> [state] = problem.semigroup().trajectory([1.0])
    >>> round(state.norm() / problem.initial.norm(), 3)  # e^{-0.1π²} = 0.373 on a fine mesh
    0.377
    """

    def __init__(self, experiment: Experiment, comm: MPI.Comm = MPI.COMM_WORLD):
        super().__init__(experiment, comm)
        self.nodes: int | None = None
        self.groups = (
            None  # how ranks are divided for reduced models: advdiff.reduced.offline.groups
        )
        options = PETSc.Options()
        for name, value in experiment.petsc.items():
            if not options.hasName(name):
                options.setValue(name, value)

    @property
    def writes(self) -> bool:
        """False in all groups of ranks but the first."""
        return self.groups is None or self.groups.writes

    # -- semigroup and sensitivity --------------------------------------------------------------

    @property
    def solver_options(self) -> SolverOptions:
        """[solver]."""
        return replace(self._solver, nodes=self.nodes)

    @cached_property
    def _solver(self) -> SolverOptions:
        return SolverOptions(**self.experiment.solver.model_dump())

    def make_engine(self, generator: Generator) -> Engine:
        """The engine that [solver] asks for."""
        return make_engine(generator, self.solver_options)

    def semigroup(self) -> Semigroup:
        """S(t) of the assembled operator, with the initial state and load of [physics]."""
        operator = self.operator
        engine, growth = self.make_engine(operator.generator), operator.physics.growth
        return Semigroup(engine, self.initial, operator.load, growth)

    def direction(self, name: str) -> Direction:
        """A direction named in [sensitivity.directions] (collective)."""
        directions = self.experiment.sensitivity.directions
        key = f"sensitivity.directions.{name}"
        if name not in directions:
            raise InputError(f"{key}: no such direction; known: {', '.join(directions)}")
        table, operator = directions[name], self.operator
        if table.initial is not None:
            return Direction({}, self.state(table.initial, f"{key}.initial"))
        if table.diffusivity is not None:
            field = self.scalar(table.diffusivity, f"{key}.diffusivity")
            space = operator.diffusivity.function_space
            return Direction({"diffusivity": interpolate(field, space, f"{key}.diffusivity")})
        flow = self.velocity(table.velocity, f"{key}.velocity")
        kind = "given" if flow.given is not None else "stream"
        return Direction({kind: getattr(flow, kind)})

    def sensitivity(
        self,
        direction: str | Direction,
        times: Sequence[float] | None = None,
        *,
        method: str | None = None,
    ) -> Sensitivity:
        """ρ along a direction at the output times (collective), by ``sensitivity.method``."""
        table = self.experiment.sensitivity
        if isinstance(direction, str):
            direction = self.direction(direction)
        operator = self.operator
        found = sensitivity(
            operator,
            direction,
            self.initial,
            self.experiment.time.times if times is None else times,
            method=table.method if method is None else method,
            tolerance=table.tolerance,
            options=self.solver_options,
        )
        given = (self.initial, operator.load, operator.physics.growth())
        require_bounded(operator.generator, found.solution, *given)
        return found

    # -- inversion ------------------------------------------------------------------------------

    @cached_property
    def readings(self) -> Readings:
        """The measurements of [observations]."""
        table = self.experiment.observations
        if table is None:
            raise InputError("observations.file: missing; name the file of the measurements")
        found = read(
            self.experiment.resolve(table.file),
            self.domain.dim,
            self.experiment.time.final,
            table.std,
            self.comm,
            Stated(**self.experiment.written()),
            table.noise.needs_std,
        )
        self.sources["observations.file"] = found.said
        return found

    @cached_property
    def truth(self) -> dict[str, Any]:
        """[truth] on this mesh, by key, as far as it is known (collective)."""
        found = {kind.key: kind.truth(self) for kind in self.kinds}
        return {key: value for key, value in found.items() if value is not None}

    @cached_property
    def parts(self) -> list[tuple[Kind, Part]]:
        """The parts of the parameter vector in their order, each with the kind it is of."""
        return [(k, part) for k in self.kinds if k.is_unknown for part in k.parts(self)]

    @cached_property
    def unknowns(self) -> Unknowns:
        """The parameter vector."""
        return Unknowns([part for _, part in self.parts])

    @cached_property
    def prior(self) -> Prior:
        """[prior] on the unknowns."""
        from advdiff.inverse.prior import Prior

        unknowns, factors = self.unknowns, []
        mean = unknowns.vector()
        for i, (kind, part) in enumerate(self.parts):
            factor, start = kind.prior(self, part)
            factors.append(factor)
            if start is not None:
                unknowns.insert(start, i, mean)
        return Prior(unknowns, mean, factors)

    @cached_property
    def model(self) -> TransportModel:
        """The forward model m ↦ predicted readings."""
        table = self.experiment.observations
        return TransportModel(
            self.operator,
            self.unknowns,
            self.readings,
            self.initial,
            self.make_engine,
            0.0 if table is None else table.snap_distance,
        )

    @cached_property
    def likelihood(self) -> Gaussian | Noise:
        """What the readings say of their predictions, by [observations] noise."""
        from advdiff.inverse import noise

        return noise.make(self.readings, **self.experiment.observations.noise.model_dump())

    @cached_property
    def objective(self) -> Objective:
        """Misfit and prior together, for PETSc vectors."""
        from advdiff.inverse.likelihood import Potential
        from advdiff.inverse.objective import Objective

        parts = self.parts
        penalties = [p for i, (k, _) in enumerate(parts) for p in k.penalties(self.unknowns, i)]
        return Objective(Potential(self.model, self.likelihood), self.prior, penalties)

    def initial_guess(self) -> np.ndarray | PETSc.Vec:
        """The prior's mean: a numpy array of coefficients, or a Vec where a field is unknown."""
        mean = self.prior.mean
        return self.unknowns.to_numpy(mean) if self.unknowns.is_small else mean.copy()

    def misfit(self, m: np.ndarray | PETSc.Vec) -> tuple[float, np.ndarray | PETSc.Vec]:
        """Objective and gradient at m, a numpy array or Vec; the gradient is of the same kind."""
        if self.nodes is None:
            self.calibrate()
        vector = m if isinstance(m, PETSc.Vec) else self.unknowns.from_numpy(m)
        at = self.objective.evaluate(vector)
        if isinstance(m, PETSc.Vec):
            return at.objective, at.gradient
        return at.objective, self.unknowns.to_numpy(at.gradient)

    def calibrate(self, m: PETSc.Vec | None = None) -> float:
        """For krylov and expokit, fix the quadrature nodes so that the gradient at m is fine
        enough; the gradients of the other engines are exact, and nothing is done.

        Returns:
            The relative difference of the last two gradients (collective).
        """
        if self.solver_options.engine.has_exact_gradients:
            return 0.0
        m = self.prior.mean if m is None else m
        before, difference = None, np.inf
        nodes = 2 if self.nodes is None else self.nodes
        while True:
            self.nodes = nodes
            gradient = self.objective.evaluate(m).data_gradient
            if before is not None:
                before.axpy(-1.0, gradient)
                size, change = gradient.norm(), before.norm()
                difference = change / size if size > 0 else (np.inf if change > 0 else 0.0)
                if difference <= CALIBRATION or nodes >= quadrature.MOST:
                    return difference
            before, nodes = gradient, max(nodes + 1, int(1.4 * nodes))

    def invert(
        self,
        watch: Callable | None = None,
        start: np.ndarray | PETSc.Vec | None = None,
        tape: Tape | None = None,
    ) -> Estimate:
        """The maximum a posteriori estimate and its history (collective).

        Args:
            watch: called with every :class:`~advdiff.inverse.map.Iteration` and its m.
            start: first guess; the prior's mean where none is given.
            tape: keeps what is computed, and has it from a run that was stopped.
        """
        from advdiff.inverse.map import minimise

        table = self.experiment.optimizer
        if self.nodes is None:
            self.calibrate()
        start = self.initial_guess() if start is None else start
        if not isinstance(start, PETSc.Vec):
            start = self.unknowns.from_numpy(start)
        estimate = minimise(
            self.objective,
            start,
            **table.model_dump(),
            watch=watch,
            tape=tape,
        )
        self.unknowns.assign(estimate.m)
        self.operator.assemble()
        return estimate
