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
from advdiff.core.ranks import on_root
from advdiff.core.version import __version__
from advdiff.files.parallel import check_writable, closing, open_parallel, publish, take

FORMAT = 2
"""1: without /warnings, and the number in an attribute ``format``."""


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
                    "advdiff_version": __version__,
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
