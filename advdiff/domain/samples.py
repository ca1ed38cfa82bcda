"""Samples: the points at which results are written, in an order that does not depend on the ranks.

Continuous elements of low degree are sampled at the mesh vertices, discontinuous and high ones on a
lattice of points inside every cell.  Either way the points are the vertices of a mesh of linear
cells, and the order is that of the mesh as it was made or read, before it was distributed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from itertools import permutations
from typing import ClassVar

import basix
import basix.ufl
import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc as fem_petsc
from petsc4py import PETSc

from advdiff.core import compat, jit
from advdiff.domain.mesh import Domain

HIGH = 3
"""From this degree on, cells are sampled inside."""


def suited(domain: Domain, degree: int, is_discontinuous: bool = False) -> Samples:
    """The samples that show all of a function of this degree."""
    if is_discontinuous or degree >= HIGH:
        return CellSamples(domain, max(1, degree))
    return VertexSamples(domain)


class Samples(ABC):
    """Points, numbered globally, and the linear cells between them.

    Attributes:
        domain: where they are.
        cell: name of the linear cell, the mesh's own: interval, triangle, quadrilateral, …
        count: global number of points.
        degree: of the lattice of points in a cell; 1: its corners alone.
        layout: says in a result file what its points are.

    Making one is collective; coordinates are those of the mesh.

    >>> from mpi4py import MPI
    >>> from advdiff.domain.mesh import box
    >>> domain = box(MPI.COMM_WORLD, [0.0], [1.0], [4])
    >>> samples = suited(domain, degree=1)
    >>> numbers, points = samples.points()
    >>> points[np.argsort(numbers), 0]
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    >>> suited(domain, degree=3).count  # four in each cell
    16
    """

    count: int
    layout: dict[str, str | int]

    def __init__(self, domain: Domain, degree: int):
        self.domain, self.degree = domain, degree
        self.cell = domain.mesh.topology.cell_name()

    @cached_property
    def space(self) -> fem.FunctionSpace:
        """Discontinuous Lagrange functions with their nodes at the points of each cell."""
        element = basix.ufl.element(
            basix.ElementFamily.P,
            self.cell,
            self.degree,
            lagrange_variant=basix.LagrangeVariant.equispaced,
            discontinuous=True,
        )
        return fem.functionspace(self.domain.mesh, element)

    @cached_property
    def _nodal(self) -> fem.Function:
        return fem.Function(self.space)

    @property
    def _owned_cells(self) -> int:
        return self.domain.mesh.topology.index_map(self.domain.dim).size_local

    @property
    def _start(self) -> int:
        return self.space.dofmap.index_map.local_range[0]

    @cached_property
    def _dofs(self) -> np.ndarray:
        """Local unknowns of ``space`` in each owned cell, in the order of the lattice."""
        nodes = np.rint(self.degree * self.space.element.basix_element.points)
        return self.space.dofmap.list[: self._owned_cells, np.lexsort(nodes.T)]

    def vector(self) -> PETSc.Vec:
        """A new vector over the points, distributed in blocks."""
        return PETSc.Vec().createMPI((PETSc.DECIDE, self.count), comm=self.domain.comm)

    def _scatter(self, source: PETSc.Vec, rows: np.ndarray, places: np.ndarray) -> PETSc.Scatter:
        """From global rows of ``source`` to places in :meth:`vector` (collective)."""
        comm, target = self.domain.comm, self.vector()
        sets = [
            PETSc.IS().createGeneral(indices.astype(PETSc.IntType), comm=comm)
            for indices in (rows, places)
        ]
        scatter = PETSc.Scatter().create(source, sets[0], target, sets[1])
        for thing in (*sets, target):
            thing.destroy()
        return scatter

    @abstractmethod
    def values(self, function: fem.Function, out: PETSc.Vec | None = None) -> PETSc.Vec:
        """Values of a scalar function, whose ghosts are current, at the points (collective)."""

    @abstractmethod
    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (n) and coordinates (n, dim) of the points owned here."""

    @abstractmethod
    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (n) of the linear cells owned here, and their points (n, corners).

        Corners are in DOLFINx' order: of a quadrilateral or hexahedron that of a tensor product,
        x of the reference cell running fastest.
        """


class VertexSamples(Samples):
    """The mesh vertices in their original order."""

    layout: ClassVar = {"samples": "vertices"}

    def __init__(self, domain: Domain):
        super().__init__(domain, 1)
        self.count = domain.num_vertices
        self._scatters: dict[tuple[int, int], PETSc.Scatter] = {}

    def values(self, function: fem.Function, out: PETSc.Vec | None = None) -> PETSc.Vec:
        """Vertex values of a scalar function, whose ghosts are current (collective).

        A function without unknowns at the vertices, which may be discontinuous there, is averaged
        over the cells around the vertex, weighted by their size.
        """
        out = self.vector() if out is None else out
        each = function.function_space.dofmap.dof_layout
        nodes = compat.cell_nodes(self.domain.mesh).shape[1]
        corners = [each.entity_dofs(0, i) for i in range(nodes)]
        if all(len(dofs) == 1 for dofs in corners):
            source = function.x.petsc_vec
            scatter = self._nodal_scatter(function.function_space, np.ravel(corners), source)
            scatter.scatter(source, out, addv=PETSc.InsertMode.INSERT_VALUES)
            return out
        self._nodal.interpolate(function)
        source = self._nodal.x.petsc_vec
        source.pointwiseMult(source, self._shares)
        self._sum(source, out)
        out.pointwiseDivide(out, self._sizes)
        return out

    def _nodal_scatter(self, space: fem.FunctionSpace, corners: np.ndarray, source: PETSc.Vec):
        key = space.element.basix_element.hash(), space.dofmap.index_map.size_global
        if key not in self._scatters:
            msh = self.domain.mesh
            nodes, first = np.unique(compat.cell_nodes(msh), return_index=True)
            dofs = space.dofmap.list[:, corners].ravel()[first]
            # Nodes rather than unknowns: across a periodic boundary two share one.
            mine = nodes < msh.geometry.index_map().size_local
            rows = space.dofmap.index_map.local_to_global(dofs[mine])
            places = msh.geometry.input_global_indices[nodes[mine]]
            self._scatters[key] = self._scatter(source, rows, places)
        return self._scatters[key]

    @cached_property
    def _average(self) -> PETSc.Mat:
        """Sums the corners of all cells at every vertex, always in the same order."""
        nodes = compat.cell_nodes(self.domain.mesh)[: self._owned_cells].ravel()
        places = self.domain.mesh.geometry.input_global_indices[nodes]
        out, source = self.vector(), self._nodal.x.petsc_vec
        matrix = PETSc.Mat().createAIJ((out.getSizes(), source.getSizes()), comm=out.comm)
        columns = self._dofs.ravel() + self._start
        matrix.setUp()
        triplets = np.stack([places, columns]).astype(PETSc.IntType)[..., None]
        matrix.setValuesRCV(*triplets, np.ones((len(columns), 1)))
        matrix.assemble()
        return matrix

    def _sum(self, source: PETSc.Vec, out: PETSc.Vec) -> None:
        self._average.mult(source, out)

    @cached_property
    def _shares(self) -> PETSc.Vec:
        """The part of each cell's size that belongs to each of its corners."""
        test = ufl.TestFunction(self.space)
        return fem_petsc.assemble_vector(jit.form(test * self.domain.dx))

    @cached_property
    def _sizes(self) -> PETSc.Vec:
        """Their sum at each vertex."""
        sizes = self.vector()
        self._sum(self._shares, sizes)
        return sizes

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        geometry = self.domain.mesh.geometry
        owned = geometry.index_map().size_local
        return geometry.input_global_indices[:owned], geometry.x[:owned, : self.domain.dim]

    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        msh, owned = self.domain.mesh, self._owned_cells
        corners = msh.geometry.input_global_indices[compat.cell_nodes(msh)[:owned]]
        return msh.topology.original_cell_index[:owned], corners


class CellSamples(Samples):
    """A lattice of equally spaced points in every cell, its boundary among them.

    Point ``i`` of cell ``c``, in the original order of the cells, is number ``c * per_cell + i``;
    on the lattice x of the reference cell runs fastest, z slowest.  Neighbouring cells each have
    their own points on the side they share, so that jumps are seen.

    Args:
        domain: where they are.
        degree: at least 1; ``degree + 1`` points along an edge.
    """

    def __init__(self, domain: Domain, degree: int):
        super().__init__(domain, degree)
        self.per_cell = self._dofs.shape[1]
        self.count = domain.mesh.topology.index_map(domain.dim).size_global * self.per_cell
        self.layout = {"samples": "cells", "degree": degree, "points_per_cell": self.per_cell}

    @cached_property
    def _places(self) -> np.ndarray:
        """Numbers of the points of each owned cell, (cell, point)."""
        original = self.domain.mesh.topology.original_cell_index[: self._owned_cells]
        return original[:, None] * self.per_cell + np.arange(self.per_cell)

    @cached_property
    def _to_points(self) -> PETSc.Scatter:
        rows = self._dofs.ravel() + self._start
        return self._scatter(self._nodal.x.petsc_vec, rows, self._places.ravel())

    def values(self, function: fem.Function, out: PETSc.Vec | None = None) -> PETSc.Vec:
        """Values of a scalar function, whose ghosts are current, at the points (collective)."""
        out = self.vector() if out is None else out
        self._nodal.interpolate(function)
        source = self._nodal.x.petsc_vec
        self._to_points.scatter(source, out, addv=PETSc.InsertMode.INSERT_VALUES)
        return out

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        x = self.space.tabulate_dof_coordinates()[:, : self.domain.dim]
        return self._places.ravel(), x[self._dofs.ravel()]

    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        parts = subdivision(self.cell, self.degree)
        original = self.domain.mesh.topology.original_cell_index[: self._owned_cells]
        numbers = original[:, None] * len(parts) + np.arange(len(parts))
        return numbers.ravel(), self._places[:, parts].reshape(-1, parts.shape[1])


def subdivision(cell: str, degree: int) -> np.ndarray:
    """The ``degree**dim`` linear cells of a cell's lattice, as points of it, (part, corner).

    A simplex is cut along the planes of Freudenthal's triangulation: in the coordinates
    s = (x + y + z, y + z, z) its points are those with s decreasing, and each part goes from its
    lowest point one step along each axis of s, in some order.
    """
    tensor = cell in ("quadrilateral", "hexahedron")
    dim = {"interval": 1, "triangle": 2, "tetrahedron": 3, "quadrilateral": 2, "hexahedron": 3}[
        cell
    ]
    lattice = _lattice(dim, degree, tensor)
    number = np.zeros((degree + 1,) * dim, dtype=np.int64)
    number[tuple(lattice.T)] = np.arange(len(lattice))
    if tensor:
        shapes = [_lattice(dim, 1, tensor)]
    else:
        steps = np.eye(dim, dtype=np.int64) - np.eye(dim, k=-1, dtype=np.int64)
        shapes = []
        for order in permutations(range(dim)):
            path = np.vstack([np.zeros(dim, dtype=np.int64), np.cumsum(steps[list(order)], axis=0)])
            if np.linalg.det(path[1:]) < 0:  # oriented as the cell is
                path[[-2, -1]] = path[[-1, -2]]
            shapes.append(path)
    parts = []
    for shape in shapes:
        corners = lattice[:, None] + shape
        height = corners.max(axis=2) if tensor else corners.sum(axis=2)
        inside = (corners.min(axis=2) >= 0).all(axis=1) & (height <= degree).all(axis=1)
        parts.append(number[tuple(np.moveaxis(corners[inside], 2, 0))])
    return np.concatenate(parts)


def _lattice(dim: int, degree: int, tensor: bool) -> np.ndarray:
    """Integer coordinates of a cell's lattice, (point, dim), x fastest."""
    points = np.indices((degree + 1,) * dim).reshape(dim, -1)[::-1].T
    return points if tensor else points[points.sum(axis=1) <= degree]
