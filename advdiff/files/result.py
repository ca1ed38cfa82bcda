"""Result files: HDF5 with named dimensions, written under a temporary name, moved when whole.

Every dataset carries dimension scales, so that xarray (h5netcdf) names its axes; ``complete`` is
the last attribute set.  Needs h5py alone: neither a mesh nor PETSc; fields on a mesh are added by
``store``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from advdiff.core import stopping
from advdiff.core.disk import take
from advdiff.core.ranks import on_root
from advdiff.core.version import __version__
from advdiff.files.parallel import check_writable, publish
from advdiff.files.shared import Shared, shared

FORMAT = 2
"""1: without /warnings, and the number in an attribute ``format``."""


class ResultFile:
    """An open result file; every method is collective.

    Args:
        file: open on, or shared by, the ranks.
        comm: these ranks.
    """

    def __init__(self, file: Shared, comm):
        self.file, self.comm = file, comm
        self._scales: dict[str, tuple[str, int]] = {}

    def attributes(self, values: Mapping[str, Any], path: str = "/") -> None:
        """Set attributes of a dataset or a group, which is made where it is not there: numbers,
        strings, or (as JSON) anything else."""

        def describe(file: h5py.File) -> None:
            item = file[path] if path in file else file.create_group(path)
            for name, value in values.items():
                if not isinstance(value, str | int | float | bool | np.generic | np.ndarray):
                    value = json.dumps(value)
                item.attrs[name] = value

        self.file.lay_out(describe)

    def dataset(self, path: str, shape: Sequence[int], dtype, **more) -> None:
        """A new dataset, its room on the disk taken before: HDF5 does not survive a full one.

        Once it is laid out, what is written to it changes nothing else in the file.

        Raises:
            NoRoom: where there is none, on all ranks.
        """
        size = math.prod(shape) * np.dtype(dtype).itemsize
        on_root(self.comm, lambda: take(self.file.path, size))
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        self.file.lay_out(
            lambda file: file.create_dataset(path, shape=shape, dtype=dtype, dcpl=layout, **more)
        )

    def scale(self, path: str, values: Iterable, units: str = "1", long_name: str = "") -> None:
        """A dimension scale: coordinates along an axis, known on every rank."""
        values = np.asarray(values)
        self.array(path, values, (), units=units, long_name=long_name)
        self._make_scale(path, len(values))

    def axis(self, name: str, size: int) -> None:
        """A dimension without coordinates: its scale is the index; the file's, if it is there."""
        if name in self.file:
            self._scales[name] = name, size
            return
        self.dataset(name, (size,), "i8")
        start, stop = self._share(size)
        self.file.put(name, slice(start, stop), np.arange(start, stop))
        self.attributes({"long_name": f"index of {name}"}, name)
        self._make_scale(name, size)

    def _make_scale(self, path: str, size: int) -> None:
        name = path.rsplit("/", 1)[-1]
        self.file.lay_out(lambda file: file[path].make_scale(name))
        self._scales[name] = path, size

    def _share(self, size: int) -> tuple[int, int]:
        each, extra = divmod(size, self.comm.size)
        start = self.comm.rank * each + min(self.comm.rank, extra)
        return start, start + each + (self.comm.rank < extra)

    def _describe(self, path: str, dims: Sequence[str], units: str, long_name: str) -> None:
        def describe(file: h5py.File) -> None:
            dataset = file[path]
            for axis, name in enumerate(dims):
                dataset.dims[axis].attach_scale(file[self._scales[name][0]])
                dataset.dims[axis].label = name
            dataset.attrs["units"] = units
            if long_name:
                dataset.attrs["long_name"] = long_name

        self.file.lay_out(describe)

    def array(
        self, path: str, values, dims: Sequence[str], units: str = "1", long_name: str = ""
    ) -> None:
        """A small array of numbers or strings, known on every rank; rank 0 writes it."""
        values = np.asarray(values)
        if values.dtype.kind == "U":  # of fixed length: parallel HDF5 writes no others
            values = np.char.encode(values, "utf-8")
            values = values.astype(h5py.string_dtype("utf-8", values.dtype.itemsize))
        self.dataset(path, values.shape, values.dtype)

        def fill(file: h5py.File) -> None:
            if self.comm.rank == 0 and values.size:
                file[path][...] = values

        self.file.lay_out(fill)
        self._describe(path, dims, units, long_name)

    def reserve(self, path: str, dims: Sequence[str], long_name: str = "") -> None:
        """Room for numbers, nan until they come (``Reserved``).

        A kill at any moment leaves a file that opens.
        """
        shape = tuple(self._scales[name][1] for name in dims)
        self.dataset(path, shape, "f8", fillvalue=np.nan)
        self._describe(path, dims, "1", long_name)


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
        with shared(temporary, comm) as file:
            result = ResultFile(file, comm)
            result.attributes(
                {
                    "advdiff_version": __version__,
                    "format_version": FORMAT,
                    "ranks": comm.size,
                    "created_at": comm.bcast(datetime.now(UTC).isoformat(timespec="seconds")),
                    **attributes,
                    "complete": False,
                }
            )
            yield result
            result.attributes({"complete": True})
        on_root(comm, lambda: publish(temporary, path))
