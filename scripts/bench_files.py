"""Seconds that ranks take to write fields at once and in turn, and chains to append draws.

    scripts/run mpirun -n 2 python3 scripts/bench_files.py --unknowns 1000000 --times 10

Rows are medians of three, on the disk of ``--folder``; with a serial h5py there is no first row.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from mpi4py import MPI

from advdiff.files import result, shared
from advdiff.files.reserved import Reserved

WORLD = MPI.COMM_WORLD
REPEATS = 3


def seconds(work: Callable[[], None]) -> float:
    """The median of the slowest rank."""
    found = []
    for _ in range(REPEATS):
        WORLD.barrier()
        began = time.perf_counter()
        work()
        found.append(WORLD.allreduce(time.perf_counter() - began, MPI.MAX))
    return statistics.median(found)


def write_fields(path: Path, unknowns: int, times: int) -> None:
    """A result with a field at all output times, sealed and on the disk."""
    with result.create(path, WORLD, {}) as file:
        file.axis("time", times)
        file.axis("vertex", unknowns)
        mine = slice(*(unknowns * k // WORLD.size for k in (WORLD.rank, WORLD.rank + 1)))
        file.dataset("theta", (times, unknowns), "f8")
        for k in range(times):
            file.file.put("theta", (k, mine), np.full(mine.stop - mine.start, float(k)))


def append(path: Path, unknowns: int, draws: int) -> float:
    """Seconds for what a chain appends: its state, gradient and sum, each rank its part."""
    with result.create(path, WORLD, {}) as file:
        file.axis("row", 3)
        file.axis("white", unknowns)
        file.reserve("progress", ("row", "white"))
    mine = slice(*(unknowns * k // WORLD.size for k in (WORLD.rank, WORLD.rank + 1)))
    numbers, values = Reserved(path, WORLD), np.ones(mine.stop - mine.start)

    def work() -> None:
        for _ in range(draws):
            numbers.write(*(("progress", (row, mine.start), values) for row in range(3)))

    return seconds(work) / draws


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unknowns", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--folder", default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as own:
        path = Path(WORLD.bcast(own)) / "e.h5"
        rows = {}
        for name, switch in {"at once": "", "in turn": "turns"}.items():
            os.environ[shared.SWITCH] = switch
            if switch or h5py.get_config().mpi:
                work = lambda: write_fields(path, given.unknowns, given.times)  # noqa: E731
                rows[f"fields, {name}"] = seconds(work)
        rows["append of a chain"] = append(path, given.unknowns, 20)
        rows["append of a chain, 1000 unknowns"] = append(path, 1000, 20)
        WORLD.barrier()
    if WORLD.rank == 0:
        for name, value in rows.items():
            print(f"{name:34s} {value:.3g} s")


if __name__ == "__main__":
    main()
