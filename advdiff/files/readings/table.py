"""The readings of a file, one entry each: where, when, what, how sure; and what must hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from advdiff.files.readings.headers import LENGTHS, TIMES
from advdiff.files.readings.stated import Place

NUMBERS = (*LENGTHS, *TIMES, "value", "std")
SEGMENT = ("x2", "y2", "z2")


@dataclass(frozen=True)
class Table:
    """Readings as a file has them; every array has shape (reading,).

    Attributes:
        place: the file, for messages.
        numbers: column → its numbers, NaN where a reading has none: x, y, z (or the first end of a
            segment), x2, y2, z2 (its other end), radius, t or t_start and t_end, value, std.
            Columns that the file has not are not there.
        texts: column → its words, "" where there is none: sensor, part.
        flux: whether a reading is of the flux (``kind``), and not of a value at a place.
        censored: −1 where the truth is below the value (a non-detect), 1 where it is above, else 0.
        lines: of the file.
        axes: names of the coordinates.
        missing: how many readings were marked as missing, and left out.
        units: column → the unit that the file states.
        said: what was understood, in one line.

    Lengths and values are in the file's unit, times in ``time.unit`` where that is stated.

    >>> from pathlib import Path
    >>> numbers = {"x": np.array([0.5]), "t": np.array([1.0]), "value": np.array([0.2])}
    >>> table = Table(Place(Path("a.csv")), numbers, lines=[2], axes=["x"])
    >>> len(table), table.has("radius").tolist(), table.points.tolist()
    (1, [False], [[0.5]])
    """

    place: Place
    numbers: Mapping[str, np.ndarray]
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    flux: np.ndarray | None = None
    censored: np.ndarray | None = None
    lines: Sequence[int] = ()
    axes: Sequence[str] = ()
    missing: int = 0
    units: Mapping[str, str] = field(default_factory=dict)
    said: str = ""

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def columns(self) -> set[str]:
        """Names of the columns that there are."""
        kinds = [name for name in ("kind",) if self.flux is not None]
        return {*self.numbers, *self.texts, *kinds}

    @property
    def points(self) -> np.ndarray:
        """The places, or first ends of segments, shape (reading, dim)."""
        return np.stack([self.numbers[axis] for axis in self.axes], axis=1)

    def has(self, name: str) -> np.ndarray:
        """Whether a reading makes use of a column: an entry that says more than the default."""
        if name in self.numbers:
            return ~np.isnan(self.numbers[name])
        if name in self.texts:
            return np.array([bool(text) for text in self.texts[name]], dtype=bool)
        if name == "kind" and self.flux is not None:
            return self.flux
        if name == "censored" and self.censored is not None:
            return self.censored != 0
        return np.zeros(len(self), dtype=bool)

    def shown(self, name: str, i: int) -> str:
        """The entry of a reading, for messages."""
        if name in self.numbers:
            return f"{name} = {self.numbers[name][i]:g} {self.units.get(name, '')}".rstrip()
        if name in self.texts:
            return f"{name} = {self.texts[name][i]!r}"
        if name == "kind":
            return "kind = 'flux'"
        return f"value {'<' if self.censored[i] < 0 else '>'} {self.numbers['value'][i]:g}"

    def refuse(self, bad: np.ndarray, what: str, name: str, remedy: str) -> None:
        """Raise :class:`InputError` for the first reading where ``bad``."""
        if np.any(bad):
            i = int(np.argmax(bad))
            raise self.place.error(f"{self.shown(name, i)} {what}", remedy, self.lines[i])

    def require_whole(self) -> None:
        """What must hold of every reading alone.

        Raises:
            InputError: naming the row: a reading without a place or a time, or with two; an end
                before its start; a radius or a std that is not positive.
        """
        number = self.numbers
        bin_ = self.has("t_start") | self.has("t_end")
        self.refuse(self.has("t_start") & ~self.has("t_end"), "has no t_end", "t_start", "give it")
        self.refuse(self.has("t_end") & ~self.has("t_start"), "has no t_start", "t_end", "give it")
        self.refuse(bin_ & self.has("t"), "stands beside t_start and t_end", "t", "remove one")
        self.refuse(~bin_ & ~self.has("t"), "has no time", "value", "give t, or t_start and t_end")
        if bin_.any():
            wrong = bin_ & ~(number["t_end"] > number["t_start"])
            self.refuse(wrong, "is not after t_start", "t_end", "mend the row")
        for axis in self.axes:
            lacks = ~self.has(axis) & ~self.has("part")
            self.refuse(lacks, f"has no {axis}", "value", "fill it in, or remove the row")
            both = self.has(axis) & self.has("part")
            self.refuse(both, f"stands beside {axis}", "part", "give a place or a part")
        ends = [name for name, axis in zip(SEGMENT, "xyz", strict=True) if axis in self.axes]
        segment = np.any([self.has(name) for name in ends], axis=0) if ends else bin_ & False
        for name in ends:
            lacks = segment & ~self.has(name)
            self.refuse(lacks, f"is of a segment without {name}", "value", "give both ends whole")
        if segment.any():
            far = np.stack([number[name] for name in ends], axis=1)
            same = segment & np.all(far == self.points, axis=1)
            self.refuse(same, "is where the segment begins", ends[0], "leave x2 … empty")
        if "radius" in number:
            self.refuse(number["radius"] <= 0, "is not positive", "radius", "leave it empty")
            both = self.has("radius") & (segment | self.has("part"))
            self.refuse(both, "stands beside a segment or a part", "radius", "remove one")
        if segment.any():
            self.refuse(segment & self.has("part"), "stands beside a part", ends[0], "remove one")
        if "std" in number:
            remedy = "give a positive standard deviation"
            self.refuse(~self.has("std"), "has no std", "value", "fill it in, or remove the row")
            self.refuse(number["std"] <= 0, "is not positive", "std", remedy)
