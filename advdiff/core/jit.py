"""Forms, expressions and C of our own, compiled once a machine: each in a folder of its own of
DOLFINx's cache.

FFCx marks a form that it compiles by an empty C file, and whoever wants the form waits for its
maker, also for one that was interrupted or killed.  So nothing is made where others look for it:
rank 0 compiles in a folder that is its own and, when all is there, gives it the name that says what
is in it.  Whatever ends a compile takes that folder away; of one that was killed, the next does.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import ffcx
import numpy as np
import ufl
from dolfinx import default_scalar_type, fem, jit
from ffcx.naming import compute_signature
from mpi4py import MPI

from advdiff.core import stopping
from advdiff.core.compat import compiler, compiler_trouble
from advdiff.core.errors import InputError, NoCompiler
from advdiff.core.ranks import agreed, on_root

PATIENCE = 300
"""Seconds to wait for another rank that compiles (FFCx: 10): where their disks are not shared."""
MAKING = "making-"
"""How the names of folders begin in which somebody is at work, or was."""
YOUNG = 60.0
"""Seconds in which a new folder may not yet have been locked by its maker."""
FLAGS = ("-O3", "-march=native", "-std=gnu11", "-fPIC", "-shared", "-w")
"""For C of our own."""
WITHOUT_MEANING = {"cache_dir", "timeout", "cffi_verbose"}
"""Options of DOLFINx that make no other code."""


def form(integrals: ufl.Form) -> fem.Form:
    """:func:`dolfinx.fem.form` (collective)."""
    domain = integrals.ufl_domains()[0]
    return fem.form(integrals, jit_options=_options(domain.ufl_cargo().comm, integrals))


def expression(quantity: ufl.core.expr.Expr, points: np.ndarray) -> fem.Expression:
    """:class:`dolfinx.fem.Expression`: a quantity at reference points, (point, dim), of every cell
    (collective)."""
    comm = ufl.domain.extract_domains(quantity)[0].ufl_cargo().comm
    options = _options(comm, (quantity, points))
    return fem.Expression(quantity, points, jit_options=options, dtype=default_scalar_type)


def _options(comm: MPI.Comm, what: ufl.Form | tuple) -> dict:
    """By which DOLFINx finds ``what`` compiled (collective).

    Where it does not, as on a disk that rank 0 does not see, it compiles it there.
    """
    return {"cache_dir": on_root(comm, lambda: _compiled(what)), "timeout": PATIENCE}


def _compiled(what: ufl.Form | tuple) -> Path:
    """The folder in which ``what`` is compiled (local)."""
    cache = _cache()
    folder = cache / _name(what)
    if folder.is_dir():
        return folder
    if trouble := compiler_trouble():
        raise InputError(trouble)
    with _workshop(cache) as place, stopping.hushed():
        jit.ffcx_jit(MPI.COMM_SELF, what, _scalars(), {"cache_dir": place, "timeout": PATIENCE})
        _named(place, folder)
    return folder


def _cache() -> Path:
    return Path(jit.get_options()["cache_dir"]) / "advdiff"


def _named(place: Path, folder: Path) -> None:
    """Give what is made the name under which others look for it."""
    try:
        place.rename(folder)
    except OSError:
        if not folder.is_dir():  # by another who was faster
            raise


def library(comm: MPI.Comm, source: Path) -> Path:
    """The shared object of a file of C, compiled for this processor (collective).

    Raises:
        NoCompiler: on every rank, where a rank has no compiler for it.
    """
    with suppress(NoCompiler):  # rank 0 compiles for all who see its disk; the others below
        on_root(comm, lambda: _built(source))
    with agreed(comm):
        made = _built(source)
        try:
            ctypes.CDLL(str(made))
        except OSError as error:
            raise NoCompiler(f"{source.name}: {error}") from None
    return made


def _built(source: Path) -> Path:
    """The shared object of a file of C (local)."""
    words = [*compiler(), *FLAGS]
    text = source.read_bytes() + repr((words, _processor())).encode()
    cache = _cache()
    folder = cache / f"{source.stem}-{hashlib.sha256(text).hexdigest()[:40]}"
    made = folder / f"{source.stem}.so"
    if made.is_file():
        return made
    with _workshop(cache) as place, stopping.hushed():
        try:
            done = subprocess.run(
                [*words, str(source), "-o", str(place / made.name)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise NoCompiler(f"no C compiler: {words[0]}: {error.strerror}") from None
        if done.returncode != 0:
            last = (done.stderr.strip().split("\n") or [""])[-1]
            raise NoCompiler(f"no C compiler: {' '.join(words)}: {last}")
        _named(place, folder)
    return made


@functools.cache
def _processor() -> str:
    """What machine code for this processor depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].split("\n")
    except OSError:
        lines = []
    kept = ("vendor_id", "cpu family", "model", "flags", "Features", "CPU ")
    return platform.machine() + "".join(line for line in lines if line.startswith(kept))


def require_compiler() -> None:
    """Refuse, before anything else is done, where no form can be compiled or has been (local).

    Raises:
        InputError: with the line to type.
    """
    trouble = compiler_trouble()
    if trouble and not any(_cache().glob("*")):
        raise InputError(trouble)


def _scalars() -> dict:
    return {"scalar_type": default_scalar_type}


def _name(what: ufl.Form | tuple) -> str:
    """A hash of all that the machine code depends on."""
    tag = _settings()
    if isinstance(what, tuple):  # of points, FFCx's own hash has some digits, and not of all
        tag += hashlib.sha1(np.ascontiguousarray(what[1]).tobytes()).hexdigest()
    return compute_signature([what], tag)


@functools.cache
def _settings() -> str:
    options = jit.get_options().items()
    python = [sysconfig.get_config_var(name) for name in ("CC", "CFLAGS", "SOABI", "EXT_SUFFIX")]
    ours = sorted((name, str(value)) for name, value in options if name not in WITHOUT_MEANING)
    ffcxs = sorted((name, str(value)) for name, value in ffcx.get_options(_scalars()).items())
    return repr((ours, ffcxs, python))


@contextmanager
def _workshop(cache: Path) -> Iterator[Path]:
    """A folder to compile in, locked as long as its maker is at work; gone behind the block."""
    cache.mkdir(parents=True, exist_ok=True)
    _sweep(cache)
    place = Path(tempfile.mkdtemp(prefix=MAKING, dir=cache))
    handlers = logging.getLogger().handlers[:]  # which FFCx puts back after a success only
    lock = os.open(place, os.O_RDONLY)
    try:
        _locked(lock)
        yield place
    finally:
        logging.getLogger().handlers[:] = handlers
        shutil.rmtree(place, ignore_errors=True)
        os.close(lock)


def _locked(folder: int) -> bool:
    """Lock an open folder; False where another has, or where the file system has no locks."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sweep(cache: Path) -> None:
    """Take away what the killed have left."""
    for place in cache.glob(f"{MAKING}*"):
        try:
            lock = os.open(place, os.O_RDONLY)
        except OSError:  # its maker was faster
            continue
        if time.time() - os.fstat(lock).st_mtime > YOUNG and _locked(lock):
            shutil.rmtree(place, ignore_errors=True)
        os.close(lock)
