#!/usr/bin/env bash
# PETSc 3.25.5 (in dolfinx-solver-real 0.11.0.post0; 3.22.5 does the same), 2026-12-01.
#
# TAO's inexact Newton method (nls) is asked for by -tao_ksp_ew.  Its forcing terms are not read beside
# it but under the prefix of the inner KSP, and not in TaoSetFromOptions but as TAO solves.
#
# Expected: -tao_ksp_ew_rtolmax 1e-8 makes CG take more iterations; options can go after setFromOptions.
# Seen:     the same iterations as without it; -tao_nls_ksp_ew_rtolmax 1e-8 has the effect, unless it is
#           taken back before the solve.
source "$(dirname "$0")/common.sh"
packages "${DOLFINX[@]}"
stated <<'PYTHON'
import dolfinx_solver  # makes its MPI and PETSc findable
import numpy as np
from petsc4py import PETSc

print("PETSc", ".".join(map(str, PETSc.Sys.getVersion())))
n = 40
weights = np.linspace(1.0, 300.0, n)


def iterations(early=False, **options):
    """CG iterations that minimising sum w (x² + x⁴) from 1 takes."""
    database = PETSc.Options()
    options = {"tao_ksp_ew": True, **options}
    for name, value in options.items():
        database.setValue(name, value)
    tao = PETSc.TAO().create(PETSc.COMM_SELF)
    tao.setType("nls")
    tao.getKSP().setType("cg")
    tao.getKSP().getPC().setType("none")
    x = PETSc.Vec().createSeq(n)
    x.set(1.0)
    hessian = PETSc.Mat().createAIJ(n, nnz=1, comm=PETSc.COMM_SELF)
    hessian.setUp()

    def value_and_gradient(tao, x, g):
        v = x.getArray(readonly=True)
        g.array[:] = weights * (2 * v + 4 * v**3)
        return float(np.sum(weights * (v**2 + v**4)))

    def linearise(tao, x, H, P):
        diagonal = x.duplicate()
        diagonal.array[:] = weights * (2 + 12 * x.getArray(readonly=True) ** 2)
        H.setDiagonal(diagonal)
        H.assemble()

    gradient = x.duplicate()
    tao.setObjectiveGradient(value_and_gradient, gradient)
    tao.setHessian(linearise, hessian)
    tao.setSolution(x)
    tao.setFromOptions()
    if early:
        for name in options:
            database.delValue(name)
    tao.solve()
    for name in options:
        database.delValue(name)
    return tao.getKSP().getIterationNumber(), tao.getIterationNumber()


plain = iterations()
for size in (1e-8, 0.9):
    same = iterations(tao_ksp_ew_rtol0=size, tao_ksp_ew_rtolmax=size)
    print(f"-tao_ksp_ew_rtolmax {size}: (last CG, Newton) iterations {same}, without it {plain}")
    assert same == plain
exact = dict(tao_nls_ksp_ew_rtol0=1e-8, tao_nls_ksp_ew_rtolmax=1e-8)
print("-tao_nls_ksp_ew_rtolmax 1e-08:", iterations(**exact))
assert iterations(**exact) != plain
print("the same, taken back after setFromOptions:", iterations(early=True, **exact))
assert iterations(early=True, **exact) == plain
PYTHON
