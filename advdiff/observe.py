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
from dolfinx import geometry
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.errors import InputError, on_root, suggestion
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
    """

    points: np.ndarray
    times: np.ndarray
    sensor: np.ndarray
    time: np.ndarray
    values: np.ndarray
    std: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def from_rows(cls, points, times, values, std) -> Readings:
        """From one row a reading: points (n, dim), times, values and std (n)."""
        sensors, sensor = np.unique(points, axis=0, return_inverse=True)
        distinct, time = np.unique(times, return_inverse=True)
        return cls(sensors, distinct, sensor.ravel(), time.ravel(), values, std)

    @classmethod
    def on_grid(cls, points, times, values, std) -> Readings:
        """From every sensor at every time: values (time, sensor)."""
        k, p = np.meshgrid(np.arange(len(times)), np.arange(len(points)), indexing="ij")
        values = np.asarray(values, dtype=float)
        return cls(
            np.asarray(points, dtype=float),
            np.asarray(times, dtype=float),
            p.ravel(),
            k.ravel(),
            values.ravel(),
            np.broadcast_to(std, values.shape).ravel().astype(float),
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
        raise InputError(f"observations.file: {path} does not exist; give a .csv or .h5 file")
    known = [*AXES[:dim], "t", "value", "std"]
    columns, first = (_hdf5 if path.suffix in (".h5", ".hdf5") else _csv)(path, known)
    for name in (*AXES[:dim], "t", "value"):
        if name not in columns:
            raise InputError(
                f"observations.file: {path} has no column '{name}'; "
                f"it needs {', '.join(known[:-1])} and may have std"
            )
    n = len(columns["value"])
    if n == 0:
        raise InputError(f"observations.file: {path} has no readings")
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
                f"observations.file: {path}, row {i + first}: {name} = {columns[name][i]:g} "
                f"{what}; {remedy}"
            )

    for name, column in columns.items():
        refuse(~np.isfinite(column), "is not finite", name, "remove the row or mend it")
    t = columns["t"]
    refuse(t < 0, "is before time 0", "t", "times run from 0 to time.final")
    refuse(t > final * (1 + 1e-12), f"is beyond time.final = {final:g}", "t", "raise time.final")
    refuse(columns["std"] <= 0, "is not positive", "std", "give a positive standard deviation")
    points = np.stack([columns[a] for a in AXES[:dim]], axis=1)
    return Readings.from_rows(points, t, columns["value"], columns["std"])


def _csv(path: Path, known: Sequence[str]) -> tuple[dict[str, np.ndarray], int]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"observations.file: {path} is not UTF-8 text") from None
    rows = list(csv.reader(io.StringIO(text)))
    rows = [(i + 1, r) for i, r in enumerate(rows) if r and not r[0].lstrip().startswith("#")]
    if not rows:
        raise InputError(f"observations.file: {path} is empty; its first row names the columns")
    names = [name.strip().lower() for name in rows[0][1]]
    for name in names:
        if name not in known:
            raise InputError(
                f"observations.file: {path}: unknown column '{name}'; "
                + suggestion(name, list(known))
            )
    if len(set(names)) != len(names):
        raise InputError(f"observations.file: {path}: a column occurs twice in {names}")
    table = np.empty((len(rows) - 1, len(names)))
    for k, (line, row) in enumerate(rows[1:]):
        if len(row) != len(names):
            raise InputError(
                f"observations.file: {path}, row {line}: {len(row)} entries under "
                f"{len(names)} columns"
            )
        for j, entry in enumerate(row):
            try:
                table[k, j] = float(entry)
            except ValueError:
                raise InputError(
                    f"observations.file: {path}, row {line}: {names[j]} = {entry!r} is no number"
                ) from None
    return dict(zip(names, table.T.copy(), strict=True)), rows[0][0] + 1


def _hdf5(path: Path, known: Sequence[str]) -> tuple[dict[str, np.ndarray], int]:
    try:
        with h5py.File(path, "r") as file:
            group = file.get("observations", file)
            found = {k: np.asarray(group[k], dtype=float) for k in known if k in group}
    except (OSError, TypeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"observations.file: {path} is not a readable HDF5 file: {reason}"
        ) from None
    shapes = {k: v.shape for k, v in found.items()}
    if any(len(s) != 1 for s in shapes.values()) or len(set(shapes.values())) > 1:
        raise InputError(
            f"observations.file: {path}: datasets of shapes {shapes}; "
            "each must have one dimension, all the same length"
        )
    return found, 0


class Sensors:
    """y = C θ: the values of a finite element function at points, as a sparse matrix.

    Rows are the sensors in their given order, spread evenly over the ranks whatever the mesh; their
    entries are the basis functions of the one cell that holds the point (the lowest original cell
    index where cells share it).

    Args:
        operator: gives the space and the Dirichlet values.
        points: shape (sensor, dim).

    Raises:
        InputError: on every rank, for a point outside the domain.
    """

    def __init__(self, operator: Operator, points: np.ndarray):
        self.operator = operator
        self._comm = operator.domain.comm
        space, msh = operator.space, operator.domain.mesh
        count, dim = points.shape
        padded = np.zeros((count, 3))
        padded[:, :dim] = points
        tree = geometry.bb_tree(msh, msh.topology.dim, padding=1e-12)
        candidates = geometry.compute_collisions_points(tree, padded)
        colliding = geometry.compute_colliding_cells(msh, candidates, padded)
        owned = msh.topology.index_map(msh.topology.dim).size_local
        original = msh.topology.original_cell_index
        nowhere = np.iinfo(np.int64).max
        holder = np.full(count, nowhere, dtype=np.int64)
        cells = np.full(count, -1, dtype=np.int32)
        for i in range(count):
            here = [c for c in colliding.links(i) if c < owned]
            if here:
                cells[i] = min(here, key=lambda c: original[c])
                holder[i] = original[cells[i]]
        lowest = np.empty_like(holder)
        self._comm.Allreduce(holder, lowest, MPI.MIN)
        outside = np.flatnonzero(lowest == nowhere)
        if len(outside):
            where = ", ".join(f"{v:g}" for v in points[outside[0]])
            raise InputError(
                f"observations.file: sensor {outside[0]} at ({where}) lies outside the domain"
                + (f", and {len(outside) - 1} more" if len(outside) > 1 else "")
                + "; remove it or enlarge the domain"
            )
        width = space.dofmap.dof_layout.num_dofs
        self._matrix = PETSc.Mat().createAIJ(
            ((PETSc.DECIDE, count), operator.boundary.x.petsc_vec.getSizes()),
            nnz=(width, width),
            comm=self._comm,
        )
        element, cmap = space.element.basix_element, msh.geometry.cmap
        to_global = space.dofmap.index_map.local_to_global
        for i in np.flatnonzero((holder == lowest) & (cells >= 0)):
            corners = msh.geometry.x[msh.geometry.dofmap[cells[i]]][:, : msh.geometry.dim]
            reference = cmap.pull_back(padded[i : i + 1, : msh.geometry.dim], corners)
            values = element.tabulate(0, reference)[0, 0, :, 0]
            columns = to_global(space.dofmap.cell_dofs(cells[i])).astype(PETSc.IntType)
            self._matrix.setValues([i], columns, values)
        self._matrix.assemble()
        self._sampled = self._matrix.createVecLeft()
        self._full = self._matrix.createVecRight()
        self._count = count
        self._function = None

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
