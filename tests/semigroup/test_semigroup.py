"""S(t) is a semigroup of contractions in L², and S*(t) its adjoint there."""

import numpy as np
import pytest

from advdiff.core.errors import InputError
from tests import dense, flows
from tests.config.bad_input import message


@pytest.mark.parametrize("degree", [1, 2])
def test_semigroup_property_and_contraction(degree):
    problem = flows.problem(6, degree)
    semigroup, mass = problem.semigroup(), problem.operator.mass
    theta = dense.random(problem.initial, 1)
    half = semigroup.apply(0.15, theta)
    whole, twice = semigroup.apply(0.3, theta), semigroup.apply(0.15, half)
    assert mass.norm(theta) > mass.norm(half) > mass.norm(whole)
    twice.axpy(-1.0, whole)
    assert mass.norm(twice) < 1e-8 * mass.norm(theta)


@pytest.mark.parametrize("degree", [1, 2])
def test_adjoint_in_l2(degree):
    problem = flows.problem(6, degree)
    semigroup, mass = problem.semigroup(), problem.operator.mass
    theta, lam = (dense.random(problem.initial, seed) for seed in (1, 2))

    def inner(a, b):
        work = a.duplicate()
        mass.mult(a, work)
        return work.dot(b)

    left = inner(semigroup.apply(0.3, theta), lam)
    right = inner(theta, semigroup.adjoint(0.3, lam))
    assert left == pytest.approx(right, rel=1e-8)
    assert inner(semigroup.apply(0.3, lam), theta) != pytest.approx(left, rel=1e-3)


def test_total_mass_is_kept():
    problem = flows.problem(10)
    mass = problem.operator.mass
    before = mass.diagonal.dot(problem.initial)
    for state in problem.semigroup().trajectory([0.5, 1.0]):
        assert mass.diagonal.dot(state) == pytest.approx(before, rel=1e-9)


def test_trajectory_of_a_source_is_linear_growth():
    """u = 0, a constant source, nothing else: θ = t f."""
    physics = {"velocity": None, "initial": 0.0, "source": 2.0}
    problem = flows.problem(4, physics=physics)
    for time, state in zip((0.2, 0.7), problem.semigroup().trajectory([0.2, 0.7]), strict=True):
        assert np.allclose(state.array, 2.0 * time, atol=1e-9)


@pytest.mark.parametrize("method", ["auto", "faber", "shift-invert", "krylov"])
@pytest.mark.parametrize(
    "times", [[-1], [0.0], [float("nan")], [float("inf")], [], ["a"], 0.5, [0.2, 0.1], [0.1, 0.1]]
)
def test_what_are_no_times_is_refused(method, times):
    semigroup = flows.problem(4, solver={"method": method}).semigroup()
    assert message(semigroup.trajectory, times).startswith("times must be")


def test_what_is_no_time_is_refused_by_the_adjoint_and_the_sensitivity():
    problem = flows.problem(4, sensitivity={"directions": {"a": {"initial": "x"}}})
    semigroup, state = problem.semigroup(), problem.initial
    for call in (semigroup.apply, semigroup.adjoint):
        with pytest.raises(InputError):
            call(float("nan"), state)
    for method in ("recurrence", "augmented", "quadrature"):
        with pytest.raises(InputError):
            problem.sensitivity("a", [-1.0], method=method)
