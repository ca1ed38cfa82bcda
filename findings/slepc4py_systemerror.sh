#!/usr/bin/env bash
# slepc4py 3.25.1 beside petsc4py 3.25.5 (dolfinx-solver-real 0.11.0.post0), 2026-11-30.
#
# A shell matrix whose product raises KeyError, in KSP and in MFN.
#
# Expected: PETSc.Error from both, as slepc4py 3.22 does, so that `except PETSc.Error` (or RuntimeError,
#           its base) is enough for PETSc and SLEPc.
# Seen:     PETSc.Error from petsc4py, SystemError ("returned a result with an exception set") from
#           slepc4py; PETSc.Error is only its __cause__, and that of the user only the cause of that.
# No public thread found.
source "$(dirname "$0")/common.sh"
packages "${DOLFINX[@]}"
stated <<'PY'
import dolfinx_solver
from petsc4py import PETSc
from slepc4py import SLEPc


class Product:
    def mult(self, A, x, y):
        raise KeyError("from the product")


def raised(solver):
    A = PETSc.Mat().createPython((10, 10), Product())
    A.setUp()
    x = PETSc.Vec().createSeq(10)
    x.set(1.0)
    if solver == "KSP":
        found = PETSc.KSP().create()
        found.setOperators(A)
        found.getPC().setType("none")
    else:
        found = SLEPc.MFN().create()
        found.setOperator(A)
        found.getFN().setType("exp")
    try:
        found.solve(x, x.duplicate())
    except Exception as error:
        print(f"{solver}: {type(error).__name__}, of {error.__cause__!r}")
        return error


print("SLEPc", *SLEPc.Sys.getVersion())
assert isinstance(raised("KSP"), PETSc.Error)
error = raised("MFN")
assert type(error) is SystemError, "slepc4py raises something else"
assert isinstance(error.__cause__, PETSc.Error)
PY
