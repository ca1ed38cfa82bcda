"""Every difference between the DOLFINx versions we support (0.9 to 0.11), and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from dolfinx import common, fem, mesh
from mpi4py import MPI

TAG = 1718


def facet_partitioner() -> Callable:
    """Divides cells so that each rank sees both sides of its facets; 0.11 asks how many sides."""
    try:
        return mesh.create_cell_partitioner(mesh.GhostMode.shared_facet)
    except TypeError:
        return mesh.create_cell_partitioner(mesh.GhostMode.shared_facet, 2)


def gmsh_to_mesh(model, comm: MPI.Comm, gdim: int) -> tuple[mesh.Mesh, mesh.MeshTags | None]:
    """The mesh and its facet tags from a gmsh model that lives on rank 0 (collective)."""
    try:
        from dolfinx.io import gmsh as gmsh_reader  # 0.10 on

        data = gmsh_reader.model_to_mesh(model, comm, 0, gdim, facet_partitioner())
        return data.mesh, data.facet_tags
    except ImportError:
        from dolfinx.io import gmshio  # 0.9

        domain, _, facets = gmshio.model_to_mesh(model, comm, 0, gdim, facet_partitioner())
        return domain, facets


def interpolation_points(space: fem.FunctionSpace) -> np.ndarray:
    """Reference points at which ``space`` is interpolated; a method up to 0.9, a property since."""
    points = space.element.interpolation_points
    return points() if callable(points) else points


def cell_nodes(msh: mesh.Mesh) -> np.ndarray:
    """Geometry nodes of each local cell, (cell, node); ``dofmap`` up to 0.10, a list since."""
    geometry = msh.geometry
    return geometry.dofmaps[0] if hasattr(geometry, "dofmaps") else geometry.dofmap


def coordinate_map(msh: mesh.Mesh):
    """The map from the reference cell; ``cmap`` up to 0.10, a list since."""
    geometry = msh.geometry
    return geometry.cmaps[0] if hasattr(geometry, "cmaps") else geometry.cmap


def index_map(comm: MPI.Comm, owned: int, ghosts: np.ndarray, owners: np.ndarray):
    """A new index map; from 0.10 on it takes the tag of its first message (collective)."""
    try:
        return common.IndexMap(comm, owned, ghosts, owners)
    except TypeError:
        return common.IndexMap(comm, owned, ghosts, owners, TAG)
