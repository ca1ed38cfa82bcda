"""Gradients of both models: Taylor remainders, finite differences, push against pull."""

from __future__ import annotations

import numpy as np
import pytest

from advdiff.inverse.map import minimise
from advdiff.inverse.objective import Objective
from advdiff.models.rate_matrix import SURROGATES
from tests.differences import central
from tests.models import problems

PROBLEMS = {
    "rates": problems.rate_matrix,
    "rates, term by term": lambda: problems.rate_matrix(gradient="per-term"),
    "ring": problems.quantum,
    "walls": lambda: problems.quantum(periodic=False),
    "density": lambda: problems.quantum(quantities=("density",)),
}
STEPS = 10.0 ** -np.arange(1, 6)


def somewhere(prior, seed=0):
    """A point and a direction of the prior's size."""
    rng, unknowns = np.random.default_rng(seed), prior.unknowns
    xi = [unknowns.from_numpy(rng.standard_normal(unknowns.size)) for _ in range(2)]
    m, dm = prior.color(xi[0]), prior.color(xi[1])
    dm.axpy(-1.0, prior.mean)
    return m, dm


@pytest.mark.parametrize("name", PROBLEMS)
def test_taylor_remainder_is_of_second_order(name):
    potential, prior = PROBLEMS[name]()
    m, dm = somewhere(prior)
    value, gradient, _ = potential.linearise(m)
    assert value == pytest.approx(potential.value(m), rel=1e-13)
    slope, remainders = gradient.dot(dm), []
    for h in STEPS:
        moved = m.copy()
        moved.axpy(h, dm)
        remainders.append(abs(potential.value(moved) - value - h * slope))
    orders = np.diff(np.log10(remainders)) / -1.0
    assert (np.abs(orders[:3] - 2.0) < 0.2).all(), remainders


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_entry_against_central_differences(name):
    potential, prior = PROBLEMS[name]()
    unknowns = prior.unknowns
    m, _ = somewhere(prior, 3)
    _, gradient, _ = potential.linearise(m)
    gradient, at, h = unknowns.to_numpy(gradient), unknowns.to_numpy(m), 1e-5
    for i in range(unknowns.size):
        e = h * np.eye(unknowns.size)[i]
        up, down = (potential.value(unknowns.from_numpy(at + s * e)) for s in (1, -1))
        assert (up - down) / (2 * h) == pytest.approx(gradient[i], rel=2e-6, abs=2e-6)


@pytest.mark.parametrize("name", PROBLEMS)
def test_push_is_the_derivative_and_pull_its_transpose(name):
    potential, prior = PROBLEMS[name]()
    m, dm = somewhere(prior, 4)
    at = potential.model.linearise(m)
    pushed = at.push(dm)
    np.testing.assert_allclose(central(potential.model.observe, m, dm, 1e-6), pushed, atol=1e-7)
    weights = np.random.default_rng(5).standard_normal(len(pushed))
    assert at.pull(weights).dot(dm) == pytest.approx(weights @ pushed, rel=1e-10)


def test_one_term_at_a_time_gives_the_aggregated_gradient():
    gradients = []
    for gradient in ("exact", "per-term"):
        potential, prior = problems.rate_matrix(d=7, gradient=gradient)
        m, _ = somewhere(prior)
        gradients.append(prior.unknowns.to_numpy(potential.linearise(m)[1]))
    np.testing.assert_allclose(*gradients, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("gradient", SURROGATES)
def test_surrogates_are_no_gradients(gradient):
    exact, prior = problems.rate_matrix()
    surrogate, _ = problems.rate_matrix(gradient=gradient)
    m, _ = somewhere(prior)
    right, wrong = exact.linearise(m)[1], surrogate.linearise(m)[1]
    assert surrogate.value(m) == exact.value(m)
    wrong.axpy(-1.0, right)
    assert 1e-3 < wrong.norm() / right.norm() < 10.0


def test_an_ill_conditioned_rate_matrix_takes_the_other_way():
    """Nearly a Jordan block: no eigenbasis serves, and the gradient is right all the same."""
    potential, prior = problems.rate_matrix(d=4)
    model, unknowns = potential.model, prior.unknowns
    x = np.full((4, 4), -18.0)
    x[[0, 1, 2], [1, 2, 3]] = 0.0
    m = unknowns.from_numpy(x[model.off])
    at = model.linearise(m)
    assert at.basis is None
    _, dm = somewhere(prior)
    weights = np.arange(1.0, len(at.predicted) + 1)
    pushed, h = at.push(dm), 1e-6
    assert at.pull(weights).dot(dm) == pytest.approx(weights @ pushed, rel=1e-9)
    moved = m.copy()
    moved.axpy(h, dm)
    np.testing.assert_allclose((model.observe(moved) - at.predicted) / h, pushed, atol=1e-5)


def test_unitary_to_rounding():
    potential, prior = problems.quantum()
    m, _ = somewhere(prior)
    norms = np.linalg.norm(potential.model.linearise(m).states, axis=1)
    assert np.abs(norms - 1.0).max() < 1e-12


def test_the_optimiser_serves_a_likelihood_that_is_not_gaussian():
    potential, prior = problems.rate_matrix(d=3, count=200)
    objective = Objective(potential, prior)
    estimate = minimise(objective, prior.mean, gradient_tolerance=1e-8)
    assert estimate.converged
    gradient = objective.evaluate(estimate.m).gradient
    assert gradient.norm() < 1e-5
    assert objective.evaluate(estimate.m).objective < objective.evaluate(prior.mean).objective
