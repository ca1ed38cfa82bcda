"""A file of text becomes a header and rows of cells: encoding, comments, separator, header."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import NamedTuple

from advdiff.core.errors import InputError, shortened
from advdiff.files import tables
from advdiff.files.readings.stated import REMEDY, Place

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
"""What may stand between columns; spaces where nothing else does."""
COMMENTS = ("#", "%", "//")
"""What a line begins with that is none of the table."""
Rows = list[tuple[int, list[str]]]


class Sheet(NamedTuple):
    """The cells of a file.

    Attributes:
        header: names of the columns, shape (column,).
        rows: line of the file, and cells, shape (column,), of each row.
        separator: of the columns.
        notes: what is to be said of the text.
    """

    header: list[str]
    rows: Rows
    separator: str
    notes: list[str]


def read(place: Place, separator: str | None, known: Callable[[list[str]], bool]) -> Sheet:
    """Read a file of text (local).

    Args:
        separator: of the columns, where it is stated.
        known: whether all columns of a header are, to choose between two separators.

    Raises:
        InputError: naming the file, the row and what to do.
    """
    text, encoding = _decoded(place)
    notes = [encoding] if encoding else []
    lines = tables.lines_of(text)
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    said = re.fullmatch(r"sep=(.)", lines[first].strip(" \r")) if lines else None
    if said:  # as Excel writes it
        lines[first], separator = "", separator or said[1]
    plain = tables.without_comments(lines, COMMENTS)
    heading = _heading(lines, plain)
    if heading is not None:
        plain[heading] = lines[heading].lstrip().lstrip("#%/")
        notes.append(f"header in the comment of row {heading + 1}")
    found, used = _split(plain, separator, place, known)
    if not found:
        return Sheet([], [], used, notes)
    (_, header), *rows = found
    rows = [(line, _trimmed(row, len(header))) for line, row in rows]
    for line, row in rows:
        if len(row) != len(header):
            raise place.error(
                f"{len(row)} entries under {len(header)} columns", _uneven(used, row), line
            )
    return Sheet(*_without_index(header, rows, notes), used, notes)


def _decoded(place: Place) -> tuple[str, str]:
    """The text, and its encoding where that is to be said."""
    content = tables.content(place.path, place.key, REMEDY)
    for mark, name in ((codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16")):
        if content.startswith(mark):
            try:
                return content.decode("utf-16"), name
            except UnicodeDecodeError:
                raise place.error("broken UTF-16 text", REMEDY) from None
    try:
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        if b"\0" in content:
            raise place.error("not text", REMEDY) from None
        return content.decode("latin-1"), "Latin-1"


def is_number(cell: str) -> bool:
    return tables.DECIMAL.fullmatch(cell.strip().replace(",", ".", 1)) is not None


def _heading(lines: list[str], plain: list[str]) -> int | None:
    """The comment that is the header of a table that begins with numbers, as numpy writes it."""
    first = next((i for i, line in enumerate(plain) if line.strip()), None)
    if first is None or not first or not lines[first - 1].strip():
        return None
    parts = re.split(r"[,;\t| ]+", plain[first].strip())
    names = re.split(r"[,;\t| ]+", lines[first - 1].lstrip().lstrip("#%/").strip())
    same = len(parts) == len(names) > 1
    return first - 1 if same and all(map(is_number, parts)) else None


def _split(
    lines: list[str], separator: str | None, place: Place, known: Callable
) -> tuple[Rows, str]:
    """The rows by the separator that is stated, or by the only one that makes a table."""
    if separator is not None:
        found = tables.split(lines, separator, place.path, place.key)
        if found and len(found[0][1]) < 2:
            raise place.error(
                f"one column between {SEPARATORS.get(separator, repr(separator))}",
                "mend it, or remove it",
                key=f"observations.separator = {shortened(separator)}",
            )
        return found, separator
    head = next((line for line in lines if line.strip()), "")
    possible = [s for s in SEPARATORS if s != " " and s in head] or [" "]
    whole: dict[str, Rows] = {}
    even: dict[str, Rows] = {}
    failed: InputError | None = None
    for sign in possible:
        try:
            found = tables.split(lines, sign, place.path, place.key)
        except InputError as error:
            failed = failed or error
            continue
        whole[sign] = found
        width = len(found[0][1]) if found else 0
        if width > 1 and all(len(_trimmed(row, width)) == width for _, row in found):
            even[sign] = found
    if not whole and failed is not None:
        raise failed
    if len(even) > 1:
        even = {s: rows for s, rows in even.items() if known(rows[0][1])} or even
    if len(even) > 1:
        words = " or ".join(SEPARATORS[s] for s in even)
        raise place.error(
            f"columns separated by {words}",
            place.remedy(
                f"observations.separator = {next(iter(even))!r}", "separate them by commas"
            ),
        )
    if even:
        sign = next(iter(even))
        return even[sign], sign
    sign = max(whole, key=lambda s: len(whole[s][0][1]) if whole[s] else 0)
    return whole[sign], sign


def _trimmed(row: list[str], width: int) -> list[str]:
    """Without the empty cells beyond the header, as spreadsheets leave."""
    while len(row) > width and not row[-1]:
        row = row[:-1]
    return row


def _uneven(separator: str, row: list[str]) -> str:
    """What to do with a row of another width."""
    if separator == "," and all(re.fullmatch(r"[+-]?\d+", cell) for cell in row):
        return "mend the row; with decimal commas, separate columns by semicolons"
    return "mend the row"


def _without_index(header: list[str], rows: Rows, notes: list[str]) -> tuple[list[str], Rows]:
    """Without a first column that has no name and counts the rows, as pandas and R write it."""
    if not header or header[0] or not rows or len(header) < 2:
        return header, rows
    first = [row[0] for _, row in rows]
    for start in (0, 1):
        if first == [str(start + i) for i in range(len(first))]:
            notes.append("numbers of the rows passed over")
            return header[1:], [(line, row[1:]) for line, row in rows]
    return header, rows
