"""Output times over one to six decades, 3 to 50 unknowns: states, derivatives and what they claim.

The references are exponentials of the stored matrices, of A and of [[A, dA], [0, A]].
"""

from functools import cache

import numpy as np
import pytest
from scipy.linalg import expm

from advdiff.algebra.pattern import PatternCotangent
from advdiff.semigroup.engine import Change
from tests import dense, flows
from tests.semigroup.rational.problems import engine, without_bound

FINAL = 20.0
TOLERANCE = 1e-6
SLOPES = 20.0  # tolerances: for a rough start and load, and dK = 10 K: twice the tolerance

pytestmark = pytest.mark.serial
MESHES = pytest.mark.parametrize(
    ("cells", "degree"), [(1, 2), (3, 2), (5, 2), (10, 2), (24, 2), (1, 3), (2, 3), (5, 3), (16, 3)]
)
BOUNDS = pytest.mark.parametrize("known", [True, False], ids=["designed", "learned"])


@cache
def problem(cells, degree):
    return flows.problem(
        degree=degree,
        domain={"shape": "interval", "cells": [cells]},
        physics={"velocity": None, "diffusivity": 0.1, "initial": "cos(pi*x)"},
    )


class Case:
    """A rough start and a load, dK = K/κ, and what comes of them."""

    def __init__(self, cells, degree, known, decades):
        original = problem(cells, degree).operator.generator
        self.generator = original if known else without_bound(original)
        self.times = tuple(np.geomspace(FINAL * 10.0**-decades, FINAL, 7))
        vector = self.generator.vector()
        self.initial = dense.random(vector, 1)
        self.load = dense.random(vector, 2)
        self.load.shift(-self.load.sum() / self.load.getSize())
        self.load.scale(0.1 * self.generator.mass.norm(self.initial) / self.load.norm())
        self.direction = self.generator.stiffness.copy()
        self.direction.scale(10.0)
        self.mass = dense.matrix(self.generator.mass.matrix)
        self.stiffness = dense.matrix(self.generator.stiffness)

    def expected(self, scale=1.0):
        """States, and derivatives along K, of scale·K."""
        n = self.generator.size
        rates = scale * np.linalg.solve(self.mass, self.stiffness)
        source = np.linalg.solve(self.mass, dense.vector(self.load))
        block = np.zeros((2 * n + 1, 2 * n + 1))
        block[:n, :n] = block[n : 2 * n, n : 2 * n] = rates
        block[:n, n : 2 * n] = 10.0 * rates / scale
        block[n : 2 * n, -1] = source
        start = np.concatenate([np.zeros(n), dense.vector(self.initial), [1.0]])
        found = [expm(t * block) @ start for t in self.times]
        return [x[n : 2 * n] for x in found], [x[:n] for x in found]

    def norm(self, values):
        return float(np.sqrt(values @ self.mass @ values))

    def off(self, found, expected):
        return max(self.norm(dense.vector(x) - y) for x, y in zip(found, expected, strict=True))


@MESHES
@BOUNDS
@pytest.mark.parametrize("decades", [1, 2, 4, 6])
def test_states_and_derivatives(cells, degree, known, decades):
    case = Case(cells, degree, known, decades)
    states, slopes = case.expected()
    size = max(map(case.norm, [dense.vector(case.initial), *states]))
    ours = engine(case.generator, TOLERANCE)
    values = ours.forward(case.initial, case.times, case.load)
    assert case.off(values.states, states) <= TOLERANCE * size
    change = Change(stiffness=case.direction)
    solution, derivatives = ours.push(case.initial, case.times, change, case.load)
    claimed = solution.report.get("error_bound", 10 * TOLERANCE)
    assert case.off(solution.states, states) <= claimed * size
    off, largest = case.off(derivatives, slopes), max(map(case.norm, slopes))
    assert off <= solution.report["tangent_error"] * largest
    assert off <= SLOPES * TOLERANCE * max(largest, size)
    ours.destroy()


@MESHES
@BOUNDS
@pytest.mark.parametrize("decades", [1, 4, 6])
def test_gradients_and_transposes(cells, degree, known, decades):
    case = Case(cells, degree, known, decades)
    residuals = [dense.random(case.initial, 7 + k) for k in range(len(case.times))]
    weights = [dense.vector(r) for r in residuals]
    ours = engine(case.generator, TOLERANCE)
    solution = ours.forward(case.initial, case.times, case.load, record=True)
    cotangent = PatternCotangent(case.generator.stiffness)
    back = ours.pull(solution, residuals, cotangent)
    step = 1e-5

    def value(scale):
        return sum(w @ y for w, y in zip(weights, case.expected(scale)[0], strict=True))

    slope = (value(1.0 + step) - value(1.0 - step)) / (2.0 * step)
    found = float(np.sum(dense.matrix(cotangent.matrix()) * case.stiffness))
    states, slopes = case.expected()
    dual = sum(np.sqrt(w @ np.linalg.solve(case.mass, w)) for w in weights)
    largest = dual * max(map(case.norm, [*states, *slopes]))
    assert abs(found - slope) <= SLOPES * TOLERANCE * largest
    rates = np.linalg.solve(case.mass, case.stiffness)
    exact = sum(expm(t * rates).T @ w for t, w in zip(case.times, weights, strict=True))
    for result in (back.initial, ours.transpose(residuals, case.times)):
        error = dense.vector(result) - exact
        assert np.sqrt(error @ np.linalg.solve(case.mass, error)) <= 10 * TOLERANCE * dual
    solution.tape.destroy()
    ours.destroy()
