"""How much memory a run will take."""

from __future__ import annotations

import math

from mpi4py import MPI

from advdiff.core.memory import GIB, MESH, Size, require
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
