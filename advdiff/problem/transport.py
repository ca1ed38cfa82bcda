"""The forward problem of an experiment file: domain, discretisation, flow, operator, start."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.config.load import Experiment, StreamVelocity, VelocityField
from advdiff.config.types import Gridded
from advdiff.core import memory
from advdiff.core.errors import InputError
from advdiff.domain import mesh as domains
from advdiff.domain.fields import interpolate, interpolate_positive, scalar_field, vector_field
from advdiff.domain.mesh import Domain
from advdiff.domain.resolution import Resolution, require_resolved
from advdiff.domain.samples import Samples, suited
from advdiff.equation import conditions, discretization, velocity
from advdiff.equation.conditions import Condition
from advdiff.equation.discretization import Discretization
from advdiff.equation.operator import Operator
from advdiff.equation.physics import Physics
from advdiff.equation.streams import solve_stream
from advdiff.equation.velocity import Velocity
from advdiff.files.concerns import Concerns
from advdiff.problem.memory import require_run
from advdiff.problem.unknowns import kinds
from advdiff.problem.unknowns.base import Kind

if TYPE_CHECKING:
    from advdiff.domain.gridded import Grid
    from advdiff.domain.surface import Surface

OPTIONS = ("method", "degree", "stabilization")
"""Of [discretization], what makes one."""


class Transport:
    """What [domain], [discretization] and [physics] describe, made when it is first needed.

    Args:
        experiment: the validated file.
        comm: everything is collective on it.

    Attributes:
        sources: key → what of which file was read for it, so far.
        concerns: what there is to warn of, so far.
        resolutions: key → what the mesh has made of this release, so far.
        is_compared: whether it only stands beside another, and takes releases as its mesh has them.
        steep: key of a diffusivity → the share of cells where it is taken linear, and is not.

    All quantities are in the units of the file, which are yours.  InputError, on every rank, names
    the key that is wrong when what it describes is first made.

    >>> from advdiff.config.load import parse
    >>> tables = {"task": "solve", "domain": {"shape": "interval", "cells": [8]}}
    >>> tables |= {"time": {"final": 1.0}, "physics": {"diffusivity": 0.1, "initial": "cos(pi*x)"}}
    >>> transport = Transport(parse(tables))
    >>> transport.domain.num_vertices, transport.operator.generator.size
    (9, 9)
    >>> transport.initial.max()  # where, and how large
    (0, 1.0)
    """

    def __init__(self, experiment: Experiment, comm: MPI.Comm = MPI.COMM_WORLD):
        self.experiment, self.comm = experiment, comm
        self.sources: dict[str, str] = {}
        self._clocks: dict[str, float] = {}
        self.concerns = Concerns()
        self.steep: dict[str, float] = {}
        self.resolutions: dict[str, Resolution] = {}
        self.is_compared = False

    @cached_property
    def kinds(self) -> list[Kind]:
        """What may be unknown, and what is."""
        return kinds(self.experiment)

    def _degree(self, control: str, degree: int) -> int:
        """That of a control's elements: what an unknown asks for, else what is given here."""
        wanted = [k.controls[control] for k in self.kinds if control in k.controls]
        return next((w for w in wanted if w is not None), degree)

    @cached_property
    def domain(self) -> Domain:
        """The mesh."""
        table = self.experiment.domain
        if table.shape == "gmsh":
            path = self.experiment.resolve(table.file)
            found = domains.gmsh_file(self.comm, path, table.mesh_size, "domain.file")
            require_run(self.comm, self.experiment, found.size, f"domain.file = {path.name}")
            if table.origin is not None and len(table.origin) != found.dim:
                raise InputError(
                    f"domain.origin: {len(table.origin)} entries; {path.name} has {found.dim} "
                    f"dimensions: give {found.dim}"
                )
            return found
        cell = table.cell or self.experiment.discretization.cell(table.dim)
        size, what = memory.box(table.cells, cell), f"domain.cells = {table.cells}"
        require_run(self.comm, self.experiment, size, what)
        return domains.box(self.comm, *table.corners, table.cells, cell, table.periodic)

    @cached_property
    def discretization(self) -> Discretization:
        """[discretization] on the mesh."""
        table = self.experiment.discretization
        options = table.model_dump(include=set(OPTIONS), exclude_none=True)
        return discretization.make(self.domain, **options)

    def scalar(self, value, key: str, velocity: bool = False) -> Callable:
        """A scalar field, or a component of a velocity, as the experiment file writes it."""
        if isinstance(value, Gridded):
            return self._gridded(value, key, velocity)
        return scalar_field(value, key, self.domain.dim, self.experiment.domain.origin)

    def _gridded(self, table: Gridded, key: str, velocity: bool = False) -> Grid | Surface:
        from advdiff.domain import gridded

        path, domain = self.experiment.resolve(table.file), self.domain
        options = {name: getattr(table, name) for name in gridded.OPTIONS}
        options["velocity"] = velocity
        grid = gridded.read(path, table.names, domain.bounds, domain.dim, key, self.comm, **options)
        self.sources[key] = grid.source + grid.said
        self._require_one_clock(key, grid)
        return grid

    def _require_one_clock(self, key: str, grid: Grid | Surface) -> None:
        """Raise where two files count time in different units."""
        if grid.clock is None:
            return
        self._clocks[key] = grid.clock
        for other, clock in self._clocks.items():
            if abs(clock - grid.clock) > 1e-6 * clock:
                raise InputError(
                    f"{key}: {grid.source} counts time in units of {grid.clock:g} s, {other} of "
                    f"{clock:g} s; convert one of them: units = 'km h-1' or so"
                )

    def velocity(self, field: VelocityField | None, key: str) -> Velocity:
        """A velocity as the experiment file writes it (collective)."""
        domain = self.domain
        if field is None:
            return Velocity(domain)
        if isinstance(field, Gridded | list):
            if isinstance(field, Gridded):
                values = self._gridded(field, key)
            else:
                parts = [self.scalar(part, f"{key}[{i}]", True) for i, part in enumerate(field)]
                values = vector_field(parts, key, domain.dim)
            return Velocity(domain, given=interpolate(values, self._velocity_space, key))
        if isinstance(field, StreamVelocity):
            space = velocity.stream_space(domain, key)
            psi = self.scalar(field.stream, f"{key}.stream")
            return Velocity(domain, stream=interpolate(psi, space, f"{key}.stream"))
        vorticity = self.scalar(field.vorticity, f"{key}.vorticity")
        return Velocity(domain, stream=solve_stream(domain, vorticity, field.walls, key))

    @cached_property
    def _velocity_space(self) -> fem.FunctionSpace:
        degree = max(velocity.DEGREE, self.experiment.discretization.degree)
        return velocity.vector_space(self.domain, self._degree("given", degree))

    def diffusivity(self, value, key: str) -> fem.Function:
        """A diffusivity, positive everywhere; at the nodes alone where no form looks elsewhere
        (collective).
        """
        degree = 1 if isinstance(value, float) else max(1, self.experiment.discretization.degree)
        degree = self._degree("diffusivity", degree)
        field, msh = self.scalar(value, key), self.domain.mesh
        if self.discretization.reads_nodes:
            kappa = interpolate(field, fem.functionspace(msh, ("Lagrange", degree)), key)
        else:
            kappa, self.steep[key] = interpolate_positive(field, msh, degree, key)
        smallest = kappa.x.petsc_vec.min()[1]
        if not smallest > 0:
            raise InputError(f"{key}: {smallest:g} somewhere in the domain; it must be positive")
        return kappa

    @cached_property
    def operator(self) -> Operator:
        """The transport operator of [physics], assembled."""
        physics = self.experiment.physics
        flow = self.velocity(physics.velocity, "physics.velocity")
        conditions.require_inflow_data(self.domain, flow, self.conditions)
        for kind, key in self._wanted_controls().items():
            if kind == "stream" and flow.stream is None:
                flow.stream = fem.Function(velocity.stream_space(self.domain, key))
            if kind == "given" and flow.given is None:
                flow.given = fem.Function(self._velocity_space)
        kappa = self.diffusivity(physics.diffusivity, "physics.diffusivity")
        given = {name: self._optional(name) for name in Physics.optional}
        whole = Physics(flow, kappa, conditions=self.conditions, **given)
        operator = Operator(self.discretization, whole)
        operator.assemble()
        return operator

    def _optional(self, name: str) -> fem.Function | None:
        """A scalar of [physics], None where the file has none (collective)."""
        value, key = getattr(self.experiment.physics, name), f"physics.{name}"
        if value is None:
            return None
        space = fem.functionspace(self.domain.mesh, ("Lagrange", self._degree(name, 2)))
        return self._release(value, space, key)

    @cached_property
    def samples(self) -> Samples:
        """Where results are written."""
        kind = self.discretization
        return suited(self.domain, kind.degree, kind.is_discontinuous)

    def _wanted_controls(self) -> dict[str, str]:
        """Controls that something is differentiated by → the key that says so."""
        table, wanted = self.experiment, {}
        if table.task != "solve":
            wanted = {name: f"unknowns.{k.key}" for k in self.kinds for name in k.controls}
        for name, direction in table.sensitivity.directions.items():
            if direction.velocity is not None:
                given = isinstance(direction.velocity, Gridded | list)
                wanted["given" if given else "stream"] = f"sensitivity.directions.{name}.velocity"
        return wanted

    @cached_property
    def conditions(self) -> list[Condition]:
        """What [physics] says of the boundary."""

        def data(kind: type[Condition], key: str, value) -> list[Callable]:
            return [
                self.scalar(getattr(value, name), f"{key}.{name}")
                if name
                else self.scalar(value, key)
                for name in kind.data
            ]

        tables = {
            name: {
                part: data(kind, f"physics.{name}.{part}", value)
                for part, value in getattr(self.experiment.physics, name).items()
            }
            for name, kind in conditions.KINDS.items()
        }
        return conditions.make(self.discretization, **tables)

    @cached_property
    def initial(self) -> PETSc.Vec:
        """θ0 as a state."""
        return self.state(self.experiment.physics.initial, "physics.initial")

    def state(self, value, key: str) -> PETSc.Vec:
        """The state of a scalar as the experiment file writes it (collective).

        Raises:
            InputError: where it is too narrow for the mesh.
        """
        return self.operator.restrict(self._release(value, self.operator.space, key))

    def _release(self, value, space: fem.FunctionSpace, key: str) -> fem.Function:
        """A scalar on the mesh, which must have seen it (collective)."""
        field = self.scalar(value, key)
        function = interpolate(field, space, key)
        if not (isinstance(value, float) or self.is_compared):
            self.resolutions[key] = require_resolved(field, function, key)
        return function
