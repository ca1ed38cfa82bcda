"""The same numbers in any unit of length, time and tracer, and from any origin."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from mpi4py import MPI

from advdiff import Problem, config
from advdiff.concerns import before
from advdiff.errors import on_root
from advdiff.inverse.chains.diagnostics import summary
from advdiff.inverse.laplace import approximate
from advdiff.observe import Readings, Sensors
from tests.bad_input import message

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
    problem = Problem(config.parse(open_flow(ONE, dim, *DISCRETISATIONS[which])))
    return sampled(ONE, problem), before.concerns(problem)


@pytest.mark.parametrize("units", OTHERS, ids=str)
@pytest.mark.parametrize("which", range(len(DISCRETISATIONS)))
@pytest.mark.parametrize("dim", [1, 2])
def test_states_and_warnings(dim, which, units):
    theta, warnings = reference(dim, which)
    problem = Problem(config.parse(open_flow(units, dim, *DISCRETISATIONS[which])))
    same(sampled(units, problem), theta)
    found = before.concerns(problem)
    assert [w.key for w in found] == [w.key for w in warnings]
    np.testing.assert_allclose([w.value for w in found], [w.value for w in warnings], rtol=SAME)


@pytest.mark.parametrize("units", OTHERS, ids=str)
@pytest.mark.parametrize("which", [0, 3, 5, 9])
def test_boxes(which, units):
    problem = Problem(config.parse(open_flow(units, 3, *DISCRETISATIONS[which])))
    same(sampled(units, problem), reference(3, which)[0])


@pytest.mark.parametrize("units", OTHERS, ids=str)
@pytest.mark.parametrize("which", [0, 3, 8])
def test_periodic_boxes(which, units):
    def run(units: Units) -> np.ndarray:
        kind, engine = DISCRETISATIONS[which]
        tables = closed_flow(units, kind, engine, domain={"periodic": ["x"]})
        tables["physics"]["velocity"] = [units.length / units.time, 0.0]
        tables["physics"]["initial"] = field(units, "sin(pi*X)*Y", units.amount)
        return sampled(units, Problem(config.parse(tables)))

    same(run(units), run(ONE))


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


@pytest.mark.parametrize("units", OTHERS, ids=str)
@pytest.mark.parametrize(
    ("cell", "which"), [("triangle", 0), ("triangle", 9), ("quadrilateral", 3)]
)
def test_meshes_of_gmsh(tmp_path, cell, which, units):
    pytest.importorskip("gmsh")

    def run(units: Units) -> np.ndarray:
        tables = open_flow(units, 2, *DISCRETISATIONS[which])
        tables["domain"] = {"shape": "gmsh", "file": str(mesh_file(tmp_path, units, cell))}
        return sampled(units, Problem(config.parse(tables)))

    same(run(units), run(ONE))


DIRECTIONS = {
    "wider": lambda u: {"diffusivity": field(u, "1 + X", u.length**2 / u.time)},
    "faster": lambda u: {"velocity": [u.length / u.time, 0.0]},
    "more": lambda u: {"initial": field(u, "X", u.amount)},
}


@pytest.mark.parametrize("units", OTHERS, ids=str)
@pytest.mark.parametrize(
    ("which", "method"),
    [(0, "recurrence"), (1, "augmented"), (1, "quadrature"), (3, "recurrence"), (8, "recurrence")],
)
def test_sensitivities(which, method, units):
    def run(units: Units) -> np.ndarray:
        kind, engine = DISCRETISATIONS[which]
        table = {"method": method, "tolerance": 1e-10}
        table["directions"] = {name: make(units) for name, make in DIRECTIONS.items()}
        tables = open_flow(units, 2, kind, engine, task="sensitivity", sensitivity=table)
        problem = Problem(config.parse(tables))
        sensors = Sensors(problem.operator, placed(units, points(2)))
        return np.array(
            [
                [sensors.sample(y, boundary=False) for y in problem.sensitivity(name).tangents]
                for name in DIRECTIONS
            ]
        )

    same(run(units) / units.amount, run(ONE))


def test_the_augmented_action_of_little_tracer_is_as_exact():
    """Restarts of 12 vectors, which stop where the tolerance says so."""

    def run(units: Units) -> np.ndarray:
        table = {"method": "augmented", "tolerance": 1e-6}
        table["directions"] = {"wider": DIRECTIONS["wider"](units)}
        tables = open_flow(units, 2, {"degree": 1}, "krylov", task="sensitivity", sensitivity=table)
        tables["domain"]["cells"] = [24, 12]
        tables["solver"] |= {"tolerance": 1e-6, "dimension": 12}
        found = Problem(config.parse(tables)).sensitivity("wider")
        return np.array([found.tangents[-1].norm(), found.solution.states[-1].norm()])

    same(run(Units(amount=1e-12)) / 1e-12, run(ONE))


@pytest.mark.parametrize("units", OTHERS, ids=str)
@pytest.mark.parametrize("method", ["first-order", "asymptotic"])
@pytest.mark.parametrize("which", [0, 3])
def test_certificates(which, method, units):
    def run(units: Units) -> np.ndarray:
        kind, engine = DISCRETISATIONS[which]
        rate = units.length**2 / units.time
        directions = {
            "wider": {"diffusivity": rate},
            "faster": {"velocity": {"stream": field(units, "sin(pi*X)*sin(pi*Y)", rate)}},
        }
        table = {"method": method, "directions": directions}
        tables = closed_flow(units, kind, engine, task="sensitivity", sensitivity=table)
        problem = Problem(config.parse(tables))
        found = [problem.sensitivity(name).bounds for name in directions]
        return np.array([[bound.value for bound in bounds] for bounds in found])

    area = units.amount * units.length  # norms in L² of two dimensions
    same(run(units) / area, run(ONE), 1e-7)  # the gap is an eigenvalue to 1e-9


UNKNOWNS = {
    "modes": {"velocity": {"modes": [2, 2]}, "diffusivity": True},
    "stream": {"velocity": {"family": "stream"}},
    "field": {"diffusivity": "field"},
    "initial": {"initial": True},
}


def inversion(units: Units, which: int, unknowns: dict) -> Problem:
    length, time, amount, _ = units
    kind, engine = DISCRETISATIONS[which]
    stream = unknowns.get("velocity", {}).get("family") == "stream"
    prior = {
        "velocity": {"std": length**2 / time if stream else length / time},
        "initial": {"std": amount},
    }
    tables = closed_flow(units, kind, engine, task="invert", unknowns=unknowns, prior=prior)
    tables["observations"] = {"file": "none.csv"}
    problem = Problem(config.parse(tables))
    where, times = placed(units, points(2)), np.array([0.0, 0.2, 0.4]) * time
    count = len(where)
    values = amount * np.random.default_rng(3).uniform(size=3 * count)
    problem.readings = Readings.from_rows(
        np.tile(where, (3, 1)), np.repeat(times, count), values, np.full(3 * count, 0.05 * amount)
    )
    return problem


@pytest.mark.parametrize("units", OTHERS[::2], ids=str)
@pytest.mark.parametrize(
    ("which", "unknowns"),
    [(0, "modes"), (3, "modes"), (8, "modes"), (0, "stream"), (0, "field"), (0, "initial")],
)
def test_misfits_gradients_and_spread(which, unknowns, units):
    def run(units: Units) -> tuple[float, np.ndarray, np.ndarray]:
        problem = inversion(units, which, UNKNOWNS[unknowns])
        m = problem.prior.draw(1, 0)
        at = problem.objective.evaluate(m)
        white = problem.prior.color_transpose(at.gradient)
        pairs = approximate(problem.objective, m, threshold=0.5, most=5, seed=0).pairs
        norms = [white.norm(), white.min()[1], white.max()[1]]
        return at.objective, np.array(norms), pairs.values

    found, expected = run(units), run(ONE)
    for ours, theirs, tolerance in zip(found, expected, (SAME, SAME, 1e-6), strict=True):
        same(ours, theirs, tolerance)


# -- origins --------------------------------------------------------------------------------------

FAR = Units(length=100.0, origin=5e4)
"""A domain of 100 m in coordinates such as UTM's: places are known to 1e-9 m, cells to 1e-10."""


@pytest.mark.parametrize("which", [0, 3, 8])
def test_far_origins(which):
    theta = reference(2, which)[0]
    problem = Problem(config.parse(open_flow(FAR, 2, *DISCRETISATIONS[which])))
    same(sampled(FAR, problem), theta)


@pytest.mark.parametrize("origin", [0.0, 5e4, -5e6 / 3])
def test_points_on_sides_of_cells_and_walls_are_found_in_large_coordinates(origin):
    units, cells = Units(length=100.0, origin=origin), np.array([60, 35])
    tables = open_flow(units, 2, *DISCRETISATIONS[0], domain={"cells": cells.tolist()})
    problem = Problem(config.parse(tables))
    rng = np.random.default_rng(0)
    first = rng.integers(0, cells, size=(3000, 2))
    way = np.array([[1, 0], [0, 1], [1, 1]])[np.arange(3000) % 3]
    first[1::3, 0] = np.resize([0, 13, 60], 1000)  # on the walls too
    first[::3, 1] = np.resize([0, 7, 35], 1000)
    ends = [placed(units, (first + k * way) / cells * UPPER[:2]) for k in (0, 1)]
    share = rng.uniform(size=(3000, 1))
    where = (1 - share) * ends[0] + share * ends[1]
    where = np.nextafter(where, rng.choice([-np.inf, np.inf], size=where.shape))
    state = problem.operator.state(lambda x: 3 * x[0] - x[1], "plane")
    values = Sensors(problem.operator, where).sample(state)
    size = np.abs(where).max()
    np.testing.assert_allclose(values, 3 * where[:, 0] - where[:, 1], rtol=0, atol=1e-13 * size)


@pytest.mark.parametrize("width", [1e-30, 40e-9, 1e-6, 1e6, 1e30])
@pytest.mark.parametrize("cell", ["triangle", "quadrilateral"])
def test_sensors_are_in_their_own_cells_at_any_width(width, cell):
    units = Units(length=width)
    tables = open_flow(units, 2, {"method": "dg", "degree": 1}, "faber")
    tables["domain"] |= {"cell": cell, "cells": [20, 10]}
    operator = Problem(config.parse(tables)).operator
    at = np.random.default_rng(0).uniform(0, UPPER[:2], (200, 2))
    state = operator.state(lambda x: (x[0] - 2 * x[1]) / width, "plane")
    found = Sensors(operator, placed(units, at)).sample(state)
    np.testing.assert_allclose(found, at @ [1, -2], atol=1e-12)


@pytest.mark.parametrize("units", [Units(length=40e-9), Units(1e6, 1e-6, 1e6)], ids=str)
def test_inversions_end_in_the_same_place(units):
    def run(units: Units) -> np.ndarray:
        problem = inversion(units, 0, {"diffusivity": True})
        return np.exp(problem.unknowns.to_numpy(problem.invert().m)) * units.time / units.length**2

    same(run(units), run(ONE))


def test_sizes_of_samples_of_small_numbers():
    draws = np.random.default_rng(0).normal(size=(4, 200)).cumsum(axis=1)
    for name, value in summary(1e-12 * draws).items():
        scale = 1e-12 if name == "mcse_mean" else 1.0
        np.testing.assert_allclose(value, scale * summary(draws)[name], rtol=SAME)


# -- sensors at a round wall ----------------------------------------------------------------------


def round_domain(folder, corners: int, units: Units) -> Problem:
    """A polygon of triangles around the origin, of radius 1."""
    pytest.importorskip("gmsh")
    angle = 2 * np.pi * np.arange(corners) / corners
    at = units.length * np.vstack([[0.0, 0.0], np.stack([np.cos(angle), np.sin(angle)], axis=1)])
    lines = ["$MeshFormat", "2.2 0 8", "$EndMeshFormat", "$PhysicalNames", "1", '2 9 "water"']
    lines += ["$EndPhysicalNames", "$Nodes", str(len(at))]
    lines += [f"{i} {x!r} {y!r} 0" for i, (x, y) in enumerate(at.tolist(), 1)]
    lines += ["$EndNodes", "$Elements", str(corners)]
    lines += [f"{i + 1} 2 2 9 9 1 {i + 2} {(i + 1) % corners + 2}" for i in range(corners)]
    path = folder / "round.msh"
    on_root(COMM, lambda: path.write_text("\n".join([*lines, "$EndElements", ""])) and None)
    tables = open_flow(units, 2, {"degree": 1}, "faber")
    tables["domain"] = {"shape": "gmsh", "file": str(path)}
    tables["physics"] = {"diffusivity": units.length**2 / units.time}
    return Problem(config.parse(tables))


@pytest.mark.parametrize("units", [ONE, Units(length=1e-6), Units(length=1e6)], ids=str)
def test_a_sensor_outside_a_polygon_is_read_at_its_wall(tmp_path, units):
    operator = round_domain(tmp_path, 24, units).operator
    middle = np.pi / 24  # of a side, whose distance from the origin is cos(middle)
    gap = 1 - np.cos(middle)
    way = np.array([[np.cos(middle), np.sin(middle)]])
    state = operator.state(lambda x: x[0] / units.length, "x")
    sensors = Sensors(operator, units.length * way, snap_distance=1.01 * gap * units.length)
    same(sensors.sample(state), np.cos(middle) * way[:, 0])
    for distance in (0.0, 0.99 * gap * units.length):
        text = message(Sensors, operator, units.length * way, [7], distance)
        assert "row 7" in text
        assert "observations.snap_distance" in text
        assert f"{gap * units.length:.2g} outside" in text
