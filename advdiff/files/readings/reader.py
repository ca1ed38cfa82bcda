"""A file of readings becomes a table: CSV by row or by sensor, or HDF5."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from advdiff.core.errors import shortened, suggestion
from advdiff.files import hdf5
from advdiff.files.readings import headers, sheet
from advdiff.files.readings.cells import Cells, filled
from advdiff.files.readings.headers import LENGTHS, Column
from advdiff.files.readings.numbers import Missing
from advdiff.files.readings.stated import NOTHING, REMEDY, Place, Stated
from advdiff.files.readings.table import NUMBERS, Table

OF_SENSORS = ("sensor", *LENGTHS, "part", "kind", "std")
"""Columns of a file of places."""
Rows = list[tuple[int, list[str]]]


def read(path: Path, stated: Stated = NOTHING, axes: Sequence[str] | None = None) -> Table:
    """Read the readings of a CSV or HDF5 file (local).

    Args:
        stated: what the experiment file says of how they are written.
        axes: names of the coordinates of the domain; None: as many as the file has.

    Raises:
        InputError: naming the file, the row and what to do.
    """
    place = Place(path)
    if not os.path.isfile(path):  # of a name too long for the disk Path.is_file raises
        raise place.error("is a folder" if os.path.isdir(path) else "does not exist", REMEDY)
    if path.suffix in (".h5", ".hdf5"):
        return _hdf5(place, axes)
    where = None if stated.sensors is None else _places(stated.sensors, axes)
    names = () if where is None else tuple(where.texts["sensor"])
    found = sheet.read(
        place,
        stated.separator,
        lambda header: headers.are_known(header, axes or "xyz", stated.columns),
    )
    axes = _axes(found.header, stated) if axes is None else axes
    if not found.header:
        raise place.error("is empty", f"give columns {', '.join(axes)}, t, value and readings")
    if all(map(sheet.is_number, found.header)):
        raise place.error("no header, row 1 holds numbers", "name the columns: x, …, t, value")
    columns = headers.understood(found.header, axes, stated.columns, names, place)
    columns, rows, with_units = headers.with_units(columns, found.rows, place)
    headers.require_one_unit(columns, place)
    notes = [*found.notes, "row of units"] if with_units else found.notes
    _require_columns(columns, axes, where, place)
    if not rows:
        raise place.error("has no readings", "add rows")
    cells = Cells(*_long(columns, rows), Missing(stated.missing), place)
    table, written = filled(cells, found.separator, stated, place, axes)
    if where is not None:
        table = _joined(table, where)
    table.require_whole()
    written = [sheet.SEPARATORS.get(found.separator, repr(found.separator)), *written, *notes]
    return replace(table, said=_said(path, written, columns, table, stated))


def _axes(header: Sequence[str], stated: Stated) -> list[str]:
    """As many coordinates as a header has; one of wide tables, where nobody knows."""
    names = {headers.parted(text)[0].lower() for text in header} | set(stated.columns)
    return list("xyz"[: 3 if "z" in names else 2 if "y" in names else 1])


def _require_columns(columns, axes: Sequence[str], where: Table | None, place: Place) -> None:
    roles = {column.role for column in columns}
    wanted = [*axes, "t", "value"]
    if where is not None:
        both = roles & set(axes)
        if both:
            raise place.error(
                f"the file has places of its own, {', '.join(sorted(both))}",
                "remove the key, or those columns",
                key=f"observations.sensors = {shortened(str(where.place.path))}",
            )
        for column in columns:
            if "at" in roles and column.role in ("value", "sensor"):
                raise place.error(
                    f"column {column.header!r} is no sensor of {where.place.path.name}, others are",
                    "add it there, or remove it",
                )
        wanted = ["t"] if "at" in roles else ["sensor", "t", "value"]
    if roles & {"t_start", "t_end"} and "t" not in roles:
        wanted.remove("t")
    if "part" in roles:
        wanted = [name for name in wanted if name not in axes]
    for name in wanted:
        if name not in roles:
            raise place.error(
                f"has no column '{name}'", f"give columns {', '.join(wanted)} (and std)"
            )


def _long(columns: list[Column], rows: Rows) -> tuple[list[Column], Rows, list[int]]:
    """A row a reading: of a column a sensor, as many rows as there are such columns."""
    single = [j for j, column in enumerate(columns) if column.role == "at"]
    if not single:
        return columns, [row for _, row in rows], [line for line, _ in rows]
    shared = [j for j in range(len(columns)) if j not in single]
    said = columns[single[0]]
    found = [columns[j] for j in shared]
    found += [Column("sensor", "sensor", "sensor"), said._replace(role="value", name="value")]
    long, lines = [], []
    for line, row in rows:
        for j in single:
            long.append([*(row[k] for k in shared), columns[j].name, row[j]])
            lines.append(line)
    return found, long, lines


def _places(path: Path, axes: Sequence[str] | None) -> Table:
    """The places of sensors, a row each."""
    place = Place(path, "observations.sensors")
    if not os.path.isfile(path):
        raise place.error("no such file", "give a .csv file: sensor, x, …")
    found = sheet.read(place, None, lambda header: headers.are_known(header, axes or "xyz", {}))
    axes = _axes(found.header, NOTHING) if axes is None else axes
    columns = headers.understood(found.header, axes, {}, (), place)
    columns, rows, _ = headers.with_units(columns, found.rows, place)
    headers.require_one_unit(columns, place)
    roles = {column.role for column in columns}
    for name in ("sensor",) if "part" in roles else ("sensor", *axes):
        if name not in roles:
            raise place.error(f"has no column '{name}'", f"give columns sensor, {', '.join(axes)}")
    for name in sorted(roles - set(OF_SENSORS)):
        raise place.error(f"column '{name}' is none of a sensor", "remove it")
    if not rows:
        raise place.error("has no sensors", "add rows")
    cells = Cells(columns, *zip(*((r, i) for i, r in rows), strict=True), Missing(None), place)
    table, _ = filled(cells, found.separator, NOTHING, place, axes)
    names = list(table.texts["sensor"])
    for i, name in enumerate(names):
        if not name or name in names[:i]:
            what = f"sensor {name!r} is there twice" if name else "a sensor has no name"
            raise place.error(what, "mend the row", table.lines[i])
    return table


def _joined(table: Table, where: Table) -> Table:
    """The readings with what their sensors' file says of them."""
    index = {name: i for i, name in enumerate(where.texts["sensor"])}
    for line, name in zip(table.lines, table.texts["sensor"], strict=True):
        if name not in index:
            raise table.place.error(
                f"sensor {shortened(name)} is not in {where.place.path.name}",
                suggestion(name, list(index)),
                line,
            )
    at = np.array([index[name] for name in table.texts["sensor"]])
    for name in where.columns:
        if name != "sensor" and name in table.columns:
            raise table.place.error(
                f"column '{name}' is in {where.place.path.name} too", "remove one of them"
            )
    numbers = dict(table.numbers) | {name: part[at] for name, part in where.numbers.items()}
    texts = dict(table.texts)
    if "part" in where.texts:
        texts["part"] = [where.texts["part"][i] for i in at]
    flux = where.flux[at] if where.flux is not None else table.flux
    units = dict(where.units) | dict(table.units)
    return replace(table, numbers=numbers, texts=texts, flux=flux, units=units)


def _said(path: Path, written, columns: Sequence[Column], table: Table, stated: Stated) -> str:
    """What was understood, in one line."""
    single = [column for column in columns if column.role == "at"]
    known = [column.said for column in columns if column.role not in ("", "at")]
    if single:
        unit = f" [{single[0].unit}]" if single[0].unit else ""
        known.append(f"value{unit} of {len(single)} sensors, a column each")
    parts = [f"{path.name}: {', '.join(written)}", f"columns {', '.join(known)}"]
    if stated.sensors is not None:
        parts.append(f"places from {stated.sensors.name}")
    over = [column.header for column in columns if not column.role]
    if over:
        parts.append(f"passed over: {shortened(', '.join(over))}")
    for count, what in (
        (table.missing, "missing"),
        (int(np.sum(table.censored < 0)), "below a limit of detection"),
        (int(np.sum(table.censored > 0)), "above a limit"),
    ):
        if count:
            parts.append(f"{count} {what}")
    return "; ".join(parts)


def _hdf5(place: Place, axes: Sequence[str] | None) -> Table:
    """Datasets of the names of columns, at the root or in a group ``observations``."""
    try:
        with hdf5.read(place.path) as file:
            group = file.get("observations", file)
            if not isinstance(group, h5py.Group):
                raise ValueError("'observations' is a dataset, not a group of them")
            found = {name: np.asarray(group[name]) for name in NUMBERS if name in group}
            for name, column in found.items():
                if column.dtype.kind not in "iuf":
                    raise ValueError(f"'{name}' holds no numbers")
            found = {name: column.astype(float) for name, column in found.items()}
    except (OSError, TypeError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise place.error(
            f"is not a readable HDF5 file of numbers: {reason}", "make it again"
        ) from None
    if axes is None:
        axes = [axis for axis in "xyz" if axis in found] or ["x"]
    _require_columns([Column(name, name, name) for name in found], axes, None, place)
    shapes = {name: column.shape for name, column in found.items()}
    if any(len(shape) != 1 for shape in shapes.values()) or len(set(shapes.values())) > 1:
        raise place.error(
            f"datasets of shapes {shapes}", "each must have one dimension, all the same length"
        )
    count = len(found["value"])
    if not count:
        raise place.error("has no readings", "add rows")
    table = Table(place, found, lines=range(count), axes=axes, said=f"{place.path.name}: HDF5")
    for name, column in found.items():
        if name in (*axes, "t", "value", "std"):
            table.refuse(~np.isfinite(column), "is not finite", name, "remove the row or mend it")
    table.require_whole()
    return table
