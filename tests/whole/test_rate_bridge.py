"""Degree 0 on rectangular cells is a Markov chain: the PDE's engines against ``advdiff.matexp``."""

from functools import cache

import numpy as np
import pytest
from scipy.linalg import expm

from advdiff import matexp
from advdiff.matexp.group import group_inverse, kernel_projector, stationary_distribution
from advdiff.matexp.rates.rates import is_reversible, membership
from advdiff.sensitivity.constants import Kernel
from advdiff.sensitivity.rho import sensitivity
from tests import dense, flows

DOMAINS = {
    "closed": {"cells": [5, 4], "cell": "quadrilateral", "upper": [1.0, 0.7]},
    "torus": {"cells": [5, 4], "cell": "quadrilateral", "periodic": ["x", "y"]},
    "strip": {"cells": [4, 4], "cell": "quadrilateral", "periodic": ["x"]},
}
FLOWS = {
    "closed": ("sin(pi*x)*sin(pi*y/0.7)/pi", "sin(2*pi*x)*sin(pi*y/0.7)/pi"),
    "torus": ("sin(2*pi*x)*cos(2*pi*y)/6 + 0.1*sin(2*pi*y)", "cos(2*pi*x + 2*pi*y)/6"),
    "strip": ("sin(2*pi*x)*sin(pi*y)/6", "cos(2*pi*x)*sin(pi*y)/6"),
}


def made(kind: str):
    stream, direction = FLOWS[kind]
    directions = {"flow": {"velocity": {"stream": direction}}, "kappa": {"diffusivity": "1 + x*0"}}
    if kind == "torus":
        directions["shear"] = {"velocity": ["sin(2*pi*x)", "0*y"]}  # ∇·v ≠ 0
    if kind == "closed":
        directions["suction"] = {"velocity": ["x*(1-x)", "0*y"]}
    return flows.problem(
        5,
        0,
        task="sensitivity",
        domain=DOMAINS[kind],
        discretization={"method": "dg"},
        physics={"diffusivity": 0.03, "velocity": {"stream": stream}},
        sensitivity={"tolerance": 1e-9, "directions": directions},
    )


chain = cache(made)
"""One that nobody changes."""


@cache
def matrices(problem, name):
    """A, J and θ0 as arrays."""
    operator = problem.operator
    generator = operator.generator
    push = operator.push(problem.direction(name).controls).stiffness
    mass = dense.vector(generator.mass.diagonal)
    return (
        dense.generator(generator),
        dense.matrix(push) / mass[:, None],
        dense.vector(problem.initial),
        mass,
    )


@pytest.mark.parametrize("kind", DOMAINS)
def test_generator_is_a_rate_matrix_with_the_uniform_law(kind):
    A, _, _, mass = matrices(chain(kind), "flow")
    found = membership(A)
    assert found.rate, found.reasons
    assert found.irreducible
    assert not found.in_R  # only neighbours exchange anything
    assert np.allclose(stationary_distribution(A), mass / mass.sum(), rtol=1e-11)
    assert not is_reversible(A)
    still = made(kind)
    still.operator.velocity.stream.x.array[:] = 0.0
    still.operator.assemble()
    assert is_reversible(dense.generator(still.operator.generator))


@pytest.mark.parametrize("kind", DOMAINS)
def test_semigroup_is_the_matrix_exponential(kind):
    problem = chain(kind)
    A, _, theta, _ = matrices(problem, "flow")
    times = problem.experiment.time.times
    for t, state in zip(times, problem.semigroup().trajectory(times), strict=True):
        found = dense.vector(state)
        assert np.allclose(found, expm(t * A) @ theta, atol=1e-9)
        assert found.min() >= theta.min() - 1e-9  # a chain makes no new extremes
        assert found.max() <= theta.max() + 1e-9


@pytest.mark.parametrize("kind", DOMAINS)
def test_group_inverse_and_gap(kind):
    problem = chain(kind)
    operator = problem.operator
    A, _, theta, mass = matrices(problem, "flow")
    kernel = Kernel(operator.generator, operator.state(lambda x: np.ones(x.shape[1]), "one"))
    found = dense.vector(kernel.group_inverse(problem.initial))
    assert np.allclose(found, group_inverse(A) @ theta, rtol=1e-9, atol=1e-10)
    mean = dense.vector(kernel.remove_mean(problem.initial.copy()))
    assert np.allclose(theta - mean, kernel_projector(A) @ theta, atol=1e-13)
    root = np.sqrt(mass)
    scaled = A * root[:, None] / root
    values = np.linalg.eigvalsh(-0.5 * (scaled + scaled.T))
    assert kernel.gap(0.01) == pytest.approx(values[1], rel=1e-7)
    assert kernel.measure == pytest.approx(mass.sum())


@pytest.mark.parametrize(
    ("kind", "name"),
    [("closed", "flow"), ("closed", "kappa"), ("torus", "flow"), ("strip", "flow")],
)
@pytest.mark.parametrize("method", ["recurrence", "quadrature", "augmented"])
def test_sensitivity_is_the_derivative_of_the_exponential(kind, name, method):
    problem = chain(kind)
    A, J, theta, _ = matrices(problem, name)
    found = problem.sensitivity(name, method=method)
    scale = max(np.abs(dense.vector(v)).max() for v in found.tangents)
    for t, tangent in zip(problem.experiment.time.times, found.tangents, strict=True):
        exact = matexp.derivative(A, J, t) @ theta
        assert np.abs(dense.vector(tangent) - exact).max() < 1e-8 * scale


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("closed", "flow"),
        ("closed", "kappa"),
        ("closed", "suction"),
        ("torus", "flow"),
        ("torus", "shear"),
    ],
)
@pytest.mark.parametrize("method", ["first-order", "asymptotic"])
def test_surrogates_are_the_dense_ones_and_the_bound_holds(kind, name, method):
    problem = chain(kind)
    A, J, theta, mass = matrices(problem, name)
    times = [1e-3, 0.1, 1.0, 5.0, 20.0]
    found = sensitivity(
        problem.operator,
        problem.direction(name),
        problem.initial,
        times,
        method=method,
        tolerance=1e-9,
        options=problem.solver_options,
    )
    assert len(found.bounds) == len(times)
    scale = np.abs(J @ theta).max()
    for t, tangent, bound in zip(times, found.tangents, found.bounds, strict=True):
        surrogate = dense.vector(tangent)
        assert np.abs(surrogate - matexp.derivative(A, J, t, method=method) @ theta).max() < (
            1e-8 * max(1.0, t) * scale
        )
        error = surrogate - matexp.derivative(A, J, t) @ theta
        assert np.sqrt(mass @ error**2) <= bound.value, (t, bound)


@pytest.mark.parametrize("method", ["first-order", "asymptotic"])
def test_dense_certificate_bounds_the_pde_surrogate(method):
    """The dense bound is on the 2-norm of the matrix: ‖(surrogate − Y)θ0‖₂ ≤ bound ‖θ0‖₂."""
    problem = chain("closed")
    A, J, theta, _ = matrices(problem, "flow")
    times = [0.05, 0.5, 5.0]
    found = sensitivity(
        problem.operator,
        problem.direction("flow"),
        problem.initial,
        times,
        method=method,
        tolerance=1e-9,
        options=problem.solver_options,
    )
    certificate = matexp.certificate(A, J, np.array(times), method)
    for k, (t, tangent) in enumerate(zip(times, found.tangents, strict=True)):
        error = np.linalg.norm(dense.vector(tangent) - matexp.derivative(A, J, t) @ theta)
        allowance = 1e-9 * max(1.0, t) * np.linalg.norm(J @ theta)
        assert error <= certificate.bound[k] * np.linalg.norm(theta) + allowance
