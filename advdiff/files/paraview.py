"""The file ParaView opens: VTKHDF, whose arrays are views into the result's HDF5 file.

VTK wants points and vectors with three components and the values of all times in one flat array;
the result holds (vertex, dim) and (time, vertex).  HDF5's virtual datasets map the one onto the
other (components that are not there read as zero), so that no field is copied: only the offsets of
the cells, which are no data of the result, are written, and the corners of quadrilaterals and
hexahedra, which VTK has in another order.  Both files must stay side by side; the
times are an external link, which makes VTK refuse the file, rather than show zeros, when the result
is missing.  ParaView reads such files since 5.12 (VTK 9.3).
"""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np

from advdiff.core.ranks import Alone
from advdiff.files.parallel import SPARE, closing, open_parallel

CELLS = {"interval": 3, "triangle": 5, "quadrilateral": 9, "tetrahedron": 10, "hexahedron": 12}
"""Cell name → VTK's number for it."""
CORNERS = {"quadrilateral": [0, 1, 3, 2], "hexahedron": [0, 1, 3, 2, 4, 5, 7, 6]}
"""Cell name → where VTK, which goes round a cell, has its corners in the result; else in order."""

BLOCK = 1 << 20
VIEW = 1 << 10
"""Bytes for one of the views of a field, at most."""


def name(path: Path) -> Path:
    """Where :func:`write` puts the file for the result ``path``."""
    if path.suffix in (".h5", ".hdf5"):
        return path.with_suffix(".vtkhdf")
    return path.with_name(path.name + ".vtkhdf")


def write(path: Path) -> Path:
    """Write the VTKHDF file for the result file ``path`` beside it (one rank).

    Fields over time (``theta``, ``rho/*``) change with the output time, steady ones are the same at
    each; a field ``rho/kappa`` is called ``rho_kappa``.

    Returns:
        The name of the file, which appears only when whole.
    """
    target = name(path)
    temporary = target.with_name(f".{target.name}.partial")
    try:
        with (
            h5py.File(path, "r") as result,
            closing(open_parallel(temporary, Alone(), size=_most(result)), Alone()) as file,
        ):
            root = file.create_group("VTKHDF", track_order=True)
            root.attrs["Version"] = np.array([2, 0])
            root.attrs.create("Type", np.bytes_("UnstructuredGrid"))
            view = _View(root, path.name)
            _mesh(root, view, result["mesh"])
            _steps(root, path.name, len(result["time"]))
            result.visititems(lambda _, item: _field(root, view, item))
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _most(result: h5py.File) -> int:
    """Bytes that the file takes, at most."""
    fields = []
    result.visititems(lambda _, item: fields.append(item) if hasattr(item, "dims") else None)
    cells, times = result["mesh/topology"], len(result["time"])
    return SPARE + 8 * (cells.size + len(cells)) + VIEW * times * len(fields)


class _View:
    """Makes virtual datasets in ``root`` of those in the result ``source``."""

    def __init__(self, root: h5py.Group, source: str):
        self.root = root
        self.source = source.replace("%", "%%")  # HDF5 takes a single one for a format

    def __call__(self, path: str, dataset: h5py.Dataset, shape: tuple, rows: int = 1) -> None:
        """``path`` shows all of ``dataset`` in another shape.

        Two-dimensional shapes may have more columns than the dataset; into flat ones go its
        ``rows``, one after the other.
        """
        layout, source = h5py.VirtualLayout(shape, dtype=dataset.dtype), self._of(dataset)
        if len(shape) == 2:
            layout[:, : dataset.shape[1]] = source
        elif rows == 1:
            layout[:] = source
        else:
            size = dataset.shape[1]
            for k in range(rows):
                layout[k * size : (k + 1) * size] = source[k, :]
        self.root.create_virtual_dataset(path, layout, fillvalue=0)

    def _of(self, dataset: h5py.Dataset) -> h5py.VirtualSource:
        return h5py.VirtualSource(self.source, dataset.name, dataset.shape, dataset.dtype)


def _mesh(root: h5py.Group, view: _View, mesh: h5py.Group) -> None:
    points, cells = mesh["geometry"], mesh["topology"]
    count, corners = cells.shape
    view("Points", points, (len(points), 3))
    packed = {"dtype": "i8", "chunks": True, "compression": "gzip", "shuffle": True}
    order = CORNERS.get(str(mesh.attrs["cell"]))
    if order is None:
        view("Connectivity", cells, (cells.size,))
    else:
        # A copy: views of every n-th number take HDF5 a time quadratic in the number of cells.
        connectivity = root.create_dataset("Connectivity", (cells.size,), **packed)
        for start in range(0, count, BLOCK):
            block = cells[start : start + BLOCK][:, order].ravel()
            connectivity[corners * start : corners * start + len(block)] = block
    offsets = root.create_dataset("Offsets", (count + 1,), **packed)
    for start in range(0, count + 1, BLOCK):
        stop = min(start + BLOCK, count + 1)
        offsets[start:stop] = corners * np.arange(start, stop)
    # Never written: all of it is the fill value, which takes no space.
    root.create_dataset("Types", (count,), "u1", fillvalue=CELLS[str(mesh.attrs["cell"])])
    root["NumberOfPoints"] = [len(points)]
    root["NumberOfCells"] = [count]
    root["NumberOfConnectivityIds"] = [cells.size]


def _steps(root: h5py.Group, source: str, count: int) -> None:
    """One part, the same mesh at every step."""
    steps = root.create_group("Steps")
    steps.attrs["NSteps"] = count
    steps["Values"] = h5py.ExternalLink(source, "/time")
    steps["NumberOfParts"] = np.ones(count, dtype="i8")
    for key in ("PartOffsets", "PointOffsets"):
        steps[key] = np.zeros(count, dtype="i8")
    for key in ("CellOffsets", "ConnectivityIdOffsets"):
        steps[key] = np.zeros((count, 1), dtype="i8")


def _field(root: h5py.Group, view: _View, item: h5py.HLObject) -> None:
    """Add ``item`` if it lives on the vertices."""
    if not isinstance(item, h5py.Dataset) or item.name.startswith("/mesh/"):
        return
    labels = [axis.label for axis in item.dims]
    field = item.name.strip("/").replace("/", "_")
    times = root["Steps"].attrs["NSteps"]
    start = np.zeros(times, dtype="i8")
    if labels == ["time", "vertex"]:
        view(f"PointData/{field}", item, (item.size,), rows=times)
        start = item.shape[1] * np.arange(times)
    elif labels == ["vertex"]:
        view(f"PointData/{field}", item, item.shape)
    elif labels == ["vertex", "dim"]:
        view(f"PointData/{field}", item, (len(item), 3))
    else:
        return
    root[f"Steps/PointDataOffsets/{field}"] = start
