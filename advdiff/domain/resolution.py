"""Whether a mesh has seen a field that is interpolated on it: is its integral still there?

What is narrower than a cell can stand between the nodes, which then know nothing of it, or on one
of them, which takes it for as wide as its cells.  So the field is looked at on a lattice of points
inside every cell, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import basix
import numpy as np
from dolfinx import fem
from mpi4py import MPI

from advdiff.core.compat import cell_nodes, coordinate_map
from advdiff.core.errors import InputError
from advdiff.core.ranks import agreed
from advdiff.domain.fields import Field

POINTS, LEAST, MOST = 1 << 19, 2, 1024
"""Of the lattices: points in all, about, and along an axis of a cell."""
CHUNK = 1 << 14
"""Points looked at together, few enough to stay in the cache."""
SIMPLICES = (basix.CellType.triangle, basix.CellType.tetrahedron)
WARNED, REFUSED = 0.05, 0.5
"""Of ∫|f|: a difference of the integrals that is said, and one that makes it another field."""


class Resolution(NamedTuple):
    """What a mesh has made of a field f.

    Attributes:
        integral, size: ∫f and ∫|f| over the domain, by the lattice.
        interpolated: ∫ of the interpolant, by the same.
        width: of what there is of f: (∫|f| / max|f|)^(1/dim).
        where: middle of the cell that misses most, or has too much.
        cell: its width.
    """

    integral: float
    size: float
    interpolated: float
    width: float
    where: tuple[float, ...]
    cell: float

    @property
    def missed(self) -> float:
        """The difference of the integrals, relative to ∫|f|; 0 where f is 0."""
        return abs(self.interpolated - self.integral) / self.size if self.size > 0.0 else 0.0

    def said(self, key: str) -> str:
        """What there is to say, and what to do."""
        where = ", ".join(f"{x:.4g}" for x in self.where)
        return (
            f"{key}: its integral is {self.integral:.3g}, and {self.interpolated:.3g} on the mesh, "
            f"whose cells are too wide for it: about {self.cell:.2g} at ({where}), all of it about "
            f"{self.width:.2g}; refine domain.cells or mesh_size, or give it as wide as two cells "
            "with the same integral"
        )


def resolution(field: Field, function: fem.Function) -> Resolution:
    """Of a scalar field and its interpolant, a Lagrange function (collective)."""
    space = function.function_space
    comm, dim = space.mesh.comm, space.mesh.topology.dim
    integral = size = interpolated = peak = 0.0
    worst: tuple = (-1.0, (), 0.0)
    with agreed(comm):
        for x, weights, there in _lattices(function):
            here = np.asarray(field(x.reshape(-1, 3).T)).reshape(there.shape)
            here = np.where(np.isfinite(here), here, there)
            missed = np.abs(np.sum(weights * (here - there), axis=1))
            integral += float(np.sum(weights * here))
            size += float(np.sum(weights * np.abs(here)))
            interpolated += float(np.sum(weights * there))
            peak = max(peak, float(np.abs(here).max(initial=0.0)))
            if len(missed) and missed.max() > worst[0]:
                i = int(missed.argmax())
                middle = tuple(float(v) for v in x[i].mean(axis=0)[:dim])
                worst = float(missed[i]), middle, float(weights[i].sum()) ** (1 / dim)
    integral, size, interpolated = (
        comm.allreduce(value, MPI.SUM) for value in (integral, size, interpolated)
    )
    peak = comm.allreduce(peak, MPI.MAX)
    _, where, cell = max(comm.allgather(worst))
    width = (size / peak) ** (1 / dim) if peak > 0.0 else 0.0
    return Resolution(integral, size, interpolated, width, where, cell)


def require_resolved(field: Field, function: fem.Function, key: str) -> Resolution:
    """Raise where the interpolant has not half of the field, or half as much again (collective).

    Raises:
        InputError: with the integrals, the widths, the place, and what to do.
    """
    found = resolution(field, function)
    if found.missed > REFUSED:
        raise InputError(found.said(key))
    return found


def _lattices(function: fem.Function) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Chunks of this rank's cells: points (cell, point, 3), weights and values (cell, point)."""
    space = function.function_space
    msh = space.mesh
    cells = msh.topology.index_map(msh.topology.dim)
    cell = space.element.basix_element.cell_type
    points, weights = _lattice(cell, cells.size_global)
    corners = msh.ufl_domain().ufl_coordinate_element().basix_element.tabulate(1, points)[..., 0]
    is_affine = cell in SIMPLICES and coordinate_map(msh).degree == 1
    slopes = corners[1:, :1] if is_affine else corners[1:]  # the same at all points
    values = space.element.basix_element.tabulate(0, points)[0, :, :, 0]
    geometry, dofs = cell_nodes(msh), space.dofmap.list
    chunk = max(1, CHUNK // len(points))
    for first in range(0, cells.size_local, chunk):
        some = slice(first, min(first + chunk, cells.size_local))
        nodes = msh.geometry.x[geometry[some]]
        jacobian = slopes[:, None] @ nodes[..., : msh.geometry.dim]
        scaled = weights * np.abs(np.linalg.det(np.moveaxis(jacobian, 0, 2)))
        yield corners[0] @ nodes, scaled, function.x.array[dofs[some]] @ values.T


def _lattice(cell: basix.CellType, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of the reference cell and their weights: those of boxes, folded into a simplex."""
    dim = len(basix.topology(cell)) - 1
    count = int(np.clip((POINTS / cells) ** (1 / dim), LEAST, MOST))
    middles = (np.arange(count) + 0.5) / count
    points = np.stack(np.meshgrid(*[middles] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
    weights = np.ones(len(points))
    if cell in SIMPLICES:
        rest = np.cumprod(1.0 - points[:, :-1], axis=1)
        points[:, 1:] *= rest
        weights = rest.prod(axis=1)
    volume = 1.0 / np.prod(np.arange(1, dim + 1)) if cell in SIMPLICES else 1.0
    return points, weights * (volume / weights.sum())
