"""Fields on curvilinear grids and meshes of ocean models: linear in triangles between their points.

Each component of a velocity is interpolated between the points where the file has it, so that those
of a staggered grid need not be brought to a common place first; what they count along the lines of
the grid is turned to x and y by the lines themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from mpi4py import MPI

from advdiff.core import memory
from advdiff.core.errors import InputError
from advdiff.files.gridfile import GridFile
from advdiff.files.grids.meshes import Layer, moved, others
from advdiff.files.grids.part import Request, chosen, judged
from advdiff.files.grids.stated import Read, angle, axis_scale, compare, require_direction
from advdiff.files.grids.triangles import Triangles, to_corners

LEAST_WEIGHT = 1e-9
"""Weight of a missing value below which an interpolated one does not need it."""
ROOM = 700.0
"""Bytes that the triangles of a point and their search take, about."""
ALIGNED = 1e-3
"""Sine of the angle between a grid's lines and the axes, up to which they are one."""


class Piece(NamedTuple):
    """Values at the corners of triangles, shape (n, component); NaN where missing."""

    triangles: Triangles
    values: np.ndarray


@dataclass(frozen=True)
class Surface:
    """A sum of fields on triangles: a callable of coordinates.

    Attributes:
        source: what was read, for messages.
        pieces: what is added up.
        vector: whether calls give (component, n), or (n,).
        said: how it was read, for the line that says so.
        clock: seconds of the unit of time that the values count in, where the file says.
    """

    source: str
    pieces: tuple[Piece, ...]
    vector: bool
    said: str = ""
    clock: float | None = None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Values at coordinates (3, n); NaN outside and where missing ones are needed."""
        total = np.zeros((x.shape[1], self.pieces[0].values.shape[1]))
        for triangles, values in self.pieces:
            cells, weights = triangles.locate(x[:2].T)
            corners = (
                triangles.cells[cells] if len(triangles.cells) else np.zeros((len(cells), 3), int)
            )
            at = (
                values[corners]
                if len(values)
                else np.full((*corners.shape, total.shape[1]), np.nan)
            )
            at = np.where(weights[..., None] > LEAST_WEIGHT, at, 0.0)
            total += np.where(cells[:, None] < 0, np.nan, np.einsum("nk,nkc->nc", weights, at))
        return total.T if self.vector else total[:, 0]

    def why(self, point: Sequence[float]) -> str:
        """Why there is no value at a point: one clause for a message."""
        place = np.asarray(point, dtype=float)[None, :2]
        if any(piece.triangles.locate(place)[0][0] < 0 for piece in self.pieces):
            return f"{self.source} does not reach there"
        return f"{self.source} has missing values around it: the key land fills them"


class _Component(NamedTuple):
    layer: Layer
    points: np.ndarray
    values: np.ndarray
    read: Read
    when: str
    said: str
    along: str
    widest: float


def read(
    file: GridFile,
    names: list[str],
    layers: list[Layer],
    bounds,
    request: Request,
    places: list[int | None],
) -> Surface:
    """Read variables on curvilinear grids or meshes (local).

    Args:
        layers: where each has its values.
        bounds: lower and upper corner that are needed; None for all.
        places: of a velocity: which component each is, −1 where that is not said; None for a
            scalar.

    Raises:
        InputError: as for :func:`advdiff.domain.gridded.read`.
    """
    key, vector = file.key, len(names) > 1
    if request.interpolation != "linear":
        raise InputError(
            f"{key}.interpolation = '{request.interpolation}': {names[0]} in {file.name} is on "
            f"{layers[0].what}, which is interpolated in triangles; write 'linear'"
        )
    if request.dimensions is not None:
        raise InputError(
            f"{key}.dimensions: is for files that do not name them; {file.name} does: remove it"
        )
    for place, layer in zip(places, layers, strict=True):
        if place in (0, 1) and layer.dims[0].endswith(("_v", "_u")[place]):
            raise InputError(
                f"{key}.components: {names[place]} in {file.name} is on {' and '.join(layer.dims)}"
                ", where the other component is; give them in the order of x, y"
            )
    parts = [
        _component(file, name, layer, bounds, request, place)
        for name, layer, place in zip(names, layers, places, strict=True)
    ]
    values = [request.scale * part.values for part in parts]
    missing = [~np.isfinite(v) for v in values]
    if request.land == "wall":
        if not vector:
            raise InputError(f"{key}.land = 'wall': for a velocity with components; give a number")
        if layers[0].dims == layers[1].dims:
            missing = [missing[0] | missing[1]] * 2
    said = f", on {layers[0].what}{parts[0].said}"
    if request.land is not None:
        fill = 0.0 if request.land == "wall" else request.land
        values = [np.where(m, fill, v) for m, v in zip(missing, values, strict=True)]
        count, size = sum(m.sum() for m in missing), sum(m.size for m in missing)
        said += f", {count} of {size} values as land = {request.land}"
    turned = places[0] is not None and _turned(file, names, parts)
    pieces = []
    for k, (part, v) in enumerate(zip(parts, values, strict=True)):
        column = v[:, None]
        if vector:
            lines = _lines(part, k) if turned else np.eye(2)[k]  # NaN beside points without places
            column = np.where(column == 0, 0.0, column * lines)
        triangles = Triangles.of(part.points, part.layer.cells, bounds, part.widest)
        if not len(triangles.cells):
            low, high = np.nanmin(part.points, axis=0), np.nanmax(part.points, axis=0)
            raise InputError(
                f"{key}.file: {file.name} covers {part.layer.names[0]} from {low[0]:.9g} to "
                f"{high[0]:.9g} and {part.layer.names[1]} from {low[1]:.9g} to {high[1]:.9g}, none "
                "of the domain; give another grid or domain"
            )
        pieces.append(Piece(triangles, column[triangles.used]))
    said = f"{parts[0].read.said}{said}{', turned from its lines to the axes' if turned else ''}"
    source = f"{', '.join(names)} of {file.name}{parts[0].when}"
    return Surface(source, tuple(pieces), vector, said, parts[0].read.clock)


def _component(
    file: GridFile,
    name: str,
    layer: Layer,
    bounds,
    request: Request,
    place: int | None,
) -> _Component:
    """One variable at the points of its layer."""
    key, (variable, group) = file.key, file.variable(name)
    what, labels = f"{name} in {file.name}", list(variable.dims)
    if variable.dtype.kind not in "iuf":
        raise InputError(f"{key}: {what} does not hold numbers; give another")
    points, scales, widest, said = layer.points.copy(), [], np.inf, ""
    for k, label in enumerate(layer.names):
        attributes = file.variable(label, group)[0].attrs
        stated = attributes.get("units") or angle(label, attributes.get("standard_name"))
        letter = "xy"[k]
        scale = axis_scale(
            f"{label} in {file.name}",
            key,
            stated,
            request.axis_units,
            request.plane,
            letter,
            letter,
        )
        points[k] = scale.factor * (points[k] - scale.origin)
        if scale.turn is not None and k == 0:
            middle = (
                0.5 * (bounds[0][0] + bounds[1][0]) if bounds is not None else np.nanmean(points[0])
            )
            points[0] -= scale.turn * np.round((points[0] - middle) / scale.turn)
            widest = 0.5 * scale.turn
        if scale.factor != 1 and request.plane is None:
            said += f", {label} in {scale.unit.text} from {stated}"
        scales.append(scale)
    pick, when = chosen(file, name, variable, group, labels, list(layer.dims), request)
    size = ROOM * float(np.prod([variable.sizes[d] for d in layer.dims]))
    memory.require(MPI.COMM_SELF, size, f"{key}.file: {file.name}", "give a part of it")
    values = file.load(variable.isel(pick).transpose(*layer.dims)).astype(float).ravel()
    values = values * _water(file, group, layer)
    counts = (np.arange(len(values)),)
    velocity = place is not None
    values = judged(values, file, name, variable, ("point",), counts, request, velocity)
    if velocity and place >= 0:
        require_direction(what, key, variable.attrs.get("standard_name"), "xy"[place])
    units = [scale.unit for scale in scales]
    read = compare(
        what, key, variable.attrs.get("units"), request.units, units, request.scale, velocity
    )
    if layer.owners is not None:
        some = layer.owners >= 0
        at = points.T[np.where(some, layer.owners, 0)] * some[..., None]
        middles = at.sum(axis=1) / some.sum(axis=1)[:, None]
        values = to_corners(points.T, layer.owners, middles, values)
    along = str(variable.attrs.get("standard_name", ""))
    return _Component(layer, points.T, read.factor * values, read, when, said, along, widest)


def _water(file: GridFile, group: str, layer: Layer) -> np.ndarray:
    """1, and NaN where a mask of the same places says land: mask_u, umask and so on.

    Where a staggered grid of ROMS has none of these, the middle between land and water is land.
    """
    masks: dict[tuple, list] = {}
    for name, variable in others(file, group).items():
        lower = name.lower()
        if (lower.startswith("mask") or lower.endswith("mask")) and variable.dtype.kind in "iufb":
            masks.setdefault(variable.dims, []).append(variable)
    around = tuple(moved(d, "_rho") for d in layer.dims)
    result = np.ones(1)
    for variable in masks.get(layer.dims) or masks.get(around, []):
        water = file.load(variable).astype(float) > 0
        for axis in range(2) if variable.dims != layer.dims else ():
            if water.shape[axis] == layer.shape[axis] + 1:
                water = np.delete(water, -1, axis) & np.delete(water, 0, axis)
        result = result * np.where(water.ravel(), 1.0, np.nan)
    return result


def _lines(part: _Component, component: int) -> np.ndarray:
    """Unit vectors along a grid's rows (component 0) or columns, shape (n, 2)."""
    grid = part.points.reshape(*part.layer.shape, 2)
    axis = 1 - component
    order = 2 if grid.shape[axis] > 2 else 1
    step = np.gradient(grid, axis=axis, edge_order=order).reshape(-1, 2)
    with np.errstate(all="ignore"):
        return step / np.linalg.norm(step, axis=1, keepdims=True)


def _turned(file: GridFile, names: list[str], parts: list[_Component]) -> bool:
    """Whether components of a velocity count along a grid's lines, which are not the axes."""
    if parts[0].layer.shape is None:
        return False
    if any(word in part.along for part in parts for word in ("eastward", "northward")):
        return False
    off, forward = 0.0, True
    for k, part in enumerate(parts):
        for axis in [k] if len(parts) > 1 else [0, 1]:
            lines = _lines(part, axis)
            off = max(off, float(np.nanmax(np.abs(lines[:, 1 - axis]), initial=0.0)))
            forward &= bool(np.nanmin(lines[:, axis], initial=1.0) > 0)
    if off <= ALIGNED and forward:
        return False
    if len(parts) == 1:
        remedy = (
            "give both in one table, components = [u, v] of one file, with the coordinates of each"
        )
    elif parts[0].layer.dims != parts[1].layer.dims or all("_velocity" in p.along for p in parts):
        return True
    else:
        remedy = (
            "add a standard_name, eastward_sea_water_velocity and northward, or "
            "sea_water_x_velocity and y for those along the lines"
        )
    raise InputError(
        f"{file.key}: {' and '.join(names)} in {file.name} may count along the lines of their "
        f"grid, which are not those of x and y; {remedy}"
    )
