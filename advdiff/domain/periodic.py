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

from advdiff.config.tables.space import FEWEST
from advdiff.core import compat


class PeriodicMesh(mesh.Mesh):
    """A mesh that closes upon itself.

    Attributes:
        periods: axis → the length after which it repeats.
    """

    periods: dict[int, float]


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
    opened = _number(_vertices(closed.topology.original_cell_index, counts, corners), points)
    numbers, index_map = _shared_numbers(comm, np.unique(opened), int(points.prod()))
    order = np.argsort(numbers)
    nodes = order[np.searchsorted(numbers[order], opened)]
    at = np.stack(np.unravel_index(numbers, points[::-1])[::-1], axis=1)
    geometry = cpp.mesh.Geometry_float64(
        index_map,
        nodes.astype(np.int32),
        compat.coordinate_map(closed)._cpp_object,
        np.asarray(lower) + at * ((np.asarray(upper) - np.asarray(lower)) / counts),
        numbers,
    )
    topology = closed.topology._cpp_object
    result = PeriodicMesh(cpp.mesh.Mesh_float64(comm, topology, geometry), ufl.Mesh(element))
    result.periods = {a: float(upper[a]) - float(lower[a]) for a in axes}
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


def _shared_numbers(
    comm: MPI.Comm, numbers: np.ndarray, count: int
) -> tuple[np.ndarray, common.IndexMap]:
    """Local order and index map of things that ranks know by their numbers (collective).

    The lowest rank that knows a number owns it.  Who that is, and where it has it, is asked of the
    rank that keeps this part of the register of all numbers.

    Args:
        numbers: those known here, each once, all below ``count``.

    Returns:
        The numbers, owned ones first, and the map.
    """
    keeper = numbers * comm.size // count
    asked = comm.alltoall([numbers[keeper == rank] for rank in range(comm.size)])
    everything = np.concatenate(asked)
    sender = np.repeat(np.arange(comm.size), [len(part) for part in asked])
    kept, first, which = np.unique(everything, return_index=True, return_inverse=True)
    owner_of_kept = sender[first]  # senders ascend, so the first is the lowest
    cuts = np.cumsum([len(part) for part in asked])[:-1]
    owner = np.empty(len(numbers), dtype=np.int32)
    for rank, part in enumerate(comm.alltoall(np.split(owner_of_kept[which], cuts))):
        owner[keeper == rank] = part
    mine = owner == comm.rank
    start = comm.exscan(int(mine.sum())) or 0
    places = np.full(len(numbers), -1, dtype=np.int64)
    places[mine] = start + np.arange(int(mine.sum()))
    told = comm.alltoall([places[keeper == rank] for rank in range(comm.size)])
    place_of_kept = np.full(len(kept), -1, dtype=np.int64)
    np.maximum.at(place_of_kept, which, np.concatenate(told))
    for rank, part in enumerate(comm.alltoall(np.split(place_of_kept[which], cuts))):
        places[keeper == rank] = part
    index_map = compat.index_map(comm, int(mine.sum()), places[~mine], owner[~mine])
    return np.concatenate([numbers[mine], numbers[~mine]]), index_map
