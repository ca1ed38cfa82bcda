"""One problem in many units: what the tests of units and of places share."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from mpi4py import MPI

from advdiff import Problem
from advdiff.concerns import before
from advdiff.config.load import parse
from advdiff.core.ranks import on_root
from advdiff.problem.sensors import Sensors

COMM = MPI.COMM_WORLD
SAME = 1e-9


class Units(NamedTuple):
    """Of length, time and tracer, and where the origin is, in the unit of length."""

    length: float = 1.0
    time: float = 1.0
    amount: float = 1.0
    origin: float = 0.0

    def __str__(self) -> str:
        return "-".join(f"{value:g}" for value in self)


ONE = Units()
OTHERS = [
    Units(length=1e-6),
    Units(length=1e6),
    Units(time=1e-6, amount=1e6),
    Units(time=1e6, amount=1e-6),
    Units(1e-9, 1e6, 1e-6),
]
if COMM.size > 1:  # there the ranks are tried, in one set of other units
    OTHERS = OTHERS[-1:]
UPPER = [2.0, 1.0, 1.0]
CELLS = {1: [9], 2: [6, 5], 3: [4, 3, 3]}
SHAPES = {1: "interval", 2: "rectangle", 3: "box"}


def field(units: Units, text: str, scale: float = 1.0) -> str:
    """An expression in X, Y, Z, which are lengths without a unit, and its own unit."""
    for axis in "xyz":
        shifted = f"({axis}-{units.origin * units.length!r})" if units.origin else axis
        text = text.replace(axis.upper(), f"({shifted}/{units.length!r})")
    return f"{scale!r}*({text})"


def open_flow(units: Units, dim: int, kind: dict, engine: str, **changes) -> dict:
    """Tables with every kind of condition: what comes in, what is held, a flux, a source."""
    length, time, amount, origin = units
    speed = length / time
    sides = ["left", "right"] if dim == 1 else ["left", "right", "top"]
    tables = {
        "task": "solve",
        "domain": {
            "shape": SHAPES[dim],
            "cells": CELLS[dim],
            "lower": [origin * length] * dim,
            "upper": [(origin + upper) * length for upper in UPPER[:dim]],
            "open": ["right"],
        },
        "discretization": kind | {"mesh_error": False},
        "physics": {
            "diffusivity": field(units, "0.05 + 0.02*X", length * speed),
            "velocity": [field(units, "1 + 0.5*X", speed), *["0"] * (dim - 1)],
            "initial": field(units, "exp(-(X-0.7)**2/0.2)", amount),
            "source": field(units, "1 + X", amount / time),
            "inflow": {"left": 0.5 * amount},
            "flux": {sides[-1]: 0.1 * amount * speed},
            "robin": {sides[1]: {"coefficient": 0.2 * speed, "exterior": 0.3 * amount}},
        },
        "time": {"final": 0.4 * time, "outputs": 2},
        "solver": {"method": engine, "tolerance": 1e-11},
    }
    return {name: merged(tables.get(name), changes.get(name)) for name in {**tables, **changes}}


def merged(table, change):
    if change is None:
        return table
    return table | change if isinstance(table, dict) else change


def closed_flow(units: Units, kind: dict, engine: str, **changes) -> dict:
    """A cell of flow in closed walls, without a source."""
    length, time, amount, _ = units
    stream = field(units, "sin(pi*X/2)*sin(pi*Y)/pi", length**2 / time)
    physics = {
        "diffusivity": 0.05 * length**2 / time,
        "velocity": {"stream": stream},
        "initial": field(units, "exp(-((X-0.7)**2 + (Y-0.5)**2)/0.2)", amount),
    }
    tables = open_flow(units, 2, kind, engine, **changes)
    tables["domain"].pop("open")
    return tables | {"physics": physics}


def points(dim: int) -> np.ndarray:
    """Inside cells, on their sides, at their corners, on the walls; without a unit."""
    inside = np.random.default_rng(dim).uniform(0.02, 0.98, (12, dim))
    lattice = np.array([[1 / 3, 0.4, 1 / 3], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.5, 0.2, 0.5]])
    return np.vstack([inside, lattice[:, :dim]]) * UPPER[:dim]


def placed(units: Units, where: np.ndarray) -> np.ndarray:
    return units.length * (units.origin + where)


def same(found, expected, tolerance: float = SAME) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def sampled(units: Units, problem: Problem) -> np.ndarray:
    """θ without a unit at the points, at all times and at the start."""
    sensors = Sensors(problem.operator, placed(units, points(problem.domain.dim)))
    states = problem.semigroup().trajectory(problem.experiment.time.times)
    return np.array([sensors.sample(y) for y in (problem.initial, *states)]) / units.amount


DISCRETISATIONS = [
    ({"degree": 1}, "faber"),
    ({"degree": 1}, "krylov"),
    ({"degree": 1}, "auto"),
    ({"degree": 2}, "shift-invert"),
    ({"degree": 3}, "shift-invert"),
    ({"method": "spectral", "degree": 3}, "faber"),
    ({"method": "cip", "degree": 1}, "faber"),
    ({"method": "cip", "degree": 2}, "shift-invert"),
    ({"method": "dg", "degree": 1}, "faber"),
    ({"method": "dg", "degree": 1}, "shift-invert"),
]


@cache
def reference(dim: int, which: int) -> tuple[np.ndarray, list]:
    problem = Problem(parse(open_flow(ONE, dim, *DISCRETISATIONS[which])))
    return sampled(ONE, problem), before.concerns(problem)


def mesh_file(folder, units: Units, kind: str):
    """A file of gmsh's of a bent grid of 5 × 4 cells on 2 × 1, in these units."""
    n, m = 5, 4
    grid = np.stack(np.meshgrid(np.linspace(0, 2, n + 1), np.linspace(0, 1, m + 1)), axis=-1)
    grid += 0.05 * np.sin(np.pi * grid[..., :1]) * np.sin(np.pi * grid[..., 1:]) * [1, -1]
    at = units.length * (units.origin + grid.reshape(-1, 2))
    number = np.arange(1, len(at) + 1).reshape(m + 1, n + 1)
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]
    if kind == "quadrilateral":
        cells = np.stack([a, b, c, d], axis=-1).reshape(-1, 4)
    else:
        cells = np.concatenate(
            [np.stack(t, axis=-1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))]
        )
    sides = {1: number[:, 0], 2: number[:, -1], 3: number[0], 4: number[-1]}
    lines = [f"1 {tag} {i} {j}" for tag, s in sides.items() for i, j in pairwise(s)]
    code = 3 if kind == "quadrilateral" else 2
    elements = [f"1 2 {t} {t} {i} {j}" for _, t, i, j in (line.split() for line in lines)]
    elements += [f"{code} 2 9 9 {' '.join(map(str, cell))}" for cell in cells]
    names = ['1 1 "left"', '1 2 "right"', '1 3 "bottom"', '1 4 "top"', '2 9 "water"']
    text = ["$MeshFormat", "2.2 0 8", "$EndMeshFormat", "$PhysicalNames", "5", *names]
    text += ["$EndPhysicalNames", "$Nodes", str(len(at))]
    text += [f"{i} {x!r} {y!r} 0" for i, (x, y) in enumerate(at.tolist(), 1)]
    text += ["$EndNodes", "$Elements", str(len(elements))]
    text += [f"{i} {element}" for i, element in enumerate(elements, 1)]
    path = folder / f"{kind}.msh"
    on_root(COMM, lambda: path.write_text("\n".join([*text, "$EndElements", ""])) and None)
    return path
