"""A rough estimate of the memory that a problem needs, made before anything is built."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from mpi4py import MPI

from advdiff.errors import InputError

VERTICES_PER_CELL = {1: 1.0, 2: 0.5, 3: 1 / 6}
UNKNOWNS_PER_CELL = {1: 2.0, 2: 2.0, 3: 4 / 3}
"""Of degree 2."""


def machine(comm: MPI.Comm) -> float:
    """Bytes of all machines that the ranks of ``comm`` run on (collective)."""
    here = comm.Split_type(MPI.COMM_TYPE_SHARED)
    mine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if here.rank == 0 else 0
    here.Free()
    return float(comm.allreduce(mine))


def estimate(cells: float, dim: int, degree: int, states: int) -> float:
    """Bytes for a mesh of simplices, its matrices, and as many states (measured, within twice)."""
    per_cell = 500.0 * dim * degree
    unknowns = cells * (VERTICES_PER_CELL if degree == 1 else UNKNOWNS_PER_CELL)[dim]
    return per_cell * cells + 8.0 * unknowns * states


def require_box(comm: MPI.Comm, cells: Sequence[int], degree: int, states: int) -> None:
    """Raise :class:`InputError` where a box of so many cells along each axis is too large."""
    dim = len(cells)
    size = estimate(float(math.factorial(dim) * math.prod(cells)), dim, degree, states)
    what = f"domain.cells = {list(cells)} and {states} output times"
    require(comm, size, what, "take fewer cells or times")


def require(comm: MPI.Comm, size: float, what: str, remedy: str) -> None:
    """Raise :class:`InputError` on all ranks where ``size`` bytes are more than there are."""
    available = machine(comm)
    if size > available:
        raise InputError(
            f"{what}: needs about {_human(size)} of memory, the machine has {_human(available)}; "
            f"{remedy}"
        )


def _human(size: float) -> str:
    power = min(int(math.log(max(size, 1.0), 1024)), 5)
    return f"{size / 1024**power:.3g} {('B', 'kB', 'MB', 'GB', 'TB', 'PB')[power]}"
