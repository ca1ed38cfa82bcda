"""How rows and entries stand in the compiled recurrence: by diagonals on a lattice, else sliced.

Rows are put in an order in which neighbours are near, so that a block of rows can go through many
steps while it is in the cache: lexicographic where they stand on a lattice, which leaves few
diagonals, else that of Cuthill and McKee, reversed.
"""

from __future__ import annotations

import os

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import reverse_cuthill_mckee

from advdiff.algebra.generator import Generator
from advdiff.core.errors import NoCompiler
from advdiff.semigroup.faber import native
from advdiff.semigroup.faber.halo import Halo
from advdiff.semigroup.faber.native import CHUNK, LANES, STRIP, pointer

SPARSE = 1.5
"""Places of diagonals per entry, up to which they are taken."""
EMPTY = 1.25
"""Places of a lattice per row, up to which it is taken."""
ROUNDED = 1e-6
"""Of the distance of lattice lines, what two coordinates of one may differ by."""
WINDOW = 128
"""Rows that are sorted by length, so that those of a slice have the same."""
KEPT, MOST = 2**25, 4
"""Bytes of room that is kept for the next run, and how often."""
SPARE = 16
"""Vectors more than are asked for now, for the next who asks for some more."""
CALL = 2**20
"""Rows times steps of a call of the kernels, so that it is not what costs."""
FILLED = 1.5
"""Of the second cache, what a sweep may take; what it lacks comes from the third."""


class Unsuitable(Exception):
    """The compiled recurrence has no place for this matrix; the message says why."""


class Layout:
    """Places of rows and entries for the pattern of K, and what is filled in (collective).

    Attributes:
        library: the kernels.
        halo: the rows.
        slots: row of the halo → its place.
        rows: places, a multiple of ``STRIP``.
        pad: zeros between two vectors.
        kind: in words.

    Raises:
        Unsuitable, NoCompiler: on every rank.
    """

    def __init__(self, generator: Generator):
        stiffness = generator.stiffness
        self.library = native.library(generator.comm)
        self.halo = Halo(stiffness)
        self.indptr, self.indices, _ = self.halo.values(stiffness)
        wrong = self._arrange(self._lattice(generator))
        if not generator.comm.allreduce(wrong == "", MPI.LAND):
            raise Unsuitable(wrong or "another rank's matrix does not suit it")
        self.own = self.slots[self.halo.own]
        self.inverse = np.zeros(len(self.slots))
        self.inverse[self.halo.own] = generator.mass.inverse.array_r
        self.halo.exchange([self.inverse], slice(None))
        self.mass = np.zeros(self.rows)
        self.mass[self.own] = generator.mass.diagonal.array_r
        self._values: dict[str, tuple[tuple, np.ndarray]] = {}
        self._known: tuple = (None, ())
        self._free: list[np.ndarray] = []

    # ---- places -----------------------------------------------------------------------------

    def _arrange(self, lattice: np.ndarray | None) -> str:
        """Give every row and entry a place; what is wrong where that is not possible (local)."""
        size = len(self.indptr) - 1
        if PETSc.IntType != np.intc or PETSc.ScalarType != np.float64:
            return "this PETSc has other integers or numbers"
        rows = np.repeat(np.arange(size), np.diff(self.indptr))
        if size == 0:
            return "a rank has no rows"
        diagonal = np.flatnonzero(rows == self.indices)
        if len(diagonal) != size:
            return "the diagonal has no place for every entry"
        orders = [np.arange(size)] if lattice is None else [lattice, np.arange(size)]
        if not any(self._on_diagonals(rows, order) for order in orders):
            wrong = self._in_slices(rows)
            if wrong:
                return wrong
        back = self._turned
        self._forth = self.place, self.place[diagonal]
        self._back = back, back[diagonal]
        cache = 0
        if "SC_LEVEL2_CACHE_SIZE" in os.sysconf_names:
            cache = os.sysconf("SC_LEVEL2_CACHE_SIZE")
        width = 8.0 * self.count / self.rows * (1.0 if self.diagonals else 1.5)
        self.block = max(2 * self.reach, 8)
        self.steps = CHUNK
        while self.steps > 1 and (
            STRIP * (self.steps * self.reach + self.block) * (width + 8.0 * self.steps)
            > FILLED * max(cache, 2**20)
        ):
            self.steps //= 2
        self.at_once = max(CALL // self.rows // CHUNK, 1) * CHUNK if self.halo.alone else CHUNK
        return ""

    def _lattice(self, generator: Generator) -> np.ndarray | None:
        """Places of the rows in lexicographic order, None where they are no lattice."""
        given = generator.points
        dim = generator.comm.allreduce(0 if given is None else given.shape[1], MPI.MAX)
        if dim == 0:
            return None
        points = np.zeros((dim, len(self.halo.ids)))
        if given is not None:
            points[:, self.halo.own] = given.T
        self.halo.exchange(list(points), slice(None))
        axes = []
        if len(self.halo.ids) == 0:
            return None
        for x in points:
            order = np.argsort(x)
            apart = np.diff(x[order]) > ROUNDED * (x.max() - x.min()) / len(x) ** 0.5
            at = np.empty(len(x), dtype=np.int64)
            at[order] = np.concatenate([[0], np.cumsum(apart)])
            axes.append(at)
        axes.sort(key=np.max)
        slots, stride = np.zeros(len(self.halo.ids), dtype=np.int64), 1
        for at in axes:
            slots += stride * at
            stride *= int(at.max()) + 1
        if stride > EMPTY * len(slots) or np.bincount(slots).max() > 1:
            return None
        return slots

    def _on_diagonals(self, rows: np.ndarray, slots: np.ndarray) -> bool:
        offsets = slots[self.indices] - slots[rows]
        far = int(np.abs(offsets).max())
        seen = np.zeros(2 * far + 1, dtype=bool)
        seen[offsets + far] = True
        seen |= seen[::-1]
        found = np.flatnonzero(seen) - far
        self.rows = -(-(int(slots.max()) + 1) // STRIP) * STRIP
        if len(found) * self.rows > SPARSE * len(offsets) + 64 * STRIP:
            return False
        number = np.cumsum(seen) - 1
        self.slots, self.diagonals, self._offset = slots, len(found), found.astype(np.int64)

        def places(at: np.ndarray, offset: np.ndarray) -> np.ndarray:
            strip, inside = np.divmod(at, STRIP)
            return (strip * self.diagonals + number[offset + far]) * STRIP + inside

        self.place = places(slots[rows], offsets)
        self._turned = places(slots[self.indices], -offsets)
        self._start = self._column = None
        self.count = self.rows * self.diagonals
        self.reach, self.pad = -(-far // STRIP), -(-far // LANES) * LANES
        self.kind = f"{self.diagonals} diagonals"
        return True

    def _in_slices(self, rows: np.ndarray) -> str:
        size, lengths = len(self.indptr) - 1, np.diff(self.indptr)
        numbers = np.arange(len(self.indices), dtype=np.int64)
        pattern = csr_matrix((numbers, self.indices, self.indptr), shape=(size, size))
        turned = pattern.T.tocsr()
        turned.sort_indices()
        same = np.array_equal(turned.indptr, self.indptr) and (
            np.array_equal(turned.indices, self.indices)
        )
        if not same:
            return "its pattern is not symmetric"
        order = reverse_cuthill_mckee(pattern, symmetric_mode=True)
        order = order[np.lexsort((-lengths[order], np.arange(size) // WINDOW))]
        self.slots = np.empty(size, dtype=np.int64)
        self.slots[order] = np.arange(size)
        self.rows = -(-size // STRIP) * STRIP
        widths = np.zeros(self.rows, dtype=np.int64)
        widths[:size] = lengths[order]
        widths = widths.reshape(-1, LANES).max(axis=1)
        self._start = np.concatenate([[0], np.cumsum(widths)])
        slice_, lane = np.divmod(self.slots[rows], LANES)
        within = numbers - self.indptr[:-1].astype(np.int64)[rows]
        self.place = (self._start[slice_] + within) * LANES + lane
        self._turned = self.place[turned.data]
        self.count = int(self._start[-1]) * LANES
        column = np.repeat(np.arange(self.rows).reshape(-1, LANES), widths, axis=0).ravel()
        column[self.place] = self.slots[self.indices]
        self._column = column.astype(np.intc)
        apart = np.abs(self.slots[self.indices] // STRIP - self.slots[rows] // STRIP)
        self.reach, self.pad = int(apart.max(initial=0)), 0
        self.diagonals, self._offset = 0, None
        self.kind = "sliced rows"
        return ""

    # ---- matrices ---------------------------------------------------------------------------

    def filled(
        self, name: str, matrix: PETSc.Mat, state: int | None, scale: float, centre: float
    ) -> native.Matrix:
        """scale (M⁻¹K − centre), or its adjoint for the name "adjoint" (collective).

        What was made last of a name is overwritten, and taken again where ``state``, that of K, and
        the two numbers are the same.
        """
        key = (state, scale, centre)
        if name not in self._values:
            self._values[name] = ((), self.entries())
        known, values = self._values[name]
        if state is None or known != key:
            indptr, indices, entries = self._rows(matrix, state)
            back = name == "adjoint"
            place, diagonal = self._back if back else self._forth
            arrays = indptr, indices, entries, self.inverse
            ends = pointer(place), pointer(diagonal), pointer(values)
            self.library.fill(len(indptr) - 1, *map(pointer, arrays), back, scale, centre, *ends)
            self._values[name] = (key, values)
        return self.shaped(values)

    def _rows(self, matrix: PETSc.Mat, state: int | None) -> tuple[np.ndarray, ...]:
        """Rows of the halo; those of K once a state."""
        if state is None:
            return self.halo.values(matrix)
        if self._known[0] != state:
            self._known = state, self.halo.values(matrix)
        return self._known[1]

    def shaped(self, values: np.ndarray) -> native.Matrix:
        """A matrix with these values, which stay where they are."""
        return native.Matrix(
            self.rows // STRIP,
            self.reach,
            self.diagonals,
            pointer(self._offset),
            pointer(self._start),
            pointer(self._column),
            pointer(values),
        )

    def fits(self, matrix: PETSc.Mat) -> bool:
        """Whether a matrix has the pattern of K (collective)."""
        indptr, indices, _ = self.halo.values(matrix)
        same = np.array_equal(indptr, self.indptr) and np.array_equal(indices, self.indices)
        return self.halo.comm.allreduce(same, MPI.LAND)

    def entries(self) -> np.ndarray:
        """Zeros where values stand."""
        return np.zeros(self.count)

    def add_entries(self, entries: np.ndarray, weight: float, out: np.ndarray) -> None:
        """out += weight · entries, in the order of K's rows here."""
        first, stop = self.indptr[self.halo.own.start], self.indptr[self.halo.own.stop]
        out += weight * entries[self.place[first:stop]]

    # ---- vectors ----------------------------------------------------------------------------

    def vectors(self, count: int) -> np.ndarray:
        """Room for vectors, shape (count, rows); the zeros around them stay zero, and there are
        any finite numbers in it."""
        stride = self.rows + self.pad
        size = self.pad + count * stride
        for i, kept in enumerate(self._free):
            if len(kept) >= size:
                whole = self._free.pop(i)
                break
        else:
            whole = np.zeros(size + (SPARE * stride if 8 * size <= KEPT else 0))
        return whole[self.pad : size].reshape(count, stride)[:, : self.rows]

    def put(self, vector: PETSc.Vec, out: np.ndarray) -> None:
        """A distributed vector into a row of :meth:`vectors` (collective)."""
        out[self.own] = vector.array_r
        self.halo.exchange([out], self.slots)

    def release(self, vectors: np.ndarray) -> None:
        """Keep room that nobody needs any more for the next who asks."""
        if vectors.base.nbytes <= KEPT + 8 * SPARE * (self.rows + self.pad):
            self._free = sorted([*self._free, vectors.base], key=len)[-MOST:]


def laid_out(generator: Generator) -> Layout | str:
    """The layout for the pattern of K, made once, or why there is none (collective)."""
    if "layout" not in generator.made:
        try:
            generator.made["layout"] = Layout(generator)
        except (Unsuitable, NoCompiler) as error:
            generator.made["layout"] = str(error)
    return generator.made["layout"]
