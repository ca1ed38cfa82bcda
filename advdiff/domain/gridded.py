"""Fields on grids, as weather and ocean models write them: NetCDF, NetCDF-4 or plain HDF5.

A grid is rectilinear: one coordinate of one dimension an axis, in any spacing, rising or falling;
in two dimensions it may be curvilinear or a mesh, too (``surface``).  Rank 0 reads the part around
the domain and all ranks receive it; a :class:`Grid` is then a callable of coordinates like any
other field.  What stands where in a file is found by ``gridfile`` and ``grids``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
from mpi4py import MPI
from scipy.interpolate import NdBSpline, make_interp_spline

from advdiff.core.errors import InputError
from advdiff.core.ranks import on_root
from advdiff.domain import surface
from advdiff.files.gridfile import GridFile
from advdiff.files.grids.meshes import find
from advdiff.files.grids.part import DEGREES, Request, part, slack

OPTIONS = tuple(field.name for field in fields(Request))
"""Of :func:`read`."""

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
        said: how it was read, for the line that says so.
        clock: seconds of the unit of time that the values count in, where the file says.
    """

    source: str
    axes: tuple[str, ...]
    points: tuple[np.ndarray, ...]
    values: np.ndarray
    degree: int
    vector: bool
    said: str = ""
    clock: float | None = None

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
            np.where(np.abs(c - np.clip(c, p[0], p[-1])) <= slack(p), np.clip(c, p[0], p[-1]), c)
            for c, p in zip(x, self.points, strict=False)
        ]
        table = self._spline(np.stack(inside, axis=-1))
        table[np.abs(table[:, -1]) > surface.LEAST_WEIGHT] = np.nan
        return table[:, :-1].T if self.vector else table[:, 0]

    def why(self, point: Sequence[float]) -> str:
        """Why there is no value at a point: one clause for a message."""
        cell = [
            int(np.clip(np.searchsorted(p, c) - 1, 0, len(p) - 2))
            for c, p in zip(point, self.points, strict=False)
        ]
        sides = [
            f"{name} {p[i]:.9g} … {p[i + 1]:.9g}"
            for name, p, i in zip(self.axes, self.points, cell, strict=True)
        ]
        if not self._missing[tuple(slice(i, i + 2) for i in cell)].any():
            return f"{self.source} does not reach there"
        where = ", ".join(sides)
        return f"{self.source} has missing values in the cell {where}: the key land fills them"


def read(
    path: Path,
    names: Names,
    bounds: tuple[np.ndarray, np.ndarray] | None,
    dim: int,
    key: str,
    comm: MPI.Comm = MPI.COMM_WORLD,
    *,
    velocity: bool = False,
    **options,
) -> Grid | surface.Surface:
    """Read variables on a grid (collective: rank 0 reads).

    Args:
        path: NetCDF-4, HDF5 or classic NetCDF.
        names: a variable, or the variables of a vector; ``group/name`` for one in a group.
        bounds: lower and upper corner that the grid must cover, and around which it is read.
        dim: number of space axes.
        key: the experiment file's key, for messages.
        velocity: whether a single variable is a component of one.
        options: of :class:`advdiff.files.grids.part.Request`.

    Raises:
        InputError: on every rank, for a file, variable, axis or time that is not there, a grid
            that is not regular or smaller than the bounds, units that do not fit, marks of missing
            values that are not declared, or more than the memory holds.
    """
    here = comm.Split_type(MPI.COMM_TYPE_SHARED)
    copies = here.size
    here.Free()
    request, vector = Request(**options), not isinstance(names, str)

    def load() -> Grid | surface.Surface:
        listed = list(names) if vector else [names]
        if vector and len(listed) != dim:
            raise InputError(f"{key}.components: {len(listed)} in {dim} dimensions; give {dim}")
        place = range(dim) if vector else [-1 if velocity else None]
        with GridFile(path, key, own_fill=request.missing != []) as file:
            flat = dim == 2 and len(set(request.axes or "xy")) == 2
            layers = [find(file, n, request.axes, request.plane) for n in listed if flat]
            if layers and None not in layers:
                return surface.read(file, listed, layers, bounds, request, list(place))
            parts = [
                part(file, name, dim, bounds, request, copies, component)
                for name, component in zip(listed, place, strict=True)
            ]
        first = parts[0]
        for other, name in zip(parts[1:], listed[1:], strict=True):
            if not all(map(np.array_equal, other.points, first.points)):
                raise InputError(
                    f"{key}.components: {name} and {listed[0]} are on different grids; write "
                    "velocity = [{ file = …, name = …, axes = … }, …]"
                )
            if first.read.unit and other.read.unit and first.read.unit.to(other.read.unit) != 1:
                raise InputError(
                    f"{key}.components: {name} is in {other.read.unit.text}, {listed[0]} in "
                    f"{first.read.unit.text}; write units = '{first.read.unit.text}'"
                )
        values = request.scale * np.stack([part.values for part in parts], axis=-1)
        values, filled = _on_land(values, request.land, vector, key)
        source = f"{', '.join(listed)} of {path.name}{first.when}"
        said = f"{first.read.said}{first.said}{filled}"
        degree = DEGREES[request.interpolation]
        grid = Grid(
            source, first.axes, first.points, values, degree, vector, said, first.read.clock
        )
        _require_whole(grid, key)
        return grid

    return on_root(comm, load)


def _on_land(values: np.ndarray, land: float | str | None, vector: bool, key: str):
    """Values with those of the land for missing ones, and how to speak of it."""
    if land is None:
        return values, ""
    if land == "wall" and not vector:
        raise InputError(f"{key}.land = 'wall': for a velocity with components; give a number")
    missing = ~np.isfinite(values)
    if land == "wall":
        missing |= missing.any(axis=-1, keepdims=True)
    count = int(missing.any(axis=-1).sum())
    values = np.where(missing, 0.0 if land == "wall" else land, values)
    return values, f", {count} of {missing[..., 0].size} points as land = {land}"


def _require_whole(grid: Grid, key: str) -> None:
    """Raise where a cubic spline has missing values."""
    if grid.degree == 1 or not grid._missing.any():
        return
    first = np.argwhere(grid._missing)[0]
    at = ", ".join(
        f"{a} = {p[i]:.9g}" for a, p, i in zip(grid.axes, grid.points, first, strict=True)
    )
    shape = " × ".join(str(len(p)) for p in grid.points)
    raise InputError(
        f"{key}.file: {grid.source} is missing at {at}, one of {shape} points in and around the "
        "domain; a cubic spline needs them all: write interpolation = 'linear'"
    )
