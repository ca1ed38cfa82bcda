"""Room on the disk, taken before it is needed."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np

from advdiff.core.errors import NoRoom

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The system's codes for a file that cannot grow."""


@contextmanager
def room(path: Path):
    """Let a disk that is full be a :class:`NoRoom` (local).

    Also one that was met where nothing could be raised, after :func:`keep_lost_writes`.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:  # h5py raises either
        reason = _full(error)
        if reason is None:
            raise
        _lost.clear()
        raise _no_room(path, reason) from None
    if _lost:
        reason = _lost.pop()
        _lost.clear()
        raise _no_room(path, reason)


def take(path: Path, size: int) -> None:
    """Have the disk make room for so many bytes more at the end of a file (local).

    HDF5, which does not survive a full disk, need then not ask for it.

    Raises:
        NoRoom: where there is none.
    """
    with room(path), path.open("r+b") as file:
        if size and hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)


def write_at(file: int, values: np.ndarray, place: int) -> None:
    """All bytes of ``values``, from a place in an open file on, wherever the system stops for
    breath (local).
    """
    rest = memoryview(np.ascontiguousarray(values)).cast("B")
    while len(rest):
        written = os.pwrite(file, rest, place)
        rest, place = rest[written:], place + written


def is_full(error: BaseException) -> bool:
    """Whether it says that a disk is full, in the system's words or in ours."""
    return isinstance(error, NoRoom) or _full(error) is not None


_abandoned: list[object] = []
"""Files that nobody may close."""


def abandon(file: object) -> None:
    """Keep an HDF5 file from being closed, for HDF5 may die of what it cannot write then (local).

    The process is to end by :func:`advdiff.core.stopping.leave`.
    """
    _abandoned.append(file)


_lost: list[str] = []
"""Why writes have failed where nothing can be raised, until :func:`room` raises."""


def _full(error: BaseException | None) -> str | None:
    """Why a file cannot grow; None where that is not what the error is about."""
    text = str(error)
    code = next((c for c in FULL if f"rrno {c}]" in text or f"errno = {c}," in text), None)
    if code is not None:
        return os.strerror(code)
    # MPI keeps its reason to itself
    return "a write of MPI-IO failed: disk full, or a quota" if "MPI_File_write" in text else None


def _no_room(path: Path, reason: str) -> NoRoom:
    return NoRoom(f"output.file: {path} cannot grow ({reason}); make room in {path.parent}")


def keep_lost_writes() -> None:
    """Have the next :func:`room` raise what a full disk does where h5py cannot.

    HDF5 writes some values only as h5py lets go of a dataset.  What then fails, Cython hands to
    both of Python's hooks for what cannot be raised, and would print it for every dataset.
    """

    def is_lost(error: BaseException | None, trace: TracebackType | None) -> bool:
        frames = [frame.f_code.co_name for frame, _ in traceback.walk_tb(trace)]
        reason = _full(error) if frames and frames[-1].endswith("__dealloc__") else None
        if reason is not None:
            _lost.append(reason)
        return reason is not None

    def raised(kind, error, trace) -> None:
        if not is_lost(error, trace):
            sys.__excepthook__(kind, error, trace)

    def unraisable(about) -> None:
        if not is_lost(about.exc_value, about.exc_traceback):
            sys.__unraisablehook__(about)

    sys.excepthook, sys.unraisablehook = raised, unraisable
