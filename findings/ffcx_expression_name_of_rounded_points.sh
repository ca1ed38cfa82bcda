#!/usr/bin/env bash
# FFCx 0.11.0 with DOLFINx 0.11.0 (0.9 does the same), 2026-11-30.
#
# dolfinx.fem.Expression is compiled code for given reference points, kept under a name that FFCx
# makes of the expression and of numpy's printed form of the points: 8 digits, and of more than 1000
# numbers only the first and last rows.  Points went into the name by FEniCS/ffcx pull request 279,
# against just this.
#
# Expected: the values of x at the points asked for.
# Seen:     of a second set that prints alike, silently the values at the first set: off by 3e-9 for
#           points 3e-9 apart, and by 0.25 for the middle one of 1200 points.
source "$(dirname "$0")/common.sh"
packages "${DOLFINX[@]}"
compiler
stated <<'PY'
import dolfinx_solver
import ffcx
import numpy as np
import ufl
from dolfinx import fem, mesh
from mpi4py import MPI

msh = mesh.create_interval(MPI.COMM_SELF, 1, (0.0, 1.0))  # its one cell is the reference cell
x = ufl.SpatialCoordinate(msh)[0]


def values(points):
    return fem.Expression(x, points).eval(msh, np.array([0], dtype=np.int32)).ravel()


near = np.array([[0.25]])
many = np.full((1200, 1), 0.25)
other = many.copy()
other[600] = 0.5
print("FFCx", ffcx.__version__)
for first, second, error in ((near, near + 3e-9, 3e-9), (many, other, 0.25)):
    assert abs(values(first) - first.ravel()).max() < 1e-15
    seen = abs(values(second) - second.ravel()).max()
    print(f"{len(second)} points: off by {seen:.3g}")
    assert abs(seen - error) < 1e-10, "the second set has values of its own"
PY
