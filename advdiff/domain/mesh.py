"""The domain: a mesh and the names of its boundary parts."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from functools import cached_property
from pathlib import Path

import numpy as np
import ufl
from dolfinx import fem, mesh
from mpi4py import MPI

from advdiff.config.expression import AXES
from advdiff.core import compat, jit, memory
from advdiff.core.errors import InputError, suggestion
from advdiff.core.ranks import on_root
from advdiff.domain import gmsh_child
from advdiff.domain import periodic as closed

SIDES = ("left", "right", "bottom", "top", "front", "back")
SIMPLICES = {1: mesh.CellType.interval, 2: mesh.CellType.triangle, 3: mesh.CellType.tetrahedron}


class Domain:
    """A distributed mesh with named boundary parts.

    Attributes:
        mesh: the DOLFINx mesh.
        facet_tags: tags of its boundary facets.
        tags: name of a boundary part → its tag; every other boundary facet is a wall.
        inside: name of a part → how many of its facets lie between two cells, where some do.

    Lengths are yours: those of the coordinates of the mesh.

    >>> domain = box(MPI.COMM_WORLD, [0.0], [2.0], [8])
    >>> domain.dim, domain.num_vertices, round(domain.measure, 12)
    (1, 9, 2.0)
    >>> domain.tag("top", "physics.inflow")
    Traceback (most recent call last):
    advdiff.core.errors.InputError: physics.inflow: no boundary part 'top'; known: left, right
    """

    def __init__(self, msh: mesh.Mesh, facet_tags: mesh.MeshTags, tags: dict[str, int]):
        self.mesh, self.facet_tags, self.tags = msh, facet_tags, tags
        self.ds = ufl.Measure("ds", domain=msh, subdomain_data=facet_tags)
        self.dx = ufl.Measure("dx", domain=msh)
        self.inside = self._count_inside()
        self._sides: dict[str | None, ufl.Measure] = {}

    def _count_inside(self) -> dict[str, int]:
        """See ``inside`` (collective)."""
        if not self.tags:
            return {}
        topology = self.mesh.topology
        topology.create_connectivity(self.dim - 1, self.dim)
        owned = topology.index_map(self.dim - 1).size_local
        boundary = mesh.exterior_facet_indices(topology)
        inner = np.setdiff1d(self.facet_tags.indices[self.facet_tags.indices < owned], boundary)
        values = self.facet_tags.values[np.isin(self.facet_tags.indices, inner)]
        local = np.array([np.count_nonzero(values == tag) for tag in self.tags.values()])
        counts = self.comm.allreduce(local, MPI.SUM)
        return {name: int(n) for name, n in zip(self.tags, counts, strict=True) if n}

    @property
    def is_simplicial(self) -> bool:
        """Intervals, triangles or tetrahedra; not quadrilaterals or hexahedra."""
        return self.mesh.topology.cell_type in SIMPLICES.values()

    @property
    def comm(self) -> MPI.Comm:
        return self.mesh.comm

    @property
    def dim(self) -> int:
        """Topological dimension, which is also the geometric one."""
        return self.mesh.topology.dim

    @property
    def num_vertices(self) -> int:
        """Global number of vertices."""
        return self.mesh.geometry.index_map().size_global

    @property
    def size(self) -> memory.Size:
        """For an estimate of the memory."""
        cells = self.mesh.topology.index_map(self.dim).size_global
        return memory.Size(self.mesh.topology.cell_name(), cells, self.num_vertices)

    def tag(self, name: str, key: str) -> int:
        """The tag of a boundary part.

        Raises:
            InputError: if the mesh has none of this name, or it does not lie on the boundary.
        """
        if name not in self.tags:
            raise InputError(
                f"{key}: no boundary part '{name}'; {suggestion(name, list(self.tags))}"
            )
        if name in self.inside:
            raise InputError(
                f"{key}: {self.inside[name]} sides of the physical group '{name}' lie inside the "
                "domain, between two cells; name a group of boundary sides, or leave the cells on "
                "one side of it out of every physical group"
            )
        return self.tags[name]

    def facets(self, names: Sequence[str], key: str) -> np.ndarray:
        """Local indices of the facets of the named boundary parts."""
        found = [self.facet_tags.find(self.tag(name, key)) for name in names]
        return np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int32)

    def side(self, name: str | None) -> ufl.Measure:
        """The measure of one boundary part, or of the whole boundary: a form of it is compiled once
        for all parts of all meshes (collective at first use of a part).
        """
        if name not in self._sides:
            if name is None:
                self.mesh.topology.create_connectivity(self.dim - 1, self.dim)
                facets = mesh.exterior_facet_indices(self.mesh.topology)
            else:
                facets = self.facet_tags.find(self.tags[name])
            tags = mesh.meshtags(
                self.mesh, self.dim - 1, facets, np.full(len(facets), 1, dtype=np.int32)
            )
            self._sides[name] = ufl.Measure("ds", domain=self.mesh, subdomain_data=tags)(1)
        return self._sides[name]

    @cached_property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner of the bounding box (collective at first use)."""
        x = self.mesh.geometry.x[:, : self.dim]
        lower = x.min(axis=0) if len(x) else np.full(self.dim, np.inf)
        upper = x.max(axis=0) if len(x) else np.full(self.dim, -np.inf)
        return (
            np.array([self.comm.allreduce(float(v), MPI.MIN) for v in lower]),
            np.array([self.comm.allreduce(float(v), MPI.MAX) for v in upper]),
        )

    @property
    def extent(self) -> float:
        """The longest side of the bounding box (collective at first use)."""
        lower, upper = self.bounds
        return float(np.max(upper - lower))

    @cached_property
    def measure(self) -> float:
        """Length, area or volume of the domain (collective at first use)."""
        one = jit.form(fem.Constant(self.mesh, 1.0) * self.dx)
        return self.comm.allreduce(fem.assemble_scalar(one), MPI.SUM)

    def norm(self, expression) -> float:
        """‖expression‖ in L² (collective)."""
        square = jit.form(ufl.inner(expression, expression) * self.dx)
        return float(np.sqrt(self.comm.allreduce(fem.assemble_scalar(square), MPI.SUM)))


def box(
    comm: MPI.Comm,
    lower: Sequence[float],
    upper: Sequence[float],
    cells: Sequence[int],
    cell: str | None = None,
    periodic: Sequence[str] = (),
) -> Domain:
    """An interval, rectangle or box with its sides tagged by name (collective).

    Sides are ``left, right`` (x), ``bottom, top`` (y), ``front, back`` (z).

    Args:
        cell: kind of cell; simplices where none is given.
        periodic: names of the axes along which the box closes upon itself, and has no sides.

    >>> channel = box(MPI.COMM_WORLD, [0.0, 0.0], [3.0, 1.0], [6, 2], periodic=["x"])
    >>> channel.tags, round(channel.measure, 12)
    ({'bottom': 3, 'top': 4}, 3.0)
    """
    dim = len(cells)
    kind = SIMPLICES[dim] if cell is None else mesh.CellType[cell]
    axes = [AXES.index(name) for name in periodic]
    if axes:
        msh = closed.box(comm, lower, upper, cells, kind, axes)
    else:  # DOLFINx refuses boxes below 2e-16: a unit one, put in its place
        if dim == 1:
            msh = mesh.create_unit_interval(comm, *cells)
        else:
            create = mesh.create_unit_square if dim == 2 else mesh.create_unit_cube
            msh = create(comm, *cells, kind)
        x = msh.geometry.x[:, :dim]
        x[:] = np.asarray(lower) + x * (np.asarray(upper) - np.asarray(lower))
    msh.topology.create_connectivity(dim - 1, dim)
    facets, values, names = [], [], {}
    for axis in set(range(dim)) - set(axes):
        for end, bound in enumerate((lower[axis], upper[axis])):
            tolerance = 0.25 * (upper[axis] - lower[axis]) / cells[axis]
            found = mesh.locate_entities_boundary(
                msh, dim - 1, lambda x, a=axis, b=bound, t=tolerance: np.abs(x[a] - b) < t
            )
            names[SIDES[2 * axis + end]] = 2 * axis + end + 1
            facets.append(found)
            values.append(np.full(len(found), 2 * axis + end + 1, dtype=np.int32))
    if not facets:
        return Domain(msh, _no_tags(msh), {})
    indices, unique = np.unique(np.concatenate(facets), return_index=True)
    tags = mesh.meshtags(
        msh, dim - 1, indices.astype(np.int32), np.concatenate(values)[unique].astype(np.int32)
    )
    return Domain(msh, tags, names)


def _no_tags(msh: mesh.Mesh) -> mesh.MeshTags:
    empty = np.empty(0, dtype=np.int32)
    return mesh.meshtags(msh, msh.topology.dim - 1, empty, empty)


def _cell_size(dim: int) -> float:
    """Bytes that a cell of a mesh takes, about."""
    return memory.MESH[SIMPLICES[dim].name]


def gmsh_file(comm: MPI.Comm, path: Path, mesh_size: float | None, key: str) -> Domain:
    """A mesh from a gmsh ``.geo`` or ``.msh`` file, with its physical groups as names (collective).

    Args:
        path: the file; a ``.geo`` is meshed on rank 0.
        mesh_size: upper bound of the cell size (``.geo`` only); the file's own where ``None``.
        key: the experiment file's key, for messages.

    Raises:
        InputError: if the file cannot be read, has no named group of cells, or cells that are flat,
            twice there or overlapping; if a script would do more than draw.
    """

    def load():
        if not path.is_file():
            raise InputError(f"{key}: {path} does not exist; give a .geo or .msh file")
        clean = Path(folder) / "clean.msh"
        room = memory.machine(MPI.COMM_SELF)
        most = [0.0, *(room / _cell_size(dim) for dim in SIMPLICES)]
        found = gmsh_child.prepare(path, clean, mesh_size, most)
        if "cells" in found:
            size = found["cells"] * _cell_size(found["dim"])
            memory.require(MPI.COMM_SELF, size, f"domain.mesh_size = {mesh_size:g}", "raise it")
        if "error" in found:
            raise InputError(f"{key}: {found['error']}")
        import gmsh

        gmsh.initialize(interruptible=False)
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.open(str(clean))
        gmsh.model.mesh.renumberNodes()
        return found["dim"], found["names"]

    with tempfile.TemporaryDirectory() if comm.rank == 0 else nullcontext() as folder:
        try:
            dim, names = on_root(comm, load)
            model = None
            if comm.rank == 0:
                import gmsh

                model = gmsh.model
            msh, tags = compat.gmsh_to_mesh(model, comm, dim)
        finally:
            if comm.rank == 0:
                with suppress(ImportError):
                    import gmsh

                    if gmsh.isInitialized():
                        gmsh.finalize()
    msh.topology.create_connectivity(dim - 1, dim)
    return Domain(msh, _no_tags(msh) if tags is None else tags, names)
