"""CSV files of the models: columns of numbers by name, errors that name the row."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from advdiff.errors import InputError

Cell = Callable[[str], float]


def columns(
    path: Path,
    key: str,
    required: Sequence[str],
    optional: Sequence[str] = (),
    words: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, np.ndarray]:
    """The columns of a CSV with a header (local), shape (row,) each.

    Args:
        key: of the experiment file, for messages.
        words: column → what its words stand for, where it does not hold numbers.

    Raises:
        InputError: naming the file and the row.
    """
    if path.exists() and not path.is_file():  # /dev/zero has no end
        raise InputError(f"{key}: {path} is no file; give a .csv file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(f"{key}: {path}: {reason}; give a .csv file") from None
    try:
        rows = [row for row in csv.reader(io.StringIO(text), strict=True) if row]
    except csv.Error as error:
        raise InputError(f"{key}: {path}: {error}; mend it") from None
    header = [name.strip() for name in rows[0]] if rows else []
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
    if len(rows) < 2:
        raise InputError(f"{key}: {path} has no rows; add some")
    table = {name: np.empty(len(rows) - 1) for name in header}
    for i, row in enumerate(rows[1:]):
        if len(row) != len(header):
            raise InputError(f"{key}: {path}, row {i + 2}: {len(row)} cells for {len(header)}")
        for name, cell in zip(header, row, strict=True):
            table[name][i] = _number(cell.strip(), (words or {}).get(name), path, key, i, name)
    return table


def _number(cell: str, words, path: Path, key: str, row: int, name: str) -> float:
    if words is not None:
        if cell in words:
            return words[cell]
        raise InputError(
            f"{key}: {path}, row {row + 2}: {name} = {cell!r}; write {' or '.join(words)}"
        )
    try:
        value = float(cell)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InputError(
            f"{key}: {path}, row {row + 2}: {name} = {cell!r} is no finite number; mend it"
        )
    return value


def refuse(
    table: Mapping[str, np.ndarray], bad: np.ndarray, path: Path, key: str, name: str, remedy: str
) -> None:
    """Raise :class:`InputError` for the first row where ``bad``."""
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(f"{key}: {path}, row {row + 2}: {name} = {table[name][row]:g}; {remedy}")


def states(
    table: Mapping[str, np.ndarray], names: Sequence[str], count: int, path: Path, key: str
) -> None:
    """Refuse what is no index from 0 to count − 1."""
    for name in names:
        column = table[name]
        bad = (column != np.floor(column)) | (column < 0) | (column >= count)
        refuse(table, bad, path, key, name, f"write a whole number from 0 to {count - 1}")
