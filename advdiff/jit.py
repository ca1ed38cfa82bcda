"""The cache of compiled forms, which runs share: what killed ones left there, how long to wait.

FFCx marks a form that it compiles by an empty C file, and every other process waits for it, also
where the first was killed.  Each run of ours therefore holds a shared lock on the cache; a run that
finds itself alone may take away what was left half made.

Within a process a form is loaded once.  Other meshes of the same kind have the same forms, such as
the coarser one of an estimate of the mesh's error, and FFCx would read them from disk again.
"""

from __future__ import annotations

import fcntl
import functools
import time
from pathlib import Path
from typing import IO

from dolfinx import jit
from ffcx.codegeneration import jit as ffcx_jit
from mpi4py import MPI

PATIENCE = 300
"""Seconds to wait for another process that compiles the same form (FFCx: 10)."""
YOUNG = 20.0
"""Seconds that a half-made form may still be the work of a program that is none of ours."""


def share_cache(comm: MPI.Comm) -> None:
    """Prepare the cache, once a process; rank 0 compiles, so it is rank 0 that looks."""
    jit.DOLFINX_DEFAULT_JIT_OPTIONS["timeout"] = (PATIENCE, "Timeout for JIT compilation")
    _keep_loaded()
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


@functools.cache
def _keep_loaded() -> None:
    """Have FFCx look for a form in memory before it does on disk.

    Its name for a form is a hash of all that the code depends on; the code has no state.
    """
    load, loaded = ffcx_jit.get_cached_module, {}

    def get_cached_module(module_name, object_names, cache_dir, timeout) -> tuple:
        key = (module_name, *object_names, cache_dir)
        if key not in loaded:
            found = load(module_name, object_names, cache_dir, timeout)
            if found[0] is None:  # the caller compiles it
                return found
            loaded[key] = found
        return loaded[key]

    ffcx_jit.get_cached_module = get_cached_module


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
