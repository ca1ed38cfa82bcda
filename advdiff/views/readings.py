"""What is understood of a table of readings: lines for a terminal, with a small curve a sensor."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from advdiff.config.load import load, table_of_readings
from advdiff.config.tables.experiment import Experiment
from advdiff.core.errors import InputError, shortened
from advdiff.files.readings import reader
from advdiff.files.readings.headers import LENGTHS, TIMES
from advdiff.files.readings.stated import Stated
from advdiff.files.readings.table import Table

BARS = "▁▂▃▄▅▆▇█"
PLAIN = "_.-~=+*#"
"""Heights of a curve where the terminal has no blocks."""
WIDTH = 40
"""Columns of a curve."""
SENSORS = 24
"""Sensors that are shown."""


def lines(path: Path, settings: Sequence[str]) -> list[str]:
    """What a file of readings, or that of an experiment, was understood to say (local).

    Raises:
        InputError: as a run would.
    """
    if path.suffix == ".toml":
        experiment = load(path, tuple(settings))
        if not isinstance(experiment, Experiment) or experiment.observations is None:
            raise InputError(f"{path}: no readings of a flow; give one with observations.file")
        dim, std = experiment.domain.dim, experiment.observations.std
        table = reader.read(
            experiment.resolve(experiment.observations.file),
            Stated(**experiment.written()),
            None if dim is None else "xyz"[:dim],
        )
    else:
        given = table_of_readings(path, tuple(settings))
        std = given.observations.std
        table = reader.read(path, Stated(**given.written()))
    return [f"read        {table.said}", *_counted(table, std), *_sensors(table)]


def _counted(table: Table, std: float | None) -> list[str]:
    """How many, and from where to where."""
    labels, which = _labels(table)
    t = _times(table)
    same = len(table) - len({*zip(which, t, strict=True)})
    said = [
        f"readings    {len(table)} from {len(labels)} sensors at {len(np.unique(t))} times"
        + (f", {table.missing} missing" if table.missing else "")
        + (f", {same} more of the same sensor and time" if same else "")
    ]
    for name in (*LENGTHS, *TIMES, "value", "std"):
        if name in table.numbers and table.has(name).any():
            column = table.numbers[name]
            low, high = np.nanmin(column), np.nanmax(column)
            unit = table.units.get(name, "")
            text = f"{low:g}" if low == high else f"{low:g} … {high:g}"
            some = table.has(name).sum()
            of = f", of {some} readings" if some < len(table) else ""
            said.append(f"{name:11s} {text} {unit}".rstrip() + of)
    if "std" not in table.numbers:
        said.append(f"std         {'not given' if std is None else f'{std:g}, observations.std'}")
    for name, what in (("kind", "of the flux"), ("censored", "known as a bound only")):
        if table.has(name).any():
            said.append(f"{name:11s} {table.has(name).sum()} {what}")
    return said


def _times(table: Table) -> np.ndarray:
    """When, or the middle of when, shape (reading,)."""
    t = np.full(len(table), np.nan)
    if "t" in table.numbers:
        t = np.array(table.numbers["t"])
    if "t_start" in table.numbers:
        middle = (table.numbers["t_start"] + table.numbers["t_end"]) / 2
        t = np.where(np.isnan(t), middle, t)
    return t


def _labels(table: Table) -> tuple[list[str], np.ndarray]:
    """Names of the sensors in the order of the file, and which of them each reading is of."""
    where = [name for name in LENGTHS if name in table.numbers]
    said = []
    for i in range(len(table)):
        parts = [table.texts[name][i] for name in ("sensor", "part") if name in table.texts]
        numbers = [f"{table.numbers[name][i]:.6g}" for name in where if table.has(name)[i]]
        kind = "flux" if table.has("kind")[i] else ""
        place = f"({', '.join(numbers)})" if numbers else ""
        said.append(" ".join(text for text in (*parts, place, kind) if text))
    names = list(dict.fromkeys(said))
    index = {name: k for k, name in enumerate(names)}
    return names, np.array([index[name] for name in said])


def _sensors(table: Table) -> list[str]:
    """A line a sensor: its name, its readings, their range, their curve."""
    labels, which = _labels(table)
    t, value = _times(table), table.numbers["value"]
    shown = [shortened(label, 40)[1:-1] for label in labels[:SENSORS]]
    width = max(map(len, shown))
    found = []
    for k, label in enumerate(shown):
        mine = which == k
        low, high = value[mine].min(), value[mine].max()
        text = f"{low:.4g}" if low == high else f"{low:.4g} … {high:.4g}"
        curve = _curve(t[mine], value[mine], (t.min(), t.max()))
        found.append(f"  {label:{width}s} {mine.sum():6d}  {text:22s} {curve}".rstrip())
    if len(labels) > SENSORS:
        found.append(f"  and {len(labels) - SENSORS} more")
    return ["sensors", *found]


def _curve(t: np.ndarray, value: np.ndarray, span: tuple[float, float]) -> str:
    """Means of the values over equal times, as heights; a blank where there is none."""
    (start, stop), (low, high) = span, (value.min(), value.max())
    if stop <= start:
        return ""
    bars = BARS
    try:
        bars.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        bars = PLAIN
    place = np.minimum((t - start) / (stop - start) * WIDTH, WIDTH - 1).astype(int)
    count = np.bincount(place, minlength=WIDTH)
    mean = np.bincount(place, value, minlength=WIDTH) / np.maximum(count, 1)
    height = (mean - low) / (high - low) if high > low else np.zeros(WIDTH)
    rank = np.rint(np.clip(height, 0, 1) * (len(bars) - 1)).astype(int)
    return "".join(bars[r] if n else " " for r, n in zip(rank, count, strict=True))
