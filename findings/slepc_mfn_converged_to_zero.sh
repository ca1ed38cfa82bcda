#!/usr/bin/env bash
# SLEPc 3.25.1 (in dolfinx-solver-real 0.11.0.post0; 3.22.2 does the same), 2026-11-30.
#
# exp(A)b by MFN's `krylov` with its default basis of 30 vectors, A the generator of upwind advection
# and diffusion in a closed channel of 200 cells, ‖A‖∞ = 6000.  The columns of A sum to zero, so the
# exponential keeps the sum of b.
#
# Expected: that sum, or a reason below zero; the manual calls CONVERGED_TOL a solve within the tolerance.
# Seen:     CONVERGED_TOL after 2 restarts, and a state of zero: the sum is 1e-10 of what it was.
#           The same matrix over a third of the time, and `expokit` over all of it, are right.
# No public thread found.
source "$(dirname "$0")/common.sh"
packages "${DOLFINX[@]}"
stated <<'PY'
import dolfinx_solver
import numpy as np
from petsc4py import PETSc
from slepc4py import SLEPc

n, diffusivity, speed = 200, 0.01, 1.0
forward, backward = diffusivity * n**2 + speed * n, diffusivity * n**2


def solve(time, kind):
    A = PETSc.Mat().createAIJ((n, n), nnz=3)
    for i in range(n - 1):
        block = np.array([[-forward, backward], [forward, -backward]])
        A.setValues([i, i + 1], [i, i + 1], time * block, addv=True)
    A.assemble()
    b, y = A.createVecs()
    b.array[:] = np.exp(-(((np.arange(n) + 0.5) / n - 0.3) ** 2) / 0.05**2)
    mfn = SLEPc.MFN().create()
    mfn.setOperator(A)
    mfn.getFN().setType("exp")
    mfn.setType(kind)
    mfn.setTolerances(tol=1e-8, max_it=1000)
    mfn.solve(b, y)
    kept = y.sum() / b.sum()
    print(f"{kind:8} |A| = {A.norm(PETSc.NormType.INFINITY):5.0f}  reason {mfn.getConvergedReason()}"
          f"  restarts {mfn.getIterationNumber():3}  sum kept {kept:.3g}")
    return mfn.getConvergedReason() == SLEPc.MFN.ConvergedReason.CONVERGED_TOL, kept


print("SLEPc", *SLEPc.Sys.getVersion())
short, wrong, other = solve(1.0, "krylov"), solve(3.0, "krylov"), solve(3.0, "expokit")
assert short[0] and other[0] and abs(short[1] - 1) < 1e-6 and abs(other[1] - 1) < 1e-6
assert wrong[0] and abs(wrong[1]) < 1e-6, "krylov no longer claims to have converged to zero"
PY
