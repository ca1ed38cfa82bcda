"""What the kinds of unknowns share."""

from __future__ import annotations

from petsc4py import PETSc


def coefficients(comm, size: int) -> PETSc.Vec:
    """A vector of a few numbers, all on rank 0 (collective)."""
    return PETSc.Vec().createMPI((size if comm.rank == 0 else 0, size), comm=comm)
