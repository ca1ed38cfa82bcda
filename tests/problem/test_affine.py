"""K and F as sums of arrays, beside those that are assembled."""

import numpy as np
import pytest

import advdiff
from advdiff.config.load import parse
from advdiff.equation import affine as module
from advdiff.equation.affine import affine
from advdiff.problem.readings import Readings

TABLES = {
    "task": "solve",
    "domain": {"shape": "rectangle", "cells": [8, 6]},
    "time": {"final": 0.3},
    "physics": {
        "diffusivity": 0.05,
        "initial": "exp(-10*((x-0.3)**2+(y-0.4)**2))",
        "velocity": {"stream": "0*x"},
    },
    "solver": {"method": "faber"},
    "unknowns": {"diffusivity": True, "velocity": {"family": "sine", "modes": [2, 2]}},
}
WALLS = {"dirichlet": {"left": 1.0}, "velocity": {"stream": "0.3*sin(pi*x)*sin(pi*y)"}}


def problem(physics=None, **changes):
    tables = TABLES | changes
    tables = tables | {"physics": TABLES["physics"] | (physics or {})}
    found = advdiff.Problem(parse(tables))
    points, times = [[0.31, 0.42], [0.7, 0.61]], [0.1, 0.3]
    found.readings = Readings.from_rows(points, times, np.full(2, 0.4), np.full(2, 0.1))
    return found


@pytest.mark.parametrize("physics", [{}, WALLS], ids=["closed", "held, with a flow of its own"])
def test_values_and_gradients_are_those_of_the_assembled_operator(monkeypatch, physics):
    summed = problem(physics)
    assert summed.model.affine is not None
    monkeypatch.setattr(module, "MOST", 0)
    assembled = problem(physics)
    assert assembled.model.affine is None
    for seed in range(3):
        m = np.random.default_rng(seed).normal(0.0, 0.5, summed.unknowns.size)
        m[0] -= 3.0
        found, expected = (_seen(case, m) for case in (summed, assembled))
        assert np.allclose(found[0], expected[0], rtol=1e-10)
        assert np.allclose(found[1], expected[1], rtol=1e-9, atol=1e-10 * abs(expected[1]).max())


def _seen(case, m):
    """Predictions, and the gradient of a weighted sum of them."""
    at = case.model.linearise(case.unknowns.from_numpy(m))
    return at.predicted, case.unknowns.to_numpy(at.pull(np.array([1.0, -0.4])))


def test_the_controls_and_k_are_left_as_they_were():
    found = problem()
    operator, unknowns = found.operator, found.unknowns
    before = operator.generator.stiffness.copy()
    flow = [control.x.array.copy() for control in operator.controls.values()]
    assert affine(operator, unknowns) is not None
    size = before.norm()
    before.axpy(-1.0, operator.generator.stiffness)
    assert before.norm() <= 1e-15 * size  # ranks add in the order in which messages come
    for control, kept in zip(operator.controls.values(), flow, strict=True):
        assert np.array_equal(control.x.array, kept)


@pytest.mark.parametrize(
    "changes",
    [
        {"discretization": {"method": "dg", "degree": 1}},
        {"unknowns": {"diffusivity": "field"}},
        {"unknowns": {"initial": True}},
    ],
    ids=["upwind", "a field", "initial state"],
)
def test_what_is_not_affine_in_a_few_numbers_is_assembled(changes):
    tables = dict(changes)
    if "discretization" in tables:
        tables["unknowns"] = TABLES["unknowns"]
    assert problem(**tables).model.affine is None
