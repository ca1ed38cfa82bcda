"""Clocks, time limits, memory and memory bandwidth."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numba
import numpy as np

_LIBC = ctypes.CDLL("libc.so.6")


class TooSlow(Exception):
    """A method did not end within its limit."""


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Raise TooSlow in the block after that time, as soon as Python gets a turn: every rival
    comes back to Python at least once a step, a factorisation does not."""

    late = []

    def stop(_signal, _frame):
        late.append(True)
        raise TooSlow(f"> {seconds:.2g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except Exception as error:
        if late:  # PETSc makes an error of its own of what a callback raises
            raise TooSlow(f"> {seconds:.2g} s") from error
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _status(key: str) -> int:
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(key):
                return 1024 * int(line.split()[1])
    return 0


def peak() -> int:
    """Largest resident size of this process so far, in bytes."""
    return _status("VmHWM")


def with_memory(run: Callable):
    """run() and how far the resident size rose above where it began, in bytes.

    What was freed before is first given back to the system, and the kernel's high-water mark is
    reset; where it refuses, the rise is not known (None).
    """
    gc.collect()
    _LIBC.malloc_trim(0)
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return run(), None
    before = _status("VmRSS")
    result = run()
    return result, max(peak() - before, 0)


def clock(run: Callable) -> tuple[object, float]:
    start = time.perf_counter()
    result = run()
    return result, time.perf_counter() - start


def description() -> dict:
    model = "unknown processor"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "system": platform.release(),
    }


@numba.njit(cache=True)
def _triad(a, b, c):
    for i in range(a.size):
        a[i] = b[i] + 3.0 * c[i]


def bandwidth(megabytes: float = 96.0, rounds: int = 8) -> float:
    """Bytes a second of a = b + 3c on three arrays of that total size, three words counted an
    entry, best of some; every rank does it, so under mpirun this is one rank's share."""
    size = int(megabytes * 1e6 / 24.0)
    a, b, c = np.zeros(size), np.ones(size), np.ones(size)
    _triad(a, b, c)
    best = min(clock(lambda: _triad(a, b, c))[1] for _ in range(rounds))
    return 24.0 * size / best
