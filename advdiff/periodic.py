"""Boxes that are periodic along some of their axes.

The mesh is periodic by its topology: the cells at either end of a periodic axis share their
vertices, so that every function on it is periodic, every facet between them is an interior one, and
no constraint is left to impose.  Its geometry is that of the box: every cell knows the coordinates
of its own corners.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import basix.ufl
import numpy as np
import ufl
from dolfinx import common, cpp, mesh
from mpi4py import MPI

from advdiff import compat
from advdiff.schema import FEWEST


class PeriodicMesh(mesh.Mesh):
    """A mesh that closes upon itself.

    Attributes:
        periods: axis → the length after which it repeats.
        num_points: number of vertices of the box, both ends of a period counted.
    """

    periods: dict[int, float]
    num_points: int


def box(
    comm: MPI.Comm,
    lower: Sequence[float],
    upper: Sequence[float],
    cells: Sequence[int],
    cell_type: mesh.CellType,
    axes: Sequence[int],
) -> PeriodicMesh:
    """A box of equal cells, periodic along ``axes`` (collective).

    Raises:
        ValueError: for fewer than three cells along a periodic axis.
    """
    dim = len(cells)
    if any(cells[a] < FEWEST for a in axes):
        raise ValueError(f"a periodic axis needs {FEWEST} cells or more, cells are {list(cells)}")
    counts = np.asarray(cells)
    points = counts + 1
    shared = np.where(np.isin(np.arange(dim), axes), counts, points)
    corners = _corners(cell_type)
    first, last = _share(comm, int(counts.prod()) * len(corners))
    wrapped = _vertices(np.arange(first, last), counts, corners) % shared
    start, stop = _share(comm, int(shared.prod()))
    at = np.stack(np.unravel_index(np.arange(start, stop), shared[::-1])[::-1], axis=1)
    element = basix.ufl.element("Lagrange", cell_type.name, 1, shape=(dim,))
    closed = mesh.create_mesh(
        comm,
        _number(wrapped, shared).astype(np.int64),
        e=ufl.Mesh(element),
        x=at / counts,
        partitioner=compat.facet_partitioner(),
    )
    # the geometry of the open box on that topology: nodes are known to their own rank alone
    opened = _vertices(closed.topology.original_cell_index, counts, corners)
    numbers, nodes = np.unique(_number(opened, points), return_inverse=True)
    at = np.stack(np.unravel_index(numbers, points[::-1])[::-1], axis=1)
    x = np.asarray(lower) + at * ((np.asarray(upper) - np.asarray(lower)) / counts)
    geometry = cpp.mesh.Geometry_float64(
        common.IndexMap(comm, len(numbers)),
        nodes.reshape(opened.shape[:2]).astype(np.int32),
        compat.coordinate_map(closed)._cpp_object,
        x,
        numbers.astype(np.int64),
    )
    topology = closed.topology._cpp_object
    result = PeriodicMesh(cpp.mesh.Mesh_float64(comm, topology, geometry), ufl.Mesh(element))
    result.periods = {a: float(upper[a]) - float(lower[a]) for a in axes}
    result.num_points = int(points.prod())
    return result


def _share(comm: MPI.Comm, count: int) -> tuple[int, int]:
    return comm.rank * count // comm.size, (comm.rank + 1) * count // comm.size


def _corners(cell_type: mesh.CellType) -> np.ndarray:
    """Offsets of the corners of the cells that fill one block, (cell, corner, dim)."""
    dim = mesh.cell_dim(cell_type)
    if cell_type in (mesh.CellType.quadrilateral, mesh.CellType.hexahedron):
        return np.stack([[(i >> a) & 1 for a in range(dim)] for i in range(2**dim)])[None]
    # one simplex for each order in which a path from corner 0 to corner 1 takes the axes
    steps = [np.eye(dim, dtype=int)[list(order)] for order in permutations(range(dim))]
    return np.stack([np.vstack([np.zeros((1, dim), int), s.cumsum(axis=0)]) for s in steps])


def _vertices(cells: np.ndarray, counts: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Indices along each axis of the corners of cells, (cell, corner, dim)."""
    block, kind = np.divmod(cells, len(corners))
    origin = np.stack(np.unravel_index(block, counts[::-1])[::-1], axis=1)
    return origin[:, None, :] + corners[kind]


def _number(indices: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Numbers of points from their indices along each axis, x running fastest."""
    strides = np.concatenate([[1], np.cumprod(counts[:-1])])
    return indices @ strides
