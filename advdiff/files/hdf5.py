"""HDF5 files of unknown make: one wrong byte can send the HDF5 library round for ever, or end it.

HDF5 has no check sum for most of its own structures, and follows what stands in them.  A result has
one of ours (``seal``).  Any other file is gone through by a child before it is read, through all
that there is in it but the numbers: ``python -P hdf5.py``.  The child may take ``PATIENCE`` seconds
of processor time, which a slow disk does not use; what it does not survive, this process does not
try.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import stat
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

_sound: set[tuple] = set()
"""What children have survived."""


def read(path: Path) -> h5py.File:
    """Open a file for reading, if that can be survived (local).

    Raises:
        OSError: if it is no HDF5, or damaged.
    """
    import h5py

    require_sound(path)
    return h5py.File(path, "r")


def require_sound(path: Path) -> None:
    """Look at the seal of a file, or let a child look at it once, until it changes (local).

    Raises:
        OSError: if the seal is broken, or the child comes to no end, or dies.
    """
    from advdiff.core import child
    from advdiff.files import seal

    key = _key(path)
    if key is None or key in _sound:
        return
    whole = seal.is_whole(path)
    if whole is False:
        raise OSError("damaged: not as it was written, by its check sum")
    if whole:
        return
    name = os.fspath(path.absolute())
    if child.may_fork():
        import h5py  # noqa: F401  once for both

        outcome = child.Outcome(None, child.fork(lambda: _main(name, PATIENCE)), "")
    else:
        outcome = child.finish(child.start(SCRIPT, name, PATIENCE))
    number = -outcome.code
    if number == signal.SIGXCPU:
        raise OSError(f"damaged: HDF5 comes to no end in {PATIENCE} s")
    if number > 0 and number not in PASSED_ON:
        raise OSError(f"damaged: HDF5 dies of it, signal {number}")
    if number < 0:
        raise OSError(f"no process of its own can look at it: {outcome.error}")
    _sound.add(key)


def _key(path: Path) -> tuple | None:
    """What differs where a file has changed; None where there is none, as who reads it will say."""
    try:
        found = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


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
