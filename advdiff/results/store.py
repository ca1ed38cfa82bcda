"""Fields on the mesh in the result file, in an order that does not depend on the ranks.

Fields are written at sample points (``samples.py``), each rank one contiguous slab.
Beside the result stands a VTKHDF file by which ParaView reads the same data (``paraview.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from petsc4py import PETSc

from advdiff.domain.samples import Samples
from advdiff.files import result
from advdiff.files.shared import Shared


class Store(result.ResultFile):
    """An open result file with a mesh; every method is collective.

    Args:
        file: shared by the ranks.
        samples: the points of the fields; the dimension ``vertex`` runs over them.

    >>> from tempfile import TemporaryDirectory
    >>> import h5py
    >>> from mpi4py import MPI
    >>> from advdiff.domain.mesh import box
    >>> from advdiff.domain.samples import suited
    >>> samples = suited(box(MPI.COMM_SELF, [0.0], [1.0], [8]), degree=1)
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "result.h5"
    ...     with create(path, samples, {"task": "solve"}) as store:
    ...         store.mesh()
    ...     with h5py.File(path) as file:
    ...         print(file["mesh/geometry"].shape, file["mesh"].attrs["cell"])
    (9, 1) interval
    """

    def __init__(self, file: Shared, samples: Samples):
        super().__init__(file, samples.domain.comm)
        self.samples = samples

    def mesh(self) -> None:
        """``/mesh/geometry`` (vertex, dim) and ``/mesh/topology`` (cell, corner)."""
        samples, comm = self.samples, self.comm
        self._scatter_rows(
            "mesh/geometry", samples.count, *samples.points(), ("vertex", "dim"), "coordinates"
        )
        numbers, corners = samples.cells()
        self._scatter_rows(
            "mesh/topology",
            comm.allreduce(len(numbers)),
            numbers,
            corners.astype("i8"),
            ("cell", "corner"),
            "vertices of each cell; quadrilaterals and hexahedra in tensor order",
        )
        self.attributes({"cell": samples.cell, **samples.layout}, "mesh")

    def _scatter_rows(self, path, count, rows, values, dims, long_name) -> None:
        """Write rows that each rank owns in any order as contiguous slabs."""
        for name, size in zip(dims, (count, values.shape[1]), strict=True):
            if name not in self._scales:
                self.axis(name, size)
        self.dataset(path, (count, values.shape[1]), values.dtype)
        vec = PETSc.Vec().createMPI((PETSc.DECIDE, count), comm=self.comm)
        start, stop = vec.getOwnershipRange()
        mine = np.empty((stop - start, values.shape[1]), values.dtype)
        for column in range(values.shape[1]):
            vec.setValues(rows.astype(PETSc.IntType), values[:, column].astype(float))
            vec.assemble()
            mine[:, column] = vec.array_r
        vec.destroy()
        self.file.put(path, slice(start, stop), mine)
        self._describe(path, dims, "1", long_name)

    def fields(
        self,
        path: str,
        values: Iterable[PETSc.Vec],
        count: int,
        long_name: str,
        units: str = "1",
    ) -> None:
        """A scalar field at all output times, (time, vertex), from vectors over the samples."""
        shape = (count, self.samples.count)
        self.dataset(path, shape, "f8")
        for k, vector in enumerate(values):
            start, stop = vector.getOwnershipRange()
            self.file.put(path, (k, slice(start, stop)), vector.array_r)
        self._describe(path, ("time", "vertex"), units, long_name)

    def field(self, path: str, components: Sequence[PETSc.Vec] | PETSc.Vec, long_name: str) -> None:
        """A steady scalar field (vertex) or, from a list of components, a vector (vertex, dim)."""
        scalar = not isinstance(components, list | tuple)
        parts = [components] if scalar else list(components)
        shape = (self.samples.count,) + (() if scalar else (len(parts),))
        self.dataset(path, shape, "f8")
        start, stop = parts[0].getOwnershipRange()
        table = np.stack([part.array_r for part in parts], axis=1)
        self.file.put(path, slice(start, stop), table[:, 0] if scalar else table)
        self._describe(path, ("vertex",) if scalar else ("vertex", "dim"), "1", long_name)


@contextmanager
def create(path: Path, samples: Samples, attributes: Mapping[str, Any]):
    """:func:`advdiff.files.result.create` for fields at ``samples`` (collective)."""
    with result.create(path, samples.domain.comm, attributes) as file:
        yield Store(file.file, samples)
