"""The cache of compiled forms, which runs share: what killed ones left there, how long to wait.

FFCx marks a form that it compiles by an empty C file, and every other process waits for it, also
where the first was killed.  Each run of ours therefore holds a shared lock on the cache; a run that
finds itself alone may take away what was left half made.
"""

from __future__ import annotations

import fcntl
import functools
import time
from pathlib import Path
from typing import IO

from dolfinx import jit
from mpi4py import MPI

PATIENCE = 300
"""Seconds to wait for another process that compiles the same form (FFCx: 10)."""
YOUNG = 20.0
"""Seconds that a half-made form may still be the work of a program that is none of ours."""


def share_cache(comm: MPI.Comm) -> None:
    """Prepare the cache, once a process; rank 0 compiles, so it is rank 0 that looks."""
    jit.DOLFINX_DEFAULT_JIT_OPTIONS["timeout"] = (PATIENCE, "Timeout for JIT compilation")
    if comm.rank == 0:
        _share(Path(jit.get_options()["cache_dir"]))


@functools.cache
def _share(folder: Path) -> IO | None:
    """The lock, held as long as the process lives; None where the file system has no locks."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = open(folder / "advdiff.lock", "a")  # noqa: SIM115
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _sweep(folder)
    except OSError:
        pass  # others are at work: what is half made is theirs
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return None
    return lock


def _sweep(folder: Path) -> None:
    """Take away forms that nobody finishes."""
    for source in folder.glob("libffcx_*.c"):
        while not source.with_suffix(".c.cached").exists():
            try:
                age = time.time() - source.stat().st_mtime
            except FileNotFoundError:
                break
            if age > YOUNG:
                source.unlink(missing_ok=True)
                break
            time.sleep(0.2)
