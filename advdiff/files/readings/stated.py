"""What the experiment file says of how its readings are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from advdiff.core.errors import InputError, shortened

REMEDY = "give a .csv or .h5 file"


@dataclass(frozen=True)
class Stated:
    """The keys of [observations] that decide what a table means; what is None is found out.

    Attributes:
        separator: of the columns, one character; a space stands for any number of them.
        decimal: the decimal sign, ``.`` or ``,``.
        missing: cells that stand for no reading, numbers or texts.
        origin: the moment that is time 0.
        time_format: of date-times, as ``%d/%m/%Y %H:%M``.
        unit: of the model's time, ``time.unit``.
        columns: what a column is → its header, such as value → ch4_ppm.
        sensors: the file of the places, for a table without coordinates.
    """

    separator: str | None = None
    decimal: str | None = None
    missing: Sequence[float | str] | None = None
    origin: datetime | None = None
    time_format: str | None = None
    unit: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    sensors: Path | None = None


NOTHING = Stated()
"""Everything is to be found out."""


@dataclass(frozen=True)
class Place:
    """A file, and the key that names it, for messages.

    Attributes:
        path: of the file.
        key: of the experiment file.
    """

    path: Path
    key: str = "observations.file"

    def remedy(self, key: str, other: str) -> str:
        """To write a key, which is of the file of readings alone; of others to do something."""
        return f"write {key}" if self.key == Place.key else other

    def error(
        self, what: str, remedy: str, line: int | None = None, key: str | None = None
    ) -> InputError:
        """One line: file, row, what is wrong, what to do."""
        row = "" if line is None else f", row {line}"
        return InputError(f"{key or self.key}: {self.path}{row}: {what}; {remedy}")

    def cell(self, line: int, name: str, cell: str, what: str, remedy: str) -> InputError:
        """The same of a cell."""
        return self.error(f"{name} = {shortened(cell)} {what}", remedy, line)
