"""The recurrences of ``recurrence.py`` compiled: sixteen steps a call, in blocks of rows that stay
in the cache.

Numbers agree with PETSc's to rounding.  On several ranks the rows of a rank stand within layers of
ghosts (``halo.py``), exchanged every so many steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import Structure, byref

import numpy as np
from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.core import progress
from advdiff.semigroup.engine import Cotangent
from advdiff.semigroup.faber import native
from advdiff.semigroup.faber.ellipse import Ellipse
from advdiff.semigroup.faber.layout import Layout
from advdiff.semigroup.faber.native import CHUNK, LANES, pointer
from advdiff.semigroup.faber.recurrence import Bounded

RING = CHUNK + 2
"""Vectors of a chunk, and the pair before it."""


class Trail:
    """Where x_0 … x_m are: the last ones, or all, or a segment and the pairs before every segment.

    Args:
        layout: gives the room.
        count: m + 1.
        stride: vectors a segment; None: only the last ``RING`` are kept.

    Attributes:
        size: vectors held.
    """

    def __init__(self, layout: Layout, count: int, stride: int | None):
        self._layout, self.count, self._stride = layout, count, stride
        if stride is None:
            self.size, self._segments = RING, 1
        else:
            self._segments = -(-count // stride)
            self.size = min(stride, count) + (2 * self._segments if self._segments > 1 else 0)
        self._room = layout.vectors(self.size + 1)  # and x_{-1} = 0
        self._room[-1] = 0.0
        self._first, self._step = 0, self._room.strides[0]

    def __del__(self):
        self._layout.release(self._room)

    @property
    def firsts(self) -> range:
        """The first index of every segment."""
        return range(0, self.count, self._stride or self.count)

    @property
    def current(self) -> int:
        """The first index of the segment that is there."""
        return self._first

    def stop(self, first: int) -> int:
        """Behind the last index of a segment."""
        return min(first + (self._stride or self.count), self.count)

    def __getitem__(self, j: int) -> np.ndarray:
        return self._room[self._at(j)]

    def _at(self, j: int) -> int:
        return int(self._places(np.array([j]))[0])

    def _places(self, j: np.ndarray) -> np.ndarray:
        """Where in the room x_j are."""
        if self._stride is None:
            found = j % RING
        else:
            found = j - self._first
            if self._first:
                before = self._stride + 2 * (self._first // self._stride + 1)
                found = np.where(found < 0, before + found, found)
        return np.where(j < 0, self.size, found)

    def addresses(self, first: int, stop: int, step: int = 1) -> np.ndarray:
        """Where the vectors first … stop − 1 begin."""
        places = self._places(np.arange(first, stop, step))
        return (pointer(self._room) + self._step * places).astype(np.uint64)

    def enter(self, first: int, *, save: bool) -> None:
        """Go to a segment, whose pair of vectors before it is there, or saved now."""
        if save and self._segments > 1:
            pair = [self[j].copy() for j in range(first - 2, first)] if first else [self[0].copy()]
        self._first = first
        if self._segments > 1:
            if save and first:
                self[first - 2][:], self[first - 1][:] = pair
            elif save:
                self._room[self._stride + 1] = pair[0]
            elif not first:
                self._room[0] = self._room[self._stride + 1]


class CompiledRecurrence(Bounded):
    """B, B* and the three recurrences for one generator and one ellipse (collective).

    Args:
        check: steps between two checks of the norms.
        layout: of the generator's pattern.
    """

    def __init__(self, generator: Generator, ellipse: Ellipse, check: int, layout: Layout):
        super().__init__(generator, ellipse, check)
        self._layout = layout
        self.backend = f"compiled, {layout.kind}"

    def _matrix(self, name: str) -> native.Matrix:
        ellipse, stiffness = self.ellipse, self.generator.stiffness
        return self._layout.filled(name, stiffness, self.state, ellipse.scale, ellipse.centre)

    def accepts(self, direction: PETSc.Mat) -> bool:
        """Whether :meth:`tangent` knows such a dK (collective)."""
        return self._layout.fits(direction)

    # ---- forwards ---------------------------------------------------------------------------

    def run(
        self,
        start: PETSc.Vec,
        norm: float,
        weights: np.ndarray,
        states: list[PETSc.Vec],
        stride: int | None = None,
    ) -> tuple[Trail, float]:
        """See :meth:`FaberRecurrence.run`."""
        matrix = self._matrix("matrix")
        trail = self._begun(start, len(weights), stride)
        total, growth = np.outer(weights[0], trail[0]), self.grown(0, norm, norm)
        with progress.within(len(weights), "products") as bar:
            for first, count in self._chunks(trail):
                sums = self._sums(total, weights, first)
                looked_at = self._looked_at(trail, first, count)
                factors = self._factors(first, count)
                sizes = self._advance(matrix, trail, first, factors, looked_at, sums=sums)
                growth = max(growth, self._guarded(first, looked_at, sizes, norm))
                bar.at(first + count)
        self._add(total, states)
        return trail, growth

    def tangent(
        self,
        start: PETSc.Vec,
        norm: float,
        d_start: PETSc.Vec,
        weights: np.ndarray,
        states: list[PETSc.Vec],
        derivatives: list[PETSc.Vec],
        direction: PETSc.Mat | None,
    ) -> float:
        """See :meth:`FaberRecurrence.tangent`; ``direction`` is one that it accepts."""
        layout, matrix = self._layout, self._matrix("matrix")
        trail, other = (self._begun(x, len(weights), None) for x in (start, d_start))
        extra = None
        if direction is not None:
            extra = layout.filled("direction", direction, None, self.ellipse.scale, 0.0)
        totals = [np.outer(weights[0], x[0]) for x in (trail, other)]
        growth = self.grown(0, norm, norm)
        for first, count in self._chunks(trail):
            sums, more = (self._sums(total, weights, first) for total in totals)
            factors = self._factors(first, count)
            looked_at = self._looked_at(trail, first, count)
            parts = {"sums": sums, "more": more, "extra": extra, "other": other}
            sizes = self._advance(matrix, trail, first, factors, looked_at, **parts)
            growth = max(growth, self._guarded(first, looked_at, sizes, norm))
            self.products += count * (1 if extra is None else 2)
        self._add(totals[0], states)
        self._add(totals[1], derivatives)
        return growth

    def _begun(self, start: PETSc.Vec, count: int, stride: int | None) -> Trail:
        trail = Trail(self._layout, count, stride)
        trail[0][:] = 0.0
        self._layout.put(start, trail[0])
        return trail

    def _chunks(self, trail: Trail) -> Iterator[tuple[int, int]]:
        """(first index, how many) of what is computed at once, from x_1 on."""
        for segment in trail.firsts:
            trail.enter(segment, save=True)
            yield from self._parts(max(segment, 1), trail.stop(segment))

    def _parts(self, first: int, stop: int) -> Iterator[tuple[int, int]]:
        for begin in range(first, stop, self._layout.at_once):
            yield begin, min(self._layout.at_once, stop - begin)

    def _factors(self, first: int, count: int) -> np.ndarray:
        """What of x_{j−2} is subtracted in x_j."""
        factors = np.full(count, self.ellipse.s)
        if first == 1:
            factors[0] = 0.0
            factors[1:2] *= 2.0
        return factors

    def _looked_at(self, trail: Trail, first: int, count: int) -> np.ndarray:
        j = np.arange(first, first + count)
        return (j % self.check == 0) | (j == trail.count - 1)

    def _guarded(self, first: int, looked_at: np.ndarray, sizes: np.ndarray, norm: float) -> float:
        found = np.flatnonzero(looked_at)
        return max((self.grown(first + t, sizes[t], norm) for t in found), default=0.0)

    @staticmethod
    def _sums(total: np.ndarray, weights: np.ndarray, first: int) -> native.Sums:
        begin = pointer(weights) + first * weights.strides[0]
        return native.Sums(len(total), total.shape[1], begin, pointer(total))

    def _add(self, total: np.ndarray, states: list[PETSc.Vec]) -> None:
        for values, state in zip(total, states, strict=True):
            state.array += values[self._layout.own]

    # ---- backwards --------------------------------------------------------------------------

    def backward(
        self,
        weights: np.ndarray,
        riesz: list[PETSc.Vec],
        run: Trail | None = None,
        cotangent: Cotangent | None = None,
    ) -> PETSc.Vec:
        """See :meth:`FaberRecurrence.backward`; λ_{m−r} is the vector r of a trail."""
        layout, matrix, last = self._layout, self._matrix("adjoint"), len(weights) - 1
        limits = self._limits(weights, riesz)
        weights = np.ascontiguousarray(weights[::-1])
        trail = Trail(layout, last + 1, None)
        field, place = self._sources(riesz)
        out = None if cotangent is None else cotangent.entries
        entries = None if out is None else layout.entries()
        packed = None if out is None or layout.diagonals else np.empty(CHUNK * layout.rows)
        for segment, stop in self._segments(run, last):
            for first, count in self._parts(last + 1 - stop, last + 1 - segment):
                source = native.Source(
                    len(riesz),
                    pointer(weights) + first * weights.strides[0],
                    pointer(field),
                    pointer(place),
                )
                pairs = None
                if out is not None:
                    right = run.addresses(last - first, last - first - count, -1)
                    pairs = native.Pairs(pointer(entries), pointer(packed), pointer(right))
                factors = np.full(count, self.ellipse.s)
                factors[: max(2 - first, 0)] = 0.0
                if first + count == last + 1 and last > 1:
                    factors[-1] *= 2.0
                down = np.arange(last - first, last - first - count, -1)
                looked_at = down % self.check == 0
                parts = {"source": source, "pairs": pairs}
                sizes = self._advance(matrix, trail, first, factors, looked_at, **parts)
                for t in np.flatnonzero(looked_at):
                    self.bounded(down[t], sizes[t], limits[down[t]])
        if out is not None:
            layout.add_entries(entries, self.ellipse.scale, out)
        dual = self.generator.vector()
        dual.array[:] = (layout.mass * trail[last])[layout.own]
        return dual

    def _segments(self, run: Trail | None, last: int) -> Iterator[tuple[int, int]]:
        """(first index, behind the last) of segments, the last one first; x_j are there."""
        if run is None:
            yield 0, last + 1
            return
        for segment in reversed(run.firsts):
            if segment != run.current:
                run.enter(segment, save=False)
                matrix = self._matrix("matrix")
                for first, count in self._parts(max(segment, 1), run.stop(segment)):
                    nothing = np.zeros(count, dtype=bool)
                    self._advance(matrix, run, first, self._factors(first, count), nothing)
            yield segment, run.stop(segment)

    def _sources(self, riesz: list[PETSc.Vec]) -> tuple[np.ndarray, np.ndarray]:
        """The vectors where one of them is not 0, and where in that every slice is."""
        layout = self._layout
        vectors = np.zeros((len(riesz), layout.rows))
        for vector, row in zip(riesz, vectors, strict=True):
            layout.put(vector, row)
        slices = vectors.reshape(len(riesz), -1, LANES)
        active = np.flatnonzero(slices.any(axis=(0, 2)))
        place = np.full(slices.shape[1], -1)
        place[active] = np.arange(len(active))
        return np.ascontiguousarray(slices[:, active].transpose(1, 0, 2)), place

    # ---- steps ------------------------------------------------------------------------------

    def _advance(
        self,
        matrix: native.Matrix,
        trail: Trail,
        first: int,
        factors: np.ndarray,
        looked_at: np.ndarray,
        *,
        source: native.Source | None = None,
        sums: native.Sums | None = None,
        pairs: native.Pairs | None = None,
        extra: native.Matrix | None = None,
        other: Trail | None = None,
        more: native.Sums | None = None,
    ) -> np.ndarray:
        """The vectors ``first`` … of a chunk, at most as many steps at once as the ghosts last; the
        norms of those that are looked at (collective)."""
        layout, halo, count = self._layout, self._layout.halo, len(factors)
        x = trail.addresses(first - 2, first + count)
        y = None if other is None else other.addresses(first - 2, first + count)
        squares = np.zeros(count)
        at_once = count if halo.alone else halo.steps
        whole = at_once >= count
        for begin in range(0, count, at_once):
            now = min(at_once, count - begin)
            if begin and source is not None:
                source.weight += 8 * at_once * source.count
            layout.library.chain(
                byref(matrix),
                _by(extra),
                pointer(x[begin:]),
                None if y is None else pointer(y[begin:]),
                pointer(factors[begin:]),
                now,
                layout.steps,
                layout.block,
                _by(source),
                *(_by(part) if whole else None for part in (sums, more, pairs)),
                pointer(layout.mass),
                pointer(looked_at[begin:]),
                pointer(squares[begin:]),
            )
            if not halo.alone:
                last = first + begin + now
                made = [t[j] for t in (trail, other) if t is not None for j in (last - 2, last - 1)]
                halo.exchange(made, layout.slots)
        if not whole:
            layout.library.gather(
                byref(matrix),
                _by(sums),
                _by(more),
                _by(pairs),
                pointer(x),
                pointer(y),
                count,
                layout.block,
            )
        self.products += count
        return np.sqrt(squares if halo.alone else halo.comm.allreduce(squares))


def _by(structure: Structure | None):
    return None if structure is None else byref(structure)
