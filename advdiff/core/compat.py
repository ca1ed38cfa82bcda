"""What differs between the libraries we run on, and nothing else: DOLFINx 0.9 to 0.11, and wheels.

Needs none of them before it is asked.
"""

from __future__ import annotations

import importlib
import os
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from dolfinx import fem, mesh
    from mpi4py import MPI

PETSC_INSIDE = ("dolfinx", "petsc4py", "slepc4py")
"""Packages that load PETSc."""
COMPILER = "type   apt-get install gcc libc6-dev python3-dev   (or name one in CC)"
TAG = 1718


class _Order:
    """A finder of modules that finds none: it loads what has to be there before PETSc is.

    * h5py's wheel has an HDF5 of its own, and cannot be loaded once PETSc's is there for the whole
      process, as DOLFINx makes it where numba is installed ("Not a datatype").
    * The wheel ``dolfinx-solver-real`` finds MPI through mpi4py; its package ``dolfinx_solver``
      sees to that, and that no other petsc4py stands before the wheel's own.
    """

    @staticmethod
    def find_spec(name: str, path=None, target=None) -> None:
        """Act before the first of PETSc's; never find anything."""
        if name in PETSC_INSIDE:
            sys.meta_path.remove(_Order)
            try:
                _load_first()
            except BaseException:
                sys.meta_path.insert(0, _Order)
                raise


def keep_order() -> None:
    """See to it that PETSc, whoever imports it, finds what has to be loaded before it."""
    if any(sys.modules.get(name) is not None for name in PETSC_INSIDE):
        _load_first()  # late, and often early enough
    elif _Order not in sys.meta_path:
        sys.meta_path.insert(0, _Order)


def _load_first() -> None:
    h5py = find_spec("h5py")
    if h5py is not None and Path(h5py.origin).parents[1].joinpath("h5py.libs").is_dir():
        try:
            importlib.import_module("h5py")
        except Exception as error:
            raise ImportError(f"h5py: {error}; import advdiff before DOLFINx") from error
    if find_spec("dolfinx_solver") is not None:
        importlib.import_module("dolfinx_solver")


def steady_sums() -> None:
    """Let inner products of vectors made from now on be the same bits wherever these lie in memory.

    From 3.21 on PETSc takes several of them together by BLAS where the vectors happen to lie at
    equal distances, and one by one elsewhere (``-vec_mdot_use_gemv``).
    """
    from petsc4py import PETSc

    options = PETSc.Options()
    if not options.hasName("vec_mdot_use_gemv"):
        options.setValue("vec_mdot_use_gemv", False)


def compiler() -> list[str]:
    """The words of the command that compiles forms, as Python's build tools choose it."""
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")


def compiler_trouble() -> str | None:
    """What a compile of forms lacks, at a glance, and what to type; None where all is here."""
    command = compiler()
    header = Path(sysconfig.get_path("include"), "Python.h")
    if shutil.which(command[0]) is None:
        missing = f"no C compiler ({command[0]})"
    elif not header.is_file():
        missing = f"no {header}"
    else:
        return None
    return f"{missing}, by which the forms of the equation are compiled; {COMPILER}"


def facet_partitioner() -> Callable:
    """Divides cells so that each rank sees both sides of its facets; 0.11 asks how many sides."""
    from dolfinx import mesh

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
    from dolfinx import common

    try:
        return common.IndexMap(comm, owned, ghosts, owners)
    except TypeError:
        return common.IndexMap(comm, owned, ghosts, owners, TAG)
