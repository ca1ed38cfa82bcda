"""One HDF5 file that all ranks fill: at once by MPI-IO or, where h5py has none, in turn.

Which of the two is decided here, and both give the same file.  In turn, rank 0 lays everything out,
its room on the disk taken; what the ranks have to put there waits in their memory, up to ``BATCH``
bytes, until one after the other opens the file, fills its part and closes it.  Nobody opens what
another has not closed, which suits HDF5's file locks, and NFS.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import ArrayLike

from advdiff.core import stopping
from advdiff.core.disk import abandon, is_full, room
from advdiff.core.errors import InputError, T
from advdiff.core.ranks import Alone, agreed, in_turn, on_root
from advdiff.files.parallel import check_writable, closing, end, open_parallel

if TYPE_CHECKING:
    from mpi4py import MPI

BATCH = 64 << 20
"""Bytes that wait on a rank before all write what they have."""
SWITCH = "ADVDIFF_HDF5"
"""Environment variable: ``turns`` has ranks write in turn with a parallel h5py as well."""

Layer = Callable[[h5py.File], Any]


class AtOnce:
    """A file that is open on all ranks, or on a single one; methods as of :class:`InTurn`."""

    def __init__(self, file: h5py.File, comm: MPI.Comm | Alone | None = None):
        self.file, self.path = file, Path(file.filename)
        self.comm = comm or Alone()

    def __contains__(self, path: str) -> bool:
        return path in self.file

    def lay_out(self, function: Layer) -> None:
        function(self.file)

    def put(self, path: str, place: Any, values: ArrayLike) -> None:
        self.file[path][place] = values

    def read(self, function: Callable[[h5py.File], T]) -> T:
        if self.comm.size > 1:  # for what others have put there
            self.comm.barrier()
        return function(self.file)


class InTurn:
    """A file that one rank at a time has open; every method is collective.

    Args:
        path: of the file.
        comm: the ranks that fill it.
        mode: ``w`` for a new one, ``r+`` for one that is there.
    """

    def __init__(self, path: Path, comm, mode: str = "w"):
        self.path, self.comm = path, comm
        self._file: h5py.File | None = None
        self._waiting: list[tuple[str, Any, np.ndarray]] = []
        self._mode, self._size = mode, 0

    def __contains__(self, path: str) -> bool:
        return on_root(self.comm, lambda: path in self._opened())

    def lay_out(self, function: Layer) -> None:
        """Have groups, datasets and attributes made by ``function`` of the open file, which
        communicates with nobody."""

        def make() -> None:
            with room(self.path):
                function(self._opened())

        on_root(self.comm, make)

    def put(self, path: str, place: Any, values: ArrayLike) -> None:
        """Fill this rank's part of a dataset that is laid out, now or later."""
        part = np.array(values)
        self._waiting.append((path, place, part))
        self._size += part.nbytes
        if any(self.comm.allgather(self._size > BATCH)):
            self.settle()

    def read(self, function: Callable[[h5py.File], T]) -> T:
        """What ``function`` finds in the file, on each rank by itself."""
        self.settle()
        with agreed(self.comm), h5py.File(self.path, "r") as file:
            return function(file)

    def settle(self) -> None:
        """Have all that waits written; no rank has the file open then."""
        in_turn(self.comm, self._write)

    def forget(self, error: BaseException) -> None:
        """Let go of the file after an error, if this rank has it open (local)."""
        if self._file is not None and is_full(error):
            abandon(self._file)
        elif self._file is not None:
            self._file.close()

    def _opened(self) -> h5py.File:
        if self._file is None:
            if self.comm.rank == 0:
                self._file = open_parallel(self.path, Alone(), self._mode)
            else:
                self._file = h5py.File(self.path, "r+")
            self._mode = "r+"
        return self._file

    def _write(self) -> None:
        waiting, self._waiting, self._size = self._waiting, [], 0
        with room(self.path):
            for path, place, values in waiting:
                self._opened()[path][place] = values
            if self._file is not None:
                self._file.close()
        self._file = None


Shared = AtOnce | InTurn


def writes_in_turn(comm) -> bool:
    """Whether ranks fill a file one after the other (collective).

    Raises:
        InputError: where the environment asks for something else.
    """
    if comm.size == 1:
        return False

    def choice() -> bool:
        asked = os.environ.get(SWITCH, "")
        if asked not in ("", "turns"):
            raise InputError(f"{SWITCH} = {asked!r}: must be 'turns', or not set")
        return asked == "turns"

    forced = on_root(comm, choice)
    return forced or not all(comm.allgather(h5py.get_config().mpi))


@contextmanager
def shared(path: Path, comm, mode: str = "w") -> Iterator[Shared]:
    """An HDF5 file that all ranks fill, a new one by default, closed behind the block (collective).

    Raises:
        NoRoom: where the disk is full, on all ranks.
    """
    if not writes_in_turn(comm):
        with closing(open_parallel(path, comm, mode), comm) as opened:
            yield AtOnce(opened, comm)
        return
    file = InTurn(path, comm, mode)
    try:
        yield file
        file.settle()
    except BaseException as error:
        file.forget(error)
        raise
    on_root(comm, lambda: os.truncate(path, end(path)))


def check_output(path: Path, comm, key: str = "output.file") -> None:
    """Raise :class:`InputError` where ranks cannot or should not write a file (collective)."""
    on_root(comm, lambda: check_writable(path, key))
    if comm.size == 1:
        return
    writes_in_turn(comm)
    probe = path.with_name(f".{path.name}.seen")
    with stopping.scratch(probe, comm):
        on_root(comm, probe.touch)
        blind = [where for where in comm.allgather(_blind(probe)) if where]
        on_root(comm, lambda: probe.unlink(missing_ok=True))
    if blind:
        raise InputError(
            f"{key}: the folder {path.parent} is not the same on {blind[0]}; give one that all "
            "machines share"
        )


def _blind(probe: Path) -> str:
    """The name of this machine where it does not see a file."""
    return "" if probe.exists() else socket.gethostname()
