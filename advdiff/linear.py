"""Direct solves of symmetric positive definite systems."""

from __future__ import annotations

from petsc4py import PETSc


def cholesky(matrix: PETSc.Mat, prefix: str) -> PETSc.KSP:
    """A solver by PETSc's Cholesky factors on one rank, MUMPS' on several (collective).

    Options under ``prefix`` override it; a solve that does not converge is an error.
    """
    ksp = PETSc.KSP().create(matrix.comm)
    ksp.setOptionsPrefix(prefix)
    ksp.setOperators(matrix)
    ksp.setType("preonly")
    ksp.getPC().setType("cholesky")
    if matrix.comm.size > 1:
        ksp.getPC().setFactorSolverType("mumps")
    ksp.setErrorIfNotConverged(True)
    ksp.setFromOptions()
    return ksp
