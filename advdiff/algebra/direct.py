"""Direct solves: one factorisation, PETSc's own or MUMPS'."""

from __future__ import annotations

from petsc4py import PETSc

SMALLEST_PIVOT = 0.0
"""A pivot is zero where it is 0: PETSc's 2e-14 is a mass of cells of 1e-5 m."""


def direct(ksp: PETSc.KSP, kind: str) -> None:
    """Let a solver be one factorisation, "lu" or "cholesky": MUMPS' on several ranks.

    The unit of the matrix makes no difference.  No options are read here.
    """
    ksp.setType(PETSc.KSP.Type.PREONLY)
    pc = ksp.getPC()
    pc.setType(kind)
    if ksp.comm.size > 1:
        pc.setFactorSolverType(PETSc.Mat.SolverType.MUMPS)
    pc.setFactorPivot(zeropivot=SMALLEST_PIVOT)


def cholesky(matrix: PETSc.Mat, prefix: str) -> PETSc.KSP:
    """A solver by Cholesky factors (collective).

    Options under ``prefix`` override it; a solve that does not converge is an error.
    """
    ksp = PETSc.KSP().create(matrix.comm)
    ksp.setOptionsPrefix(prefix)
    ksp.setOperators(matrix)
    direct(ksp, PETSc.PC.Type.CHOLESKY)
    ksp.setErrorIfNotConverged(True)
    ksp.setFromOptions()
    return ksp
