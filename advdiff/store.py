"""Fields on the mesh in the result file, in an order that does not depend on the ranks.

Fields are written at the mesh vertices in their original order, each rank one contiguous slab.
Beside the result stands a VTKHDF file by which ParaView reads the same data (``paraview.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from petsc4py import PETSc

from advdiff import result
from advdiff.domain import Domain


class Store(result.ResultFile):
    """An open result file with a mesh; every method is collective.

    Args:
        file: the h5py file (parallel where there are several ranks).
        domain: gives the vertex order.
    """

    def __init__(self, file: h5py.File, domain: Domain):
        super().__init__(file, domain.comm)
        self.domain = domain

    def mesh(self) -> None:
        """``/mesh/geometry`` (vertex, dim) and ``/mesh/topology`` (cell, corner)."""
        msh, dim = self.domain.mesh, self.domain.dim
        nodes = msh.geometry.input_global_indices[: msh.geometry.index_map().size_local]
        self._scatter_rows(
            "mesh/geometry",
            self.domain.num_vertices,
            nodes,
            msh.geometry.x[: len(nodes), :dim],
            ("vertex", "dim"),
            "vertex coordinates",
        )
        indices, corners = self.domain.vertices.cells()
        self._scatter_rows(
            "mesh/topology",
            msh.topology.index_map(dim).size_global,
            indices,
            corners.astype("i8"),
            ("cell", "corner"),
            "vertices of each cell",
        )
        self.attributes({"cell": msh.topology.cell_name()}, "mesh")

    def _scatter_rows(self, path, count, rows, values, dims, long_name) -> None:
        """Write rows that each rank owns in any order as contiguous slabs."""
        for name, size in zip(dims, (count, values.shape[1]), strict=True):
            if name not in self._scales:
                self.axis(name, size)
        dataset = self.file.create_dataset(path, shape=(count, values.shape[1]), dtype=values.dtype)
        vec = PETSc.Vec().createMPI((PETSc.DECIDE, count), comm=self.comm)
        for column in range(values.shape[1]):
            vec.setValues(rows.astype(PETSc.IntType), values[:, column].astype(float))
            vec.assemble()
            start, stop = vec.getOwnershipRange()
            dataset[start:stop, column] = vec.array_r.astype(values.dtype)
        vec.destroy()
        self._describe(dataset, dims, "1", long_name)

    def fields(
        self,
        path: str,
        values: Iterable[PETSc.Vec],
        count: int,
        long_name: str,
        units: str = "1",
    ) -> None:
        """A scalar field at all output times, (time, vertex), from vertex-ordered vectors."""
        shape = (count, self.domain.num_vertices)
        dataset = self.file.create_dataset(path, shape=shape, dtype="f8")
        for k, vector in enumerate(values):
            start, stop = vector.getOwnershipRange()
            dataset[k, start:stop] = vector.array_r
        self._describe(dataset, ("time", "vertex"), units, long_name)

    def field(self, path: str, components: Sequence[PETSc.Vec] | PETSc.Vec, long_name: str) -> None:
        """A steady scalar field (vertex) or, from a list of components, a vector (vertex, dim)."""
        scalar = not isinstance(components, list | tuple)
        parts = [components] if scalar else list(components)
        shape = (self.domain.num_vertices,) + (() if scalar else (len(parts),))
        dataset = self.file.create_dataset(path, shape=shape, dtype="f8")
        start, stop = parts[0].getOwnershipRange()
        table = np.stack([part.array_r for part in parts], axis=1)
        dataset[start:stop] = table[:, 0] if scalar else table
        self._describe(dataset, ("vertex",) if scalar else ("vertex", "dim"), "1", long_name)


@contextmanager
def create(path: Path, domain: Domain, attributes: Mapping[str, Any]):
    """:func:`advdiff.result.create` for fields on ``domain`` (collective)."""
    with result.create(path, domain.comm, attributes) as file:
        yield Store(file.file, domain)
