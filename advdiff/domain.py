"""The domain: a mesh, the names of its boundary parts, and the order its vertices were given in.

Results are written in the original vertex order (``Domain.vertices``), which does not depend on
how the mesh was distributed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np
import ufl
from dolfinx import fem, mesh
from mpi4py import MPI
from petsc4py import PETSc

from advdiff import compat, memory
from advdiff.errors import InputError, on_root, suggestion

SIDES = ("left", "right", "bottom", "top", "front", "back")
CELLS = {1: mesh.CellType.interval, 2: mesh.CellType.triangle, 3: mesh.CellType.tetrahedron}


class Domain:
    """A distributed mesh with named boundary parts.

    Attributes:
        mesh: the DOLFINx mesh.
        facet_tags: tags of its boundary facets.
        tags: name of a boundary part → its tag; every other boundary facet is a wall.
    """

    def __init__(self, msh: mesh.Mesh, facet_tags: mesh.MeshTags, tags: dict[str, int]):
        self.mesh, self.facet_tags, self.tags = msh, facet_tags, tags
        self.ds = ufl.Measure("ds", domain=msh, subdomain_data=facet_tags)
        self.dx = ufl.Measure("dx", domain=msh)

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

    def tag(self, name: str, key: str) -> int:
        """The tag of a boundary part.

        Raises:
            InputError: if the mesh has none of this name.
        """
        if name not in self.tags:
            raise InputError(
                f"{key}: no boundary part '{name}'; {suggestion(name, list(self.tags))}"
            )
        return self.tags[name]

    def facets(self, names: Sequence[str], key: str) -> np.ndarray:
        """Local indices of the facets of the named boundary parts."""
        found = [self.facet_tags.find(self.tag(name, key)) for name in names]
        return np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int32)

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

    @cached_property
    def measure(self) -> float:
        """Length, area or volume of the domain (collective at first use)."""
        one = fem.form(fem.Constant(self.mesh, 1.0) * self.dx)
        return self.comm.allreduce(fem.assemble_scalar(one), MPI.SUM)

    @cached_property
    def vertices(self) -> VertexOrder:
        """The map from degrees of freedom to the original vertex order."""
        return VertexOrder(self)


class VertexOrder:
    """Carries nodal values to vectors in the original vertex order (block distributed)."""

    def __init__(self, domain: Domain):
        self._domain = domain
        self._scatters: dict[int, PETSc.Scatter] = {}
        self.space = fem.functionspace(domain.mesh, ("Lagrange", 1))

    def _scatter(self, space: fem.FunctionSpace, source: PETSc.Vec, target: PETSc.Vec):
        key = space.element.basix_element.degree
        if key not in self._scatters:
            msh = self._domain.mesh
            layout = space.dofmap.dof_layout
            corners = [layout.entity_dofs(0, i)[0] for i in range(compat.cell_nodes(msh).shape[1])]
            dofs = space.dofmap.list[:, corners].ravel()
            nodes = compat.cell_nodes(msh).ravel()
            local = dofs < space.dofmap.index_map.size_local
            dofs, first = np.unique(dofs[local], return_index=True)
            original = msh.geometry.input_global_indices[nodes[local][first]]
            start = space.dofmap.index_map.local_range[0]
            comm = self._domain.comm
            rows = PETSc.IS().createGeneral((dofs + start).astype(PETSc.IntType), comm=comm)
            places = PETSc.IS().createGeneral(original.astype(PETSc.IntType), comm=comm)
            self._scatters[key] = PETSc.Scatter().create(source, rows, target, places)
        return self._scatters[key]

    def vector(self) -> PETSc.Vec:
        """A new vector over the vertices in their original order."""
        size = (PETSc.DECIDE, self._domain.num_vertices)
        return PETSc.Vec().createMPI(size, comm=self._domain.comm)

    def values(self, function: fem.Function, out: PETSc.Vec | None = None) -> PETSc.Vec:
        """Vertex values of a scalar Lagrange function, in original order (collective)."""
        out = self.vector() if out is None else out
        source = function.x.petsc_vec
        scatter = self._scatter(function.function_space, source, out)
        scatter.scatter(source, out, addv=PETSc.InsertMode.INSERT_VALUES)
        return out

    def read(self, vector: PETSc.Vec, function: fem.Function) -> None:
        """Set a P1 function from values in original order (collective)."""
        target = function.x.petsc_vec
        scatter = self._scatter(function.function_space, target, vector)
        scatter.scatter(vector, target, addv=PETSc.InsertMode.INSERT_VALUES, mode="reverse")
        function.x.scatter_forward()

    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        """Original indices (n) of the cells owned here and of their corners (n, corners)."""
        msh = self._domain.mesh
        owned = msh.topology.index_map(msh.topology.dim).size_local
        corners = msh.geometry.input_global_indices[compat.cell_nodes(msh)[:owned]]
        return msh.topology.original_cell_index[:owned], corners


def box(
    comm: MPI.Comm,
    lower: Sequence[float],
    upper: Sequence[float],
    cells: Sequence[int],
) -> Domain:
    """An interval, rectangle or box of simplices with its sides tagged by name (collective).

    Sides are ``left, right`` (x), ``bottom, top`` (y), ``front, back`` (z).
    """
    dim = len(cells)
    if dim == 1:
        msh = mesh.create_interval(comm, cells[0], [lower[0], upper[0]])
    elif dim == 2:
        msh = mesh.create_rectangle(comm, [lower, upper], cells, CELLS[2])
    else:
        msh = mesh.create_box(comm, [lower, upper], cells, CELLS[3])
    msh.topology.create_connectivity(dim - 1, dim)
    facets, values = [], []
    for axis in range(dim):
        for end, bound in enumerate((lower[axis], upper[axis])):
            tolerance = 1e-9 * (upper[axis] - lower[axis])
            found = mesh.locate_entities_boundary(
                msh, dim - 1, lambda x, a=axis, b=bound, t=tolerance: np.abs(x[a] - b) < t
            )
            facets.append(found)
            values.append(np.full(len(found), 2 * axis + end + 1, dtype=np.int32))
    indices, unique = np.unique(np.concatenate(facets), return_index=True)
    tags = mesh.meshtags(
        msh, dim - 1, indices.astype(np.int32), np.concatenate(values)[unique].astype(np.int32)
    )
    return Domain(msh, tags, {name: i + 1 for i, name in enumerate(SIDES[: 2 * dim])})


def gmsh_file(comm: MPI.Comm, path: Path, mesh_size: float | None, key: str) -> Domain:
    """A mesh from a gmsh ``.geo`` or ``.msh`` file, with its physical groups as names (collective).

    Args:
        path: the file; a ``.geo`` is meshed on rank 0.
        mesh_size: upper bound of the cell size (``.geo`` only); the file's own where ``None``.
        key: the experiment file's key, for messages.

    Raises:
        InputError: if the file cannot be read, or has no volume cells or no named group of them.
    """

    def load():
        if not path.is_file():
            raise InputError(f"{key}: {path} does not exist; give a .geo or .msh file")
        try:
            import gmsh
        except ImportError:
            raise InputError(
                f"{key}: {path} needs the Python module gmsh; install it (Debian: python3-gmsh)"
            ) from None

        gmsh.initialize(interruptible=False)
        gmsh.option.setNumber("General.Terminal", 0)
        if mesh_size is not None:  # for a .geo that reads it: DefineConstant[ mesh_size = … ]
            gmsh.onelab.setNumber("mesh_size", [mesh_size])
        try:
            gmsh.open(str(path))
            if path.suffix == ".geo":
                limit_cells(gmsh.model)
                if mesh_size is not None:
                    gmsh.option.setNumber("Mesh.MeshSizeMax", mesh_size)
                gmsh.model.mesh.generate(gmsh.model.getDimension())
        except InputError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{key}: gmsh cannot read {path}: {reason}; mend it") from None
        dim = gmsh.model.getDimension()
        groups = gmsh.model.getPhysicalGroups(dim) if dim > 0 else []
        counts = gmsh.model.mesh.getElements(dim)[1] if dim > 0 else []
        if not groups or sum(len(c) for c in counts) == 0:
            raise InputError(
                f"{key}: {path} has no physical group of cells; name the domain with "
                "'Physical Surface(\"water\") = {...};' (or Physical Volume)"
            )
        kinds = gmsh.model.mesh.getElementTypes(dim)
        orders = {gmsh.model.mesh.getElementProperties(kind)[2] for kind in kinds}
        if orders != {1} or len(kinds) != 1:
            raise InputError(f"{key}: {path} needs cells of one kind and order 1; mesh it so")
        flat = gmsh.model.mesh.getNodes()[1].reshape(-1, 3)[:, dim:]
        if flat.size and np.ptp(flat, axis=0).max(initial=0.0) > 0:
            raise InputError(
                f"{key}: {path} is curved, cells of dimension {dim} in space; a domain must be "
                f"flat, in {', '.join('xyz'[:dim])}"
            )
        names = {
            gmsh.model.getPhysicalName(dim - 1, tag) or str(tag): tag
            for _, tag in gmsh.model.getPhysicalGroups(dim - 1)
        }
        return dim, names

    def limit_cells(model):
        dim = model.getDimension()
        if mesh_size is not None and dim > 0:
            box = model.getBoundingBox(-1, -1)
            sides = [b - a for a, b in zip(box[:dim], box[3 : 3 + dim], strict=True)]
            cells = float(np.prod([max(s / mesh_size, 1.0) for s in sides])) * (1, 1, 2, 6)[dim]
            what = f"domain.mesh_size = {mesh_size:g}"
            memory.require(MPI.COMM_SELF, memory.estimate(cells, dim, 1, 1), what, "raise it")

    try:
        dim, names = on_root(comm, load)
        if comm.rank == 0:
            import gmsh

            model = gmsh.model
        else:
            model = None
        msh, tags = compat.gmsh_to_mesh(model, comm, dim)
    finally:
        if comm.rank == 0:
            with suppress(ImportError):
                import gmsh

                if gmsh.isInitialized():
                    gmsh.finalize()
    msh.topology.create_connectivity(dim - 1, dim)
    if tags is None:
        empty = np.empty(0, dtype=np.int32)
        tags = mesh.meshtags(msh, dim - 1, empty, empty)
    return Domain(msh, tags, names)
