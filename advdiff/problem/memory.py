"""How much memory a run will take."""

from __future__ import annotations

from mpi4py import MPI

from advdiff.core.memory import GIB, MESH, Size, require
from advdiff.problem.unknowns import kinds
from advdiff.problem.unknowns.base import Taken
from advdiff.semigroup.choose import FILL

PROGRAM = 250e6
"""Bytes of a rank before it does anything: Python, PETSc, DOLFINx, compiled forms."""


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


def estimate(experiment, size: Size, ranks: int) -> dict[str, float]:
    """Bytes on all ranks together, by part.

    Args:
        experiment: a :class:`~advdiff.config.tables.experiment.Experiment`.
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
    taken = _taken(experiment, size, n) if gradient else []
    for unknown in taken:
        parts["modes"] += unknown.modes
        if unknown.nodes:
            parts["factors"] += ENTRY * FILL[max(dim, 2)](max(unknown.nodes, 2.0))
    if experiment.reduced is not None:
        parts["basis"] = 16.0 * n * (experiment.reduced.dimension + experiment.reduced.snapshots)
    if experiment.laplace is not None:
        parts["basis"] += 16.0 * sum(u.nodes for u in taken) * experiment.laplace.most
    return parts


def _taken(experiment, size: Size, states: float) -> list[Taken]:
    return [kind.taken(size, states) for kind in kinds(experiment) if kind.is_unknown]


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
        subject = max(_taken(experiment, size, 0.0), key=lambda unknown: unknown.modes).subject
    remedy = f"most of it for {largest}; {REMEDIES[largest]}"
    require(comm, sum(parts.values()), subject, remedy)
