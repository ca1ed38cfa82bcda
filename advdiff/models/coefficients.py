"""A handful of coefficients as the unknowns of a model that has no mesh."""

from __future__ import annotations

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.inverse.prior import Independent, Prior
from advdiff.inverse.unknowns import Unknowns


class Coefficients:
    """Numbers that live on rank 0, a part of ``Unknowns``; they move nothing but themselves."""

    is_field = is_exponential = False

    def __init__(self, name: str, size: int, comm: MPI.Comm):
        self.name = self.control = name
        local = size if comm.rank == 0 else 0
        self.template = PETSc.Vec().createMPI((local, size), comm=comm)

    def assign(self, m: PETSc.Vec) -> None:
        """Nothing: the model reads m itself."""

    def push(self, dm: PETSc.Vec) -> PETSc.Vec:
        return dm.copy()

    def pull(self, gradient: PETSc.Vec, out: PETSc.Vec) -> None:
        gradient.copy(out)


def unknowns(name: str, size: int, comm: MPI.Comm) -> Unknowns:
    """One part of so many coefficients (collective)."""
    return Unknowns([Coefficients(name, size, comm)])


def independent_prior(of: Unknowns, mean: np.ndarray | float, std: np.ndarray | float) -> Prior:
    """Independent normal coefficients; mean and std numbers or arrays (coefficient,)."""
    vectors = [of.from_numpy(np.broadcast_to(value, of.size)) for value in (mean, std)]
    scale = of.parts[0].template.duplicate()
    of.extract(vectors[1], 0, scale)
    return Prior(of, vectors[0], [Independent(scale)])
