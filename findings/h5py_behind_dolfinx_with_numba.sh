#!/usr/bin/env bash
# h5py 3.16.0, DOLFINx 0.11.0 (dolfinx-solver-real 0.11.0.post0), numba 0.68.1, 2026-11-30.
#
# All from PyPI.  Where numba is installed, dolfinx.fem.petsc loads its PETSc by llvmlite for the whole
# process, and with it another HDF5 than the one in h5py's wheel.
#
# Expected: h5py to be importable before and behind dolfinx.fem.petsc.
# Seen:     behind it, ValueError: Not a datatype (not a datatype).  It works before it, or without numba.
# As in h5py issue 424 (closed), where osgeo was the other library.
source "$(dirname "$0")/common.sh"
packages "${DOLFINX[@]}" h5py==3.16.0 numba==0.68.1
stated <<'PY'
import subprocess
import sys


def end(program):
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True)
    last = (done.stderr.strip() or "works").splitlines()[-1]
    print(f"{program}: {last}")
    return last


assert end("import dolfinx_solver, h5py, dolfinx.fem.petsc") == "works"
without = "import sys; sys.modules['numba'] = None; "
assert end(without + "import dolfinx_solver, dolfinx.fem.petsc, h5py") == "works"
assert "Not a datatype" in end("import dolfinx_solver, dolfinx.fem.petsc, h5py"), "any order works"
PY
