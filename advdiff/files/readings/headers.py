"""Headers of tables: what a column is, and in which unit."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from advdiff.core.errors import InputError, nearest, shortened
from advdiff.files.grids import units
from advdiff.files.readings.stated import Place

LENGTHS = ("x", "y", "z", "x2", "y2", "z2", "radius")
TIMES = ("t", "t_start", "t_end")
TEXTS = ("sensor", "part", "kind", "censored", "clock")
"""Columns of words; ``clock`` is the time of day beside a column of dates."""
NAMES = (*LENGTHS, *TIMES, "value", "std", *TEXTS)
SYNONYMS = {
    "t": "time times date datetime date_time timestamp",
    "t_start": "start start_time time_start begin tstart",
    "t_end": "end end_time time_end stop tend",
    "value": "values val c conc concentration c/c0",
    "std": "sigma sd stdev std_dev standard_deviation",
    "sensor": "well borehole station probe sensor_name well_name well_id sensor_id",
}
"""What others call the columns, where it can mean nothing else."""
ROLES = {name: role for role, names in SYNONYMS.items() for name in names.split()}
ROLES |= {name: name for name in NAMES if name != "clock"}
MEANT = dict.fromkeys(("obs", "reading", "theta", "measurement", "measured"), "value")
MEANT |= dict.fromkeys(("error", "err", "uncertainty", "noise"), "std")
MEANT |= dict.fromkeys(
    ("id", "name", "site", "location", "beam", "channel", "logger", "node"), "sensor"
)
MEANT |= dict.fromkeys(("elapsed", "minute", "hour", "day", "pore_volumes"), "t")
MEANT |= dict.fromkeys(("depth", "distance", "position", "easting", "lon", "longitude"), "x")
MEANT |= dict.fromkeys(("northing", "lat", "latitude"), "y") | {"height": "z", "elevation": "z"}
"""What others call the columns, where it may mean something else."""
ALONG = ("depth", "distance", "position")
"""What x is called where there is no other axis."""


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        role: one of NAMES; ``at`` of a column that belongs to one sensor; none: passed over.
        header: as it stands in the file.
        name: without the unit.
        unit: as it stands there, or empty.
    """

    role: str
    header: str
    name: str
    unit: str = ""

    @property
    def said(self) -> str:
        """What it was taken for."""
        text = self.role + (f" [{self.unit}]" if self.unit else "")
        return text if self.name.lower() == self.role else f"{text} from {shortened(self.header)}"


def parted(header: str) -> tuple[str, str]:
    """Name and unit: ``X [cm]``, ``time (h)``, ``x / cm``, ``depth_cm``."""
    match = re.fullmatch(r"(.*?)\s*[\[(]\s*(.*?)\s*[\])]|(.+?)\s+/\s*(.+)", header)
    if match:
        return (match[1] or match[3] or "").strip(), match[2] or match[4] or ""
    name, _, unit = header.rpartition("_")
    if len(name) > 3 and name.lower() in (*ROLES, *ALONG) and units.parse(unit) is not None:
        return name, unit
    return header, ""


def understood(
    header: Sequence[str],
    axes: Sequence[str],
    stated: Mapping[str, str],
    sensors: Collection[str],
    place: Place,
) -> list[Column]:
    """What each column is.

    Args:
        axes: names of the coordinates of the domain.
        stated: ``observations.columns``: role → header.
        sensors: names that have a place in a file of their own.

    Raises:
        InputError: for a column that is not known or there twice, a unit that its role cannot have.
    """
    by_header = _stated(header, stated, place)
    found = []
    for text in header:
        name, unit = parted(text)
        plain = re.sub(r"\s+", "_", name.lower())
        if text in by_header:
            role = by_header[text]
        elif text in sensors or name in sensors:
            role, name = "at", text if text in sensors else name
        else:
            role = ROLES.get(plain, "")
            if plain in ALONG and tuple(axes) == ("x",):
                role = "x"
            if role in stated or (role in LENGTHS[:6] and role[0] not in axes):
                role = ""
        found.append(Column(role, text, name, unit))
    found = _with_clock(found)
    _require_once(found, place)
    known = {column.role for column in found}
    for i, column in enumerate(found):
        _require_unit(column, place)
        if not column.role:
            if not stated:
                remedy = _remedy(column, known, axes)
                if place.key != Place.key:
                    remedy = f"remove it; known: sensor, {', '.join(axes)}, radius, part, kind, std"
                raise place.error(f"unknown column {shortened(column.header)}", remedy)
            found[i] = column._replace(unit="")
    return found


def are_known(header: Sequence[str], axes: Sequence[str], stated: Mapping[str, str]) -> bool:
    """Whether every column of a header is."""
    place = Place(None)  # only asked whether, never said
    try:
        understood(header, axes, stated, (), place)
    except InputError:
        return False
    return True


def _stated(header: Sequence[str], stated: Mapping[str, str], place: Place) -> dict[str, str]:
    """Header → role, of the columns that the experiment file names."""
    found = {}
    for role, name in stated.items():
        key = f"observations.columns.{role} = {shortened(name)}"
        if header.count(name) != 1:
            close = nearest(name, list(header))
            raise place.error(
                "no such column" if name not in header else "there are two of it",
                f"did you mean {close!r}?" if close and close != name else f"it has {header[:9]}",
                key=key,
            )
        if name in found:
            raise place.error(f"it is {found[name]} too", "name each column once", key=key)
        found[name] = role
    return found


def _with_clock(found: list[Column]) -> list[Column]:
    """A column of dates beside one of times of day are one time."""
    names = {c.name.lower(): i for i, c in enumerate(found) if c.role == "t"}
    if set(names) == {"date", "time"}:
        found[names["time"]] = found[names["time"]]._replace(role="clock")
    return found


def _require_once(found: list[Column], place: Place) -> None:
    roles: dict[str, Column] = {}
    for column in found:
        role = f"at {column.name}" if column.role == "at" else column.role
        if role and role in roles:
            both = f"{roles[role].header!r} and {column.header!r}"
            if roles[role].header.lower() == column.header.lower():
                raise place.error(f"a column occurs twice: {both}", "remove one")
            raise place.error(
                f"columns {both} may both be '{role}'",
                f'remove one, or write observations.columns = {{ {role} = "…" }}',
            )
        roles[role] = column


def _require_unit(column: Column, place: Place) -> None:
    """A length is in metres, a time in seconds, or in what is no unit that is known."""
    kinds = {"m": LENGTHS, "s": TIMES}
    unit = units.parse(column.unit)
    for kind, roles in kinds.items():
        if column.role in roles and unit is not None and unit.powers != {kind: 1}:
            what = "length" if kind == "m" else "time"
            raise place.error(
                f"column {column.header!r}: {column.unit!r} is no unit of {what}",
                f"mend it, if the column is '{column.role}'; else rename the column",
            )


def _remedy(column: Column, known: set[str], axes: Sequence[str]) -> str:
    """What to do with a column that is not known."""
    roles = [name for name in (*axes, "t", "value", "std", "sensor") if name not in known]
    if known & {"t", "t_start"} and not known & {*axes, "sensor"}:
        return (
            "where it is a column a sensor, name the file of the places: observations.sensors = "
            f'"wells.csv" (columns sensor, {", ".join(axes)})'
        )
    close = nearest(column.name, roles)
    if close is not None:
        return f"did you mean '{close}'?"
    role = MEANT.get(re.sub(r"\s+", "_", column.name.lower()))
    if role in roles:
        return (
            f"if it is {role}, write observations.columns = {{ {role} = "
            f"\"{shortened(column.header)[1:-1]}\" }}, or call it '{role}'"
        )
    return f"remove it, or name the others in observations.columns; known: {', '.join(NAMES[:-1])}"


def with_units(
    columns: list[Column], rows: list[tuple[int, list[str]]], place: Place
) -> tuple[list[Column], list[tuple[int, list[str]]], bool]:
    """The columns with the units of a second header row, the rows without it, whether it is one."""
    if not rows:
        return columns, rows, False
    line, cells = rows[0]
    said = [re.sub(r"^[\[(](.*)[\])]$", r"\1", cell).strip() for cell in cells]
    strict = [
        (column.role, text)
        for column, text in zip(columns, said, strict=True)
        if column.role in (*LENGTHS, *TIMES)
    ]
    if not any(units.parse(text) for _, text in strict) or not all(
        not text or units.parse(text) or re.fullmatch(r"[YyMmDdHhSs:./\-T ]+", text)
        for _, text in strict
    ):
        return columns, rows, False
    found = []
    for column, text in zip(columns, said, strict=True):
        text = "" if text in ("-", "1", "–") else text
        if re.fullmatch(r"[<>]?[+-]?[\d.,]+([eE][+-]?\d+)?", text):
            raise place.error(
                f"units and the number {text} in one row", "mend the row of units", line
            )
        if text and column.unit and text != column.unit:
            raise place.error(
                f"{column.header!r} is in {text!r} here", "state one unit a column", line
            )
        column = column._replace(unit=text or column.unit)
        _require_unit(column, place)
        found.append(column)
    return found, rows[1:], True


def require_one_unit(columns: Sequence[Column], place: Place) -> None:
    """All lengths in one unit, and all values, whose std is in it too."""
    unit = {column.role: column.unit for column in columns}
    if unit.get("std") == "%" != unit.get("value"):
        raise place.error("std is in %, not in the unit of value", "give it in that")
    for roles in (LENGTHS, ("value", "std", "at")):
        stated = [column for column in columns if column.role in roles and column.unit]
        for column in stated[1:]:
            if column.unit != stated[0].unit:
                raise place.error(
                    f"{stated[0].header!r} is in {stated[0].unit!r}, {column.header!r} in "
                    f"{column.unit!r}",
                    "give both in the unit of the model",
                )
