"""A check sum of how an archive of chains is laid out: HDF5 has none of its own."""

from __future__ import annotations

import zlib
from pathlib import Path

import h5py

from advdiff.core.disk import room
from advdiff.files.parallel import end

OPEN = (20, 4)
"""Where, and how long, HDF5's superblock says that the file is open; a kill leaves it so."""


def layout_sum(file: h5py.File) -> float:
    """A check sum of all that is no data, which draws do not change (local).

    HDF5 has none of its own: one wrong byte, and draws would go to a wrong place.
    """
    data = [OPEN]

    def add(_, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset) and item.id.get_offset() is not None:
            data.append((item.id.get_offset(), item.id.get_storage_size()))

    file.visititems(add)
    path = Path(file.filename)
    last, found = end(path), 0
    with path.open("rb") as content:
        for offset, size in sorted([*data, (last, 0)]):
            found = zlib.crc32(content.read(offset - content.tell()), found)
            content.seek(offset + size)
    return float(found)


def write(path: Path) -> None:
    """Write the check sum of an archive that is laid out (local)."""
    with h5py.File(path, "r") as file:
        found = layout_sum(file)
    with room(path), h5py.File(path, "r+") as file:
        file["progress/layout"][0] = found
