"""Files of gridded variables: what they hold, and which axis of an array is which.

NetCDF-4 and HDF5 (h5netcdf), also without dimension scales, and classic NetCDF (scipy), through
xarray; attributes are read by the CF conventions.  Everything here is local to one rank.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path

import h5py
import numpy as np

from advdiff.core.errors import InputError, shortened, suggestion
from advdiff.files import hdf5

PACKING = ("scale_factor", "add_offset")
"""Attributes of a variable by which its numbers are unpacked."""
Moment = int | float | str
"""An index, a value in the file's units, or a date by ISO 8601."""


class GridFile:
    """A file of named variables, and how to complain of it (local).

    Args:
        path: NetCDF-4, HDF5 or classic NetCDF.
        key: for messages.
    """

    def __init__(self, path: Path, key: str):
        self.path, self.key, self.name = path, key, path.name
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
        self._decode = xarray.decode_cf

    def __enter__(self) -> GridFile:
        try:
            with open(self.path, "rb") as file:
                classic = file.read(3) == b"CDF"
            if classic:
                self._engine = {"engine": "scipy"}
                self._known = list(self._dataset("").variables)
            else:
                self._engine = {"engine": "h5netcdf", "phony_dims": "sort"}
                self._known = []
                with hdf5.read(self.path) as file:
                    file.visititems(
                        lambda name, entry: (
                            self._known.append(name) if isinstance(entry, h5py.Dataset) else None
                        )
                    )
        except Exception as error:
            self._stack.close()
            raise self._unreadable(error) from None
        return self

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
        """A variable, unpacked by scale_factor, add_offset and _FillValue, and its group."""
        full = self._find(name.strip("/"), group)
        if full is None:
            raise InputError(
                f"{self.key}: {self.name} has no variable '{name}'; {suggestion(name, self._known)}"
            )
        group, _, leaf = full.rpartition("/")
        try:
            data = self._dataset(group)[[leaf]]
            packed = {k: v for k, v in data[leaf].attrs.items() if k in PACKING}
        except Exception as error:
            raise self._unreadable(error) from None
        for attribute, value in packed.items():
            if np.asarray(value).dtype.kind not in "iufb" or np.size(value) != 1:
                raise InputError(
                    f"{self.key}: {attribute} = {shortened(value)} of {name} in {self.name} is no "
                    "number; mend the file"
                )
        try:
            decoded = self._decode(data, decode_times=False, decode_coords=False)
            return decoded.variables[leaf], group
        except Exception as error:
            raise self._unreadable(error) from None

    def load(self, variable) -> np.ndarray:
        """The values of a variable."""
        try:
            return np.asarray(variable.values)
        except Exception as error:
            raise self._unreadable(error) from None


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
TIMES = ("time", "t", "valid_time")
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


def is_time(file: GridFile, label: str, group: str) -> bool:
    return label in TIMES or _cf_axis(_attributes(file, label, group)) == "t"


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
    for axis in axes:
        if not file.has(axis, group):
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
        raise InputError(
            f"{file.key}.axes: missing, and {what} does not say which of ({', '.join(places)}) "
            f"is {', '.join('xyz'[:dim])}; give their names"
        )
    return [places[kinds.index(letter)] for letter in "xyz"[:dim]]


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


def moment(file: GridFile, label, group, size: int, time: Moment | None) -> tuple[int, str]:
    """The index of a time, and how to speak of it."""
    key, name = f"{file.key}.time", file.name
    if time is None and size > 1:
        raise InputError(f"{key}: missing; {name} has {size} times; give an index or a value")
    if time is None or isinstance(time, int):
        index = time or 0
        if not 0 <= index < size:
            raise InputError(f"{key} = {time}: {name} has {size} times; give 0 to {size - 1}")
    elif not file.has(label, group):
        raise InputError(f"{key} = {time}: {name} has no values of {label}; give an index")
    else:
        variable, _ = file.variable(label, group)
        values, wanted = file.load(variable), time
        if isinstance(time, str):
            values, wanted = _dates(file, variable), _date(time)
        if not values.min() <= wanted <= values.max():
            units = variable.attrs.get("units", "") if isinstance(time, float) else ""
            raise InputError(
                f"{key} = {time}: {name} has times from {_short(values.min())} to "
                f"{_short(values.max())}{units and f' {units}'}; give one of these"
            )
        index = int(np.abs(values - wanted).argmin())
    if not file.has(label, group):
        return index, f" at {label}[{index}]"
    variable, _ = file.variable(label, group)
    units = variable.attrs.get("units", "")
    return index, f" at {label}[{index}] = {file.load(variable)[index]:g} {units}".rstrip()


def _short(value) -> str:
    return str(value)[:19] if isinstance(value, np.datetime64) else f"{value:g}"


def _date(text: str) -> np.datetime64:
    time = datetime.fromisoformat(text)
    if time.tzinfo is not None:
        time = time.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(time, "ns")


def _dates(file: GridFile, variable) -> np.ndarray:
    """The dates of a time axis."""
    import xarray

    try:
        raw = xarray.Variable(("t",), variable.values, variable.attrs)
        dates = xarray.decode_cf(xarray.Dataset({"t": raw})).variables["t"].values
        if dates.dtype.kind != "M":
            raise ValueError("no dates")
        return dates.astype("datetime64[ns]")
    except Exception as error:
        units = variable.attrs.get("units", "none")
        raise InputError(
            f"{file.key}.time: the times in {file.name} (units {units!r}) are no dates of the "
            f"common calendar; give an index or a number ({type(error).__name__})"
        ) from None


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
