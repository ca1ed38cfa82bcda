"""SIGTERM and Ctrl-C: one line, no traceback, and what is on disk can be used or gone on from.

Nothing is unwound: files are such that SIGKILL may come at any moment, so a signal may as well.
The process ends where Python next looks, which is after the library call under way.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PRECEDENCE = 0.5
"""Seconds that rank 0, if the signal came to all, has to speak for all."""
ATTENTION = 0.2
"""Seconds that rank 0 listens whether another has spoken: mpirun may be faster than its message."""
TAG = 7143
"""Of the message by which a rank tells another that it has spoken."""

_scratch: set[Path] = set()
_stderr = 2
_resumable: Path | None = None


def install() -> None:
    """Take over the signals of this process, those that it is not told to ignore."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def keep() -> None:
    """Take them back, where :func:`install` had them, from a library that has started meanwhile.

    PETSc takes SIGTERM where MPI is not Open MPI.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is _stop:  # as Python knows it, which C code does not ask
            signal.signal(number, _stop)


@contextmanager
def scratch(path: Path, comm):
    """A file that is worth nothing before the block has ended; ``comm``: the ranks that write it.

    Rank 0 removes it after an error.  The others do not, for rank 0 may still be at work in it:
    where they alone have failed, :func:`sweep` does, at the end of the process.
    """
    _scratch.add(path)
    try:
        yield
    except BaseException:
        if comm.rank == 0:
            path.unlink(missing_ok=True)
            _scratch.discard(path)
        raise
    _scratch.discard(path)


def sweep() -> None:
    """Remove what the failed blocks of :func:`scratch` have left, before the job is aborted."""
    for path in _scratch:
        path.unlink(missing_ok=True)


@contextmanager
def hushed():
    """What programs started within the block say on stderr is shown only where the block fails.

    A signal is answered there all the same.
    """
    global _stderr
    try:
        shown = os.dup(2)
    except OSError:  # closed: there is nothing to hush
        yield
        return
    import tempfile  # which loads much, and is needed here alone

    with tempfile.TemporaryFile() as said:
        _stderr = shown
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(shown, said.read())
            raise
        finally:
            os.dup2(shown, 2)
            _stderr = 2
            os.close(shown)


@contextmanager
def resumable(path: Path):
    """Within the block, ``--resume`` can go on from ``path``, once that is there."""
    global _resumable
    _resumable = path
    try:
        yield
    finally:
        _resumable = None


def leave(code: int) -> NoReturn:
    """End the process here and now, and the job with it: nothing is unwound.

    The one place that does.  It is for those who cannot come to an ordinary end: a signal has come;
    other ranks wait in a call that this one will never make; or HDF5 holds what a full disk does
    not take, and would die as it lets go of that.
    """
    sweep()  # last: another rank may still want what it takes away
    world = _world()
    if world is not None and world.size > 1:
        world.Abort(code)
    os._exit(code)


def _world():
    """All ranks; None before MPI has started and after it has ended."""
    mpi = sys.modules.get("mpi4py.MPI")
    return mpi.COMM_WORLD if mpi and mpi.Is_initialized() and not mpi.Is_finalized() else None


def _stop(number: int, _frame) -> None:
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    world, silent = _world(), False
    if world is not None and world.rank:
        time.sleep(PRECEDENCE)
        world.Isend(b"", 0, TAG)
    elif world is not None and world.size > 1:
        until = time.monotonic() + ATTENTION
        while not (silent := world.Iprobe(tag=TAG)) and time.monotonic() < until:
            time.sleep(1e-3)
    if not silent:
        name = signal.Signals(number).name
        remedy = "; go on with --resume" if _resumable and _resumable.exists() else ""
        os.write(_stderr, f"advdiff: stopped by {name}{remedy}\n".encode())
    if world is not None and world.size > 1:
        time.sleep(0.1)  # mpirun drops what it has not yet read
    leave(128 + number)
