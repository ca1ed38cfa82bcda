"""Fields on regular grids, as weather and ocean models write them: NetCDF, NetCDF-4 or plain HDF5.

A grid is rectilinear: one coordinate of one dimension an axis, in any spacing, rising or falling.
Rank 0 reads the part around the domain and all ranks receive it; a :class:`Grid` is then a callable
of coordinates like any other field.  What stands where in a file is found by ``gridfile``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from mpi4py import MPI
from scipy.interpolate import NdBSpline, make_interp_spline

from advdiff.core import memory
from advdiff.core.errors import InputError
from advdiff.core.ranks import on_root
from advdiff.files.gridfile import GridFile, Moment, coordinate, is_time, layout, moment

DEGREES = {"linear": 1, "cubic": 3}
OPTIONS = ("axes", "dimensions", "time", "interpolation", "scale")
"""Of :func:`read`."""
MARGIN = {"linear": 0, "cubic": 10}
"""Points read beyond the domain: a cubic spline forgets by a factor of 0.27 from each to the next,
so that what lies beyond them counts 2e-6."""
SLACK = 1e-3
"""Part of a cell that the domain may stick out: coordinates are often of single precision."""
LEAST_WEIGHT = 1e-9
"""Weight of a missing value below which an interpolated one does not need it."""

Names = str | Sequence[str]


@dataclass(frozen=True)
class Grid:
    """Values on a grid, and the spline through them: a callable of coordinates.

    Attributes:
        source: what was read, for messages.
        axes: the file's names of x, y, z.
        points: coordinates along each, increasing.
        values: shape (points along x, …, component); NaN where missing.
        degree: of the spline, 1 or 3.
        vector: whether calls give (component, n), or (n,).
    """

    source: str
    axes: tuple[str, ...]
    points: tuple[np.ndarray, ...]
    values: np.ndarray
    degree: int
    vector: bool

    @cached_property
    def _missing(self) -> np.ndarray:
        return ~np.isfinite(self.values).all(axis=-1)

    @cached_property
    def _spline(self) -> NdBSpline:
        """The components, and in the last place the weight of missing values."""
        known = np.where(self._missing[..., None], 0.0, self.values)
        table = np.concatenate([known, self._missing[..., None]], axis=-1)
        knots = []
        for axis, points in enumerate(self.points):
            along = make_interp_spline(points, np.moveaxis(table, axis, 0), k=self.degree)
            table = np.moveaxis(along.c, 0, axis)
            knots.append(along.t)
        return NdBSpline(tuple(knots), np.ascontiguousarray(table), self.degree, extrapolate=False)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Values at coordinates (3, n); NaN outside the grid and where missing ones are needed."""
        inside = [
            np.where(np.abs(c - np.clip(c, p[0], p[-1])) <= _slack(p), np.clip(c, p[0], p[-1]), c)
            for c, p in zip(x, self.points, strict=False)
        ]
        table = self._spline(np.stack(inside, axis=-1))
        table[np.abs(table[:, -1]) > LEAST_WEIGHT] = np.nan
        return table[:, :-1].T if self.vector else table[:, 0]

    def why(self, point: Sequence[float]) -> str:
        """Why there is no value at a point: one clause for a message."""
        cell = [
            int(np.clip(np.searchsorted(p, c) - 1, 0, len(p) - 2))
            for c, p in zip(point, self.points, strict=False)
        ]
        sides = [
            f"{name} {p[i]:g} … {p[i + 1]:g}"
            for name, p, i in zip(self.axes, self.points, cell, strict=True)
        ]
        if not self._missing[tuple(slice(i, i + 2) for i in cell)].any():
            return f"{self.source} does not reach there"
        return f"{self.source} has missing values in the cell {', '.join(sides)}"


def _slack(points: np.ndarray) -> float:
    return SLACK * min(points[1] - points[0], points[-1] - points[-2])


def read(
    path: Path,
    names: Names,
    bounds: tuple[np.ndarray, np.ndarray] | None,
    dim: int,
    key: str,
    comm: MPI.Comm = MPI.COMM_WORLD,
    *,
    axes: Sequence[str] | None = None,
    dimensions: Sequence[str] | None = None,
    time: Moment | None = None,
    interpolation: str = "linear",
    scale: float = 1.0,
) -> Grid:
    """Read variables on a grid (collective: rank 0 reads).

    Args:
        path: NetCDF-4, HDF5 or classic NetCDF.
        names: a variable, or the variables of a vector; ``group/name`` for one in a group.
        bounds: lower and upper corner that the grid must cover, and around which it is read.
        dim: number of space axes.
        key: the experiment file's key, for messages.
        axes: names of the coordinates x, y, z; else these, else what CF attributes say.
        dimensions: names of the axes of the array in its order, where the file does not say.
        time: index, or the value (in the file's units) or date to which the nearest is taken.
        interpolation: ``linear`` or ``cubic``.
        scale: factor of all values.

    Raises:
        InputError: on every rank, for a file, variable, axis or time that is not there, a grid
            that is not regular or smaller than the bounds, or more than the memory holds.
    """
    here = comm.Split_type(MPI.COMM_TYPE_SHARED)
    copies = here.size
    here.Free()

    def load() -> Grid:
        listed = [names] if isinstance(names, str) else list(names)
        if not isinstance(names, str) and len(listed) != dim:
            raise InputError(f"{key}.components: {len(listed)} in {dim} dimensions; give {dim}")
        with GridFile(path, key) as file:
            parts = [
                _part(file, name, dim, bounds, axes, dimensions, time, interpolation, copies)
                for name in listed
            ]
        first = parts[0]
        for part, name in zip(parts[1:], listed[1:], strict=True):
            if not all(map(np.array_equal, part.points, first.points)):
                raise InputError(
                    f"{key}.components: {name} and {listed[0]} are on different grids; write "
                    "velocity = [{ file = …, name = …, axes = … }, …]"
                )
        values = scale * np.concatenate([part.values for part in parts], axis=-1)
        source = f"{', '.join(listed)} of {first.source}"
        vector = not isinstance(names, str)
        return Grid(source, first.axes, first.points, values, first.degree, vector)

    return on_root(comm, load)


def _part(file: GridFile, name, dim, bounds, axes, dimensions, time, interpolation, copies) -> Grid:
    """One variable around the domain."""
    key, (variable, group) = file.key, file.variable(name)
    if variable.dtype.kind not in "iufb":
        raise InputError(f"{key}: {name} in {file.name} does not hold numbers; give another")
    labels, axes = layout(file, name, variable, group, dim, axes, dimensions)
    pick, points, falling, when = {}, [], [], ""
    for label, place, size in zip(labels, variable.dims, variable.shape, strict=True):
        if label in axes:
            continue
        if is_time(file, label, group):
            pick[place], when = moment(file, label, group, size, time)
        elif size == 1:
            pick[place] = 0
        else:
            raise InputError(
                f"{key}.axes: {name} in {file.name} has also an axis {label} of {size}; give a "
                "file with one of them"
            )
    if time is not None and not when:
        raise InputError(f"{key}.time = {time}: {name} in {file.name} has no time axis; remove it")
    for k, label in enumerate(axes):
        place = variable.dims[labels.index(label)]
        p = coordinate(file, label, group, variable.sizes[place], DEGREES[interpolation] + 1)
        falling.append(p[0] > p[-1])
        p = p[::-1] if falling[-1] else p
        lower, upper = (p[0], p[-1]) if bounds is None else (bounds[0][k], bounds[1][k])
        if lower < p[0] - _slack(p) or upper > p[-1] + _slack(p):
            raise InputError(
                f"{key}.file: {file.name} covers {label} from {p[0]:g} to {p[-1]:g}, the domain "
                f"needs {lower:g} to {upper:g}; give a larger grid or a smaller domain"
            )
        margin = MARGIN[interpolation]
        start = np.clip(np.searchsorted(p, lower, "right") - 1 - margin, 0, len(p) - 2)
        stop = np.clip(np.searchsorted(p, upper) + 1 + margin, start + 2, len(p))
        pick[place] = slice(start, stop)
        if falling[-1]:
            pick[place] = slice(len(p) - stop, len(p) - start)
        points.append(p[start:stop])
    count = float(np.prod([float(len(p)) for p in points]))
    memory.require(
        MPI.COMM_SELF, 24.0 * count * copies, f"{key}.file: {file.name}", "give a coarser grid"
    )
    order = [variable.dims[labels.index(label)] for label in axes]
    values = file.load(variable.isel(pick).transpose(*order)).astype(float)
    values = np.flip(values, [k for k, f in enumerate(falling) if f])[..., None]
    shape = " × ".join(str(len(p)) for p in points)
    source = f"{file.name}{when}"
    grid = Grid(source, tuple(axes), tuple(points), values, DEGREES[interpolation], False)
    if interpolation == "cubic" and grid._missing.any():
        first = np.argwhere(grid._missing)[0]
        at = ", ".join(f"{a} = {p[i]:g}" for a, p, i in zip(axes, points, first, strict=True))
        raise InputError(
            f"{key}.file: {name} in {file.name} is missing at {at}, one of {shape} points in and "
            f"around the domain; a cubic spline needs them all: write interpolation = 'linear'"
        )
    return grid
