"""Date-times become the model's time."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from advdiff.core.errors import shortened
from advdiff.files.grids import units
from advdiff.files.readings.numbers import Cell
from advdiff.files.readings.stated import Place, Stated

CLOCK = r"(?:[T ]+(\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)\s*(Z|UTC|[+-]\d{2}:?\d{2})?)?"
YEAR_FIRST = re.compile(rf"(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}}){CLOCK}", re.ASCII)
YEAR_LAST = re.compile(rf"(\d{{1,2}})[-/.](\d{{1,2}})[-/.](\d{{4}}){CLOCK}", re.ASCII)
LIKE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}:\d{2}|\d{8}T\d")
"""What begins like a date or a time of day."""


def are_dates(cells: Sequence[Cell], stated: Stated) -> bool:
    """Whether a column holds date-times."""
    return stated.time_format is not None or any(LIKE.match(cell.text) for cell in cells)


def since_origin(cells: Sequence[Cell], stated: Stated, place: Place) -> np.ndarray:
    """Time from ``observations.origin`` to each, in ``time.unit``, shape (cell,).

    Raises:
        InputError: for the first that is none or may be two; where origin or unit are not stated.
    """
    import pandas

    texts, aware = [cell.text for cell in cells], "%z" in (stated.time_format or "")
    if stated.time_format is None:
        texts, aware = _iso(cells, place)
    form = stated.time_format or "ISO8601"
    try:
        stamps = pandas.to_datetime(texts, format=form, errors="coerce", utc=aware)
    except ValueError as error:
        key = f"observations.time_format = {shortened(form)}"
        raise place.error(str(error), "write e.g. %d/%m/%Y %H:%M", key=key) from None
    stamps = pandas.DatetimeIndex(stamps)
    bad = np.asarray(stamps.isna())
    if bad.any():
        cell = cells[int(np.argmax(bad))]
        remedy = "mend the row, or write observations.time_format"
        raise place.cell(*cell, "is no date-time of this column", remedy)
    if stated.origin is None:
        raise place.cell(
            *cells[0],
            "is a date-time",
            f"write the moment of time 0: observations.origin = {stamps.min().isoformat()}",
        )
    if stated.unit is None:
        raise place.cell(
            *cells[0], "is a date-time", 'write the unit of the model\'s time: time.unit = "h"'
        )
    origin = pandas.Timestamp(stated.origin)
    if (origin.tz is None) != (stamps.tz is None):
        has = "no zone" if stamps.tz is None else "a zone"
        raise place.cell(
            *cells[0], f"has {has}, observations.origin differs", "state both with a zone, or none"
        )
    seconds = np.asarray((stamps - origin).total_seconds(), dtype=float)
    return seconds / units.parse(stated.unit).factor


def _iso(cells: Sequence[Cell], place: Place) -> tuple[list[str], bool]:
    """The same date-times as ISO 8601 has them, one order of day and month for all; and whether
    they have a zone."""
    matches = [YEAR_FIRST.fullmatch(c.text) or YEAR_LAST.fullmatch(c.text) for c in cells]
    for cell, match in zip(cells, matches, strict=True):
        if match is None:
            what = "is no date-time with a year of four digits"
            if re.fullmatch(r"\d{1,2}:\d{2}.*", cell.text):
                what = "has no date"
            raise place.cell(
                *cell, what, "write 2021-08-25T14:03:00, or state observations.time_format"
            )
    last = [m for m in matches if m.re is YEAR_LAST]
    aware = any(match[5] for match in matches)
    for cell, match in zip(cells, matches, strict=True):
        if aware and not match[5]:
            raise place.cell(*cell, "has no zone, others have", "state all with a zone, or none")
    day_first = any(int(m[1]) > 12 for m in last)
    if last and day_first == any(int(m[2]) > 12 for m in last):
        cell = next(c for c, m in zip(cells, matches, strict=True) if m.re is YEAR_LAST)
        clock = " %H:%M" if last[0][4] else ""
        clock += ":%S" if clock and last[0][4].count(":") > 1 else ""
        sign = cell.text.lstrip("0123456789")[0]
        raise place.cell(
            *cell,
            "may begin with the day or the month",
            f'write observations.time_format = "%d{sign}%m{sign}%Y{clock}" or '
            f'"%m{sign}%d{sign}%Y{clock}"',
        )
    found = []
    for match in matches:
        year, month, day, clock, zone = match.groups()
        if match.re is YEAR_LAST:
            year = match[3]
            day, month = (match[1], match[2]) if day_first else (match[2], match[1])
        clock = (clock or "00:00").replace(",", ".")
        clock = f"0{clock}" if clock[1] == ":" else clock
        zone = "Z" if zone == "UTC" else zone or ""
        found.append(f"{year}-{int(month):02}-{int(day):02}T{clock}{zone}")
    return found, aware
