"""What sensors read of a state, and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc
from scipy import sparse

from advdiff.core.errors import InputError
from advdiff.domain.locate import NOWHERE, Cells
from advdiff.equation.operator import Operator
from advdiff.problem.effluents import Directions, Dispersed, Effluent
from advdiff.problem.shapes import Rule, Shapes, rule


class Sensors:
    """y = C θ: values and means of a finite element function, as a sparse matrix.

    What else is read of fluxes and effluents depends on the controls (``moves``), and is added:
    C(m) = C + Σ :mod:`advdiff.problem.effluents`.

    Rows are the sensors in their given order, spread evenly over the ranks whatever the mesh; their
    entries are the basis functions of the one cell that holds a point (the lowest original cell
    index where cells share it), summed over the points of the sensor.

    Args:
        operator: gives the space and the Dirichlet values.
        places: shapes, or points, shape (sensor, dim).
        rows: where in the data file each came from, for messages.
        snap_distance: how far outside the domain a point may lie; it is read at the nearest one.

    Raises:
        InputError: on every rank, for a point further outside the domain.

    Making one is collective.  Values have the unit of θ, C has none.

    >>> import advdiff
    >>> from advdiff.config.load import parse
    >>> tables = {"task": "solve", "domain": {"shape": "interval", "cells": [8]}}
    >>> tables |= {"time": {"final": 1.0}, "physics": {"diffusivity": 0.1, "initial": "3*x"}}
    >>> problem = advdiff.Problem(parse(tables))
    >>> sensors = Sensors(problem.operator, np.array([[0.4], [0.9]]))
    >>> sensors.sample(problem.initial).round(12)
    array([1.2, 2.7])
    >>> round(sensors.spread(np.array([1.0, 1.0]), problem.initial.duplicate()).sum(), 12)
    2.0
    """

    def __init__(
        self,
        operator: Operator,
        places: Shapes | np.ndarray,
        rows: Sequence[int] | None = None,
        snap_distance: float = 0.0,
    ):
        self.operator = operator
        self.shapes = places if isinstance(places, Shapes) else Shapes(places)
        self._comm, self._rows = operator.domain.comm, rows
        self._count, space = len(self.shapes), operator.space
        owned = Cells(operator.domain)
        degree = operator.degree * (1 if operator.domain.is_simplicial else operator.domain.dim)
        points = rule(self.shapes, owned, self._comm, degree)
        cells, mine, reference = self._located(owned, points, snap_distance)
        mine &= points.weights > 0.0
        values = space.element.basix_element.tabulate(0, reference)[0, mine, :, 0]
        dofs = space.dofmap.list[cells[mine]]
        columns = space.dofmap.index_map.local_to_global(dofs.ravel().astype(np.int32))
        lines = np.repeat(points.sensor[mine], dofs.shape[1])
        entries = (points.weights[mine, None] * values).ravel()
        self._sampled = PETSc.Vec().createMPI(self._count, comm=self._comm)
        self._matrix = self._assembled(lines, columns, entries)
        self._full = self._matrix.createVecRight()
        self._function = None
        self._moving = self._effluents(owned, points.sensor, mine, cells, reference)
        self.assemble()

    def _effluents(self, owned: Cells, sensor, mine, cells, reference) -> list:
        """What depends on the controls."""
        shapes, operator, found = self.shapes, self.operator, []
        names = [self._name(i) for i in range(self._count)]
        at = shapes.fluxes & ~shapes.parts
        if at.any():
            here = np.flatnonzero(mine & at[sensor])
            where = (cells[here], reference[here], sensor[here])
            found.append(Dispersed(operator, owned, where, names))
        for i in np.flatnonzero(shapes.parts):
            tag = operator.domain.tag(shapes.part[i], f"observations.file: {names[i]}")
            is_flux = bool(shapes.fluxes[i])
            found.append(Effluent(operator, tag, is_flux, i, self._count, names[i]))
        return found

    @property
    def moves(self) -> bool:
        """Whether C depends on the controls."""
        return bool(self._moving)

    def assemble(self) -> None:
        """C for the present controls (collective).

        Raises:
            InputError: where a flux or an effluent is read, and nothing flows.
        """
        for part in self._moving:
            part.assemble()

    def _name(self, i: int) -> str:
        place = f"sensor {i}: " if self._rows is None else f"row {self._rows[i]}: "
        return place + self.shapes.describe(i)

    def _assembled(self, lines: np.ndarray, columns: np.ndarray, entries: np.ndarray) -> PETSc.Mat:
        """The matrix whose entries are the sums of the ranks' (collective)."""
        sizes = self.operator.states.boundary.x.petsc_vec.getSizes()
        shares = sparse.coo_array((entries, (lines, columns)), (self._count, sizes[1])).tocsr()
        counts = np.diff(shares.indptr).astype(PETSc.IntType)
        widths = self._comm.allreduce(counts)
        first, last = self._sampled.getOwnershipRange()
        wide = widths[first:last]
        inside, beside = np.minimum(wide, sizes[0]), np.minimum(wide, sizes[1] - sizes[0])
        matrix = PETSc.Mat().create(self._comm)
        matrix.setSizes(((last - first, self._count), sizes))
        matrix.setType(PETSc.Mat.Type.AIJ)
        # petsc4py takes an empty array for none at all, and then the ranks wait for each other
        matrix.setPreallocationNNZ((inside, beside) if len(wide) else (0, 0))
        mine = np.flatnonzero(counts).astype(PETSc.IntType)
        ends = np.concatenate([[0], np.cumsum(counts[mine])]).astype(PETSc.IntType)
        where = shares.indices.astype(PETSc.IntType)
        matrix.setValuesIJV(ends, where, shares.data, addv=PETSc.InsertMode.ADD, rowmap=mine)
        matrix.assemble()
        return matrix

    def _located(
        self, owned: Cells, points: Rule, snap_distance: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A cell for each point, which points this rank has, and their reference coordinates."""

        def held(points: np.ndarray) -> tuple[np.ndarray, ...]:
            cells, reference = owned.holding(points)
            holder = np.full(len(points), NOWHERE)
            holder[cells >= 0] = owned.original[cells[cells >= 0]]
            lowest = np.empty_like(holder)
            self._comm.Allreduce(holder, lowest, MPI.MIN)
            return cells, (holder == lowest) & (cells >= 0), reference, lowest == NOWHERE

        cells, mine, reference, outside = held(points.points)
        if not outside.any():
            return cells, mine, reference
        order = np.arange(self._count) if self._rows is None else np.asarray(self._rows)
        moved = points.points.copy()
        for i in sorted(np.flatnonzero(outside), key=order[points.sensor].__getitem__):
            distance, place = min(
                self._comm.allgather(owned.nearest(moved[i])), key=lambda found: found[0]
            )
            if not distance <= snap_distance:
                raise self._outside(points.sensor[i], moved[i], distance, points.sensor[outside])
            moved[i] = place
        cells, mine, reference, outside = held(moved)
        if outside.any():
            raise InputError(
                f"observations.snap_distance = {snap_distance:g}: {outside.sum()} sensors have no "
                "cell at the wall; move them into the domain"
            )
        return cells, mine, reference

    def _outside(self, i: int, point: np.ndarray, distance: float, all_: np.ndarray) -> InputError:
        """Of a point of sensor i; ``all_`` sensors that have such a point."""
        where, more = ", ".join(f"{v:.9g}" for v in point), len(np.unique(all_)) - 1
        place = "" if np.array_equal(point, self.shapes.points[i]) else f" at ({where})"
        return InputError(
            f"observations.file: {self._name(i)} lies {distance:.2g} outside the "
            f"domain{place}"
            + (f", and {more} more" if more else "")
            + "; remove it, enlarge the domain, or raise observations.snap_distance"
        )

    def __len__(self) -> int:
        return self._count

    def sample(self, state: PETSc.Vec, *, boundary: bool = True) -> np.ndarray:
        """Values of a state at the sensors, shape (sensor,), on every rank (collective).

        ``boundary=False`` for tangents, which vanish where θ is prescribed.
        """
        self._function = self.operator.extend(state, self._function, boundary=boundary)
        self._matrix.mult(self._function.x.petsc_vec, self._sampled)
        counts = self._comm.allgather(self._sampled.getLocalSize())
        values = np.empty(self._count)
        self._comm.Allgatherv(self._sampled.array_r, (values, counts))
        return sum((part.read(self._function) for part in self._moving), values)

    def push(self, directions: Directions, state: PETSc.Vec) -> np.ndarray:
        """(∂C/∂m dm)θ, shape (sensor,), along directions of the controls (collective)."""
        function = self.operator.extend(state)
        return sum((p.push(directions, function) for p in self._moving), np.zeros(self._count))

    def pull(
        self,
        table: np.ndarray,
        states: Sequence[PETSc.Vec],
        gradient: Mapping[str, PETSc.Vec],
    ) -> None:
        """Adds Σ_k table[k]·∂C/∂(control) θ_k to the gradient of every control (collective).

        Args:
            table: a weight for each state and sensor, shape (state, sensor).
            states: θ_k.
            gradient: control → dual vector of its values.
        """
        functions: list[fem.Function] = [self.operator.extend(state) for state in states]
        for part in self._moving:
            part.pull(table, functions, gradient)

    def spread(self, weights: np.ndarray, out: PETSc.Vec) -> PETSc.Vec:
        """Cᵀ w, a residual over the free unknowns, for w (sensor,) known on every rank."""
        start, stop = self._sampled.getOwnershipRange()
        self._sampled.setArray(weights[start:stop])
        self._matrix.multTranspose(self._sampled, self._full)
        for moving in self._moving:
            self._full.axpy(1.0, moving.spread(weights))
        return self.operator.states.rows(self._full, out)
