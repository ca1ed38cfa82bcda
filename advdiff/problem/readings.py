"""Observations: sensors in the domain, the times they were read, and their noise.

A data set is a list of readings (where, when, value, standard deviation).  Distinct places become
*sensors*, distinct times *observation times*; every reading points at one of each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from mpi4py import MPI

from advdiff.config.expression import AXES
from advdiff.core.errors import InputError, nearest, shortened
from advdiff.core.ranks import on_root
from advdiff.files import hdf5, tables

MEANT = {"time": "t"}
MEANT |= dict.fromkeys(("c", "conc", "concentration", "val", "obs", "reading", "theta"), "value")
MEANT |= dict.fromkeys(("sigma", "sd", "stdev", "error", "uncertainty", "noise"), "std")
"""What others call the columns."""


@dataclass(frozen=True)
class Readings:
    """Measurements, the same on every rank.

    Attributes:
        points: sensors, shape (sensor, dim).
        times: distinct times, increasing, shape (time,).
        sensor, time: index of the sensor and the time of each reading, shape (reading,).
        values, std: value and standard deviation of each reading, shape (reading,).
        rows: where in its file each sensor first occurs, shape (sensor,), for messages.
        lines: where in its file each reading is, shape (reading,), likewise.

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

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def from_rows(cls, points, times, values, std, rows=None) -> Readings:
        """From one row a reading: points (n, dim), times, values, std and rows (n)."""
        sensors, first, sensor = np.unique(points, axis=0, return_index=True, return_inverse=True)
        distinct, time = np.unique(times, return_inverse=True)
        lines = np.arange(len(values)) if rows is None else np.asarray(rows)
        return cls(
            sensors, distinct, sensor.ravel(), time.ravel(), values, std, lines[first], lines
        )


def read(
    path: Path, dim: int, final: float, std: float | None, comm: MPI.Comm = MPI.COMM_WORLD
) -> Readings:
    """Read a CSV (columns x, y[, z], t, value[, std]) or HDF5 file (collective: rank 0 reads).

    The HDF5 file has datasets of the same names, each of one dimension, at its root or in a group
    ``observations``.

    Raises:
        InputError: on every rank, naming the file and the row: a missing column, a value that is
            not a finite number, a time outside 0 ≤ t ≤ final, a std that is not positive.
    """
    return on_root(comm, lambda: _read(path, dim, final, std))


def _read(path: Path, dim: int, final: float, std: float | None) -> Readings:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"observations.file: {path} {what}; give a .csv or .h5 file")
    known = [*AXES[:dim], "t", "value", "std"]
    columns, rows = (_hdf5 if path.suffix in (".h5", ".hdf5") else _csv)(path, known)
    for name in (*AXES[:dim], "t", "value"):
        if name not in columns:
            raise InputError(
                f"observations.file: {path} has no column '{name}'; give columns "
                f"{', '.join(known[:-1])} (and std)"
            )
    n = len(columns["value"])
    if n == 0:
        raise InputError(f"observations.file: {path} has no readings; add rows")
    if "std" not in columns:
        if std is None:
            raise InputError(
                f"observations.std: missing, and {path} has no column 'std'; give the noise"
            )
        columns["std"] = np.full(n, std)
    elif std is not None:
        raise InputError(
            f"observations.std = {std:g}: {path} has a column 'std', which says it; "
            "remove one of them"
        )

    def refuse(bad: np.ndarray, what: str, name: str, remedy: str) -> None:
        if bad.any():
            i = int(np.argmax(bad))
            raise InputError(
                f"observations.file: {path}, row {rows[i]}: {name} = {columns[name][i]:g} "
                f"{what}; {remedy}"
            )

    for name, column in columns.items():
        refuse(~np.isfinite(column), "is not finite", name, "remove the row or mend it")
    t = columns["t"]
    refuse(t < 0, "is before time 0", "t", "times run from 0 to time.final")
    refuse(t > final * (1 + 1e-12), f"is beyond time.final = {final:g}", "t", "raise time.final")
    refuse(columns["std"] <= 0, "is not positive", "std", "give a positive standard deviation")
    if not t.any():
        raise InputError(
            f"observations.file: {path}: t = 0 in every row, where nothing has moved; add readings "
            "at later times"
        )
    points = np.stack([columns[a] for a in AXES[:dim]], axis=1)
    return Readings.from_rows(points, t, columns["value"], columns["std"], rows)


def _csv(path: Path, known: Sequence[str]) -> tuple[dict[str, np.ndarray], Sequence[int]]:
    """Columns by name, and the line of each row."""
    header, found = tables.rows(path, "observations.file", "give a .csv or .h5 file")
    if not header:
        raise InputError(
            f"observations.file: {path} is empty; give columns {', '.join(known)} and readings"
        )
    names = [name.lower() for name in header]
    for separator, word in ((";", "semicolons"), ("\t", "tabs"), (" ", "spaces")):
        if len(names) == 1 and separator in names[0]:
            raise InputError(
                f"observations.file: {path}: columns separated by {word}; separate them by commas"
            )
    for name in names:
        if name not in known:
            raise InputError(
                f"observations.file: {path}: unknown column {shortened(name)}; "
                + _remedy(name, names, known)
            )
    if len(set(names)) != len(names):
        raise InputError(f"observations.file: {path}: a column occurs twice in {names}; remove one")
    tables.require_even(names, found, path, "observations.file")
    table = np.empty((len(found), len(names)))
    for k, (line, row) in enumerate(found):
        for j, entry in enumerate(row):
            try:
                table[k, j] = tables.number(entry)
            except ValueError as remedy:
                raise InputError(
                    f"observations.file: {path}, row {line}: {names[j]} = {shortened(entry)} is no "
                    f"number; {remedy}"
                ) from None
    return dict(zip(names, table.T.copy(), strict=True)), [line for line, _ in found]


def _remedy(name: str, names: Sequence[str], known: Sequence[str]) -> str:
    """What to do with a column that is not known."""
    if names[0] in ("t", "time") and not {"x", "value"} & set(names):
        return f"a column a place is not read; write a row a reading: {', '.join(known[:-1])}"
    plain = re.sub(r"\s*(\[.*\]|\(.*\))$", "", name)
    meant = MEANT.get(plain, plain)
    if meant in known and meant not in names:
        what = "units are yours: " if plain != name else ""
        return f"{what}call it '{meant}', if that is what it holds"
    close = nearest(name, list(known))
    if close is not None and close not in names:
        return f"did you mean '{close}'?"
    return f"remove it; known: {', '.join(known)}"


def _hdf5(path: Path, known: Sequence[str]) -> tuple[dict[str, np.ndarray], Sequence[int]]:
    """Columns by name, and the index of each row."""
    try:
        with hdf5.read(path) as file:
            group = file.get("observations", file)
            if not isinstance(group, h5py.Group):
                raise ValueError("'observations' is a dataset, not a group of them")
            found = {k: np.asarray(group[k]) for k in known if k in group}
            for name, column in found.items():
                if column.dtype.kind not in "iuf":
                    raise ValueError(f"'{name}' holds no numbers")
            found = {k: column.astype(float) for k, column in found.items()}
    except (OSError, TypeError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"observations.file: {path} is not a readable HDF5 file of numbers: {reason}; make it "
            "again"
        ) from None
    shapes = {k: v.shape for k, v in found.items()}
    if any(len(s) != 1 for s in shapes.values()) or len(set(shapes.values())) > 1:
        raise InputError(
            f"observations.file: {path}: datasets of shapes {shapes}; "
            "each must have one dimension, all the same length"
        )
    return found, range(max((len(v) for v in found.values()), default=0))
