"""Small problems that many tests share."""

from __future__ import annotations

from pathlib import Path

from mpi4py import MPI

from advdiff import Problem, load, tasks
from advdiff.config.load import parse

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
    return Problem(parse(data(n, degree, **changes)), comm)


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


def sensitivity(result: Path, dim: int, domain: str, velocity: str, outputs: int) -> Path:
    """A small run of an experiment file, with values given on all sides; its result.

    Args:
        domain: lines of the table.
        velocity: its components, as TOML.
    """
    sides = ("left", "right", "bottom", "top", "front", "back")[: 2 * dim]
    inflow = ", ".join(f"{side} = 0.0" for side in sides)
    experiment = result.with_name("experiment.toml")
    experiment.write_text(
        f"""task = "sensitivity"
[domain]
{domain}
[physics]
diffusivity = 0.1
velocity = {velocity}
initial = "cos(pi*x)"
inflow = {{ {inflow} }}
[time]
final = 0.2
outputs = {outputs}
[sensitivity.directions]
kappa = {{ diffusivity = 1.0 }}
[output]
file = "{result.name}"
"""
    )
    assert tasks.run(load(experiment), lambda line: None)
    return result
