"""Vectors of unknowns on disk: their order and check sum are the same for any number of ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from petsc4py import PETSc

from advdiff.core.random import GOLDEN, mix


class Order:
    """Between vectors like ``template`` and shares of the rows of a file (all collective).

    Args:
        template: a vector.
        places: of its local entries in the file, shape (local,).

    Attributes:
        size: entries in all.
        mine: this rank's share of a row, contiguous.
    """

    def __init__(self, template: PETSc.Vec, places: np.ndarray):
        self.template, self.size = template, template.getSize()
        self._row = PETSc.Vec().createMPI((PETSc.DECIDE, self.size), comm=template.comm)
        self.mine = slice(*self._row.getOwnershipRange())
        target = PETSc.IS().createGeneral(places.astype(PETSc.IntType), comm=template.comm)
        self._scatter = PETSc.Scatter().create(template, None, self._row, target)

    def share(self, vector: PETSc.Vec) -> np.ndarray:
        """This rank's share of a vector's row."""
        self._scatter.scatter(vector, self._row)
        return self._row.array_r.copy()

    def vector(self, share: np.ndarray) -> PETSc.Vec:
        """The vector of a row, a new one."""
        result = self.template.duplicate()
        self._row.setArray(share)
        self._scatter.scatter(self._row, result, mode=PETSc.ScatterMode.REVERSE)
        return result

    def check(self, numbers: Sequence[float], *shares: np.ndarray) -> float:
        """A check sum of numbers, known on every rank, and of rows: a whole number below 2^53."""
        comm = self.template.comm.tompi4py()
        total = sum(mixed(share, self.mine.start + k * self.size) for k, share in enumerate(shares))
        total = comm.allreduce(total) + mixed(np.asarray(numbers), len(shares) * self.size)
        return float((total % 2**64) >> 11)


def mixed(values: np.ndarray, first: int) -> int:
    """Sum over the mixed bits of the numbers and of their places from ``first`` on (local)."""
    places = np.arange(first + 1, first + 1 + len(values), dtype=np.uint64)
    bits = np.ascontiguousarray(values, dtype=float).view(np.uint64) + GOLDEN * places
    return int(mix(bits).sum(dtype=np.uint64))
