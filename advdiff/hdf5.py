"""HDF5 files of unknown make: one wrong byte can send the HDF5 library round for ever, or end it.

HDF5 has no check sum for most of its own structures, and follows what stands in them.  So before a
file is read, a child of this process (a fork, which takes a few milliseconds) goes through all that
there is in it but the numbers.  It may take ``PATIENCE`` seconds of processor time, which a slow
disk does not use; what it does not survive, this process does not try.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import warnings
from pathlib import Path

import h5py

from advdiff.stopping import SIGNALS

PATIENCE = 5
"""Seconds of processor time; files of advdiff take some hundredths."""

DEADLY = (
    *(signal.SIGXCPU, signal.SIGSEGV, signal.SIGBUS),
    *(signal.SIGABRT, signal.SIGFPE, signal.SIGILL),
)
"""By which HDF5 may end a process."""


def read(path: Path) -> h5py.File:
    """Open a file for reading, if that can be survived (local).

    Raises:
        OSError: if it is no HDF5, or damaged.
    """
    require_sound(path)
    return h5py.File(path, "r")


def require_sound(path: Path) -> None:
    """Let a child look at a file (local; it takes no part in MPI).

    Raises:
        OSError: if the child comes to no end, or dies.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads: the child uses h5py alone
        child = os.fork()
    if child == 0:
        for number in (*SIGNALS, *DEADLY):  # not as PETSc and MPI handle them, who end the job
            signal.signal(number, signal.SIG_DFL)
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_CPU, (PATIENCE, PATIENCE + 1))
            _look(path)
        finally:
            os._exit(0)  # what can be raised, is when this process reads the file
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        return
    number = os.WTERMSIG(status)
    if number in SIGNALS:  # which this process has had, too
        return
    if number == signal.SIGXCPU:
        raise OSError(f"damaged: HDF5 comes to no end in {PATIENCE} s")
    raise OSError(f"damaged: HDF5 dies of it, signal {number}")


def _look(path: Path) -> None:
    """Read every attribute, axis, index of chunks and text of a file."""
    with h5py.File(path, "r") as file:
        _attributes(file)
        file.visititems(lambda _, item: _item(item))


def _attributes(item: h5py.HLObject) -> None:
    for name in item.attrs:
        with contextlib.suppress(Exception):
            item.attrs[name]


def _item(item: h5py.HLObject) -> None:
    """Go on after what can be raised."""
    _attributes(item)
    if not isinstance(item, h5py.Dataset):
        return
    with contextlib.suppress(Exception):
        for axis in item.dims:
            _ = axis.label, axis.values()
    with contextlib.suppress(Exception):
        _ = item.chunks and item.id.get_num_chunks()
    with contextlib.suppress(Exception):
        item[...] if item.dtype.hasobject else item[:1]
