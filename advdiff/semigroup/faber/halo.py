"""The rows of a rank and, on several, some layers of its neighbours' around them.

On the rows with d layers around them a rank makes d products alone: of each one, a layer less is
right.  Then the ghosts are exchanged again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.semigroup.faber.native import CHUNK

SHARE = 0.1
"""Ghosts per row of a rank's own, up to which they are cheaper than an exchange more often."""
FEW = 4000
"""Rows that cost less than a message."""


class Halo:
    """The extended rows of a rank (collective).

    Args:
        stiffness: whose pattern says what a layer is.

    Attributes:
        steps: products between two exchanges, at most ``CHUNK``.
        ids: global numbers of the extended rows, increasing.
        own: which of them are the rank's.
    """

    def __init__(self, stiffness: PETSc.Mat):
        self.comm = stiffness.comm.tompi4py()
        first, stop = stiffness.getOwnershipRange()
        self.steps, self._part = CHUNK, None
        self.ids = np.arange(first, stop, dtype=PETSc.IntType)
        self.own = slice(0, stop - first)
        if self.alone:
            return
        self.steps = self._affordable(stiffness)
        self._rows = self._layers(stiffness, self.steps + 1)
        self.ids = self._rows.getIndices().copy()
        begin = int(np.searchsorted(self.ids, first))
        self.own = slice(begin, begin + stop - first)
        self._plan(stiffness.getOwnershipRanges())

    @property
    def alone(self) -> bool:
        """Whether there are no ghosts."""
        return self.comm.size == 1

    def _layers(self, stiffness: PETSc.Mat, count: int) -> PETSc.IS:
        first, stop = stiffness.getOwnershipRange()
        rows = PETSc.IS().createStride(stop - first, first, 1, comm=PETSc.COMM_SELF)
        general = PETSc.IS().createGeneral(rows.getIndices(), comm=PETSc.COMM_SELF)
        stiffness.increaseOverlap(general, count)
        general.sort()
        return general

    def _affordable(self, stiffness: PETSc.Mat) -> int:
        rows, layer = self.own.stop, self._layers(stiffness, 1).getSize() - self.own.stop
        steps = CHUNK
        while steps > 1 and (steps + 1) * layer > max(SHARE * rows, FEW):
            steps //= 2
        return self.comm.allreduce(steps, MPI.MIN)

    def _plan(self, ranges: np.ndarray) -> None:
        """Who sends which rows to whom."""
        ghosts = np.delete(np.arange(len(self.ids)), self.own)
        owner = np.searchsorted(ranges, self.ids[ghosts], side="right") - 1
        wanted = {int(r): self.ids[ghosts[owner == r]] for r in np.unique(owner)}
        asked = self.comm.alltoall([wanted.get(r) for r in range(self.comm.size)])
        given = {r: ids for r, ids in enumerate(asked) if ids is not None}
        self._graph = self.comm.Create_dist_graph_adjacent(sorted(wanted), sorted(given))
        self._received = ghosts  # ids increase, and so do owners
        self._sent = np.searchsorted(self.ids, np.concatenate([*given.values(), self.ids[:0]]))
        self._counts = (
            np.array([len(given[r]) for r in sorted(given)], dtype=np.intc),
            np.array([len(wanted[r]) for r in sorted(wanted)], dtype=np.intc),
        )

    def values(self, stiffness: PETSc.Mat) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The extended rows and columns of a matrix, columns as places in ``ids`` (collective)."""
        if self.alone:
            return stiffness.getValuesCSR()
        pattern = self._rows
        (part,) = stiffness.createSubMatrices([pattern], [pattern])
        found = tuple(array.copy() for array in part.getValuesCSR())
        part.destroy()
        return found

    def exchange(self, vectors: Sequence[np.ndarray], place: np.ndarray | slice) -> None:
        """The ghosts of vectors, whose row i stands at ``place[i]``, from their owners
        (collective)."""
        if self.alone:
            return
        count = len(vectors)
        where = np.arange(len(self.ids))[place] if isinstance(place, slice) else place
        sent = np.stack([vector[where[self._sent]] for vector in vectors], axis=1)
        received = np.empty((len(self._received), count))
        out, back = (counts * count for counts in self._counts)
        self._graph.Neighbor_alltoallv([sent, out], [received, back])
        for k, vector in enumerate(vectors):
            vector[where[self._received]] = received[:, k]
