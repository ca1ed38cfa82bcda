"""Small problems that many tests share."""

from __future__ import annotations

from mpi4py import MPI

from advdiff import Problem, config

BLOB = "exp(-((x-0.35)**2 + (y-0.5)**2)/0.02)"
CELL = {"stream": "sin(pi*x)*sin(pi*y)/pi"}


def data(n: int = 8, degree: int = 1, **changes) -> dict:
    """The tables of a cellular flow on the unit square, with changes by table.

    The engine is named: to choose one costs more than a problem as small as these (``test_auto``,
    ``test_choose`` and whole runs in ``test_tasks`` choose).
    """
    tables = {
        "task": "solve",
        "domain": {"shape": "rectangle", "cells": [n, n]},
        "discretization": {"degree": degree},
        "physics": {"diffusivity": 0.02, "velocity": CELL, "initial": BLOB},
        "time": {"final": 0.4, "outputs": 3},
        "solver": {"tolerance": 1e-10},
    }
    for name, table in changes.items():
        tables[name] = tables.get(name, {}) | table if isinstance(table, dict) else table
    kind = tables["discretization"]
    consistent = kind["degree"] > 1 and kind.get("method", "cg") in ("cg", "cip")
    tables["solver"].setdefault("method", "shift-invert" if consistent else "faber")
    return tables


def problem(n: int = 8, degree: int = 1, comm: MPI.Comm = MPI.COMM_WORLD, **changes) -> Problem:
    """A cellular flow on the unit square."""
    return Problem(config.parse(data(n, degree, **changes)), comm)


def beside(other: Problem, **changes) -> Problem:
    """The same with changes, on the same mesh: another one may be divided differently."""
    cells, degree = other.experiment.domain.cells[0], other.experiment.discretization.degree
    result = problem(cells, degree, other.comm, **changes)
    result.domain = other.domain
    return result


def through_flow(n: int = 8, degree: int = 1, comm: MPI.Comm = MPI.COMM_WORLD) -> Problem:
    """A channel with inflow at the left, a prescribed value there, an outflow and a source."""
    physics = {
        "diffusivity": "0.02 + 0.01*x",
        "velocity": ["y*(1-y)*4", "0"],
        "dirichlet": {"left": "y"},
        "source": "x*y",
    }
    return problem(n, degree, comm, physics=physics)
