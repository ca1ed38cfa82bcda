"""Values of states at points, and the way back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.core.errors import InputError
from advdiff.domain.locate import NOWHERE, Cells
from advdiff.equation.operator import Operator


class Sensors:
    """y = C θ: the values of a finite element function at points, as a sparse matrix.

    Rows are the sensors in their given order, spread evenly over the ranks whatever the mesh; their
    entries are the basis functions of the one cell that holds the point (the lowest original cell
    index where cells share it).

    Args:
        operator: gives the space and the Dirichlet values.
        points: shape (sensor, dim).
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
        points: np.ndarray,
        rows: Sequence[int] | None = None,
        snap_distance: float = 0.0,
    ):
        self.operator = operator
        self._comm = operator.domain.comm
        space, count = operator.space, len(points)
        cells, mine, reference = self._located(points, rows, snap_distance)
        width = space.dofmap.dof_layout.num_dofs
        self._matrix = PETSc.Mat().createAIJ(
            ((PETSc.DECIDE, count), operator.states.boundary.x.petsc_vec.getSizes()),
            nnz=(width, width),
            comm=self._comm,
        )
        to_global = space.dofmap.index_map.local_to_global
        values = space.element.basix_element.tabulate(0, reference)[0, :, :, 0]
        for i in np.flatnonzero(mine):
            columns = to_global(space.dofmap.cell_dofs(cells[i])).astype(PETSc.IntType)
            self._matrix.setValues([i], columns, values[i])
        self._matrix.assemble()
        self._sampled = self._matrix.createVecLeft()
        self._full = self._matrix.createVecRight()
        self._count = count
        self._function = None

    def _located(
        self, points: np.ndarray, rows: Sequence[int] | None, snap_distance: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A cell for each point, which points this rank has, and their reference coordinates."""
        owned = Cells(self.operator.domain)

        def held(points: np.ndarray) -> tuple[np.ndarray, ...]:
            cells, reference = owned.holding(points)
            holder = np.full(len(points), NOWHERE)
            holder[cells >= 0] = owned.original[cells[cells >= 0]]
            lowest = np.empty_like(holder)
            self._comm.Allreduce(holder, lowest, MPI.MIN)
            return cells, (holder == lowest) & (cells >= 0), reference, lowest == NOWHERE

        cells, mine, reference, outside = held(points)
        if not outside.any():
            return cells, mine, reference
        order = np.arange(len(points)) if rows is None else np.asarray(rows)
        moved = points.copy()
        for i in sorted(np.flatnonzero(outside), key=order.__getitem__):
            distance, place = min(
                self._comm.allgather(owned.nearest(points[i])), key=lambda found: found[0]
            )
            if not distance <= snap_distance:
                name = f"sensor {i}" if rows is None else f"row {rows[i]}: the sensor"
                where = ", ".join(f"{v:.9g}" for v in points[i])
                raise InputError(
                    f"observations.file: {name} at ({where}) lies {distance:.2g} outside the domain"
                    + (f", and {outside.sum() - 1} more" if outside.sum() > 1 else "")
                    + "; remove it, enlarge the domain, or raise observations.snap_distance"
                )
            moved[i] = place
        cells, mine, reference, outside = held(moved)
        if outside.any():
            raise InputError(
                f"observations.snap_distance = {snap_distance:g}: {outside.sum()} sensors have no "
                "cell at the wall; move them into the domain"
            )
        return cells, mine, reference

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
        return values

    def spread(self, weights: np.ndarray, out: PETSc.Vec) -> PETSc.Vec:
        """Cᵀ w, a residual over the free unknowns, for w (sensor,) known on every rank."""
        start, stop = self._sampled.getOwnershipRange()
        self._sampled.setArray(weights[start:stop])
        self._matrix.multTranspose(self._sampled, self._full)
        return self.operator.states.rows(self._full, out)
