"""Observations: sensors in the domain, the times they were read, and their noise.

A data set is a list of readings (where, when, value, standard deviation).  Distinct places become
*sensors*, distinct times *observation times*; every reading points at one of each.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from advdiff import hdf5
from advdiff.errors import InputError, on_root, shortened, suggestion
from advdiff.locate import NOWHERE, Cells
from advdiff.operator import Operator

AXES = ("x", "y", "z")


@dataclass(frozen=True)
class Readings:
    """Measurements, the same on every rank.

    Attributes:
        points: sensors, shape (sensor, dim).
        times: distinct times, increasing, shape (time,).
        sensor, time: index of the sensor and the time of each reading, shape (reading,).
        values, std: value and standard deviation of each reading, shape (reading,).
        rows: where in its file each sensor first occurs, shape (sensor,), for messages.
    """

    points: np.ndarray
    times: np.ndarray
    sensor: np.ndarray
    time: np.ndarray
    values: np.ndarray
    std: np.ndarray
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def from_rows(cls, points, times, values, std, rows=None) -> Readings:
        """From one row a reading: points (n, dim), times, values, std and rows (n)."""
        sensors, first, sensor = np.unique(points, axis=0, return_index=True, return_inverse=True)
        distinct, time = np.unique(times, return_inverse=True)
        rows = first if rows is None else np.asarray(rows)[first]
        return cls(sensors, distinct, sensor.ravel(), time.ravel(), values, std, rows)


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
    try:
        reader = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig")), strict=True)
        rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise InputError(
            f"observations.file: {path}: {error.strerror}; give a .csv or .h5 file"
        ) from None
    except UnicodeDecodeError:
        raise InputError(
            f"observations.file: {path} is not UTF-8 text; give a .csv or .h5 file"
        ) from None
    except csv.Error as error:
        raise InputError(
            f"observations.file: {path}, row {reader.line_num}: {error}; mend the row"
        ) from None
    rows = [(i, r) for i, r in rows if any(map(str.strip, r)) and not r[0].strip().startswith("#")]
    if not rows:
        raise InputError(
            f"observations.file: {path} is empty; give columns {', '.join(known)} and readings"
        )
    names = [name.strip().lower() for name in rows[0][1]]
    for separator, word in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and separator in names[0]:
            raise InputError(
                f"observations.file: {path}: columns separated by {word}; separate them by commas"
            )
    for name in names:
        if name not in known:
            raise InputError(
                f"observations.file: {path}: unknown column {shortened(name)}; "
                + suggestion(name, list(known))
            )
    if len(set(names)) != len(names):
        raise InputError(f"observations.file: {path}: a column occurs twice in {names}; remove one")
    table = np.empty((len(rows) - 1, len(names)))
    for k, (line, row) in enumerate(rows[1:]):
        if len(row) != len(names):
            raise InputError(
                f"observations.file: {path}, row {line}: {len(row)} entries under "
                f"{len(names)} columns; mend the row"
            )
        for j, entry in enumerate(row):
            try:
                table[k, j] = float(entry)
            except ValueError:
                raise InputError(
                    f"observations.file: {path}, row {line}: {names[j]} = {shortened(entry)} is no "
                    "number; mend the row"
                ) from None
    return dict(zip(names, table.T.copy(), strict=True)), [line for line, _ in rows[1:]]


def _hdf5(path: Path, known: Sequence[str]) -> tuple[dict[str, np.ndarray], Sequence[int]]:
    """Columns by name, and the index of each row."""
    try:
        with hdf5.read(path) as file:
            group = file.get("observations", file)
            if not isinstance(group, h5py.Group):
                raise ValueError("'observations' is a dataset, not a group of them")
            found = {k: np.asarray(group[k], dtype=float) for k in known if k in group}
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


class Sensors:
    """y = C θ: the values of a finite element function at points, as a sparse matrix.

    Rows are the sensors in their given order, spread evenly over the ranks whatever the mesh; their
    entries are the basis functions of the one cell that holds the point (the lowest original cell
    index where cells share it).

    Args:
        operator: gives the space and the Dirichlet values.
        points: shape (sensor, dim).
        rows: where in the data file each came from, for messages.
        snap_distance: how far outside the domain a point may lie; it is read at the nearest one.

    Raises:
        InputError: on every rank, for a point further outside the domain.
    """

    def __init__(
        self,
        operator: Operator,
        points: np.ndarray,
        rows: Sequence[int] | None = None,
        snap_distance: float = 0.0,
    ):
        self.operator = operator
        self._comm = operator.domain.comm
        space, count = operator.space, len(points)
        cells, mine, reference = self._located(points, rows, snap_distance)
        width = space.dofmap.dof_layout.num_dofs
        self._matrix = PETSc.Mat().createAIJ(
            ((PETSc.DECIDE, count), operator.boundary.x.petsc_vec.getSizes()),
            nnz=(width, width),
            comm=self._comm,
        )
        to_global = space.dofmap.index_map.local_to_global
        values = space.element.basix_element.tabulate(0, reference)[0, :, :, 0]
        for i in np.flatnonzero(mine):
            columns = to_global(space.dofmap.cell_dofs(cells[i])).astype(PETSc.IntType)
            self._matrix.setValues([i], columns, values[i])
        self._matrix.assemble()
        self._sampled = self._matrix.createVecLeft()
        self._full = self._matrix.createVecRight()
        self._count = count
        self._function = None

    def _located(
        self, points: np.ndarray, rows: Sequence[int] | None, snap_distance: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A cell for each point, which points this rank has, and their reference coordinates."""
        owned = Cells(self.operator.domain)

        def held(points: np.ndarray) -> tuple[np.ndarray, ...]:
            cells, reference = owned.holding(points)
            holder = np.full(len(points), NOWHERE)
            holder[cells >= 0] = owned.original[cells[cells >= 0]]
            lowest = np.empty_like(holder)
            self._comm.Allreduce(holder, lowest, MPI.MIN)
            return cells, (holder == lowest) & (cells >= 0), reference, lowest == NOWHERE

        cells, mine, reference, outside = held(points)
        if not outside.any():
            return cells, mine, reference
        order = np.arange(len(points)) if rows is None else np.asarray(rows)
        moved = points.copy()
        for i in sorted(np.flatnonzero(outside), key=order.__getitem__):
            distance, place = min(
                self._comm.allgather(owned.nearest(points[i])), key=lambda found: found[0]
            )
            if not distance <= snap_distance:
                name = f"sensor {i}" if rows is None else f"row {rows[i]}: the sensor"
                where = ", ".join(f"{v:g}" for v in points[i])
                raise InputError(
                    f"observations.file: {name} at ({where}) lies {distance:.2g} outside the domain"
                    + (f", and {outside.sum() - 1} more" if outside.sum() > 1 else "")
                    + "; remove it, enlarge the domain, or raise observations.snap_distance"
                )
            moved[i] = place
        cells, mine, reference, outside = held(moved)
        if outside.any():
            raise InputError(
                f"observations.snap_distance = {snap_distance:g}: {outside.sum()} sensors have no "
                "cell at the wall; move them into the domain"
            )
        return cells, mine, reference

    def __len__(self) -> int:
        return self._count

    def sample(self, state: PETSc.Vec, *, boundary: bool = True) -> np.ndarray:
        """Values of a state at the sensors, shape (sensor,), on every rank (collective).

        ``boundary=False`` for tangents, which vanish where θ is prescribed.
        """
        self._function = self.operator.extend(state, self._function, boundary=boundary)
        self._matrix.mult(self._function.x.petsc_vec, self._sampled)
        counts = self._comm.allgather(self._sampled.getLocalSize())
        values = np.empty(self._count)
        self._comm.Allgatherv(self._sampled.array_r, (values, counts))
        return values

    def spread(self, weights: np.ndarray, out: PETSc.Vec) -> PETSc.Vec:
        """Cᵀ w, a residual over the free unknowns, for w (sensor,) known on every rank."""
        start, stop = self._sampled.getOwnershipRange()
        self._sampled.setArray(weights[start:stop])
        self._matrix.multTranspose(self._sampled, self._full)
        part = self._full.getSubVector(self.operator.free)
        part.copy(out)
        self._full.restoreSubVector(self.operator.free, part)
        return out
