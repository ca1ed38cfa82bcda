#!/usr/bin/env bash
# DOLFINx 0.11.0 (0.9 does the same), 2026-11-30.
#
# The documented way to evaluate a function at a point: candidates from the tree of boxes, then
# compute_colliding_cells, then Function.eval in the first cell found.  The second step takes a point
# less than 1e-6 units from a cell (GJK's squared distance below 1e-12) as in it, whatever the mesh's
# size.  FEniCS/dolfinx issue 2774 had other such tolerances, 1662 those of boxes.
#
# Expected: the same one cell and the same value in any unit of length: the point is well inside.
# Seen:     in a square of 1e-5 (10 micrometres, in metres) two cells, the first of them the wrong one,
#           and the value of that.
source "$(dirname "$0")/common.sh"
packages "${DOLFINX[@]}"
compiler
stated <<'PY'
import dolfinx_solver
import dolfinx
import numpy as np
from dolfinx import fem, geometry, mesh
from mpi4py import MPI


def found(size):
    msh = mesh.create_rectangle(MPI.COMM_SELF, [[0, 0], [size, size]], [8, 8])
    u = fem.Function(fem.functionspace(msh, ("DG", 0)))
    middles = mesh.compute_midpoints(msh, 2, np.arange(len(u.x.array), dtype=np.int32))
    u.x.array[:] = middles[:, 0] / size  # on every cell: where its midpoint is
    point = np.array([[0.30 * size, 0.45 * size, 0.0]])
    candidates = geometry.compute_collisions_points(geometry.bb_tree(msh, 2), point)
    cells = geometry.compute_colliding_cells(msh, candidates, point).links(0)
    value = u.eval(point, cells[:1])[0]
    print(f"size {size:g}: cells {cells}, value {value:.4f}")
    return len(cells), value


print("DOLFINx", dolfinx.__version__)
(one, right), (two, wrong) = found(1.0), found(1e-5)
assert one == 1 and two == 2 and abs(wrong - right) > 0.01, "small units are as good as others"
PY
