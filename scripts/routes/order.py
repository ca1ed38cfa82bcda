"""What DOLFINx and PETSc of the wheels need is loaded before them, whoever asks for them first.

Lies in the environment's site-packages, and is run as Python starts. DOLFINx's wheel finds MPI
through `dolfinx_solver`, and an h5py loaded after PETSc finds PETSc's HDF5 in place of its own.
"""

import sys
from importlib import import_module


class Before:
    """A finder that finds nothing."""

    def find_spec(self, name, path=None, target=None):
        if name in ("dolfinx", "petsc4py", "slepc4py"):
            sys.meta_path.remove(self)
            for first in ("h5py", "dolfinx_solver"):
                import_module(first)


sys.meta_path.insert(0, Before())
