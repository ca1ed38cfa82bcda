"""One variable of a grid file, around the domain: which part of it, and what its numbers mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from mpi4py import MPI

from advdiff.core import memory
from advdiff.core.errors import InputError, suggestion
from advdiff.files.gridfile import GridFile, cf_axis, coordinate, is_time, layout
from advdiff.files.grids import fills
from advdiff.files.grids.moments import Moment, moment
from advdiff.files.grids.packing import Packing
from advdiff.files.grids.stated import (
    Read,
    Scale,
    angle,
    axis_scale,
    compare,
    require_direction,
    stretch,
)

DEGREES = {"linear": 1, "cubic": 3}
MARGIN = {"linear": 0, "cubic": 10}
"""Points read beyond the domain: a cubic spline forgets by a factor of 0.27 from each to the next,
so that what lies beyond them counts 2e-6."""
SLACK = 1e-3
"""Part of a cell that the domain may stick out: coordinates are often rounded."""
SINGLE = float(np.finfo(np.float32).eps)
"""Part of the coordinates themselves that it may, as they are often of single precision."""
MOST_TURNS = 4
"""Of the globe, that a domain may span."""


@dataclass(frozen=True)
class Request:
    """What is wanted of the variables of a file.

    Attributes:
        axes: names of the coordinates x, y, z, ``-name`` for one that counts backwards; else these,
            else what CF attributes say.
        dimensions: names of the axes of the array in its order, where the file does not say.
        time: index, or the value (in the file's units) or date to which the nearest is taken.
        level: index or value along another axis, or those by the names of several.
        interpolation: ``linear`` or ``cubic``.
        scale: factor of all values, after the units.
        units: what to convert the values to.
        axis_units: what to convert the axes to.
        plane: longitude and latitude of the origin of a plane that touches the globe there, to
            which axes in degrees are taken; along parallels and meridians it is regular, too.
        missing: numbers that mark missing values and are not declared to; an empty list: all that
            the file does not declare are data, NetCDF's own fill, too.
        land: value where there is none, or ``wall`` for a velocity of 0.
    """

    axes: Sequence[str] | None = None
    dimensions: Sequence[str] | None = None
    time: Moment | None = None
    level: Moment | dict[str, Moment] | None = None
    interpolation: str = "linear"
    scale: float = 1.0
    units: str | None = None
    axis_units: str | None = None
    plane: Sequence[float] | None = None
    missing: Sequence[float] | None = None
    land: float | str | None = None


class Part(NamedTuple):
    """Values around the domain.

    Attributes:
        when: time and levels, for messages.
        axes: the file's names of x, y, z.
        points: coordinates along each, increasing.
        values: shape (points along x, …), NaN where missing.
        read: of its units.
        said: what was done to the axes, for the line that says what was read.
    """

    when: str
    axes: tuple[str, ...]
    points: tuple[np.ndarray, ...]
    values: np.ndarray
    read: Read
    said: str


class Window(NamedTuple):
    """The part of an axis around the domain."""

    points: np.ndarray
    runs: list[slice]
    falling: bool
    scale: Scale
    said: str


def slack(points: np.ndarray) -> float:
    """How far the domain may stick out of an axis."""
    step = min(points[1] - points[0], points[-1] - points[-2])
    return min(max(SLACK * step, SINGLE * max(abs(points[0]), abs(points[-1]))), 0.5 * step)


def part(
    file: GridFile,
    name: str,
    dim: int,
    bounds,
    request: Request,
    copies: int,
    component: int | None,
) -> Part:
    """One variable around the domain (local).

    Args:
        bounds: lower and upper corner, None for all.
        copies: ranks that will hold it.
        component: of a velocity: which, −1 where that is not said; None for a scalar.
    """
    key, (variable, group) = file.key, file.variable(name)
    what = f"{name} in {file.name}"
    if variable.dtype.kind not in "iufb":
        raise InputError(f"{key}: {what} does not hold numbers; give another")
    if "flag_values" in variable.attrs or "flag_masks" in variable.attrs:
        raise InputError(f"{key}: {what} holds flags, between which nothing lies; give another")
    plain = None if request.axes is None else [axis.removeprefix("-") for axis in request.axes]
    labels, axes = layout(file, name, variable, group, dim, plain, request.dimensions)
    pick, when = chosen(file, name, variable, group, labels, axes, request)
    windows = []
    for k, label in enumerate(axes):
        size = variable.sizes[variable.dims[labels.index(label)]]
        ends = None if bounds is None else (bounds[0][k], bounds[1][k])
        mirrored = request.axes is not None and request.axes[k] != label
        windows.append(_window(file, label, group, size, ends, "xyz"[k], mirrored, request))
    if component is not None and component >= 0:
        letter = cf_axis(file, axes[component], group)
        require_direction(what, key, variable.attrs.get("standard_name"), letter)
    points = tuple(window.points for window in windows)
    count = float(np.prod([float(len(p)) for p in points]))
    memory.require(
        MPI.COMM_SELF, 24.0 * count * copies, f"{key}.file: {file.name}", "give a coarser grid"
    )
    order = [variable.dims[labels.index(label)] for label in axes]
    values = _load(file, variable.isel(pick), order, windows)
    values = judged(values, file, name, variable, axes, points, request, component is not None)
    missing = int(np.isnan(values).sum())
    also = f" (and {missing} of {values.size} values there are missing)" if missing else ""
    read = compare(
        what,
        key,
        variable.attrs.get("units"),
        request.units,
        [window.scale.unit for window in windows],
        request.scale,
        component is not None,
        also,
    )
    said = "".join(window.said for window in windows)
    if request.plane is not None and dim > 1:
        worst = stretch(windows[1].points[[0, -1]], windows[1].scale.unit, request.plane[1])
        said += f", on the plane at {request.plane}, lengths along x off by up to {worst:.1%}"
    return Part(when, tuple(axes), points, read.factor * values, read, said)


def chosen(file: GridFile, name, variable, group, labels, axes, request) -> tuple[dict, str]:
    """The index along each axis that is none of space, and how to speak of them."""
    key, pick, when = file.key, {}, ""
    sizes = dict(zip(labels, variable.shape, strict=True))
    places = dict(zip(labels, variable.dims, strict=True))
    others = [label for label in labels if label not in axes]
    times = [label for label in others if is_time(file, label, group)][:1]
    others = [label for label in others if label not in times]
    for label in times:
        pick[places[label]], when = moment(file, label, group, sizes[label], request.time)
    level, several = request.level, [label for label in others if sizes[label] > 1]
    if level is not None and not isinstance(level, dict):
        if len(several) > 1 or not others:
            found = ", ".join(several) or "no other axis"
            raise InputError(
                f"{key}.level = {level}: {name} in {file.name} has {found}; "
                + ("write level = { name = index, … }" if several else "remove it")
            )
        level = {(several or others)[0]: level}
    for label in level or ():
        if label not in others:
            raise InputError(
                f"{key}.level: {name} in {file.name} has no other axis '{label}'; "
                f"{suggestion(label, others)}"
            )
    for label in others:
        wanted = (level or {}).get(label)
        if wanted is None and sizes[label] > 1:
            raise InputError(
                f"{key}.level: missing; {name} in {file.name} has also an axis {label} of "
                f"{sizes[label]}; give an index or a value along it, or a file with one of them"
            )
        pick[places[label]], text = moment(file, label, group, sizes[label], wanted, "level")
        when += text if wanted is not None else ""
    if request.time is not None and not times:
        raise InputError(
            f"{key}.time = {request.time}: {name} in {file.name} has no time axis; remove it"
        )
    return pick, when


def _window(
    file: GridFile, label, group, size, ends, letter: str, mirrored: bool, request: Request
) -> Window:
    """The points of an axis around the domain, in the domain's units."""
    key, least = file.key, DEGREES[request.interpolation] + 1
    attributes = file.variable(label, group)[0].attrs
    what, is_letter = f"{label} in {file.name}", cf_axis(file, label, group)
    stated = attributes.get("units") or angle(label, attributes.get("standard_name"))
    scale = axis_scale(what, key, stated, request.axis_units, request.plane, letter, is_letter)
    p = coordinate(file, label, group, size, least)
    p = (-scale.factor if mirrored else scale.factor) * (p - scale.origin)
    said = ""
    if scale.factor != 1 and request.plane is None:
        said = f", {label} in {scale.unit.text} from {stated}"
    said += f", {label} mirrored" if mirrored else ""
    if falling := p[0] > p[-1]:
        p = p[::-1]
    index = np.arange(size)
    lower, upper = (p[0], p[-1]) if ends is None else ends
    if scale.turn is not None and is_letter == "x" and not mirrored:
        p, index, moved = _turned(p, index, lower, upper, scale.turn)
        said += f", {label} wrapped round the globe" if moved else ""
    if lower < p[0] - slack(p) or upper > p[-1] + slack(p):
        raise InputError(
            f"{key}.file: {file.name} covers {label} from {p[0]:.9g} to {p[-1]:.9g}, the domain "
            f"needs {lower:.9g} to {upper:.9g}; give a larger grid or a smaller domain"
        )
    margin = MARGIN[request.interpolation]
    start = np.clip(np.searchsorted(p, lower, "right") - 1 - margin, 0, len(p) - 2)
    stop = np.clip(np.searchsorted(p, upper) + 1 + margin, start + 2, len(p))
    taken = index[start:stop] if not falling else size - 1 - index[start:stop]
    pieces = np.split(taken, np.flatnonzero(np.abs(np.diff(taken)) != 1) + 1)
    runs = [slice(int(piece.min()), int(piece.max()) + 1) for piece in pieces]
    return Window(p[start:stop], runs, falling, scale, said)


def _turned(p, index, lower: float, upper: float, period: float):
    """A longitude, turned by whole turns to where the domain is: (points, index, whether)."""
    if lower >= p[0] - slack(p) and upper <= p[-1] + slack(p):
        return p, index, False
    step, gap = np.diff(p).max(), period - (p[-1] - p[0])
    if gap > 1.5 * step:  # a region: turned as it is
        turns = np.round((lower + upper - p[0] - p[-1]) / (2 * period))
        return p + turns * period, index, bool(turns)
    if gap < 0.5 * step:  # its two ends are one
        p, index = p[:-1], index[:-1]
    first, last = (int(np.floor((end - p[0]) / period)) for end in (lower, upper))
    if last - first >= MOST_TURNS:
        return p, index, False
    turns = np.arange(first - 1, last + 2)
    return (p + period * turns[:, None]).ravel(), np.tile(index, len(turns)), True


def _load(file: GridFile, variable, order: list, windows: list[Window]) -> np.ndarray:
    """The values of the windows, in increasing order along each axis."""
    flipped = [k for k, window in enumerate(windows) if window.falling]
    along = next((k for k, window in enumerate(windows) if len(window.runs) > 1), 0)
    pick = {place: window.runs[0] for place, window in zip(order, windows, strict=True)}
    blocks = []
    for run in windows[along].runs:
        block = file.load(variable.isel(pick | {order[along]: run}).transpose(*order))
        blocks.append(np.flip(block.astype(float), flipped))
    return np.concatenate(blocks, axis=along)


def judged(values, file: GridFile, name, variable, axes, points, request, velocity) -> np.ndarray:
    """NaN where the user says missing; refused where only a mark of that can stand."""
    key = file.key
    if request.missing is not None:
        for mark in request.missing:
            values[np.isclose(values, mark, rtol=1e-6, atol=0.0)] = np.nan
        if not request.missing:
            return values
    packing = Packing.of(variable.attrs, variable.dtype, key)
    mark = fills.undeclared(values, packing.scale, packing.offset, negative=not velocity)
    if mark is None:
        return values
    places = np.argwhere(values == mark)
    at = ", ".join(f"{a} = {p[i]:.9g}" for a, p, i in zip(axes, points, places[0], strict=True))
    thing = "a speed that no flow has" if velocity else "no value of a field"
    more = f" and {len(places) - 1} more points" if len(places) > 1 else ""
    raise InputError(
        f"{key}: {name} in {file.name} is {mark:.9g} at {at}{more}, {thing} but a mark of "
        f"missing values; write missing = [{mark:.9g}], or missing = [] where it is meant"
    )
