"""Result files: HDF5 with named dimensions, written under a temporary name, moved when whole.

Every dataset carries dimension scales, so that xarray (h5netcdf) names its axes; ``complete`` is
the last attribute set.  Needs h5py alone: neither a mesh nor PETSc; fields on a mesh are added by
``store``.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import advdiff
from advdiff import hdf5, seal, stopping
from advdiff.errors import InputError, NoRoom, on_root, room

FORMAT = 2
"""1: without /warnings, and the number in an attribute ``format``."""
FIELDS = ("mesh/geometry", "mesh/topology", "time", "theta", "solver")
REQUIRED = {
    "surrogate-error": ("law", "d", "method", "time", "error", "exact", "certificate"),
    "random-rates": ("law", "d", "replicate", "rates"),
    "compare-samplers": ("d", "sampler", "regime", "samplers"),
    "sample": ("chain", "draw", "posterior", "sample_stats"),
}
"""Task → what its result must hold; ``FIELDS`` for all others."""
SUPERBLOCK = {0: 40, 1: 44, 2: 28, 3: 28}
"""Version of HDF5's superblock → where in it the end of file address stands (8 bytes)."""
SPARE = 1 << 20
"""Bytes for what HDF5 writes beside the datasets."""

UNEXPECTED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What reading a result raises where it holds something else than was written."""


class ResultFile:
    """An open result file; every method is collective.

    Args:
        file: the h5py file (parallel where there are several ranks).
        comm: the ranks that write it.
    """

    def __init__(self, file: h5py.File, comm):
        self.file, self.comm = file, comm
        self._scales: dict[str, h5py.Dataset] = {}

    def attributes(self, values: Mapping[str, Any], path: str = "/") -> None:
        """Set attributes of a group or dataset: numbers, strings, or (as JSON) anything else."""
        for name, value in values.items():
            if not isinstance(value, str | int | float | bool | np.generic | np.ndarray):
                value = json.dumps(value)
            self.file[path].attrs[name] = value

    def dataset(self, path: str, shape: Sequence[int], dtype, **more) -> h5py.Dataset:
        """A new dataset, its room on the disk taken before: HDF5 does not survive a full one.

        Raises:
            NoRoom: where there is none, on all ranks.
        """
        name, size = Path(self.file.filename), math.prod(shape) * np.dtype(dtype).itemsize
        on_root(self.comm, lambda: take(name, size))
        return self.file.create_dataset(path, shape=shape, dtype=dtype, **more)

    def scale(self, path: str, values: Iterable, units: str = "1", long_name: str = "") -> None:
        """A dimension scale: coordinates along an axis, known on every rank."""
        dataset = self.array(path, np.asarray(values), (), units=units, long_name=long_name)
        name = path.rsplit("/", 1)[-1]
        dataset.make_scale(name)
        self._scales[name] = dataset

    def axis(self, name: str, size: int) -> None:
        """A dimension without coordinates: its scale is the index; the file's, if it is there."""
        if name in self.file:
            self._scales[name] = self.file[name]
            return
        dataset = self.dataset(name, (size,), "i8")
        start, stop = self._share(size)
        dataset[start:stop] = np.arange(start, stop)
        dataset.attrs["long_name"] = f"index of {name}"
        dataset.make_scale(name)
        self._scales[name] = dataset

    def _share(self, size: int) -> tuple[int, int]:
        each, extra = divmod(size, self.comm.size)
        start = self.comm.rank * each + min(self.comm.rank, extra)
        return start, start + each + (self.comm.rank < extra)

    def _describe(self, dataset, dims: Sequence[str], units: str, long_name: str) -> None:
        for axis, name in enumerate(dims):
            dataset.dims[axis].attach_scale(self._scales[name])
            dataset.dims[axis].label = name
        dataset.attrs["units"] = units
        if long_name:
            dataset.attrs["long_name"] = long_name

    def array(
        self, path: str, values, dims: Sequence[str], units: str = "1", long_name: str = ""
    ) -> h5py.Dataset:
        """A small array of numbers or strings, known on every rank; rank 0 writes it."""
        values = np.asarray(values)
        if values.dtype.kind == "U":  # of fixed length: parallel HDF5 writes no others
            values = np.char.encode(values, "utf-8")
            values = values.astype(h5py.string_dtype("utf-8", values.dtype.itemsize))
        dataset = self.dataset(path, values.shape, values.dtype)
        if self.comm.rank == 0 and values.size:
            dataset[...] = values
        self._describe(dataset, dims, units, long_name)
        return dataset

    def reserve(self, path: str, dims: Sequence[str], long_name: str = "") -> h5py.Dataset:
        """Room for numbers, nan until they come, all of it on disk at once.

        What is written to it later changes nothing else in the file: a kill at any moment leaves a
        file that opens.
        """
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        shape = tuple(len(self._scales[name]) for name in dims)
        dataset = self.dataset(path, shape, "f8", fillvalue=np.nan, dcpl=layout)
        self._describe(dataset, dims, "1", long_name)
        return dataset


def open_parallel(path: Path, comm, mode: str = "w", size: int = SPARE) -> h5py.File:
    """An HDF5 file that all ranks write to, a new one by default, with room for ``size`` bytes
    more (collective).

    Raises:
        InputError: where several ranks have an h5py that was built for one.
        NoRoom: where the disk is full.
    """
    if comm.size > 1 and not h5py.get_config().mpi:
        raise InputError(
            f"output.file: this h5py cannot write {path} from {comm.size} ranks; install a "
            "parallel h5py (Debian: python3-h5py-mpi)"
        )
    if mode == "w":
        on_root(comm, lambda: path.write_bytes(b""))
    on_root(comm, lambda: take(path, size))
    options = {"driver": "mpio", "comm": comm} if comm.size > 1 else {}
    file = h5py.File(path, mode, **options)
    if mode == "w":  # gave it back
        on_root(comm, lambda: take(path, size))
    return file


def take(path: Path, size: int) -> None:
    """Have the disk make room for so many bytes more at the end of a file (local).

    HDF5, which does not survive a full disk, need then not ask for it.

    Raises:
        NoRoom: where there is none.
    """
    with room(path), path.open("r+b") as file:
        if size and hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)


@contextmanager
def create(path: Path, comm, attributes: Mapping[str, Any]):
    """Open a result file for writing (collective); it appears under ``path`` only when whole.

    Raises:
        InputError: where the folder cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.partial")

    def prepare():
        check_writable(path)
        temporary.unlink(missing_ok=True)

    on_root(comm, prepare)
    with stopping.scratch(temporary, comm):
        with closing(open_parallel(temporary, comm), comm) as file:
            result = ResultFile(file, comm)
            result.attributes(
                {
                    "advdiff_version": advdiff.__version__,
                    "format_version": FORMAT,
                    "ranks": comm.size,
                    "created_at": comm.bcast(datetime.now(UTC).isoformat(timespec="seconds")),
                    **attributes,
                    "complete": False,
                }
            )
            yield result
            file.attrs["complete"] = True
        on_root(comm, lambda: publish(temporary, path))


@contextmanager
def closing(file: h5py.File, comm):
    """Close the file behind the block (collective).

    After an error of a single rank it stays open: closing a parallel file is collective.
    """
    name = Path(file.filename)
    with room(name):
        try:
            yield file
        except BaseException as error:
            if comm.size == 1 or isinstance(error, NoRoom):  # which all ranks have met
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
    if not folder.is_dir():
        raise InputError(f"{key}: the folder {folder} does not exist; create it")
    if path.is_dir():
        raise InputError(f"{key}: {path} is a folder; give the name of a file")
    if path.suffix == ".vtkhdf":
        raise InputError(
            f"{key}: {path} is the name for ParaView's file beside the result; end it in .h5"
        )
    if path.exists() and not _is_ours(path):
        raise InputError(f"{key}: {path} exists and is no result of advdiff; give another name")
    probe = path.with_name(f".{path.name}.writable")
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"{key}: {path} cannot be written ({error.strerror}); give another folder"
        ) from None


def _is_ours(path: Path) -> bool:
    try:
        with hdf5.read(path) as file:
            return "advdiff_version" in file.attrs
    except OSError:
        return False


def open_result(path: Path) -> h5py.File:
    """Open a finished result file for reading (each rank by itself).

    Raises:
        InputError: if it is missing, truncated, not one of ours or not complete.
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise InputError(f"{path}: {what}; give a file written by 'advdiff run'")
    if path.suffix == ".toml":
        raise InputError(f"{path}: an experiment file; give its result, a file ending in .h5")
    try:
        file = hdf5.read(path)
    except OSError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: not readable HDF5 ({reason}); run the experiment again"
        ) from None
    try:
        with reading(path):
            _require_finished(file, path)
    except BaseException:
        file.close()
        raise
    return file


@contextmanager
def reading(path: Path):
    """Let whatever stumbles over a damaged or foreign result be an :class:`InputError` (local)."""
    try:
        yield
    except InputError:
        raise
    except UNEXPECTED as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise InputError(
            f"{path}: not as advdiff writes it ({reason}); run the experiment again"
        ) from error


def _require_finished(file: h5py.File, path: Path) -> None:
    if "advdiff_version" not in file.attrs:
        raise InputError(f"{path}: not written by advdiff; give a file written by 'advdiff run'")
    found = file.attrs.get("format_version", file.attrs.get("format", 0))
    if not isinstance(found, int | np.integer) or not 0 < found <= FORMAT:
        wrote, newer = file.attrs["advdiff_version"], f"upgrade advdiff {advdiff.__version__}"
        raise InputError(
            f"{path}: format version {found} of advdiff {wrote}, this one reads 1 to {FORMAT}; "
            f"{newer if found else 'run the experiment again'}"
        )
    required = REQUIRED.get(file.attrs.get("task"), FIELDS)
    missing = [name for name in required if name not in file]
    if not file.attrs.get("complete", False) or missing:
        lacks = f", it has no {missing[0]}" if missing else ""
        raise InputError(f"{path}: not complete{lacks}; run the experiment again")
