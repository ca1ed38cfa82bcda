"""HDF5 files of unknown make: one wrong byte can send the HDF5 library round for ever, or end it.

HDF5 has no check sum for most of its own structures, and follows what stands in them.  So before a
file is read, a child goes through all that there is in it but the numbers: ``python -P hdf5.py``.
It may take ``PATIENCE`` seconds of processor time, which a slow disk does not use; what it does not
survive, this process does not try.

A child takes as long to start as h5py takes to load.  Whoever knows early which file will be read
says so by :func:`expect`, and loads h5py meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py

PATIENCE = 5
"""Seconds of processor time; files of advdiff take some hundredths."""
SCRIPT = Path(__file__)
PASSED_ON = (signal.SIGINT, signal.SIGTERM)
"""Signals that end a child and say nothing of the file: this process has had them, too."""

_expected: dict[tuple, subprocess.Popen] = {}
_sound: set[tuple] = set()


def read(path: Path) -> h5py.File:
    """Open a file for reading, if that can be survived (local).

    Raises:
        OSError: if it is no HDF5, or damaged.
    """
    import h5py

    require_sound(path)
    return h5py.File(path, "r")


def expect(path: Path) -> None:
    """Have a child begin to look at a file, if there is one (local; before MPI is loaded)."""
    key = _key(path)
    if key is not None and key not in _expected:
        _expected[key] = _start(path)


def require_sound(path: Path) -> None:
    """Let a child look at a file, once as long as that does not change (local).

    Raises:
        OSError: if the child comes to no end, or dies.
    """
    from advdiff.core import child

    key = _key(path)
    if key is None or key in _sound:  # what is not there is said by who reads it
        return
    outcome = child.finish(_expected.pop(key, None) or _start(path))
    number = -outcome.code
    if number == signal.SIGXCPU:
        raise OSError(f"damaged: HDF5 comes to no end in {PATIENCE} s")
    if number > 0 and number not in PASSED_ON:
        raise OSError(f"damaged: HDF5 dies of it, signal {number}")
    if number < 0:
        raise OSError(f"no process of its own can look at it: {outcome.error}")
    _sound.add(key)


def _key(path: Path) -> tuple | None:
    """What differs where a file has changed; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _start(path: Path) -> subprocess.Popen:
    from advdiff.core import child

    return child.start(SCRIPT, os.fspath(path.absolute()), PATIENCE)


# -- in the child ---------------------------------------------------------------------------------


def look(path: str) -> None:
    """Read every attribute, axis, index of chunks and text of a file."""
    import h5py

    def attributes(item: h5py.HLObject) -> None:
        for name in item.attrs:
            with contextlib.suppress(Exception):
                item.attrs[name]

    def visit(_, item: h5py.HLObject) -> None:
        """Go on after what can be raised."""
        attributes(item)
        if not isinstance(item, h5py.Dataset):
            return
        with contextlib.suppress(Exception):
            for axis in item.dims:
                _ = axis.label, axis.values()
        with contextlib.suppress(Exception):
            _ = item.chunks and item.id.get_num_chunks()
        with contextlib.suppress(Exception):
            item[...] if item.dtype.hasobject else item[:1]

    with h5py.File(path, "r") as file:
        attributes(file)
        file.visititems(visit)


def _main(path: str, patience: int) -> None:
    import h5py  # noqa: F401  its loading does not count

    limit = int(time.process_time()) + 1 + patience
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    with contextlib.suppress(Exception):  # what can be raised, is when the file is read
        look(path)


if __name__ == "__main__":
    _main(*json.loads(sys.argv[1]))
    os._exit(0)  # HDF5 might come to no end, or die, as it lets go of a damaged file
