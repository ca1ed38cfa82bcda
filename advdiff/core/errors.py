"""Errors a user can act on, raised on every rank or on none."""

from __future__ import annotations

import errno
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")

SIZES = "mind the sizes of velocity, diffusivity, source, initial state, time, or tighten the prior"
"""The remedy where numbers overflow."""
SHOWN = 20
"""Known names that a message lists at most."""


class InputError(ValueError):
    """Something the user typed or supplied is wrong.

    The message is one line that names the key (or file and row), the value and the remedy.
    """


class NoRoom(InputError):
    """A file cannot grow: the disk or a quota is full."""


class NotFinite(ValueError, FloatingPointError):
    """A matrix or vector has entries that are not finite numbers."""


class ConvergenceError(RuntimeError):
    """An iteration stopped short of its tolerance; the message says what was reached."""


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name that was probably meant."""
    lower, name = {k.lower(): k for k in known}, name.strip().lower()
    close = get_close_matches(name, list(lower), n=1)
    close = close or [k for k in lower if len(name) > 1 and k.startswith(name)]
    return lower[close[0]] if close else None


def suggestion(name: str, known: Sequence[str]) -> str:
    """``"did you mean 'x'?"`` where a known name is close, else the first of the known names."""
    close = nearest(name, known)
    if close is not None:
        return f"did you mean '{close}'?"
    shown, more = sorted(known)[:SHOWN], len(known) - SHOWN
    return "known: " + ", ".join(shown or ["none"]) + (f" and {more} more" if more > 0 else "")


def shortened(value: object, longest: int = 60) -> str:
    """``repr(value)`` for a message: one line, cut in the middle where it is long."""
    text = repr(value)
    half = longest // 2 - 2
    return text if len(text) <= longest else f"{text[:half]}...{text[-half:]}"


class Alone:
    """The communicator of a process that has no MPI."""

    rank, size = 0, 1

    def bcast(self, value: T, root: int = 0) -> T:
        """``value``."""
        return value


def world() -> MPI.Comm | Alone:
    """All ranks; without mpi4py, this process."""
    try:
        from mpi4py import MPI
    except ImportError:
        return Alone()
    return MPI.COMM_WORLD


def on_root(comm: MPI.Comm, function: Callable[[], T]) -> T:
    """Run ``function`` on rank 0; its result, or its exception, becomes that of all ranks."""
    result: T | None = None
    error: Exception | None = None
    if comm.rank == 0:
        try:
            result = function()
        except Exception as caught:
            error = caught
    error = comm.bcast(error)
    if error is not None:
        raise error
    return comm.bcast(result)


_unheard: list[MPI.Request] = []
"""What ranks that have failed alone asked the others; their memory must stay."""


@contextmanager
def agreed(comm: MPI.Comm, patience: float = math.inf):
    """Raise on all ranks if the block raised on one (the message of the lowest such rank).

    An exception on a single rank would otherwise leave the others waiting in their next collective
    call.

    Args:
        patience: seconds for which a rank that has failed waits for the others, and then raises
            alone; finite where the block itself communicates, for they may wait for it there.
    """
    from mpi4py import MPI

    error: Exception | None = None
    try:
        yield
    except Exception as caught:
        error = caught
    mine, first = (np.full(1, comm.size if error is None else comm.rank) for _ in range(2))
    asked = comm.Iallreduce(mine, first, MPI.MIN)  # never taken for a collective call of the block
    until = time.monotonic() + patience
    while error is not None and patience < math.inf and not asked.Test():
        if time.monotonic() > until:
            _unheard.append(asked)
            raise error
        time.sleep(1e-3)
    asked.Wait()
    if first[0] < comm.size:
        raise comm.bcast(error, root=int(first[0]))


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The system's codes for a file that cannot grow."""

_lost: list[str] = []
"""Why writes have failed where nothing can be raised, until :func:`room` raises."""


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
