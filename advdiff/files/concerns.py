"""What a run has to warn of: in its log, in its result, in ``advdiff info``.

A concern is a fact with a number and a remedy, never an error: the run goes on.  ``before`` looks
at the problem (mesh, flow, boundary), ``after`` at what came of it (solver, optimiser, chains).
Each kind is said once; looked at again later, as at the estimate of an inversion, the later number
stays in the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import h5py
import numpy as np

from advdiff.files.result import ResultFile

GROUP = "warnings"


def percent(share: float) -> str:
    """A share in two digits."""
    return f"{100 * share:.{2 if share < 0.995 else 3}g} %"


class Concern(NamedTuple):
    """One thing to warn of.

    Attributes:
        key: its kind, such as ``mesh-peclet``.
        message: one line: what, how much, what to do.
        value: the number.
    """

    key: str
    message: str
    value: float

    @property
    def line(self) -> str:
        """For the log."""
        return f"warning     {self.message}"


class Concerns:
    """All concerns of a run, one of each kind, in the order in which they came."""

    def __init__(self) -> None:
        self._found: dict[str, Concern] = {}

    def __iter__(self) -> Iterator[Concern]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, key: str) -> bool:
        return key in self._found

    def add(self, found: list[Concern]) -> list[str]:
        """Keep them; the lines of those whose kind is new."""
        new = [concern.line for concern in found if concern.key not in self._found]
        self._found |= {concern.key: concern for concern in found}
        return new

    def write(self, file: ResultFile) -> None:
        """``/warnings``: key, message and value, along a dimension ``warning`` (collective)."""
        found = file.comm.bcast(list(self))
        file.scale(f"{GROUP}/warning", np.arange(len(found)), long_name="index of the warning")
        for name, kind, title in (
            ("key", "U", "kind of warning"),
            ("message", "U", "what, how much, what to do"),
            ("value", "f8", "the number"),
        ):
            values = np.array([getattr(concern, name) for concern in found], dtype=kind)
            file.array(f"{GROUP}/{name}", values, ("warning",), long_name=title)


def read(file: h5py.File) -> list[Concern]:
    """The concerns in a result file; none in one of an earlier version."""
    if GROUP not in file:
        return []
    group = file[GROUP]
    columns = group["key"].asstr()[:], group["message"].asstr()[:], group["value"][:]
    return [Concern(str(k), str(m), float(v)) for k, m, v in zip(*columns, strict=True)]
