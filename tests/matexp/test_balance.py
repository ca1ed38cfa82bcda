"""Balanced units: what differs only by units has the same digits."""

import numpy as np
import pytest
import scipy.linalg

from advdiff.matexp import (
    METHODS,
    DomainError,
    bilinear_gradient,
    derivative,
    gradient,
    gram_trace_gradient,
    random_rate_matrix,
)
from advdiff.matexp.balance import balancing, expm, scaled, unscaled
from advdiff.matexp.spectral import eigenbasis
from advdiff.reduced.exponential import Exponential
from advdiff.semigroup.rational.small_exponential import small_increments

from .references import exact_derivative, relative

pytestmark = pytest.mark.serial

EXACT = [name for name, method in METHODS.items() if method.exact]
S = 1e9
#: two compartments, one in units 1e9 times those of the other
COMPARTMENTS = np.array([[-1.0, 1 / S], [S, -2.0]])
EXCHANGE = np.array([[0.0, 1 / S], [0.0, 0.0]])


def entries(a, b):
    """The largest relative difference of an entry."""
    return np.max(np.abs(a - b) / np.abs(b))


@pytest.mark.parametrize("method", ["auto", *EXACT])
def test_two_compartments_in_units_that_differ_by_1e9(method):
    if method == "eigenpair":
        with pytest.raises(DomainError, match="Hermitian"):
            derivative(COMPARTMENTS, EXCHANGE, 1.0, method)
        return
    Y = derivative(COMPARTMENTS, EXCHANGE, 1.0, method)
    assert Y[0, 0] == pytest.approx(0.15732912, rel=1e-8)
    assert entries(Y, exact_derivative(COMPARTMENTS, EXCHANGE, 1.0)) < 1e-12


def test_gradients_in_units_that_differ_by_1e9():
    B = np.array([[0.0, 0.0], [1.0, 0.0]])
    exact = exact_derivative(COMPARTMENTS.T, B, 1.0)
    assert entries(gradient(COMPARTMENTS, B, 1.0), exact) < 1e-12
    for method in ("auto", "frechet", "daleckii-krein"):
        G = bilinear_gradient(COMPARTMENTS, [[0.0, 1.0]], [[1.0, 0.0]], [1.0], method)
        assert entries(G, exact) < 1e-12


@pytest.mark.parametrize("method", [m for m in EXACT if m != "eigenpair"])
@pytest.mark.parametrize("one_way", [False, True])
def test_a_change_of_units_changes_nothing(method, one_way):
    """Dense, and a cascade where each compartment acts on the next and not back."""
    rng = np.random.default_rng(3)
    Q, J = rng.normal(size=(2, 4, 4))
    Q = np.tril(Q) - 2 * np.eye(4) if one_way else Q - 2 * np.eye(4)
    D = np.array([1.0, 2.0**30, 2.0**-20, 2.0**10])
    expected = exact_derivative(Q, J, 0.6)
    found = derivative(scaled(Q, D), scaled(J, D), 0.6, method)
    assert relative(unscaled(found, D), expected) < 1e-13


def test_a_surrogate_in_units_that_differ():
    for method in ("first-order", "midpoint", "truncated"):
        D = np.array([2.0**-30, 1.0])
        plain = derivative(unscaled(COMPARTMENTS, D), unscaled(EXCHANGE, D), 1.0, method)
        found = derivative(COMPARTMENTS, EXCHANGE, 1.0, method)
        assert relative(unscaled(found, D), plain) < 1e-12


def test_units_are_powers_of_two_and_only_where_they_help():
    rng = np.random.default_rng(0)
    D = balancing(COMPARTMENTS)
    assert np.array_equal(np.log2(D) % 1, [0, 0]) and np.abs(scaled(COMPARTMENTS, D)).max() < 5
    assert np.array_equal(unscaled(scaled(COMPARTMENTS, D), D), COMPARTMENTS)
    stack = np.array([COMPARTMENTS, np.eye(2), [[0.0, 1.0], [0.0, 0.0]]])
    assert np.array_equal(balancing(stack), [D, [1, 1], [1, 1]])
    for Q in (random_rate_matrix(rng, 6), np.diag([1e9, 1.0]), np.zeros((3, 3)), [[5.0]]):
        assert (balancing(np.array(Q)) == 1).all()
    assert (balancing(COMPARTMENTS, small=1e10) == 1).all()
    # an entry that is only rounding is no reason to change the units by 1e8
    assert (balancing(np.array([[-1.0, 1.0], [1e-17, -1.0]])) == 1).all()


def test_an_overflow_is_still_one_clear_error():
    with pytest.raises(OverflowError, match="double precision"):
        derivative(1e300 * np.ones((2, 2)), np.eye(2), 1e300)
    with pytest.raises(OverflowError, match="double precision"):
        gram_trace_gradient(1e200 * np.ones((2, 3)))


def test_the_eigenbasis_is_that_of_the_matrix_and_its_condition_that_in_balanced_units():
    basis = eigenbasis(COMPARTMENTS)
    assert basis.condition < 10
    found = basis.vectors * basis.values @ basis.inverse
    assert entries(found, COMPARTMENTS) < 1e-13


def test_exponentials_of_the_package():
    """Those of stacks, of reduced models with their adjoint, and of Krylov spaces."""
    B = np.array([[-1.0, 1.0], [1.0, -2.0]])
    D = np.array([1.0, S])
    exact, Q = scaled(scipy.linalg.expm(B), D), scaled(B, D)
    assert entries(expm(Q[None])[0], exact) < 1e-12
    exponential, cotangent = Exponential(Q), np.array([[0.0, 1.0], [0.0, 0.0]])
    assert entries(exponential.value, exact) < 1e-12
    pulled = exact_derivative(Q.T, cotangent, 1.0)
    assert entries(exponential.pull(cotangent), pulled) < 1e-12
    states = small_increments(B, 1e14 * np.ones(2), [1.0])
    expected = np.linalg.solve(B, (scipy.linalg.expm(B) - np.eye(2)) @ np.full(2, 1e14))
    assert entries(states[:, 0], expected) < 1e-14
