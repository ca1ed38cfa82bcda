#!/usr/bin/env bash
# PETSc 3.25.5 (in dolfinx-solver-real 0.11.0.post0; 3.22.5 does the same), 2026-11-30.
#
# PETSc's own LU takes a pivot below 2.2e-14 as zero, whatever the size of the matrix's entries
# (-pc_factor_zeropivot; the number also stands in idaholab/moose issue 10924).  The matrix is the
# second difference of ten points, condition number 48, times a power of ten: a change of units.
#
# Expected: the same solution for A and 1e-14 A, whose condition numbers are the same.
# Seen:     the second is refused: reason -11, DIVERGED_PC_FAILED, and a solution of inf.
source "$(dirname "$0")/common.sh"
packages "${DOLFINX[@]}"
stated <<'PY'
import dolfinx_solver
import numpy as np
from petsc4py import PETSc


def solve(scale, zeropivot=None):
    n = 10
    A = PETSc.Mat().createAIJ((n, n), nnz=3)
    for i in range(n):
        A[i, i] = 2 * scale
        for j in {i - 1, i + 1} & set(range(n)):
            A[i, j] = -scale
    A.assemble()
    x, b = A.createVecs()
    b.set(scale)
    ksp = PETSc.KSP().create()
    ksp.setOperators(A)
    ksp.setType("preonly")
    ksp.getPC().setType("lu")
    ksp.getPC().setFactorSolverType("petsc")
    if zeropivot is not None:
        ksp.getPC().setFactorPivot(zeropivot=zeropivot)
    ksp.solve(b, x)
    print(f"{scale:g} A: reason {ksp.getConvergedReason()}, x[0] = {x.array[0]:g}")
    return ksp.getConvergedReason(), x.array[0]


print("PETSc", *PETSc.Sys.getVersion())
assert abs(solve(1.0)[1] - 5) < 1e-9  # x = i (11 - i) / 2
reason, _ = solve(1e-14)
right = solve(1e-14, zeropivot=0.0)[1]
assert abs(right - 5) < 1e-9
assert reason == PETSc.KSP.ConvergedReason.DIVERGED_PCSETUP_FAILED, "A in other units is solved"
PY
