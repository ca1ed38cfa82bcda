"""A check sum of how an archive of chains is laid out, which draws do not change."""

from __future__ import annotations

from pathlib import Path

import h5py

from advdiff.core.disk import room
from advdiff.files.parallel import end
from advdiff.files.seal import check_sum, extents

OPEN = (20, 4)
"""Where, and how long, HDF5's superblock says that the file is open; a kill leaves it so."""


def layout_sum(file: h5py.File) -> float:
    """A check sum of all that is no data (local): one wrong byte, and draws would go to a wrong
    place."""
    path = Path(file.filename)
    with path.open("rb") as content:
        return float(check_sum(content, [OPEN, *extents(file)], end(path)))


def write(path: Path) -> None:
    """Write the check sum of an archive that is laid out (local)."""
    with h5py.File(path, "r") as file:
        found = layout_sum(file)
    with room(path), h5py.File(path, "r+") as file:
        file["progress/layout"][0] = found
