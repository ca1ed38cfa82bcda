"""Errors that all ranks agree on."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from advdiff.core import child
from advdiff.core.errors import T

if TYPE_CHECKING:
    from mpi4py import MPI


class Alone:
    """The communicator of a process that has no MPI."""

    rank, size = 0, 1

    def bcast(self, value: T, root: int = 0) -> T:
        """``value``."""
        return value


_stays_alone = False


def stay_alone() -> bool:
    """Have this process do without MPI, where no launcher has started it as a rank: whether so.

    To be called before h5py and numpy are loaded.
    """
    global _stays_alone
    if not _stays_alone and "mpi4py.MPI" not in sys.modules:
        _stays_alone = not any(name.startswith(child.LAUNCHED) for name in os.environ)
    if _stays_alone:
        os.environ.update(child.ALONE)
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        for name in child.WITHOUT:
            os.environ.pop(name, None)
    return _stays_alone


def world() -> MPI.Comm | Alone:
    """All ranks; without mpi4py, or after :func:`stay_alone`, this process."""
    if _stays_alone:
        return Alone()
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError):  # the second where its wheel finds no MPI
        return Alone()
    return MPI.COMM_WORLD


def foreign_launcher() -> str | None:
    """What to say where mpirun is of another MPI than this Python's; else None (starts MPI).

    The ranks would be so many single processes; MPICH's would end as it starts.
    """
    own = Path(sys.prefix, "bin", "mpirun")
    remedy = f"take {own if own.is_file() else 'its own'}"
    if "OMPI_COMM_WORLD_SIZE" in os.environ and find_spec("dolfinx_solver"):  # whose MPI is MPICH
        return f"this mpirun is Open MPI's, and the MPI of this Python is MPICH; {remedy}"
    started = max(int(os.environ.get(name) or 1) for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"))
    if started > 1 and world().size == 1:
        return (
            f"mpirun has started {started} ranks and each is alone: it is of another MPI; {remedy}"
        )
    return None


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


TURN = 7144
"""Tag of the message by which a rank passes the turn on."""


def in_turn(comm: MPI.Comm, function: Callable[[], None]) -> None:
    """Run ``function`` on every rank, one after the other; none after one that has failed, and its
    exception becomes that of all ranks (collective; ``function`` is not).
    """
    with agreed(comm):
        goes_on = comm.recv(source=comm.rank - 1, tag=TURN) if comm.rank else True
        try:
            if goes_on:
                function()
        except Exception:
            goes_on = False
            raise
        finally:
            if comm.rank + 1 < comm.size:
                comm.send(goes_on, comm.rank + 1, tag=TURN)


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
    import numpy as np
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
