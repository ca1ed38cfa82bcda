"""What an optimisation has computed, on disk beside the result, so that a killed run can go on.

An optimiser is a deterministic function of the values it is given.  So the file does not hold its
state, which PETSc does not hand out, but every value, gradient and Hessian product it was given, in
order.  ``--resume`` runs it again from the start, answers from the file until that ends, and
computes from there on: on the same ranks the run that was never killed, bit for bit, for every type
of TAO.  On other ranks an answer belongs to a point that differs by rounding; where it differs by
more, because another optimiser asks, the rest of the file is forgotten.

The file is a line of JSON, the labels of the unknowns, then records of equal size, each rank
writing its own part of each.  A record counts from when its head, with a check sum, is written,
which is last: a kill costs the evaluation under way.  Beyond ``LARGEST`` nothing more is written,
and resuming computes that again.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.core import stopping
from advdiff.core.disk import room, write_at
from advdiff.core.ranks import agreed, on_root
from advdiff.files.beside import Beside
from advdiff.problem.problem import Problem

FORMAT = 2
LARGEST = 4 << 30
"""Bytes of a file."""
TITLE = 256
"""Bytes of its first line."""
NEAR = 1e-8
"""Relative distance of two points that are the same but for rounding."""
BLOCK = 1 << 20
"""Labels looked at together."""
HEAD = np.dtype(
    [(name, "f8") for name in ("what", "value", "norm", "probe", "seconds")] + [("check", "u8")]
)
MASK = (1 << 64) - 1
DAMAGE = (OSError, KeyError, TypeError, ValueError)


class Checkpoint(Beside):
    """The :class:`advdiff.inverse.white.Tape` of a problem; every method is collective.

    Args:
        problem: gives the layout of the vectors.
        path: of the result.

    Attributes:
        replayed: how many records have been answered from.
    """

    def __init__(self, problem: Problem, path: Path):
        super().__init__(problem.comm, path)
        self.problem = problem
        self.labels = problem.prior.labels
        self.probe = problem.prior.white(0, 0)
        self.size = self.probe.getSize()
        self.start, self.stop = self.probe.getOwnershipRange()
        self.replayed = self._count = 0
        self._places: slice | np.ndarray = slice(self.start, self.stop)
        self._whole = 0
        self._file: int | None = None

    # -- opening --------------------------------------------------------------------------------

    def create(self) -> None:
        """Begin a new one, which replaces the old one."""
        with stopping.scratch(self._temporary, self.comm):
            self._begin()
            self._publish()

    def _publish(self) -> None:
        on_root(self.comm, lambda: self._temporary.replace(self.path))

    def _begin(self) -> None:
        """All but the records, under a temporary name."""
        title = json.dumps({"format": FORMAT, "mark": mark(self.problem), "size": self.size})
        with agreed(self.comm), room(self.path):
            if self.comm.rank == 0:
                self._temporary.write_bytes(title.encode().ljust(TITLE - 1) + b"\n")
        with agreed(self.comm), room(self.path):
            self._file = os.open(self._temporary, os.O_RDWR)
            write_at(self._file, self.labels, TITLE + 8 * self.start)

    def load(self) -> None:
        """Open the file of a run that was killed.

        Raises:
            InputError: where there is none, or it is of another problem, or damaged.
        """
        ours = mark(self.problem)

        def look() -> int:
            self.require()
            try:
                with self.path.open("rb") as file:
                    title = json.loads(file.read(TITLE))
                here = title["format"], title["mark"], title["size"]
            except DAMAGE:
                raise self.damaged() from None
            if here != (FORMAT, ours, self.size):
                raise self.foreign()
            return (self.path.stat().st_size - self._place(0)) // self._length

        self._whole = on_root(self.comm, look)
        if self._whole < 0:
            raise self.damaged()
        with agreed(self.comm):
            self._file = os.open(self.path, os.O_RDWR)
        self._match()

    def _match(self) -> None:
        """Find where the entries of this rank are in the file."""
        stored = np.memmap(self.path, "u8", "r", TITLE, (self.size,))
        if self.comm.allreduce(np.array_equal(stored[self._places], self.labels), MPI.LAND):
            return
        order = np.argsort(self.labels)
        mine, places = self.labels[order], np.full(len(self.labels), -1)
        for first in range(0, self.size, BLOCK):
            block = stored[first : first + BLOCK]
            at = np.minimum(np.searchsorted(mine, block), max(len(mine) - 1, 0))
            found = np.flatnonzero(mine[at] == block) if len(mine) else np.empty(0, int)
            places[order[at[found]]] = first + found
        if not self.comm.allreduce(bool((places >= 0).all()), MPI.LAND):
            raise self.damaged()
        self._places = places

    def remove(self) -> None:
        """Forget it."""
        if self._file is not None:
            os.close(self._file)
        self._file = None
        super().remove()

    # -- the tape -------------------------------------------------------------------------------

    def replay(self, what: int, x: PETSc.Vec, out: PETSc.Vec) -> tuple[float, float] | None:
        """The value and the seconds recorded for a question, and the vector in ``out``.

        None where the file ends, and from then on.
        """
        if self._count >= self._whole:
            return None
        place = self._place(self._count)
        head = np.frombuffer(os.pread(self._file, HEAD.itemsize, place), HEAD)[0]
        stored = np.memmap(self.path, "f8", "r", place + HEAD.itemsize, (self.size,))
        data = np.array(stored[self._places])
        norm, probe = x.norm(), x.dot(self.probe)
        near = NEAR * norm
        if (
            head["what"] != what
            or self._sum(head, data) != head["check"]
            or not abs(head["norm"] - norm) <= near
            or not abs(head["probe"] - probe) <= near
        ):
            self._whole = self._count
            return None
        out.setArray(data)
        self._count += 1
        self.replayed = self._count
        return float(head["value"]), float(head["seconds"])

    def record(self, what: int, x: PETSc.Vec, value: float, out: PETSc.Vec, seconds: float) -> None:
        """Add an answer."""
        place = self._place(self._count)
        if place + self._length > LARGEST:
            return
        head, data = np.zeros(1, HEAD), out.array_r
        head[0] = (what, value, x.norm(), x.dot(self.probe), seconds, 0)
        if not isinstance(self._places, slice):
            self._rewrite()
        head["check"] = self._sum(head[0], data)
        with agreed(self.comm), room(self.path):
            write_at(self._file, data, place + HEAD.itemsize + 8 * self.start)
        with agreed(self.comm), room(self.path):
            if self.comm.rank == 0:
                write_at(self._file, head, place)
                os.ftruncate(self._file, place + self._length)
        self._count += 1
        self._whole = self._count

    @property
    def _length(self) -> int:
        """Bytes of a record."""
        return HEAD.itemsize + 8 * self.size

    def _place(self, record: int) -> int:
        return TITLE + 8 * self.size + record * self._length

    def _sum(self, head: np.void, data: np.ndarray) -> int:
        """A check sum that does not depend on the ranks."""
        places = self._places
        if isinstance(places, slice):
            places = np.arange(self.start, self.stop)
        bits = np.ascontiguousarray(data).view("u8") * (2 * places.astype("u8") + np.uint64(1))
        total = self.comm.allreduce(int(bits.sum(dtype="u8")))
        own = hashlib.blake2b(head.tobytes()[: HEAD.fields["check"][1]], digest_size=8).digest()
        return (total + int.from_bytes(own)) & MASK

    def _rewrite(self) -> None:
        """Put the entries in the order of these ranks."""
        old, count = np.memmap(self.path, "u1", "r"), self._count
        moved, places = self._file, self._places
        heads = [old[self._place(k) :][: HEAD.itemsize].view(HEAD)[0].copy() for k in range(count)]
        self._places = slice(self.start, self.stop)
        with stopping.scratch(self._temporary, self.comm):
            self._begin()
            for k, head in enumerate(heads):
                place = self._place(k) + HEAD.itemsize
                data = np.array(old[place : place + 8 * self.size].view("f8")[places])
                check = np.array([head])
                check["check"] = self._sum(head, data)
                with agreed(self.comm), room(self.path):
                    write_at(self._file, data, place + 8 * self.start)
                    if self.comm.rank == 0:
                        write_at(self._file, check, place - HEAD.itemsize)
            self._publish()
        os.close(moved)


def mark(problem: Problem) -> str:
    """Text that differs where the values of two runs would."""
    parts = {"domain", "discretization", "physics", "solver", "unknowns", "prior"}
    digest = hashlib.sha256(problem.experiment.model_dump_json(include=parts).encode())
    digest.update(problem.experiment.observations.noise.model_dump_json().encode())
    readings = problem.readings
    arrays = [readings.points, readings.times, readings.values, readings.std]
    arrays += readings.places.beside
    for array in arrays if readings.censored is None else [*arrays, readings.censored]:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
