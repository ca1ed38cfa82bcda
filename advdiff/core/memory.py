"""The memory that a run will take, estimated from the experiment file before anything is built.

Every part is a count times a measured number of bytes (docs/honesty.md says how far it is off);
what the mesh of a gmsh file takes is known when it is read, and the rest before it is built.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mpi4py import MPI

from advdiff.core.errors import InputError
from advdiff.semigroup.choose import FILL

GIB = 2.0**30
PROGRAM = 250e6
"""Bytes of a rank before it does anything: Python, PETSc, DOLFINx, compiled forms."""
MESH = {"interval": 400.0, "triangle": 750.0, "quadrilateral": 900.0}
MESH |= {"tetrahedron": 900.0, "hexahedron": 2600.0}
"""Bytes a cell at the peak: geometry, topology, its distribution."""
NODE = 150.0
"""Bytes an unknown of θ takes in spaces, numberings and fields of the problem itself."""
ENTRY = 12.0
"""Bytes of an entry of a sparse matrix: value and column."""
MATRICES = 6.0
"""K, dK, and what bounds of the numerical range copy; restricted ones where values are held."""
TAPE = 1000.0
"""States of a tape where all are kept."""
KRYLOV = 150.0
"""Vectors of a rational Krylov space, or its filter."""


class Size(NamedTuple):
    """What is counted.

    Attributes:
        cells: of the mesh, of kind ``cell``.
        nodes: of continuous linear elements.
    """

    cell: str
    cells: float
    nodes: float

    @property
    def dim(self) -> int:
        """Of the cells."""
        return {"interval": 1, "triangle": 2, "quadrilateral": 2}.get(self.cell, 3)

    @property
    def is_simplicial(self) -> bool:
        """Whether the cells are triangles or tetrahedra; an interval counts as a box."""
        return self.cell in ("triangle", "tetrahedron")


def box(cells: list[int], cell: str) -> Size:
    """The size of a box with so many cells along each axis."""
    boxes = float(math.prod(map(float, cells)))
    size = Size(cell, boxes, boxes)
    return size._replace(cells=boxes * math.factorial(len(cells))) if size.is_simplicial else size


def estimate(experiment, size: Size, ranks: int) -> dict[str, float]:
    """Bytes on all ranks together, by part.

    Args:
        experiment: a :class:`~advdiff.config.experiment.Experiment`.
    """
    from advdiff.equation.discretization import METHODS
    from advdiff.semigroup.semigroup import ENGINES

    table, solver = experiment.discretization, experiment.solver
    elements, dim = METHODS[table.method], size.dim
    n, entries = elements.sizes(size, table.degree)
    times, task = float(len(experiment.time.times)), experiment.task
    consistent = not elements.has_diagonal_mass(table.degree)
    solves = consistent or ENGINES[solver.method].factorises
    gradient = task in ("invert", "sample")
    directions = len(experiment.sensitivity.directions) if task == "sensitivity" else 0
    parts = {
        "program": PROGRAM * ranks,
        "mesh": MESH[size.cell] * size.cells,
        "matrices": MATRICES * ENTRY * entries + NODE * n,
        "states": 8.0 * n * times * max(1, 2 * directions),
        "tape": 0.0,
        "factors": 0.0,
        "modes": 0.0,
        "basis": 0.0,
    }
    if gradient and not solves:
        parts["tape"] = min(8.0 * n * TAPE, GIB * solver.memory * ranks)
    if solves:
        parts["tape"] = 8.0 * n * KRYLOV * (2.0 if gradient else 1.0)
        fill = FILL[max(dim, 2)](max(n, 2.0))
        parts["factors"] = ENTRY * fill * (1.5 if consistent else 1.0)
    flow = experiment.unknowns.velocity if gradient else None
    control = 4.0 * size.nodes * (dim if flow is not None and flow.control == "given" else 1)
    if flow is not None:
        count = {"sine": math.prod(flow.modes), "fourier": math.pi * flow.largest**2}
        parts["modes"] = 8.0 * control * count.get(flow.family, 0.0)
    fields = flow is not None and flow.family in ("stream", "nodal")
    if gradient and (fields or experiment.unknowns.diffusivity == "field"):
        parts["factors"] += ENTRY * FILL[max(dim, 2)](max(control, 2.0))
    if experiment.reduced is not None:
        parts["basis"] = 16.0 * n * (experiment.reduced.dimension + experiment.reduced.snapshots)
    if experiment.laplace is not None and fields:
        parts["basis"] += 16.0 * control * experiment.laplace.most
    return parts


REMEDIES = {
    "mesh": "take fewer cells",
    "matrices": "take fewer cells or a lower discretization.degree",
    "states": "take fewer time.outputs or cells",
    "tape": "lower solver.memory, or take fewer cells",
    "factors": "take fewer cells, or elements that need no factorisation (cg of degree 1, "
    "spectral, dg) with solver.method = 'faber'",
    "modes": "take fewer modes, or fewer cells",
    "basis": "lower reduced.dimension or laplace.most, or take fewer cells",
}
"""Part → what makes it smaller."""


def require_run(comm: MPI.Comm, experiment, size: Size, what: str) -> None:
    """Raise :class:`InputError` on all ranks where a run takes more memory than is free."""
    parts = estimate(experiment, size, comm.size)
    del parts["program"]  # is there already
    largest = max(parts, key=lambda name: parts[name])
    times = len(experiment.time.times)
    subject = f"{what} and {times} output times" if times > 1 else what
    if largest == "modes":
        flow = experiment.unknowns.velocity
        key = "modes" if flow.family == "sine" else "largest"
        subject = f"unknowns.velocity.{key} = {getattr(flow, key)}"
    remedy = f"most of it for {largest}; {REMEDIES[largest]}"
    require(comm, sum(parts.values()), subject, remedy)


def require(comm: MPI.Comm, size: float, what: str, remedy: str) -> None:
    """Raise :class:`InputError` on all ranks where ``size`` bytes are more than there are."""
    available = machine(comm)
    if size > available:
        raise InputError(
            f"{what}: needs about {human(size)} of memory, the machine has {human(available)} "
            f"free; {remedy}"
        )


def machine(comm: MPI.Comm) -> float:
    """Bytes that evenly divided data may take: those free to a rank where least are, times the
    number of ranks (collective).
    """
    here = comm.Split_type(MPI.COMM_TYPE_SHARED)
    each = free() / here.size
    here.Free()
    return comm.allreduce(each, MPI.MIN) * comm.size


def free(root: Path = Path("/")) -> float:
    """Bytes that this process may still allocate: of the machine, and of its control group."""
    found = [float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))]
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            found = [1024.0 * float(line.split()[1])]
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        top = root / "sys/fs/cgroup" / controllers
        group = top / path.strip("/")
        names = ("memory.max", "memory.current")
        if controllers:
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        while group.is_relative_to(top):
            limit, usage = (_number(group / name) for name in names)
            if math.isfinite(limit) and math.isfinite(usage):
                cached = _statistic(group / "memory.stat", "inactive_file")
                found.append(max(limit - usage + cached, 0.0))
            group = group.parent
    return min(found)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _number(path: Path) -> float:
    lines = _lines(path)
    return float(lines[0]) if lines and lines[0].isdigit() else math.inf


def _statistic(path: Path, name: str) -> float:
    values: Mapping[str, str] = dict(
        line.split() for line in _lines(path) if len(line.split()) == 2
    )
    return float(values.get(f"total_{name}", values.get(name, 0.0)))


def human(size: float) -> str:
    """With a unit, three digits."""
    power = min(int(math.log(max(size, 1.0), 1024)), 5)
    return f"{size / 1024**power:.3g} {('B', 'kB', 'MB', 'GB', 'TB', 'PB')[power]}"
