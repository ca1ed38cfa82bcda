"""CSV files: their rows; columns of numbers by name; errors that name the row."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from advdiff.core.errors import InputError, shortened

DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf)", re.ASCII | re.I)
"""What is a number in a table; to Python ``1_0`` and digits of other scripts are, too."""


class Columns(dict[str, np.ndarray]):
    """Name → column, shape (row,).

    Attributes:
        lines: of the file, shape (row,).
    """

    lines: Sequence[int] = ()


def rows(
    path: Path, key: str, remedy: str = "give a .csv file"
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header of a CSV, and line and cells of what follows it (local).

    Blank lines and those that begin with # are passed over; of an empty file the header is empty.

    Args:
        key: of the experiment file, for messages.
        remedy: what to do where there is no such file.

    Raises:
        InputError: naming the file and the row.
    """
    try:
        text = content(path, key, remedy).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{key}: {path}: not UTF-8 text; {remedy}") from None
    found = split(without_comments(lines_of(text), ("#",)), ",", path, key)
    return (found[0][1] if found else []), found[1:]


def content(path: Path, key: str, remedy: str) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: where it is none, or cannot be read.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # /dev/zero has no end
        raise InputError(f"{key}: {path} is no file; {remedy}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{key}: {path}: {error.strerror}; {remedy}") from None


def lines_of(text: str) -> list[str]:
    """The lines of a text, whichever way they end."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def without_comments(lines: Sequence[str], signs: tuple[str, ...]) -> list[str]:
    """The lines, those that begin with a sign left empty."""
    return ["" if line.lstrip().startswith(signs) else line for line in lines]


def split(
    lines: Sequence[str], separator: str, path: Path, key: str
) -> list[tuple[int, list[str]]]:
    """Line and cells of every row that is not blank.

    Args:
        separator: one character; of spaces any number separates.

    Raises:
        InputError: naming the row that has quotes in the wrong place.
    """
    text = "\n".join(line.rstrip(" ") for line in lines)
    spaces = separator == " "
    reader = csv.reader(
        io.StringIO(text), delimiter=separator, skipinitialspace=spaces, strict=True
    )
    try:
        found = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise InputError(f"{key}: {path}, row {reader.line_num}: {error}; mend the row") from None
    return _without_empty_columns([(line, row) for line, row in found if any(row)])


def _without_empty_columns(found: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """Without the columns on the right that have no name and no entry, as spreadsheets leave."""
    width = max((len(row) for _, row in found), default=0)
    if any(len(row) != width for _, row in found):
        return found
    used = max(j for j in range(width) if any(row[j] for _, row in found)) + 1 if found else 0
    return [(line, row[:used]) for line, row in found]


def number(entry: str) -> float:
    """What an entry stands for.

    Raises:
        ValueError: where it is no decimal number; the text is what to do.
    """
    if DECIMAL.fullmatch(entry):
        return float(entry)
    if not entry:
        raise ValueError("fill it in, or remove the row")
    if re.fullmatch(r"[+-]?\d+,\d+", entry):
        raise ValueError("write a decimal point")
    if entry[0] in "<>":
        raise ValueError("a limit of detection is not read; remove the row, or give value and std")
    raise ValueError("mend the row")


def require_even(
    header: Sequence[str], found: Sequence[tuple[int, list[str]]], path: Path, key: str
) -> None:
    """Raise :class:`InputError` for the first row that has not one entry a column."""
    for line, row in found:
        if len(row) != len(header):
            raise InputError(
                f"{key}: {path}, row {line}: {len(row)} entries under {len(header)} columns; mend "
                "the row"
            )


def columns(
    path: Path,
    key: str,
    required: Sequence[str],
    optional: Sequence[str] = (),
    words: Mapping[str, Mapping[str, float]] | None = None,
) -> Columns:
    """The columns of a CSV with a header (local).

    Args:
        key: of the experiment file, for messages.
        words: column → what its words stand for, where it does not hold numbers.

    Raises:
        InputError: naming the file and the row.
    """
    header, found = rows(path, key)
    for name in required:
        if name not in header:
            raise InputError(
                f"{key}: {path} has no column '{name}'; give columns {', '.join(required)}"
            )
    for name in header:
        if name not in (*required, *optional) or header.count(name) > 1:
            raise InputError(
                f"{key}: {path}: column '{name}' is unknown or there twice; known: "
                + ", ".join((*required, *optional))
            )
    if not found:
        raise InputError(f"{key}: {path} has no rows; add some")
    require_even(header, found, path, key)
    table = Columns({name: np.empty(len(found)) for name in header})
    table.lines = [line for line, _ in found]
    for i, (line, row) in enumerate(found):
        for name, cell in zip(header, row, strict=True):
            table[name][i] = _number(cell, (words or {}).get(name), path, key, line, name)
    return table


def _number(cell: str, words, path: Path, key: str, line: int, name: str) -> float:
    if words is not None:
        if cell in words:
            return words[cell]
        raise InputError(
            f"{key}: {path}, row {line}: {name} = {shortened(cell)}; write {' or '.join(words)}"
        )
    remedy = "mend the row"
    try:
        value = number(cell)
    except ValueError as error:
        value, remedy = np.nan, error
    if not np.isfinite(value):
        raise InputError(
            f"{key}: {path}, row {line}: {name} = {shortened(cell)} is no finite number; {remedy}"
        )
    return value


def refuse(table: Columns, bad: np.ndarray, path: Path, key: str, name: str, remedy: str) -> None:
    """Raise :class:`InputError` for the first row where ``bad``."""
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{key}: {path}, row {table.lines[row]}: {name} = {table[name][row]:g}; {remedy}"
        )


def states(table: Columns, names: Sequence[str], count: int, path: Path, key: str) -> None:
    """Refuse what is no index from 0 to count − 1."""
    for name in names:
        column = table[name]
        bad = (column != np.floor(column)) | (column < 0) | (column >= count)
        refuse(table, bad, path, key, name, f"write a whole number from 0 to {count - 1}")
