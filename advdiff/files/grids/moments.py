"""One place along an axis of a file: a time or a level, by its index, its value or its date."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from advdiff.core.errors import InputError
from advdiff.files.gridfile import GridFile

Moment = int | float | str
"""An index, a value in the file's units, or a date by ISO 8601."""


def moment(
    file: GridFile, label, group, size: int, time: Moment | None, word: str = "time"
) -> tuple[int, str]:
    """The index along an axis of which one place is taken, and how to speak of it.

    Args:
        time: index, value or date; needed where there are several.
        word: time or level, for messages.
    """
    key, name = f"{file.key}.{word}", file.name
    if time is None and size > 1:
        raise InputError(
            f"{key}: missing; {name} has {size} {word}s{_along(label, word)}; give an index or a "
            "value"
        )
    points = None
    if file.has(label, group):
        variable, _ = file.variable(label, group)
        points = file.load(variable)
        if points.shape != (size,) or points.dtype.kind not in "iuf":
            points = None
    if time is None or isinstance(time, int):
        index = time or 0
        if not 0 <= index < size:
            raise InputError(f"{key} = {time}: {name} has {size} {word}s; give 0 to {size - 1}")
    elif points is None:
        raise InputError(f"{key} = {time}: {name} has no values of {label}; give an index")
    else:
        values, wanted = points, time
        if isinstance(time, str):
            values, wanted = _dates(file, variable), _date(time)
        if not values.min() <= wanted <= values.max():
            units = variable.attrs.get("units", "") if isinstance(time, float) else ""
            raise InputError(
                f"{key} = {time}: {name} has {word}s from {_short(values.min())} to "
                f"{_short(values.max())}{units and f' {units}'}; give one of these"
            )
        index = int(np.abs(values - wanted).argmin())
    if points is None:
        return index, f" at {label}[{index}]"
    units = variable.attrs.get("units", "")
    return index, f" at {label}[{index}] = {points[index]:g} {units}".rstrip()


def _along(label: str, word: str) -> str:
    return "" if word == "time" else f" along {label}"


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
