"""Direct solves: one factorisation, PETSc's own or MUMPS'."""

from __future__ import annotations

from petsc4py import PETSc


def direct(ksp: PETSc.KSP, kind: str) -> None:
    """Let a solver be one factorisation, "lu" or "cholesky": MUMPS' on several ranks.

    No options are read here.
    """
    ksp.setType(PETSc.KSP.Type.PREONLY)
    ksp.getPC().setType(kind)
    if ksp.comm.size > 1:
        ksp.getPC().setFactorSolverType(PETSc.Mat.SolverType.MUMPS)


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
