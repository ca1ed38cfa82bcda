"""A problem: the objects that an experiment file describes, made when they are first needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from advdiff import domain as domains
from advdiff import memory, velocity
from advdiff.config import Experiment, StreamVelocity, VelocityField
from advdiff.config import load as load_experiment
from advdiff.domain import Domain
from advdiff.errors import InputError
from advdiff.expm import quadrature
from advdiff.expm.engine import Engine
from advdiff.expm.generator import Generator
from advdiff.fields import interpolate, scalar_field, vector_field
from advdiff.inverse import map as map_estimate
from advdiff.inverse.misfit import Misfit
from advdiff.inverse.prior import Independent, Matern, Prior, decaying_std
from advdiff.model import TransportModel
from advdiff.observe import Readings, read
from advdiff.operator import Operator
from advdiff.semigroup import Semigroup, SolverOptions, make_engine
from advdiff.sensitivity import Direction, Sensitivity, sensitivity
from advdiff.unknowns import InitialState, LogDiffusivity, StreamField, StreamModes, Unknowns
from advdiff.velocity import Velocity

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


class Problem:
    """Domain, operator, semigroup, sensitivities, misfit and inversion of one experiment.

    Args:
        experiment: the validated file.
        comm: everything is collective on it.
    """

    def __init__(self, experiment: Experiment, comm: MPI.Comm = MPI.COMM_WORLD):
        self.experiment, self.comm = experiment, comm
        self.nodes: int | None = None
        options = PETSc.Options()
        for name, value in experiment.petsc.items():
            if not options.hasName(name):
                options.setValue(name, value)

    # -- domain and fields ----------------------------------------------------------------------

    @cached_property
    def domain(self) -> Domain:
        """The mesh."""
        table = self.experiment.domain
        if table.shape == "gmsh":
            path = self.experiment.resolve(table.file)
            return domains.gmsh_file(self.comm, path, table.mesh_size, "domain.file")
        memory.require_box(self.comm, table.cells, table.degree, len(self.experiment.time.times))
        return domains.box(self.comm, *table.corners, table.cells)

    def _scalar(self, value, key: str) -> Callable:
        return scalar_field(value, key, self.domain.dim)

    def velocity(self, field: VelocityField | None, key: str) -> Velocity:
        """A velocity as the experiment file writes it (collective)."""
        domain = self.domain
        if field is None:
            return Velocity(domain)
        if isinstance(field, list):
            return Velocity(
                domain, given=velocity.given(domain, vector_field(field, key, domain.dim), key)
            )
        if isinstance(field, StreamVelocity):
            space = velocity.stream_space(domain, key)
            psi = self._scalar(field.stream, f"{key}.stream")
            return Velocity(domain, stream=interpolate(psi, space, f"{key}.stream"))
        vorticity = self._scalar(field.vorticity, f"{key}.vorticity")
        return Velocity(domain, stream=velocity.solve_stream(domain, vorticity, field.walls, key))

    def diffusivity(self, value, key: str) -> fem.Function:
        """A diffusivity, positive (collective)."""
        space = fem.functionspace(self.domain.mesh, ("Lagrange", 1))
        kappa = interpolate(self._scalar(value, key), space, key)
        smallest = kappa.x.petsc_vec.min()[1]
        if not smallest > 0:
            raise InputError(f"{key}: {smallest:g} somewhere in the domain; it must be positive")
        return kappa

    @cached_property
    def operator(self) -> Operator:
        """The transport operator of [physics], assembled."""
        physics = self.experiment.physics
        flow = self.velocity(physics.velocity, "physics.velocity")
        if flow.stream is None and self._estimates_velocity:
            space = velocity.stream_space(self.domain, "unknowns.velocity")
            flow.stream = fem.Function(space)
        source = None
        if physics.source is not None:
            space = fem.functionspace(self.domain.mesh, ("Lagrange", 2))
            source = interpolate(
                self._scalar(physics.source, "physics.source"), space, "physics.source"
            )
        operator = Operator(
            self.domain,
            self.experiment.domain.degree,
            flow,
            self.diffusivity(physics.diffusivity, "physics.diffusivity"),
            source,
            {k: self._scalar(v, f"physics.dirichlet.{k}") for k, v in physics.dirichlet.items()},
        )
        operator.assemble()
        return operator

    @property
    def _estimates_velocity(self) -> bool:
        task = self.experiment.task
        return task in ("invert", "sample") and self.experiment.unknowns.velocity is not None

    @cached_property
    def initial(self) -> PETSc.Vec:
        """θ0 as a state."""
        field = self._scalar(self.experiment.physics.initial, "physics.initial")
        return self.operator.state(field, "physics.initial")

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
            field = self._scalar(table.initial, f"{key}.initial")
            state = operator.state(field, f"{key}.initial")
            return Direction({}, state)
        if table.diffusivity is not None:
            field = self._scalar(table.diffusivity, f"{key}.diffusivity")
            space = operator.diffusivity.function_space
            return Direction({"diffusivity": interpolate(field, space, f"{key}.diffusivity")})
        flow = self.velocity(table.velocity, f"{key}.velocity")
        kind = "given" if flow.given is not None else "stream"
        return Direction({kind: getattr(flow, kind)})

    def sensitivity(
        self, direction: str | Direction, times: Sequence[float] | None = None
    ) -> Sensitivity:
        """ρ along a direction at the output times (collective)."""
        table = self.experiment.sensitivity
        if isinstance(direction, str):
            direction = self.direction(direction)
        return sensitivity(
            self.operator,
            direction,
            self.initial,
            self.experiment.time.times if times is None else times,
            method=table.method,
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

    @cached_property
    def unknowns(self) -> Unknowns:
        """The parts of the parameter vector."""
        table, operator, parts = self.experiment.unknowns, self.operator, []
        if table.velocity is not None:
            if table.velocity.family == "sine":
                count = math.prod(table.velocity.modes)
                size = 8.0 * operator.controls["stream"].x.petsc_vec.getSize() * count
                what = f"unknowns.velocity.modes = {table.velocity.modes}"
                memory.require(self.comm, size, what, "take fewer modes")
                modes, self._waves = velocity.sine_modes(self.domain, table.velocity.modes)
                parts.append(StreamModes(operator, modes))
            else:
                for name in self.experiment.domain.open:
                    self.domain.tag(name, "domain.open")
                parts.append(StreamField(operator, self.experiment.domain.open))
        if table.diffusivity:
            parts.append(LogDiffusivity(operator))
        if table.initial:
            parts.append(InitialState(self.initial))
        return Unknowns(parts)

    @cached_property
    def prior(self) -> Prior:
        """[prior] on the unknowns."""
        table, unknowns, factors = self.experiment.prior, self.unknowns, []
        mean = unknowns.vector()
        for i, part in enumerate(unknowns.parts):
            if isinstance(part, StreamModes):
                std = decaying_std(
                    part.template, self._waves, table.velocity.std, table.velocity.decay
                )
                factors.append(Independent(std))
            elif isinstance(part, StreamField):
                lower, upper = self.domain.bounds
                length = table.velocity.correlation_length or 0.25 * float(np.max(upper - lower))
                space = part.function.function_space
                factors.append(Matern(space, part.rows, table.velocity.std, length, power=2))
            elif isinstance(part, LogDiffusivity):
                start = part.template.duplicate()
                start.set(np.log(self.experiment.physics.diffusivity))
                unknowns.insert(start, i, mean)
                start.set(table.diffusivity.std)
                factors.append(Independent(start))
            else:
                unknowns.insert(part.state, i, mean)
                factors.append(
                    Matern(
                        self.operator.space,
                        self.operator.free,
                        table.initial.std,
                        table.initial.correlation_length,
                    )
                )
        return Prior(unknowns, mean, factors)

    @cached_property
    def model(self) -> TransportModel:
        """The forward model m ↦ predicted readings."""
        return TransportModel(
            self.operator, self.unknowns, self.readings, self.initial, self.make_engine
        )

    @cached_property
    def objective(self) -> Misfit:
        """Misfit and prior together, for PETSc vectors."""
        readings = self.readings
        return Misfit(self.model, readings.values, readings.std, self.prior)

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
        """Where SLEPc's MFN is used, fix its quadrature nodes so that the gradient at m is fine
        enough; the gradients of the other engines are exact, and nothing is done.

        Returns:
            The relative difference of the last two gradients (collective).
        """
        if not self.solver_options.is_mfn:
            return 0.0
        m = self.prior.mean if m is None else m
        before, difference = None, np.inf
        nodes = 2 if self.nodes is None else self.nodes
        while True:
            self.nodes = nodes
            gradient = self.objective.evaluate(m).data_gradient
            if before is not None:
                before.axpy(-1.0, gradient)
                size = gradient.norm()
                difference = before.norm() / size if size > 0 else 0.0
                if difference <= CALIBRATION or nodes >= quadrature.MOST:
                    return difference
            before, nodes = gradient, max(nodes + 1, int(1.4 * nodes))

    def invert(
        self,
        watch: Callable | None = None,
        start: np.ndarray | PETSc.Vec | None = None,
        reference: float | None = None,
    ) -> map_estimate.Estimate:
        """The maximum a posteriori estimate and its history (collective).

        Args:
            watch: called with every :class:`~advdiff.inverse.map.Iteration` and its m.
            start: first guess; the prior's mean where none is given.
            reference: gradient norm that the tolerance is relative to; None: that at ``start``.
        """
        table = self.experiment.optimizer
        if self.nodes is None:
            self.calibrate()
        start = self.initial_guess() if start is None else start
        if not isinstance(start, PETSc.Vec):
            start = self.unknowns.from_numpy(start)
        estimate = map_estimate.minimise(
            self.objective,
            start,
            type=table.type,
            gradient_tolerance=table.gradient_tolerance,
            max_iterations=table.max_iterations,
            watch=watch,
            reference=reference,
        )
        self.unknowns.assign(estimate.m)
        self.operator.assemble()
        return estimate
