"""One HDF5 file open on all ranks, whole or not at all."""

from __future__ import annotations

import errno
import os
import struct
from contextlib import contextmanager
from pathlib import Path

import h5py

from advdiff.core.disk import abandon, is_full, room, take
from advdiff.core.errors import InputError, shortened
from advdiff.core.ranks import on_root
from advdiff.files import hdf5, seal

SUPERBLOCK = {0: 40, 1: 44, 2: 28, 3: 28}
"""Version of HDF5's superblock → where in it the end of file address stands (8 bytes)."""


SPARE = 1 << 20
"""Bytes for what HDF5 writes beside the datasets."""


BESIDE = ("checkpoint", "chains", "partial", "checkpoint.partial")
"""Ends of the hidden names beside a result under which a run keeps what is not yet done."""


def open_parallel(path: Path, comm, mode: str = "w", size: int = SPARE) -> h5py.File:
    """An HDF5 file that all ranks write to, a new one by default, with room for ``size`` bytes
    more (collective).

    Several ranks need a parallel h5py (``shared`` knows).

    Raises:
        NoRoom: where the disk is full.
    """
    if mode == "w":
        on_root(comm, lambda: path.write_bytes(b""))
    on_root(comm, lambda: take(path, size))
    options = {"driver": "mpio", "comm": comm} if comm.size > 1 else {}
    file = h5py.File(path, mode, **options)
    if mode == "w":  # gave it back
        on_root(comm, lambda: take(path, size))
    return file


@contextmanager
def closing(file: h5py.File, comm):
    """Close the file behind the block (collective).

    After an error of a single rank it stays open: closing a parallel file is collective.  And after
    that of a full disk, which HDF5 may not survive.
    """
    name = Path(file.filename)
    with room(name):
        try:
            yield file
        except BaseException as error:
            if is_full(error):
                abandon(file)
            elif comm.size == 1:
                file.close()
            raise
        file.close()
    if comm.size == 1:  # without MPI, HDF5 does not give back the room that it did not take
        os.truncate(name, end(name))


def end(path: Path) -> int:
    """Where an HDF5 file ends by its own account: the superblock's end of file address."""
    with path.open("rb") as file:
        head = file.read(52)
    (end,) = struct.unpack_from("<Q", head, SUPERBLOCK[head[8]])
    return end


def publish(temporary: Path, path: Path) -> None:
    """Seal a file that is whole, and give it its name once it is on the disk (local)."""
    with room(path):
        seal.close(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
    os.replace(temporary, path)


def check_writable(path: Path, key: str = "output.file") -> None:
    """Raise :class:`InputError` where a result cannot or should not be written (local).

    An earlier result may be replaced, any other file may not.
    """
    folder = path.parent
    if not os.path.isdir(folder):
        raise InputError(f"{key}: the folder {folder} does not exist; create it")
    if os.path.isdir(path):
        raise InputError(f"{key}: {path} is a folder; give the name of a file")
    if path.suffix == ".vtkhdf":
        raise InputError(
            f"{key}: {path} is the name for ParaView's file beside the result; end it in .h5"
        )
    if os.path.exists(path) and not _is_ours(path):
        raise InputError(f"{key}: {path} exists and is no result of advdiff; give another name")
    view = [path.with_suffix(".vtkhdf"), path.with_name(f"{path.name}.vtkhdf")]
    for other in (*view, *(path.with_name(f".{path.name}.{end}") for end in BESIDE)):
        if os.path.isdir(other):  # of a name too long for the disk the probe below says so
            raise InputError(
                f"{key}: {other} is a folder, where a file beside {path.name} belongs; move it, or "
                "give another name"
            )
    probe = path.with_name(f".{path.name}.writable")
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        name, remedy = str(path), "give another folder"
        if error.errno == errno.ENAMETOOLONG:
            name, remedy = shortened(name), "give a shorter name"
        raise InputError(f"{key}: {name} cannot be written ({error.strerror}); {remedy}") from None


def _is_ours(path: Path) -> bool:
    try:
        with hdf5.read(path) as file:
            return "advdiff_version" in file.attrs
    except OSError:
        return False
