"""Values of states at points, and the way back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from dolfinx import geometry
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.core import compat
from advdiff.core.errors import InputError
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

    Raises:
        InputError: on every rank, for a point outside the domain.
    """

    def __init__(self, operator: Operator, points: np.ndarray, rows: Sequence[int] | None = None):
        self.operator = operator
        self._comm = operator.domain.comm
        space, msh = operator.space, operator.domain.mesh
        count, dim = points.shape
        padded = np.zeros((count, 3))
        padded[:, :dim] = points
        tree = geometry.bb_tree(msh, msh.topology.dim, padding=1e-12)
        candidates = geometry.compute_collisions_points(tree, padded)
        colliding = geometry.compute_colliding_cells(msh, candidates, padded)
        owned = msh.topology.index_map(msh.topology.dim).size_local
        original = msh.topology.original_cell_index
        nowhere = np.iinfo(np.int64).max
        holder = np.full(count, nowhere, dtype=np.int64)
        cells = np.full(count, -1, dtype=np.int32)
        for i in range(count):
            here = [c for c in colliding.links(i) if c < owned]
            if here:
                cells[i] = min(here, key=lambda c: original[c])
                holder[i] = original[cells[i]]
        lowest = np.empty_like(holder)
        self._comm.Allreduce(holder, lowest, MPI.MIN)
        outside = np.flatnonzero(lowest == nowhere)
        if len(outside):
            first = outside[0] if rows is None else outside[np.argmin(np.asarray(rows)[outside])]
            name = f"sensor {first}" if rows is None else f"row {rows[first]}: the sensor"
            where = ", ".join(f"{v:g}" for v in points[first])
            raise InputError(
                f"observations.file: {name} at ({where}) lies outside the domain"
                + (f", and {len(outside) - 1} more" if len(outside) > 1 else "")
                + "; remove it or enlarge the domain"
            )
        width = space.dofmap.dof_layout.num_dofs
        self._matrix = PETSc.Mat().createAIJ(
            ((PETSc.DECIDE, count), operator.states.boundary.x.petsc_vec.getSizes()),
            nnz=(width, width),
            comm=self._comm,
        )
        element, cmap = space.element.basix_element, compat.coordinate_map(msh)
        to_global = space.dofmap.index_map.local_to_global
        for i in np.flatnonzero((holder == lowest) & (cells >= 0)):
            corners = msh.geometry.x[compat.cell_nodes(msh)[cells[i]]][:, : msh.geometry.dim]
            reference = cmap.pull_back(padded[i : i + 1, : msh.geometry.dim], corners)
            values = element.tabulate(0, reference)[0, 0, :, 0]
            columns = to_global(space.dofmap.cell_dofs(cells[i])).astype(PETSc.IntType)
            self._matrix.setValues([i], columns, values)
        self._matrix.assemble()
        self._sampled = self._matrix.createVecLeft()
        self._full = self._matrix.createVecRight()
        self._count = count
        self._function = None

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
        part = self._full.getSubVector(self.operator.states.free)
        part.copy(out)
        self._full.restoreSubVector(self.operator.states.free, part)
        return out
