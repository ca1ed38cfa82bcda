"""Small reduced problems that the tests of this room share."""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from advdiff import Problem
from advdiff.config.load import parse
from advdiff.reduced.offline.groups import Groups
from advdiff.reduced.offline.reducer import ReducedOptions, Reducer
from tests import flows

SINE = {"velocity": {"family": "sine", "modes": [2, 2]}, "diffusivity": True}


def observations(path, comm, times=(0.0, 0.1, 0.2, 0.4), std=0.02) -> str:
    """Readings of made-up values at a few points."""
    if comm.rank == 0:
        rng = np.random.default_rng(0)
        rows = ["x,y,t,value,std"]
        for t in times:
            for x, y in ((0.3, 0.4), (0.62, 0.55), (0.2, 0.7), (0.7, 0.2)):
                rows.append(f"{x},{y},{t},{0.5 * np.cos(3 * x + y - t) + 0.1 * rng.random()},{std}")
        (path / "data.csv").write_text("\n".join(rows))
    comm.barrier()
    return str(path / "data.csv")


def problem(path, n=10, comm=MPI.COMM_WORLD, world=MPI.COMM_WORLD, **changes) -> Problem:
    """A closed flow with four modes and the diffusivity unknown."""
    tables = flows.data(
        n,
        changes.pop("degree", 1),
        task="invert",
        observations={"file": observations(path, world)},
        unknowns=SINE,
        prior={"velocity": {"std": 0.3}, "diffusivity": {"std": 0.5}},
        **changes,
    )
    return Problem(parse(tables), comm)


def channel(path, n=10) -> Problem:
    """A flow through the domain with a prescribed value and a source; diffusivity unknown."""
    physics = {
        "diffusivity": 0.03,
        "velocity": ["y*(1-y)*4", "0"],
        "dirichlet": {"left": "y"},
        "source": "x*y",
    }
    made = problem(path, n, physics=physics)
    tables = made.experiment.model_copy(
        update={"unknowns": parse(flows.data(n, unknowns={"diffusivity": True})).unknowns}
    )
    return Problem(tables)


def reducer(made: Problem, groups: Groups | None = None, **options) -> Reducer:
    """A reducer without a basis yet."""
    return Reducer(made.model, made.prior, ReducedOptions(**options), groups)


def nearby(made: Reducer, size=0.5) -> np.ndarray:
    """A point of the prior's spread, the same on every rank."""
    rng = np.random.default_rng(3)
    return made.prior.color(size * rng.standard_normal(made.mean.size))


def torus(path, comm=MPI.COMM_WORLD, world=MPI.COMM_WORLD, **changes) -> Problem:
    """Fourier modes on a periodic square with spectral elements."""
    tables = flows.data(
        1,
        task="invert",
        domain={"cells": [4, 3], "cell": "quadrilateral", "periodic": ["x", "y"]},
        discretization={"method": "spectral", "degree": 4},
        physics={"diffusivity": 0.1, "initial": "cos(2*pi*x) + sin(2*pi*y)", "velocity": 0},
        observations={"file": observations(path, world)},
        unknowns={"velocity": {"family": "fourier", "largest": 1.5}},
        prior={"velocity": {"std": 1.0}},
    )
    for name, table in changes.items():
        tables[name] = tables.get(name, {}) | table
    tables["physics"].pop("velocity")
    return Problem(parse(tables), comm)
