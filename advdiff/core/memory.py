"""The memory that a run will take, estimated from the experiment file before anything is built.

Every part is a count times a measured number of bytes (docs/honesty.md says how far it is off);
what the mesh of a gmsh file takes is known when it is read, and the rest before it is built.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from advdiff.core.errors import InputError

if TYPE_CHECKING:
    from mpi4py import MPI

GIB = 2.0**30
MESH = {"interval": 400.0, "triangle": 750.0, "quadrilateral": 900.0}
MESH |= {"tetrahedron": 900.0, "hexahedron": 2600.0}
"""Bytes a cell at the peak: geometry, topology, its distribution."""


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
    from mpi4py import MPI

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
