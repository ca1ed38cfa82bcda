"""A check sum over all of an HDF5 file that is no data, as a result is laid out and described.

HDF5 has none of its own for most of that, in no version of its format for texts.  A result's stands
behind what HDF5 takes for the end of the file, which other programs do not look at; those that
write to the file cut it off.  A sealed file can be read without fear: its structures are those that
HDF5 has written.

The seal: of every dataset where its data begin and how many bytes they have, then ``TAIL``.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import h5py

MAGIC = b"advdiff's seal 1"
TAIL = struct.Struct("<QQ16s")
"""How many datasets, the check sum, ``MAGIC``."""
EXTENT = struct.Struct("<QQ")


def extents(file: h5py.File) -> list[tuple[int, int]]:
    """Where the data of contiguous datasets begin, and their bytes, in order (local)."""
    import h5py

    found = []

    def add(_, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset) and item.id.get_offset() is not None:
            found.append((item.id.get_offset(), item.id.get_storage_size()))

    file.visititems(add)
    return sorted(found)


def check_sum(content: BinaryIO, data: Sequence[tuple[int, int]], end: int) -> int:
    """Of the bytes before ``end`` that are in none of the extents ``data``, in order (local)."""
    found = 0
    content.seek(0)
    for offset, size in (*data, (end, 0)):
        found = zlib.crc32(content.read(max(offset - content.tell(), 0)), found)
        content.seek(offset + size)
    return found


def close(path: Path) -> None:
    """Seal a file that is whole (local)."""
    import h5py

    with h5py.File(path, "r") as file:
        data = extents(file)
    table = b"".join(EXTENT.pack(*extent) for extent in data)
    with path.open("r+b") as content:
        end = content.seek(0, 2)
        found = zlib.crc32(table, check_sum(content, data, end))
        content.seek(end)
        content.write(table + TAIL.pack(len(data), found, MAGIC))


def is_whole(path: Path) -> bool | None:
    """Whether a file is as it was sealed; None where it has no seal (local, without HDF5)."""
    with path.open("rb") as content:
        size = content.seek(0, 2)
        if size < TAIL.size:
            return None
        content.seek(size - TAIL.size)
        count, expected, magic = TAIL.unpack(content.read())
        end = size - TAIL.size - count * EXTENT.size
        if magic != MAGIC:
            return None
        if end < 0:
            return False
        content.seek(end)
        table = content.read(count * EXTENT.size)
        data = list(EXTENT.iter_unpack(table))
        if any(offset + length > end for offset, length in data):
            return False
        return zlib.crc32(table, check_sum(content, data, end)) == expected
