"""The cells of the readings that are not missing, column by column, and what they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from advdiff.files.grids import units
from advdiff.files.readings import times
from advdiff.files.readings.headers import TIMES, Column
from advdiff.files.readings.numbers import Cell, Missing, Reader, decimal_sign, refuse_marks
from advdiff.files.readings.stated import Place, Stated
from advdiff.files.readings.table import NUMBERS, Table

FLAGS = {"": 0, "0": 0, "false": 0, "no": 0, "none": 0}
FLAGS |= {"1": -1, "true": -1, "yes": -1, "left": -1, "below": -1, "<": -1}
FLAGS |= {"right": 1, "above": 1, ">": 1}
"""Words of a column ``censored``: where the truth is, as seen from the value."""
KINDS = {"": False, "value": False, "flux": True}
"""Words of a column ``kind``: whether it is of the flux."""
DATES = ("date", "datetime", "date_time", "date time", "timestamp")
"""Names of columns that do not hold numbers."""
T = TypeVar("T")


class Cells(dict[str, list[Cell]]):
    """Column → its cells, of the readings that are not missing.

    Args:
        columns: what each column is.
        rows, lines: cells of each row, and its line in the file.

    Attributes:
        units: column → unit that the file states.
        dates: column → its header, where that promises date-times.
        left_out: how many readings are missing.
        missing: which cells are.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        rows: Sequence[Sequence[str]],
        lines: Sequence[int],
        missing: Missing,
        place: Place,
    ):
        where = {column.role: j for j, column in enumerate(columns) if column.role}
        value, sensor = where.get("value"), where.get("sensor")
        kept = [i for i, row in enumerate(rows) if value is None or row[value] not in missing]
        if not kept:
            raise place.error("has no readings: all values are missing", "add rows")
        self.units = {c.role: c.unit for c in columns if c.role in NUMBERS and c.unit}
        self.dates = {c.role: c.header for c in columns if c.name.lower() in DATES}
        self.left_out, self.missing = len(rows) - len(kept), missing
        self.lines = [lines[i] for i in kept]
        for role, j in where.items():
            of = sensor if role == "value" else None
            self[role] = [
                Cell(lines[i], role if of is None else f"value of {rows[i][of]}", rows[i][j])
                for i in kept
            ]
        if "clock" in self:
            clocks = self.pop("clock")
            self["t"] = [
                cell._replace(text=f"{cell.text} {clock.text}")
                for cell, clock in zip(self["t"], clocks, strict=True)
            ]

    def words(self, name: str) -> list[str]:
        """A column of words, empty where there is none."""
        return ["" if cell.text in self.missing else cell.text for cell in self[name]]

    def meant(self, name: str, words: Mapping[str, T], place: Place) -> list[T]:
        """A column of words of a few, as what they mean."""
        found = []
        for cell, word in zip(self[name], self.words(name), strict=True):
            if word.lower() not in words:
                remedy = f"write one of {', '.join(word for word in words if word)}"
                raise place.cell(*cell, "is not known", remedy)
            found.append(words[word.lower()])
        return found


def filled(
    cells: Cells, separator: str, stated: Stated, place: Place, axes: Sequence[str]
) -> tuple[Table, list[str]]:
    """The table of these cells, and how its numbers are written.

    Args:
        separator: of the columns.

    Raises:
        InputError: for the first cell that cannot be read, or may be read in two ways.
    """
    dated = {role for role in TIMES if role in cells and times.are_dates(cells[role], stated)}
    for role in TIMES:
        if role in cells.dates and role not in dated:
            raise place.cell(
                *cells[role][0],
                f"is no date-time, though the column is {cells.dates[role]!r}",
                "call it t, if times count from 0, or state observations.time_format",
            )
    plain = [name for name in cells if name in NUMBERS and name not in dated]
    shown = [cell for name in plain for cell in cells[name] if cell.text not in cells.missing]
    sign = stated.decimal or decimal_sign(shown, separator, place)
    reader = Reader(place, sign, stated.decimal is not None, cells.missing)
    numbers = {name: _numbers(name, cells[name], reader) for name in plain if name != "value"}
    numbers |= {name: _dates(cells[name], cells.missing, stated, place) for name in dated}
    censored = np.zeros(len(cells.lines), dtype=np.int8)
    if "value" in cells:
        pairs = [reader.limited(cell) for cell in cells["value"]]
        numbers["value"] = np.array([value for value, _ in pairs])
        censored[:] = [side for _, side in pairs]
        if stated.missing is None:
            refuse_marks(numbers["value"], cells["value"], place)
    if "censored" in cells:
        flags = np.array(cells.meant("censored", FLAGS, place), dtype=np.int8)
        for i in np.flatnonzero((censored != 0) & (flags != censored)):
            raise place.cell(*cells["value"][i], "and its column 'censored' differ", "mend it")
        censored = flags
    written = [f"decimal {'comma' if sign == ',' else 'point'}"]
    if reader.grouped:
        written.append(f"thousands parted by {'points' if sign == ',' else 'commas'}")
    written += _in_one_unit(numbers, cells.units, dated, stated, place)
    flux = np.array(cells.meant("kind", KINDS, place)) if "kind" in cells else None
    texts = {name: cells.words(name) for name in ("sensor", "part") if name in cells}
    table = Table(
        place, numbers, texts, flux, censored, cells.lines, axes, cells.left_out, cells.units
    )
    return table, written


def _numbers(name: str, cells: Sequence[Cell], reader: Reader) -> np.ndarray:
    """A column of numbers, NaN where it has none."""
    return np.array(
        [np.nan if cell.text in reader.missing else reader.number(cell) for cell in cells]
    )


def _dates(cells: Sequence[Cell], missing: Missing, stated: Stated, place: Place) -> np.ndarray:
    """A column of date-times in the model's time, NaN where it has none."""
    found = np.full(len(cells), np.nan)
    given = [i for i, cell in enumerate(cells) if cell.text not in missing]
    found[given] = times.since_origin([cells[i] for i in given], stated, place)
    return found


def _in_one_unit(
    numbers: dict[str, np.ndarray],
    said: dict[str, str],
    dated: set[str],
    stated: Stated,
    place: Place,
) -> list[str]:
    """All times in the model's unit; what is to be said of that."""
    if dated:
        for name in dated:
            said.pop(name, None)
        said |= dict.fromkeys(dated, stated.unit)
        notes = [f"time in {stated.unit} from {stated.origin.isoformat(sep=' ')} on"]
    else:
        notes = []
        if stated.origin is not None:
            raise place.error(
                "the times are numbers, not dates",
                "remove the key",
                key=f"observations.origin = {stated.origin.isoformat()}",
            )
    for name in TIMES:
        if name not in said or name in dated:
            continue
        unit = units.parse(said[name])
        if stated.unit is None:
            if len({said[other] for other in TIMES if other in said}) > 1:
                raise place.error("times in two units", 'write time.unit = "h"')
            continue
        if unit is None:
            raise place.error(
                f"{name} is in {said[name]!r}, which is no unit of time",
                "rename the column",
                key=f"time.unit = {stated.unit!r}",
            )
        factor = unit.to(units.parse(stated.unit))
        if factor != 1.0:
            notes.append(f"{name} from {said[name]} to {stated.unit}")
            numbers[name] = numbers[name] * factor
        said[name] = stated.unit
    return notes
