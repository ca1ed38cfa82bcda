"""Closed boxes: found from their matrices, and kept in states, dual vectors and derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from advdiff.algebra.constants import constants
from advdiff.algebra.pattern import PatternCotangent
from advdiff.equation.cotangent import OperatorCotangent
from advdiff.semigroup.engine import Change
from advdiff.semigroup.semigroup import SolverOptions, make_engine
from tests import dense, flows
from tests.semigroup.reference import Reference

LONG_AGO = (0.5e9, 1e9)
KINDS = [
    {"degree": 1},
    {"degree": 2},
    {"degree": 3, "method": "spectral"},
    {"degree": 1, "method": "dg"},
]


def box(kind: dict = KINDS[0], n: int = 4, **physics):
    physics = {"source": "1 + x*y"} | physics
    return flows.problem(n, kind["degree"], discretization=kind, physics=physics)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(
    ("closed", "physics"),
    [
        (True, {}),
        (True, {"diffusivity": "1e-3 + 1e3*x*x"}),
        (False, {"dirichlet": {"left": 0.0}}),
        (False, {"robin": {"left": {"coefficient": 1e-9, "exterior": 0.0}}}),
        (False, {"velocity": ["0.1*x", "0"]}),
    ],
)
def test_a_closed_box_is_seen_from_its_matrices(kind, closed, physics):
    assert (constants(box(kind, **physics).operator.generator) is not None) == closed


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_means_of_states_and_totals_of_dual_vectors(kind):
    problem = box(kind)
    operator, initial = problem.operator, problem.initial
    generator = operator.generator
    kept = constants(generator)
    engine = make_engine(generator, SolverOptions("shift-invert"))
    solution = engine.forward(initial, LONG_AGO, operator.load)
    rate = kept.total(operator.load) / kept.volume
    for time, state in zip(LONG_AGO, solution.states, strict=True):
        assert kept.mean(state) == pytest.approx(kept.mean(initial) + rate * time, rel=1e-14)
    residuals = [dense.random(initial, seed) for seed in (1, 2)]
    total = engine.transpose(residuals, LONG_AGO)
    size = sum(np.abs(dense.vector(r)).sum() for r in residuals)
    assert abs(kept.total(total) - sum(map(kept.total, residuals))) <= 1e-14 * size


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_gradients_are_those_of_the_states(kind):
    """Pull against push along dκ, dθ0 and dF; push against differences in extended precision."""
    problem = box(kind)
    operator, initial = problem.operator, problem.initial
    generator, step = operator.generator, 1e-4
    engine = make_engine(generator, SolverOptions("shift-invert", 1e-10))
    kappa = operator.diffusivity
    residuals = [dense.random(initial, seed) for seed in (1, 2)]
    d_initial, d_load = dense.random(initial, 3), operator.load.copy()
    direction = kappa.copy()
    change = operator.push({"diffusivity": direction})
    change = Change(d_initial, change.stiffness, d_load)
    times = (1.0, 4.0)
    _, tangents = engine.push(initial, times, change, operator.load)
    solution = engine.forward(initial, times, operator.load, record=True)
    cotangent = OperatorCotangent(operator, ["diffusivity"])
    pullback = engine.pull(solution, residuals, cotangent)
    found = sum(r.dot(t) for r, t in zip(residuals, tangents, strict=True))
    parts = [
        cotangent.pull(None)["diffusivity"].dot(direction.x.petsc_vec),
        pullback.initial.dot(d_initial),
        pullback.load.dot(d_load),
    ]
    assert found == pytest.approx(sum(parts), rel=1e-9)
    states = []
    for sign in (1.0, -1.0):
        generator.stiffness.axpy(sign * step, change.stiffness)
        start = dense.vector(initial) + sign * step * dense.vector(d_initial)
        load = dense.vector(operator.load) + sign * step * dense.vector(d_load)
        states.append(Reference(generator, True).states(start, times, load))
        generator.stiffness.axpy(-sign * step, change.stiffness)
    difference = ((states[0] - states[1]) / (2.0 * step)).astype(float)
    for tangent, row in zip(tangents, difference, strict=True):
        np.testing.assert_allclose(dense.vector(tangent), row, atol=1e-6 * abs(row).max())


@pytest.mark.parametrize("method", ["faber", "shift-invert"])
def test_a_direction_that_opens_the_box_keeps_its_mean(method):
    """dK on the pattern of K, any numbers: pull is the transpose of push, and the tangents are the
    exact ones, mean and all."""
    problem = box()
    operator, initial = problem.operator, problem.initial
    generator = operator.generator
    engine = make_engine(generator, SolverOptions(method, 1e-11))
    stiffness = generator.stiffness.copy()
    start, columns, values = stiffness.getValuesCSR()
    stiffness.setValuesCSR(start, columns, 0.01 * np.sin(1.0 + np.arange(values.size)))
    stiffness.assemble()
    times, step = (1.0, 4.0), 1e-4
    residuals = [dense.random(initial, seed) for seed in (1, 2)]
    _, tangents = engine.push(initial, times, Change(stiffness=stiffness), operator.load)
    solution = engine.forward(initial, times, operator.load, record=True)
    cotangent = PatternCotangent(generator.stiffness)
    engine.pull(solution, residuals, cotangent)
    found = sum(r.dot(t) for r, t in zip(residuals, tangents, strict=True))
    assert found == pytest.approx(cotangent.inner(stiffness), rel=1e-9)
    states = []
    for sign in (1.0, -1.0):
        opened = generator.stiffness.copy()
        opened.axpy(sign * step, stiffness)
        made = type(generator)(opened, generator.mass)
        given = dense.vector(initial), times, dense.vector(operator.load)
        states.append(Reference(made, False).states(*given))
    difference = ((states[0] - states[1]) / (2.0 * step)).astype(float)
    for tangent, row in zip(tangents, difference, strict=True):
        np.testing.assert_allclose(dense.vector(tangent), row, atol=1e-5 * abs(row).max())
