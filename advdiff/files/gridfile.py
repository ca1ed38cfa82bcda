"""Files of gridded variables: what they hold, and which axis of an array is which.

NetCDF-4 and HDF5 (h5netcdf), also without dimension scales, and classic NetCDF (scipy), through
xarray; attributes are read by the CF conventions.  Everything here is local to one rank.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from itertools import permutations
from pathlib import Path

import h5py
import numpy as np

from advdiff.core.errors import InputError, suggestion
from advdiff.files import hdf5
from advdiff.files.grids import kinds
from advdiff.files.grids.packing import Packing


class GridFile:
    """A file of named variables, and how to complain of it (local).

    Args:
        path: NetCDF-4, HDF5 or classic NetCDF.
        key: for messages.
        own_fill: whether NetCDF's own fill is no number of a variable that declares none.
    """

    def __init__(self, path: Path, key: str, own_fill: bool = True):
        self.path, self.key, self.name, self.own_fill = path, key, path.name, own_fill
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise InputError(f"{key}.file: {path} {what}; give a NetCDF or HDF5 file")
        try:
            import xarray
        except ImportError:
            raise InputError(
                f"{key}.file: {path} needs the Python modules xarray and h5netcdf; install them "
                "(Debian: python3-xarray, python3-h5netcdf)"
            ) from None
        self._open, self._groups, self._stack = xarray.open_dataset, {}, ExitStack()
        self._locked: dict[str, str] = {}

    def __enter__(self) -> GridFile:
        engine = kinds.engine(self.path, self.key)
        try:
            if engine != "h5netcdf":
                self._engine = {"engine": engine}
                self._known = list(self._dataset("").variables)
            else:
                with suppress(ImportError):
                    import hdf5plugin  # noqa: F401  which adds compressions to HDF5
                self._engine = {"engine": engine, "phony_dims": "sort"}
                self._known = []
                with hdf5.read(self.path) as file:
                    file.visititems(self._look)
        except Exception as error:
            self._stack.close()
            raise self._unreadable(error) from None
        return self

    def _look(self, name: str, entry) -> None:
        """Note a data set of HDF5, unless it is the name of a dimension alone."""
        if not isinstance(entry, h5py.Dataset) or kinds.is_bare_dimension(entry):
            return
        self._known.append(name)
        if missing := kinds.missing_filter(entry):
            self._locked[name] = missing

    def __exit__(self, *_) -> None:
        self._stack.close()

    def _unreadable(self, error: Exception) -> InputError:
        reason = " ".join(str(error).split())[:120]
        return InputError(
            f"{self.key}.file: {self.path} is not readable NetCDF or HDF5 ({reason}); "
            "write it again"
        )

    def _dataset(self, group: str):
        if group not in self._groups:
            options = self._engine | ({"group": group} if group else {})
            data = self._open(self.path, decode_cf=False, **options)
            self._groups[group] = self._stack.enter_context(data)
        return self._groups[group]

    def _find(self, name: str, group: str) -> str | None:
        """The full name of a variable of a group, or else of a group around it."""
        while True:
            full = f"{group}/{name}" if group else name
            if full in self._known or not group:
                return full if full in self._known else None
            group = group.rpartition("/")[0]

    def has(self, name: str, group: str) -> bool:
        """Whether there is a variable of this name in the group or around it."""
        return self._find(name, group) is not None

    def names(self, group: str) -> list[str]:
        """Every variable, in the group without its name."""
        return [name.removeprefix(f"{group}/") for name in self._known]

    def variable(self, name: str, group: str = ""):
        """A variable as it is stored, with its attributes, and its group."""
        full = self._find(name.strip("/"), group)
        if full is None:
            raise InputError(
                f"{self.key}: {self.name} has no variable '{name}'; {suggestion(name, self._known)}"
            )
        if full in self._locked:
            raise InputError(
                f"{self.key}.file: {name} in {self.name} is compressed by {self._locked[full]}, "
                "which this HDF5 cannot undo; install the Python module hdf5plugin, or write "
                f"nccopy -F none {self.name} new.nc"
            )
        group, _, leaf = full.rpartition("/")
        try:
            variable = self._dataset(group)[[leaf]].variables[leaf]
        except Exception as error:
            raise self._unreadable(error) from None
        if variable.dtype.kind in "iuf":  # so that it is named where its attributes will not do
            Packing.of(variable.attrs, variable.dtype, f"{self.key}: {name} in {self.name}")
        return variable, group

    def layout(self, group: str, places: list[str]) -> str:
        """What else than a regular grid the file holds, a clause that ends in a colon, or ''."""
        try:
            return kinds.layout(self._dataset(group), places)
        except Exception as error:
            raise self._unreadable(error) from None

    def load(self, variable) -> np.ndarray:
        """The values of a variable: numbers unpacked, in double precision and NaN where missing."""
        try:
            stored = np.asarray(variable.values)
        except Exception as error:
            raise self._unreadable(error) from None
        if stored.dtype.kind not in "iuf":
            return stored
        netcdf = not any(str(place).startswith(NAMELESS) for place in variable.dims)
        own_fill = self.own_fill and netcdf
        return Packing.of(variable.attrs, stored.dtype, self.key, own_fill).unpack(stored)


# -- the axes --------------------------------------------------------------------------------------

STANDARD_NAMES = {
    "longitude": "x",
    "grid_longitude": "x",
    "projection_x_coordinate": "x",
    "latitude": "y",
    "grid_latitude": "y",
    "projection_y_coordinate": "y",
    "altitude": "z",
    "height": "z",
    "depth": "z",
    "time": "t",
}
TIMES = ("time", "t", "valid_time", "time_counter", "ocean_time")
NAMELESS = "phony_dim_"


def _cf_axis(attributes: dict) -> str | None:
    """x, y, z or t, where the attributes of a coordinate say so."""
    text = {k: v for k, v in attributes.items() if isinstance(v, str)}
    if text.get("axis", "").lower() in tuple("xyzt"):
        return text["axis"].lower()
    if text.get("standard_name") in STANDARD_NAMES:
        return STANDARD_NAMES[text["standard_name"]]
    units = text.get("units", "").lower().replace("_", "")
    east, north = ("degreeseast", "degreeeast", "degreese"), ("degreesnorth", "degreenorth")
    if units in (*east, "degreee"):
        return "x"
    if units in (*north, "degreesn", "degreen"):
        return "y"
    return "t" if " since " in units else None


def _attributes(file: GridFile, label: str, group: str) -> dict:
    return file.variable(label, group)[0].attrs if file.has(label, group) else {}


def cf_axis(file: GridFile, label: str, group: str) -> str | None:
    """x, y, z or t, where the file says so of a coordinate."""
    return _cf_axis(_attributes(file, label, group))


def is_time(file: GridFile, label: str, group: str) -> bool:
    """Whether an axis is that of time."""
    return label in TIMES or cf_axis(file, label, group) == "t"


def layout(
    file: GridFile, name, variable, group, dim, axes, dimensions
) -> tuple[list[str], list[str]]:
    """The name of each axis of the array, and those of x, y, z among them."""
    key, places = file.key, list(variable.dims)
    what = f"{name} in {file.name}"
    if axes is not None and len(axes) != dim:
        raise InputError(f"{key}.axes: {len(axes)} names in {dim} dimensions; give {dim}")
    if axes is not None and len(set(axes)) < dim:
        raise InputError(f"{key}.axes: {', '.join(axes)} are not {dim} different names; mend them")
    nameless = any(str(place).startswith(NAMELESS) for place in places)
    if axes is None:
        axes = list("xyz"[:dim])
        if not (nameless and dimensions is None) and not all(file.has(a, group) for a in axes):
            axes = _cf_axes(file, what, list(dimensions or places), group, dim)
        _require_plain(file, what, axes, places, group)
    for axis in axes:
        if not file.has(axis, group):
            _refuse_layout(file, what, places, group)
            if axis in places:
                raise InputError(
                    f"{key}.axes: {axis} is a dimension of {what} without coordinates; add a "
                    "variable of its name to the file, or name others"
                )
            raise InputError(
                f"{key}.axes: {file.name} has no coordinate '{axis}'; "
                f"{suggestion(axis, file.names(group))}"
            )
        if len(shape := file.variable(axis, group)[0].shape) != 1:
            raise InputError(
                f"{key}.axes: {axis} in {file.name} has shape {shape}; a regular grid has a "
                "coordinate of one dimension for each axis: interpolate the field to such a grid"
            )
    if dimensions is not None:
        labels = list(dimensions)
        if len(labels) != len(places):
            raise InputError(
                f"{key}.dimensions: {len(labels)} names, {what} has {len(places)} axes"
            )
    elif nameless:
        labels = _by_length(file, what, variable.shape, group, axes)
    else:
        own = {file.variable(a, group)[0].dims: a for a in axes}
        labels = [own.get((place,), place) for place in places]
    for axis in axes:
        if labels.count(axis) != 1:
            raise InputError(
                f"{key}.axes: '{axis}' is no axis of {what}, which has ({', '.join(labels)}); "
                f"{suggestion(axis, [label for label in labels if label not in axes])}"
            )
    return labels, list(axes)


def _cf_axes(file: GridFile, what: str, places: list[str], group: str, dim: int) -> list[str]:
    kinds = [_cf_axis(_attributes(file, place, group)) for place in places]
    if any(kinds.count(letter) != 1 for letter in "xyz"[:dim]):
        _refuse_layout(file, what, places, group)
        bare = [place for place in places if not file.has(place, group)]
        if bare and len(places) - len(bare) < dim and NAMELESS not in "".join(bare):
            raise InputError(
                f"{file.key}.axes: {what} has the dimensions ({', '.join(places)}), and no "
                f"coordinates along {', '.join(bare)}; add variables of these names to the file"
            )
        raise InputError(
            f"{file.key}.axes: missing, and {what} does not say which of ({', '.join(places)}) "
            f"is {', '.join('xyz'[:dim])}; give their names"
        )
    return [places[kinds.index(letter)] for letter in "xyz"[:dim]]


def _refuse_layout(file: GridFile, what: str, places: list[str], group: str) -> None:
    """Raise for a layout that is known, and is not read."""
    if found := file.layout(group, places):
        how = "not read;"
        if any(name in found for name in kinds.READ):
            how = (
                "read in two dimensions, by coordinates of its own (these as axes, or no axes) and "
                "the nodes of the faces of a mesh; mend that, or"
            )
        raise InputError(f"{file.key}.file: {what} is on {found}, which is {how} {kinds.REGRID}")


def _require_plain(file: GridFile, what: str, axes, places, group: str) -> None:
    """Raise where coordinates that nobody named do not mean what they seem to."""
    for axis, letter in zip(axes, "xyz", strict=False):
        attributes = _attributes(file, axis, group)
        if letter == "z" and str(attributes.get("positive", "")).lower() == "down":
            below = [*axes[:2], f"-{axis}"]
            raise InputError(
                f"{file.key}.axes: {axis} in {file.name} counts downwards; write axes = {below} "
                f"for z = −{axis}, or {list(axes)} to take it as it is"
            )
    plain = [a for a in axes if file.has(a, group) and not _tells(_attributes(file, a, group))]
    if len(plain) < len(axes) or not (found := file.layout(group, places)):
        return
    points = [file.load(file.variable(a, group)[0]) for a in axes]
    if all(p.ndim == 1 and np.array_equal(p - p[:1], np.arange(p.size)) for p in points):
        raise InputError(
            f"{file.key}.axes: {', '.join(axes)} of {what} count its points, and it is on {found}; "
            f"{kinds.REGRID}, or write axes = {list(axes)} to take the counts"
        )


def _tells(attributes: dict) -> bool:
    """Whether a coordinate says what it is."""
    return any(name in attributes for name in ("units", "standard_name", "axis"))


def _by_length(file: GridFile, what: str, shape: tuple, group: str, axes: list[str]) -> list[str]:
    """The axes of an array without names, where the lengths of the coordinates tell them apart."""
    labels = list(axes)
    if len(shape) == len(axes) + 1:
        labels += [next((t for t in TIMES if file.has(t, group)), "time")]
    sizes = {a: file.variable(a, group)[0].size for a in labels if file.has(a, group)}
    orders = [
        list(order)
        for order in permutations(labels)
        if len(order) == len(shape)
        and all(sizes.get(a, n) == n for a, n in zip(order, shape, strict=True))
    ]
    if len(orders) == 1:
        return orders[0]
    found = ", ".join(f"{a} {n}" for a, n in sizes.items())
    trouble = "does not fit" if not orders else "without names may be several of"
    remedy = "mend the file or axes" if not orders else f"write dimensions = {orders[-1]} or so"
    raise InputError(f"{file.key}.axes: {what}, shape {shape}, {trouble} {found}; {remedy}")


def coordinate(file: GridFile, label: str, group: str, size: int, least: int) -> np.ndarray:
    """The points along an axis, strictly monotone."""
    variable, _ = file.variable(label, group)
    points = file.load(variable)
    if points.shape != (size,):
        raise InputError(
            f"{file.key}.axes: {label} in {file.name} has shape {points.shape}, the grid needs "
            f"({size},); mend the file or give other axes"
        )
    if size < least:
        raise InputError(
            f"{file.key}.file: {file.name} has {size} points along {label}; it takes {least}"
        )
    if points.dtype.kind not in "iuf":
        raise InputError(f"{file.key}.axes: {label} in {file.name} does not hold numbers")
    points = points.astype(float)
    if not np.isfinite(points).all():
        raise InputError(
            f"{file.key}.axes: {label} in {file.name} has points that are no finite numbers; mend "
            "the file"
        )
    steps = np.diff(points)
    if not (np.all(steps > 0) or np.all(steps < 0)):
        raise InputError(
            f"{file.key}.axes: {label} in {file.name} neither rises nor falls throughout; sort it"
        )
    return points
