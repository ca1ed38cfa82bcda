"""Numbers of datasets that are laid out, written while nobody has the file open with HDF5.

Chains go their own pace, each on its group of ranks, so that there is no order to take turns in;
and a kill must spoil nothing but the numbers under way.  Every rank therefore writes its numbers to
the places that HDF5 has given them, and opens the file for that, so that NFS shows it what others
have written, and no more than that is sent back.
"""

from __future__ import annotations

import os
from itertools import zip_longest
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import ArrayLike

from advdiff.core.disk import room, write_at
from advdiff.core.ranks import on_root

NUMBER = np.dtype("f8")

Part = tuple[str, tuple[int, ...], ArrayLike]
"""Name of a dataset; the leading indices of its first number that is written; numbers from there
on, in order."""


class Reserved:
    """The datasets of a file that :meth:`advdiff.files.result.ResultFile.reserve` has made.

    Args:
        path: of the file, which has been closed (collective).
        comm: the ranks that will write to it.
    """

    def __init__(self, path: Path, comm):
        self.path = path
        self._places: dict[str, tuple[int, tuple[int, ...]]]
        self._places = on_root(comm, lambda: _places(path))

    def write(self, *parts: Part) -> None:
        """Write numbers (local).

        Raises:
            NoRoom: where the disk is full.
        """
        with room(self.path):
            file = os.open(self.path, os.O_WRONLY)
            try:
                for name, index, values in parts:
                    write_at(file, np.asarray(values, NUMBER), self._place(name, index))
            finally:
                os.close(file)

    def read(self, name: str, index: tuple[int, ...], count: int) -> np.ndarray:
        """``count`` numbers, in order (local)."""
        return np.fromfile(self.path, NUMBER, count, offset=self._place(name, index))

    def _place(self, name: str, index: tuple[int, ...]) -> int:
        start, shape = self._places[name]
        first = 0
        for size, at in zip_longest(shape, index, fillvalue=0):
            first = first * size + int(at)
        return start + NUMBER.itemsize * first


def _places(path: Path) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Where in a file the numbers of its contiguous datasets begin, and their shapes (local).

    An empty one has no place, and no number that could go to a wrong one.
    """
    found = {}

    def add(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype == NUMBER:
            found[name] = item.id.get_offset() or 0, item.shape

    with h5py.File(path, "r") as file:
        file.visititems(add)
    return found
