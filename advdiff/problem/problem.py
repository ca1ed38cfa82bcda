"""A problem: the objects that an experiment file describes, made when they are first needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.config.inversion import VelocityUnknown
from advdiff.config.load import Experiment
from advdiff.config.load import load as load_experiment
from advdiff.core import memory
from advdiff.core.errors import InputError
from advdiff.domain.fields import interpolate
from advdiff.equation.modes import fourier_modes, sine_modes
from advdiff.equation.velocity import Velocity
from advdiff.inverse.unknowns import Part, Unknowns
from advdiff.problem.model import TransportModel
from advdiff.problem.readings import Readings, read
from advdiff.problem.transport import Transport
from advdiff.problem.unknowns.diffusivity import LogDiffusivity, LogDiffusivityField
from advdiff.problem.unknowns.initial import InitialState
from advdiff.problem.unknowns.velocity import Modes, Nodal
from advdiff.semigroup.engine import Engine
from advdiff.semigroup.mfn import quadrature
from advdiff.semigroup.semigroup import Semigroup, SolverOptions, make_engine
from advdiff.sensitivity.rho import Direction, Sensitivity, sensitivity

if TYPE_CHECKING:
    from advdiff.inverse.map import Estimate
    from advdiff.inverse.objective import Objective
    from advdiff.inverse.prior import PartPrior, Prior
    from advdiff.inverse.white import Tape

CALIBRATION = 1e-6
"""Relative difference of two gradients at which the quadrature is fine enough for the optimiser."""


def load(
    path: str | Path, overrides: Sequence[str] = (), comm: MPI.Comm = MPI.COMM_WORLD
) -> Problem:
    """The problem of an experiment file (collective).

    Raises:
        InputError: on every rank, for anything wrong with the file.
    """
    experiment = load_experiment(path, tuple(overrides), comm)
    if not isinstance(experiment, Experiment):
        raise InputError(f"task = '{experiment.task}': has no problem; run it with 'advdiff run'")
    return Problem(experiment, comm)


@dataclass(frozen=True)
class Truth:
    """What made the data, as far as it is known."""

    velocity: Velocity | None = None
    diffusivity: fem.Function | None = None
    initial: PETSc.Vec | None = None


class Problem(Transport):
    """The forward problem, its semigroup and sensitivities, its misfit and inversion.

    Args:
        experiment: the validated file.
        comm: everything is collective on it.
    """

    def __init__(self, experiment: Experiment, comm: MPI.Comm = MPI.COMM_WORLD):
        super().__init__(experiment, comm)
        self.nodes: int | None = None
        self.waves: np.ndarray | None = None  # of the velocity's modes, (mode, axis)
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
        return SolverOptions(**self.experiment.solver.model_dump(), nodes=self.nodes)

    def make_engine(self, generator: Generator) -> Engine:
        """The engine that [solver] asks for."""
        return make_engine(generator, self.solver_options)

    def semigroup(self) -> Semigroup:
        """S(t) of the assembled operator, with the initial state and load of [physics]."""
        operator = self.operator
        return Semigroup(self.make_engine(operator.generator), self.initial, operator.load)

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
            field = self._scalar(table.diffusivity, f"{key}.diffusivity")
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
        return sensitivity(
            self.operator,
            direction,
            self.initial,
            self.experiment.time.times if times is None else times,
            method=table.method if method is None else method,
            tolerance=table.tolerance,
            options=self.solver_options,
        )

    # -- inversion ------------------------------------------------------------------------------

    @cached_property
    def readings(self) -> Readings:
        """The measurements of [observations]."""
        table = self.experiment.observations
        if table is None:
            raise InputError("observations.file: missing; name the file of the measurements")
        return read(
            self.experiment.resolve(table.file),
            self.domain.dim,
            self.experiment.time.final,
            table.std,
            self.comm,
        )

    @property
    def truth(self) -> Truth:
        """[truth], on this mesh."""
        table, found = self.experiment.truth, {}
        for name in ("velocity", "diffusivity"):
            if getattr(table, name) is not None:
                found[name] = getattr(self, name)(getattr(table, name), f"truth.{name}")
        if table.initial is not None:
            found["initial"] = self.state(table.initial, "truth.initial")
        return Truth(**found)

    @cached_property
    def unknowns(self) -> Unknowns:
        """The parts of the parameter vector."""
        table, operator, parts = self.experiment.unknowns, self.operator, []
        if table.velocity is not None:
            parts.append(self._velocity_part(table.velocity))
        if table.diffusivity == "field":
            parts.append(LogDiffusivityField(operator))
        elif table.diffusivity:
            parts.append(LogDiffusivity(operator))
        if table.initial:
            parts.append(InitialState(self.initial))
        return Unknowns(parts)

    def _velocity_part(self, table: VelocityUnknown) -> Part:
        operator, control = self.operator, table.control
        if table.family in ("stream", "nodal"):
            for name in self.experiment.domain.open:
                self.domain.tag(name, "domain.open")
            return Nodal(operator, control, self.experiment.domain.open)
        if table.family == "sine":
            what, count = f"modes = {table.modes}", math.prod(table.modes)
        else:
            what, count = f"largest = {table.largest:g}", math.pi * table.largest**2
        size = 8.0 * operator.controls[control].x.petsc_vec.getSize() * count
        memory.require(self.comm, size, f"unknowns.velocity.{what}", "take fewer modes")
        if table.family == "sine":
            modes, self.waves = sine_modes(self.domain, table.modes)
        else:
            modes, self.waves = fourier_modes(self.domain, table.largest)
        return Modes(operator, control, modes)

    @cached_property
    def prior(self) -> Prior:
        """[prior] on the unknowns."""
        from advdiff.inverse.prior import Prior

        unknowns, factors = self.unknowns, []
        mean = unknowns.vector()
        for i, part in enumerate(unknowns.parts):
            factor, start = self._part_prior(part)
            factors.append(factor)
            if start is not None:
                unknowns.insert(start, i, mean)
        return Prior(unknowns, mean, factors)

    def _part_prior(self, part: Part) -> tuple[PartPrior, PETSc.Vec | None]:
        """The prior of one part, and its mean where that is not 0."""
        from advdiff.inverse.matern import Matern
        from advdiff.inverse.prior import Independent, decaying, kraichnan, like

        table = self.experiment.prior
        if isinstance(part, Modes):
            flow = table.velocity
            if flow.spectrum == "kraichnan":
                std = kraichnan(self.waves, flow.std)
            else:
                std = decaying(self.waves, flow.std, flow.decay)
            return Independent(like(part.template, std)), None
        if isinstance(part, Nodal):
            lower, upper = self.domain.bounds
            length = table.velocity.correlation_length or 0.25 * float(np.max(upper - lower))
            # a stream function one power smoother, so that its velocity has a variance
            power = 2 if part.control == "stream" else 1
            space = part.function.function_space
            return Matern(space, part.rows, table.velocity.std, length, power), None
        if isinstance(part, InitialState):
            field = table.initial
            space, rows = self.operator.space, self.operator.free
            return Matern(space, rows, field.std, field.correlation_length), part.state
        mean = part.template.duplicate()
        if isinstance(part, LogDiffusivityField):
            part.function.x.petsc_vec.copy(mean)
            mean.log()
            field, space = table.diffusivity, part.function.function_space
            return Matern(space, part.rows, field.std, field.correlation_length), mean
        mean.set(math.log(self.experiment.physics.diffusivity))
        std = part.template.duplicate()
        std.set(table.diffusivity.std)
        return Independent(std), mean

    @cached_property
    def model(self) -> TransportModel:
        """The forward model m ↦ predicted readings."""
        return TransportModel(
            self.operator, self.unknowns, self.readings, self.initial, self.make_engine
        )

    @cached_property
    def objective(self) -> Objective:
        """Misfit and prior together, for PETSc vectors."""
        from advdiff.inverse.likelihood import Gaussian, Potential
        from advdiff.inverse.objective import Objective
        from advdiff.inverse.penalty import DivergencePenalty

        readings, weight = self.readings, self.experiment.prior.velocity.divergence_penalty
        penalties = [
            DivergencePenalty(self.unknowns, i, weight)
            for i, part in enumerate(self.unknowns.parts)
            if part.control == "given" and weight > 0
        ]
        potential = Potential(self.model, Gaussian(readings.values, readings.std))
        return Objective(potential, self.prior, penalties)

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
