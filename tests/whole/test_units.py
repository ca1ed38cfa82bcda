"""The same numbers in any unit of length, time and tracer."""

from __future__ import annotations

import numpy as np
import pytest

from advdiff import Problem
from advdiff.chains.diagnostics import summary
from advdiff.concerns import before
from advdiff.config.load import parse
from advdiff.inverse.laplace import approximate
from advdiff.problem.readings import Readings
from advdiff.problem.sensors import Sensors
from tests.units import (
    DISCRETISATIONS,
    ONE,
    OTHERS,
    SAME,
    Units,
    closed_flow,
    field,
    mesh_file,
    open_flow,
    placed,
    points,
    reference,
    same,
    sampled,
)


@pytest.mark.parametrize("units", OTHERS, ids=str)
@pytest.mark.parametrize("which", range(len(DISCRETISATIONS)))
@pytest.mark.parametrize("dim", [1, 2])
def test_states_and_warnings(dim, which, units):
    theta, warnings = reference(dim, which)
    problem = Problem(parse(open_flow(units, dim, *DISCRETISATIONS[which])))
    same(sampled(units, problem), theta)
    found = before.concerns(problem)
    assert [w.key for w in found] == [w.key for w in warnings]
    np.testing.assert_allclose([w.value for w in found], [w.value for w in warnings], rtol=SAME)


@pytest.mark.parametrize("units", OTHERS, ids=str)
@pytest.mark.parametrize("which", [0, 3, 5, 9])
def test_boxes(which, units):
    problem = Problem(parse(open_flow(units, 3, *DISCRETISATIONS[which])))
    same(sampled(units, problem), reference(3, which)[0])


@pytest.mark.parametrize("units", OTHERS, ids=str)
@pytest.mark.parametrize("which", [0, 3, 8])
def test_periodic_boxes(which, units):
    def run(units: Units) -> np.ndarray:
        kind, engine = DISCRETISATIONS[which]
        tables = closed_flow(units, kind, engine, domain={"periodic": ["x"]})
        tables["physics"]["velocity"] = [units.length / units.time, 0.0]
        tables["physics"]["initial"] = field(units, "sin(pi*X)*Y", units.amount)
        return sampled(units, Problem(parse(tables)))

    same(run(units), run(ONE))


@pytest.mark.parametrize("units", OTHERS, ids=str)
@pytest.mark.parametrize(
    ("cell", "which"), [("triangle", 0), ("triangle", 9), ("quadrilateral", 3)]
)
def test_meshes_of_gmsh(tmp_path, cell, which, units):
    pytest.importorskip("gmsh")

    def run(units: Units) -> np.ndarray:
        tables = open_flow(units, 2, *DISCRETISATIONS[which])
        tables["domain"] = {"shape": "gmsh", "file": str(mesh_file(tmp_path, units, cell))}
        return sampled(units, Problem(parse(tables)))

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
        problem = Problem(parse(tables))
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
        found = Problem(parse(tables)).sensitivity("wider")
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
        problem = Problem(parse(tables))
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
    problem = Problem(parse(tables))
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


@pytest.mark.parametrize("units", [Units(length=40e-9), Units(1e6, 1e-6, 1e6)], ids=str)
def test_inversions_end_in_the_same_place(units):
    def run(units: Units) -> np.ndarray:
        problem = inversion(units, 0, {"diffusivity": True})
        return np.exp(problem.unknowns.to_numpy(problem.invert().m)) * units.time / units.length**2

    same(run(units), run(ONE))


def test_sizes_of_samples_of_small_numbers():
    draws = np.random.default_rng(0).normal(size=(4, 200)).cumsum(axis=1)
    for name, value in summary(1e-20 * draws).items():
        scale = 1e-20 if name == "mcse_mean" else 1.0
        np.testing.assert_allclose(value, scale * summary(draws)[name], rtol=SAME)


def test_a_domain_in_utm():
    """100 m at (5e5, 5e6), expressions from its corner: the digits that it has at the origin."""

    def run(*corner: float) -> np.ndarray:
        tables = {
            "task": "solve",
            "domain": {"shape": "rectangle", "cells": [15, 13], "lower": list(corner)},
            "physics": {
                "diffusivity": "1 + 0.01*x",
                "velocity": ["1", "0"],
                "initial": "exp(-((x-50)**2 + (y-40)**2)/200)",
                "inflow": {"left": "0.01*y"},
            },
            "time": {"final": 10.0},
            "solver": {"method": "faber", "tolerance": 1e-11},
        }
        tables["domain"] |= {"upper": [c + 100.0 for c in corner], "open": ["right"]}
        tables["domain"] |= {"origin": list(corner)} if any(corner) else {}
        problem = Problem(parse(tables))
        sensors = Sensors(problem.operator, np.add(corner, [[0, 0], [57.3, 41.9], [100, 100]]))
        return sensors.sample(problem.semigroup().trajectory([10.0])[-1])

    same(run(5e5, 5e6), run(0.0, 0.0))
