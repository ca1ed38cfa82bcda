"""Layouts whose coordinates are no axes: curvilinear grids (ROMS, NEMO), meshes (UGRID, FVCOM).

A :class:`Layer` says where the values of a variable are and which triangles lie between the points.
ROMS, NEMO: conventions of their output; FVCOM: user manual, section on NetCDF; UGRID 1.0.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

import numpy as np

from advdiff.core.errors import InputError, shortened
from advdiff.files.gridfile import GridFile, cf_axis, is_time
from advdiff.files.grids.stated import angle
from advdiff.files.grids.triangles import fans, quads
from advdiff.files.grids.units import parse

EAST = ("x", "lon", "nav_lon", "longitude", "glam", "xc", "xlon")
NORTH = ("y", "lat", "nav_lat", "latitude", "gphi", "yc", "xlat")
SUFFIXES = ("_rho", "_u", "_v", "_psi")
ENDINGS = (*SUFFIXES, "_t", "_f", "t", "u", "v", "f")
"""Of the names of coordinates at other points of a staggered grid."""


class Layer(NamedTuple):
    """Where the values of a variable are.

    Attributes:
        what: the layout, for messages.
        dims: of the variable: rows and columns of a grid, or one of a mesh.
        names: of the coordinates x and y of the points.
        points: these as the file has them, shape (2, n).
        cells: triangles between the points, shape (m, 3).
        owners: points round the place of each value, −1 for none; None where points have values.
        shape: of a grid's rows and columns; None of a mesh.
    """

    what: str
    dims: tuple[str, ...]
    names: tuple[str, str]
    points: np.ndarray
    cells: np.ndarray
    owners: np.ndarray | None
    shape: tuple[int, int] | None


def find(file: GridFile, name: str, axes, plane) -> Layer | None:
    """The layer of a variable; None where it is on axes, or on what is not known (local).

    Args:
        axes: names of x and y that were asked for, if any.
        plane: given where degrees are meant.

    Raises:
        InputError: for a mesh that is not as its convention says.
    """
    variable, group = file.variable(name)
    for finder in (_ugrid, _fvcom, _curvilinear):
        layer = finder(file, f"{name} in {file.name}", variable, group, axes, plane)
        if layer is not None:
            return layer
    return None


def others(file: GridFile, group: str) -> dict:
    """Variables of a group by their names, without those that cannot be read."""
    found = {}
    for name in file.names(group):
        if "/" not in name:
            with suppress(InputError):  # of a variable that nobody has asked for
                found[name] = file.variable(name, group)[0]
    return found


# -- meshes ----------------------------------------------------------------------------------------


def _ugrid(file: GridFile, what: str, variable, group: str, axes, plane) -> Layer | None:
    listed = others(file, group)
    for label in sorted(listed, key=lambda label: label != variable.attrs.get("mesh")):
        mesh = listed[label].attrs
        if mesh.get("cf_role") != "mesh_topology" or "node_coordinates" not in mesh:
            continue
        nodes = str(mesh["node_coordinates"]).split()
        if len(nodes) < 2:
            raise InputError(
                f"{file.key}.file: node_coordinates = {shortened(' '.join(nodes))} of {label} in "
                f"{file.name} are not the names of x and y; mend the file"
            )
        places = {"node": file.variable(nodes[0], group)[0].dims[0]}
        for kind in ("face", "edge"):
            connected = mesh.get(f"{kind}_node_connectivity")
            if connected is not None and file.has(connected, group):
                rows = file.variable(connected, group)[0].dims[0]
                places[kind] = mesh.get(f"{kind}_dimension", rows)
        wanted = variable.attrs.get("location")
        found = [k for k, place in places.items() if place in variable.dims]
        kind = wanted if wanted in found else (found or [None])[0]
        if kind is None or "face_node_connectivity" not in mesh:
            continue
        east, north = nodes[::2], nodes[1::2]
        if len(nodes) > 2 and cf_axis(file, nodes[1], group) == "x":
            east, north = nodes[: len(nodes) // 2], nodes[len(nodes) // 2 :]
        names, points = _points(
            file, what, group, list(zip(east, north, strict=False)), axes, plane
        )
        tables = {
            k: _connected(file, group, mesh[f"{k}_node_connectivity"], places[k], points.shape[1])
            for k in {"face", kind} - {"node"}
        }
        owners = tables.get(kind)
        cells = fans(tables["face"])
        return Layer("a mesh (UGRID)", (places[kind],), names, points, cells, owners, None)
    return None


def _fvcom(file: GridFile, what: str, variable, group: str, axes, plane) -> Layer | None:
    place = next((p for p in ("nele", "node") if p in variable.dims), None)
    if place is None or not file.has("nv", group):
        return None
    pairs = [pair for pair in (("x", "y"), ("lon", "lat")) if file.has(pair[0], group)]
    if axes is not None:  # those of the elements, too, which are the middles of the nodes'
        axes = [{"xc": "x", "yc": "y", "lonc": "lon", "latc": "lat"}.get(a, a) for a in axes]
    names, points = _points(file, what, group, pairs, axes, plane)
    faces = _connected(file, group, "nv", "nele", points.shape[1], first=1)
    owners = faces if place == "nele" else None
    return Layer("a mesh (FVCOM)", (place,), names, points, fans(faces), owners, None)


def _connected(
    file: GridFile, group: str, name: str, rows: str, count: int, first: int | None = None
) -> np.ndarray:
    """Corners of faces or edges, from 0, −1 for none, shape (face, most).

    Args:
        rows: dimension of the faces.
        count: how many nodes there are.
        first: the number of the first node; None for what the file says, or 0.
    """
    variable, _ = file.variable(name, group)
    start = variable.attrs.get("start_index", 0) if first is None else first
    if str(np.squeeze(start)) not in ("0", "1"):
        raise InputError(
            f"{file.key}.file: start_index = {shortened(start)} of {name} in {file.name} is not 0 "
            "or 1; mend the file"
        )
    start = int(np.squeeze(start))
    if variable.ndim != 2 or rows not in variable.dims:
        raise InputError(
            f"{file.key}.file: {name} in {file.name} has ({', '.join(variable.dims)}); a mesh "
            f"needs the nodes of each of {rows}: mend the file"
        )
    stored = file.load(variable)
    table = np.where(stored >= 0, stored, start - 1).astype(int) - start
    table = table if variable.dims[0] == rows else table.T
    least = table[:, :3].min(axis=1, initial=count)
    if table.max(initial=0) >= count or least.min(initial=count) < 0:
        low, high = table[:, :3].min() + start, table.max() + start
        raise InputError(
            f"{file.key}.file: {name} in {file.name} names nodes {low} to {high} of {count}, "
            f"counted from {start}; mend its attribute start_index, or the file"
        )
    return table


# -- curvilinear grids -----------------------------------------------------------------------------


def _curvilinear(file: GridFile, what: str, variable, group: str, axes, plane) -> Layer | None:
    dims = tuple(p for p in variable.dims if not is_time(file, p, group))[-2:]
    if len(dims) < 2 or (axes is None and all(cf_axis(file, p, group) for p in dims)):
        return None
    names = _flat_names(file, what, variable, group, dims, axes, plane)
    if names is None:
        return None
    grids = [file.load(file.variable(name, group)[0]).astype(float) for name in names]
    shape = tuple(variable.sizes[d] for d in dims)
    for k, grid in enumerate(grids):
        for axis in range(2):
            if grid.shape[axis] == shape[axis] + 1:  # in the middle between two of these
                grid = 0.5 * (np.delete(grid, -1, axis) + np.delete(grid, 0, axis))
        if grid.shape != shape:
            return None
        grids[k] = grid
    closed = _in_degrees(file, names[0], group) and _goes_round(grids[0])
    points = np.stack([grid.ravel() for grid in grids])
    nowhere = (points == 0).all(axis=0)  # as NEMO fills what no process of it has computed
    if nowhere.sum() > 1:
        points[:, nowhere] = np.nan
    cells = quads(shape, closed)
    model = " (ROMS)" if dims[0].endswith(SUFFIXES) else ""
    model = " (NEMO)" if names[0].startswith("nav_") else model
    return Layer(f"a curvilinear grid{model}", dims, names, points, cells, None, shape)


def _goes_round(longitude: np.ndarray) -> bool:
    """Whether rows of longitudes in degrees go round the globe, a step short of their start."""
    step = np.nanmedian(np.diff(longitude, axis=1) % 360.0)
    gap = np.nanmedian((longitude[:, 0] - longitude[:, -1]) % 360.0)
    return bool(0.5 * step < gap < 1.5 * step)


def _flat_names(file: GridFile, what: str, variable, group, dims, axes, plane):
    """The coordinates of two dimensions of a variable, or those whose middles it has, or None."""
    around = tuple(moved(d, "_rho") for d in dims)
    if axes is not None:
        suffix = next((s for s in SUFFIXES if dims[0].endswith(s)), "")
        for pair in (tuple(moved(a, suffix) for a in axes), tuple(axes)):
            there = {file.variable(a, group)[0].dims if file.has(a, group) else None for a in pair}
            if there in ({dims}, {around}):
                if _letter(file, pair[0], group) == "y" and _letter(file, pair[1], group) == "x":
                    raise InputError(
                        f"{file.key}.axes = {list(axes)}: {pair[0]} in {file.name} is y; give "
                        f"{list(axes)[::-1]}"
                    )
                return pair
        return None
    own = set(str(variable.attrs.get("coordinates", "")).split())
    for place in (dims, around):
        if pairs := _flat(file, group, place, own):
            return _preferred(file, what, group, pairs, None, plane)
    return None


def moved(name: str, suffix: str) -> str:
    """The name of the same thing at other points of a staggered grid of ROMS."""
    own = next((s for s in SUFFIXES if name.endswith(s)), None)
    return name if own is None or not suffix else name.removesuffix(own) + suffix


def _letter(file: GridFile, name: str, group: str) -> str | None:
    """x or y, as the file or the name of a coordinate says."""
    base = name.lower()
    if base not in EAST + NORTH:
        base = next((base.removesuffix(s) for s in ENDINGS if base.endswith(s)), base)
    by_name = "x" if base in EAST else "y" if base in NORTH else None
    return cf_axis(file, name, group) or by_name


def _flat(
    file: GridFile, group: str, dims: tuple[str, str], own: set[str]
) -> list[tuple[str, str]]:
    """Pairs of coordinates of two dimensions: lengths, and longitude and latitude.

    Args:
        own: names that come first.
    """
    found: dict[str, dict[bool, str]] = {"x": {}, "y": {}}
    listed = others(file, group)
    for name in sorted(listed, key=lambda name: name not in own):
        variable = listed[name]
        if variable.dims != dims or variable.dtype.kind not in "iuf":
            continue
        letter = _letter(file, name, group)
        if letter in found:
            found[letter].setdefault(_in_degrees(file, name, group), name)
    return [
        (found["x"][k], found["y"][k]) for k in (False, True) if all(k in f for f in found.values())
    ]


# -- which coordinates -----------------------------------------------------------------------------


def _in_degrees(file: GridFile, name: str, group: str) -> bool:
    attributes = file.variable(name, group)[0].attrs
    unit = parse(attributes.get("units") or angle(name, attributes.get("standard_name")))
    return unit is not None and unit.powers == {"degree": 1}


def _preferred(file: GridFile, what: str, group: str, pairs, axes, plane) -> tuple[str, str]:
    """Those asked for, else lengths, or degrees where a plane is given or lengths are not."""
    if axes is not None:
        if tuple(axes) not in [tuple(pair) for pair in pairs]:
            listed = " or ".join(f"['{a}', '{b}']" for a, b in pairs)
            raise InputError(
                f"{file.key}.axes = {list(axes)}: {what} has the coordinates {listed}; give these"
            )
        return tuple(axes)
    degrees = [_in_degrees(file, pair[0], group) for pair in pairs]
    filled = [bool(np.ptp(file.load(file.variable(pair[0], group)[0]))) for pair in pairs]
    good = [
        pair for pair, d, f in zip(pairs, degrees, filled, strict=True) if f and d == bool(plane)
    ]
    return (good or [pair for pair, f in zip(pairs, filled, strict=True) if f] or pairs)[0]


def _points(file: GridFile, what: str, group: str, pairs, axes, plane):
    """Names of the coordinates of a mesh's nodes, and these, shape (2, n)."""
    names = _preferred(file, what, group, pairs, axes, plane)
    return names, np.stack([file.load(file.variable(n, group)[0]).astype(float) for n in names])
