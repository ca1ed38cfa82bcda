"""Observations: sensors in the domain, the times they were read, and their noise.

A data set is a list of readings (where, when, value, standard deviation).  Distinct places become
*sensors*, distinct times *observation times*; every reading points at one of each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from mpi4py import MPI

from advdiff.config.expression import AXES
from advdiff.core.errors import InputError
from advdiff.core.ranks import on_root
from advdiff.files.readings import reader
from advdiff.files.readings.stated import NOTHING, Stated
from advdiff.files.readings.table import SEGMENT, Table
from advdiff.problem.shapes import Shapes

NOT_YET = {
    "t_start": "the start of an average over time",
    "t_end": "the end of an average over time",
}
"""Column → what a reading with an entry there is, as long as no model predicts it."""


@dataclass(frozen=True)
class Readings:
    """Measurements, the same on every rank.

    Attributes:
        points: sensors, the middle of each, shape (sensor, dim).
        times: distinct times, increasing, shape (time,).
        sensor, time: index of the sensor and the time of each reading, shape (reading,).
        values, std: value and standard deviation of each reading, shape (reading,).
        rows: where in its file each sensor first occurs, shape (sensor,), for messages.
        lines: where in its file each reading is, shape (reading,), likewise.
        shapes: what of the domain each sensor sees; None: a point.
        censored: −1 where the reading is only known to be below its value, 1 where it is above, 0
            where it is known, shape (reading,); None: all are known.
        said: what was understood of the file, in one line.

    Points and times are in the units of the mesh and of [time], values and std in that of θ.

    >>> points, times = [[0.5, 0.5], [0.2, 0.5], [0.5, 0.5]], [1.0, 1.0, 2.0]
    >>> seen = Readings.from_rows(points, times, values=np.ones(3), std=np.full(3, 0.1))
    >>> len(seen), seen.points.tolist(), seen.times.tolist()
    (3, [[0.2, 0.5], [0.5, 0.5]], [1.0, 2.0])
    >>> seen.sensor.tolist(), seen.time.tolist()
    ([1, 0, 1], [0, 0, 1])
    """

    points: np.ndarray
    times: np.ndarray
    sensor: np.ndarray
    time: np.ndarray
    values: np.ndarray
    std: np.ndarray
    rows: np.ndarray | None = None
    lines: np.ndarray | None = None
    censored: np.ndarray | None = None
    shapes: Shapes | None = None
    said: str = ""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def sides(self) -> np.ndarray:
        """``censored``, 0 everywhere where all readings are known, shape (reading,)."""
        return np.zeros(len(self), dtype=int) if self.censored is None else self.censored

    @property
    def places(self) -> Shapes:
        """The sensors."""
        return Shapes(self.points) if self.shapes is None else self.shapes

    @property
    def group(self) -> np.ndarray:
        """Of one number are readings of one name, or of one place without any; (reading,)."""
        return self.places.groups[self.sensor]

    @classmethod
    def from_rows(cls, points, times, values, std, rows=None) -> Readings:
        """From a row a reading: points (n, dim) or shapes (n), times, values, std, rows (n)."""
        shapes = points if isinstance(points, Shapes) else Shapes(np.asarray(points, dtype=float))
        sensors, first, sensor = shapes.distinct()
        distinct, time = np.unique(times, return_inverse=True)
        lines = np.arange(len(values)) if rows is None else np.asarray(rows)
        where = (distinct, sensor, time.ravel(), values, std, lines[first], lines)
        return cls(sensors.centres, *where, shapes=sensors)


def read(
    path: Path,
    dim: int,
    final: float,
    std: float | None,
    comm: MPI.Comm = MPI.COMM_WORLD,
    stated: Stated = NOTHING,
    needs_std: bool = True,
) -> Readings:
    """Read a CSV (columns x, y[, z], t, value[, std]) or HDF5 file (collective: rank 0 reads).

    The HDF5 file has datasets of the same names, each of one dimension, at its root or in a group
    ``observations``.

    Args:
        stated: what is known of how the file is written.
        needs_std: whether the size of the noise must be known; else 1 stands for it.

    Raises:
        InputError: on every rank, naming the file and the row: a missing column, a value that is
            not a finite number, a time outside 0 ≤ t ≤ final, a std that is not positive.
    """
    return on_root(
        comm, lambda: of_table(reader.read(path, stated, AXES[:dim]), final, std, needs_std)
    )


def of_table(table: Table, final: float, std: float | None, needs_std: bool = True) -> Readings:
    """The readings of a table, each a value at a place and a time.

    Raises:
        InputError: naming the file and the row.
    """
    for name, meaning in NOT_YET.items():
        table.refuse(table.has(name), f"is {meaning}, which is not read yet", name, "remove it")
    path, numbers = table.place.path, dict(table.numbers)
    if "std" not in numbers:
        if std is None and needs_std:
            raise InputError(
                f"observations.std: missing, and {path} has no column 'std'; give the noise, or "
                "write observations.noise = 'unknown'"
            )
        numbers["std"] = np.full(len(table), 1.0 if std is None else std)
    elif std is not None:
        raise InputError(
            f"observations.std = {std:g}: {path} has a column 'std', which says it; "
            "remove one of them"
        )
    for name in ("t", "t_start", "t_end"):
        t = numbers.get(name, np.zeros(len(table)))
        table.refuse(t < 0, "is before time 0", name, "times run from 0 to time.final")
        beyond = f"is beyond time.final = {final:g}"
        table.refuse(t > final * (1 + 1e-12), beyond, name, "raise time.final")
    if not numbers["t"].any():
        raise table.place.error("t = 0 in every row, where nothing has moved", "add later readings")
    found = Readings.from_rows(
        _shapes(table), numbers["t"], numbers["value"], numbers["std"], table.lines
    )
    return replace(found, said=table.said, censored=_censored(table))


def _shapes(table: Table) -> Shapes:
    """What of the domain each reading is of."""
    numbers, count = table.numbers, len(table)
    ends = [numbers.get(name) for name, _ in zip(SEGMENT, table.axes, strict=False)]
    shapes = Shapes(
        np.column_stack([numbers.get(axis, np.full(count, np.nan)) for axis in table.axes]),
        None if any(end is None for end in ends) else np.column_stack(ends),
        numbers.get("radius"),
        np.array(table.texts["part"]) if "part" in table.texts else None,
        table.flux,
        np.array(table.texts["sensor"]) if "sensor" in table.texts else None,
    )
    wide = shapes.fluxes & (shapes.segments | shapes.balls)
    what = "is of a segment or a disc, which has no one direction"
    table.refuse(wide, what, "kind", "give a place or a part, or remove 'flux'")
    return shapes


def _censored(table: Table) -> np.ndarray | None:
    """Which readings are beyond a limit; None where none is."""
    if table.censored is None or not table.censored.any():
        return None
    return np.asarray(table.censored, dtype=int)
