"""Cells become numbers: the decimal sign, missing readings, limits of detection."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from advdiff.core.errors import shortened
from advdiff.files import tables
from advdiff.files.readings.stated import Place

BLANK = ("", "NA", "N/A", "#N/A", "n/a")
"""Cells that everybody reads as none."""
LIMIT = re.compile(r"([<>])\s*(\S+)")
"""A reading of which only a bound is known."""
WITH_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?", re.ASCII)
GROUPED = {
    sign: re.compile(
        rf"[+-]?[1-9]\d{{0,2}}({re.escape(group)}\d{{3}})+({re.escape(sign)}\d*)?", re.ASCII
    )
    for sign, group in ((".", ","), (",", "."))
}
"""Decimal sign → numbers whose thousands are parted by the other sign."""
KEY = "observations.decimal"


class Cell(NamedTuple):
    """An entry: where it stands, and its text."""

    line: int
    name: str
    text: str


def decimal_sign(cells: Iterable[Cell], separator: str, place: Place) -> str:
    """The decimal sign that all these numbers are written with.

    Args:
        separator: of the columns; a comma or spaces go with decimal points.

    Raises:
        InputError: where some have a comma and some a point, or either may part thousands.
    """
    point = comma = doubtful = grouped = None
    for cell in cells:
        limit = LIMIT.fullmatch(cell.text)
        text = limit[2] if limit else cell.text
        if GROUPED[","].fullmatch(text) and "," not in text:
            grouped = grouped or cell
        elif "." in text and tables.DECIMAL.fullmatch(text):
            point = point or cell
        elif GROUPED["."].fullmatch(text):
            doubtful = doubtful or cell
        elif WITH_COMMA.fullmatch(text):
            comma = comma or cell
    if not comma and not point and separator not in ", ":
        doubtful = doubtful or grouped
    point = point or grouped
    if comma and point:
        raise place.cell(
            comma.line,
            comma.name,
            comma.text,
            f"has a decimal comma, {point.text} in row {point.line} a point",
            place.remedy(f'one sign, or {KEY} = "," where points part thousands', "write one sign"),
        )
    if doubtful and not comma:
        raise place.cell(
            doubtful.line,
            doubtful.name,
            doubtful.text,
            f"may have a decimal {'comma' if ',' in doubtful.text else 'point'}, or thousands",
            place.remedy(f'{KEY} = "," or "."', "write decimal points alone"),
        )
    return "," if comma else "."


class Missing:
    """The cells that stand for no reading.

    Args:
        stated: ``observations.missing``, numbers or texts, beside those that everybody knows.
    """

    def __init__(self, stated: Sequence[float | str] | None):
        given = stated or ()
        self._words = {*BLANK, *(mark for mark in given if isinstance(mark, str))}
        self._marks = {float(mark) for mark in given if not isinstance(mark, str)}

    def __contains__(self, text: str) -> bool:
        if text in self._words or not self._marks:
            return text in self._words
        text = text.replace(",", ".", 1)
        return tables.DECIMAL.fullmatch(text) is not None and float(text) in self._marks


class Reader:
    """Reads numbers.

    Args:
        decimal: sign that they are written with.
        stated: whether the experiment file says so; thousands are read only then.
        missing: cells that stand for none.

    Attributes:
        grouped: how many had their thousands parted.
    """

    def __init__(self, place: Place, decimal: str, stated: bool, missing: Missing):
        self.place, self.decimal, self.stated, self.missing = place, decimal, stated, missing
        self.grouped = 0

    def _plain(self, text: str) -> float | None:
        """A number, None for what is none."""
        if self.decimal == ",":
            if "." not in text and tables.DECIMAL.fullmatch(text.replace(",", ".")):
                return float(text.replace(",", "."))
        elif tables.DECIMAL.fullmatch(text):
            return float(text)
        if self.stated and GROUPED[self.decimal].fullmatch(text):
            self.grouped += 1
            group = "," if self.decimal == "." else "."
            return float(text.replace(group, "").replace(self.decimal, "."))
        return None

    def number(self, cell: Cell) -> float:
        """What a cell stands for.

        Raises:
            InputError: where it is no finite number.
        """
        value = self._plain(cell.text)
        if value is None:
            raise self.place.cell(*cell, "is no number", self._remedy(cell))
        if not math.isfinite(value):
            raise self.place.error(
                f"{cell.name} = {value:g} is not finite",
                "remove the row or mend it"
                + (", or name it in observations.missing" if cell.name.startswith("value") else ""),
                cell.line,
            )
        return value

    def _remedy(self, cell: Cell) -> str:
        if cell.text in self.missing:
            return "fill it in, or remove the row"
        if WITH_COMMA.fullmatch(cell.text) or GROUPED["."].fullmatch(cell.text):
            return self.place.remedy(f'a decimal point, or {KEY} = ","', "write a decimal point")
        if self.decimal == "," and "." in cell.text:
            return f"write a decimal comma, as {KEY} says" if self.stated else "write one sign"
        if LIMIT.fullmatch(cell.text):
            return "only a value may be a limit of detection; mend the row"
        if cell.name.startswith("value") and not re.search(r"\d", cell.text):
            return (
                "mend the row; where it says that there is none, write observations.missing = "
                f"[{shortened(cell.text)}]"
            )
        return "mend the row"

    def limited(self, cell: Cell) -> tuple[float, int]:
        """A value, and −1 or 1 where only a bound from above or below is known."""
        limit = LIMIT.fullmatch(cell.text)
        if limit is None:
            return self.number(cell), 0
        if self._plain(limit[2]) is None:
            raise self.place.cell(*cell, "is no limit of detection", "write e.g. <0.01")
        return self.number(cell._replace(text=limit[2])), -1 if limit[1] == "<" else 1


MARK = re.compile(r"-99|[+-]?(999|9999|99999|999999)(\.0*|\.25|\.9+)?", re.ASCII)
HUGE = 1e20
"""Fill values of grids and loggers begin here."""


def refuse_marks(values: np.ndarray, cells: Sequence[Cell], place: Place) -> None:
    """Raise :class:`InputError` for a value that looks like the mark of a missing one.

    Such a one stands further from all others than these from each other.
    """
    suspect = np.abs(values) >= HUGE
    for i, cell in enumerate(cells):
        suspect[i] |= MARK.fullmatch(cell.text.replace(",", ".", 1)) is not None
    rest = values[~suspect]
    if not suspect.any() or not len(rest):
        return
    low, high = rest.min(), rest.max()
    for i in np.flatnonzero(suspect):
        gap = max(low - values[i], values[i] - high)
        if gap > high - low and gap > 0.5 * abs(values[i]):
            text = cells[i].text
            raise place.cell(
                *cells[i],
                f"is far from all others ({low:g} … {high:g})",
                f"if it marks a missing one, write observations.missing = {text.replace(',', '.')}"
                ", if it was measured, observations.missing = []",
            )
