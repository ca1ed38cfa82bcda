"""The kernel: projector, group inverse, stationary distribution and its derivative."""

import numpy as np
import pytest
from scipy.linalg import expm

from advdiff.matexp import (
    DomainError,
    derivative,
    group_inverse,
    kernel_projector,
    random_nearly_reducible,
    random_rate_matrix,
    spectral_gap,
    stationary_derivative,
    stationary_distribution,
)
from tests.matexp.references import relative

pytestmark = pytest.mark.serial


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_group_inverse_and_projector(scale):
    rng = np.random.default_rng(3)
    Q = scale * random_rate_matrix(rng, 7, size=(3,))
    Pi, G, eye = kernel_projector(Q), group_inverse(Q), np.eye(7)
    for residual, size in (
        (Q @ G - (eye - Pi), 1.0),
        (G @ Q - (eye - Pi), 1.0),
        (G @ Q @ G - G, np.abs(G).max()),
        (Q @ Pi, scale),
        (Pi @ G, np.abs(G).max()),
        (Pi @ Pi - Pi, 1.0),
    ):
        assert np.abs(residual).max() < 1e-13 * size * 10
    assert relative(kernel_projector(Q.swapaxes(1, 2)), Pi.swapaxes(1, 2)) < 1e-13


def test_group_inverse_is_the_integral_of_the_decaying_part():
    """Q^# = −∫₀^∞ (e^{sQ} − Π) ds."""
    from scipy.integrate import quad_vec

    Q = random_rate_matrix(np.random.default_rng(4), 4)
    Pi = kernel_projector(Q)
    integral = quad_vec(lambda s: expm(s * Q) - Pi, 0, 60 / spectral_gap(Q))[0]
    assert relative(group_inverse(Q), -integral) < 1e-9


def test_group_inverse_in_general():
    rng = np.random.default_rng(5)
    A = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    assert relative(group_inverse(A), np.linalg.inv(A)) < 1e-12
    assert not kernel_projector(A).any()
    reducible = np.kron(np.eye(2), [[-1.0, 1.0], [2.0, -2.0]])
    Pi = kernel_projector(reducible)
    assert np.trace(Pi) == pytest.approx(2.0, abs=1e-13)
    assert relative(reducible @ group_inverse(reducible), np.eye(4) - Pi) < 1e-13
    assert np.array_equal(group_inverse(np.zeros((3, 3))), np.zeros((3, 3)))
    with pytest.raises(DomainError, match="defective"):
        group_inverse(np.eye(3, k=1))
    with pytest.raises(ValueError, match="NaN"):
        group_inverse([[np.nan]])


@pytest.mark.parametrize("coupling", [1e-3, 1e-9, 1e-14])
def test_stationary_distribution_of_nearly_reducible_chains(coupling):
    """Entry by entry against exact rational arithmetic."""
    from fractions import Fraction

    Q = random_nearly_reducible(np.random.default_rng(6), 4, coupling)
    rates = [[Fraction(Q[i, j]) if i != j else Fraction(0) for j in range(4)] for i in range(4)]
    system = [[rates[j][i] for j in range(4)] for i in range(4)]  # πQ = 0, transposed
    for i in range(4):
        system[i][i] = -sum(rates[i])
    system[3], right = [Fraction(1)] * 4, [Fraction(0)] * 3 + [Fraction(1)]
    for k in range(4):
        for i in range(4):
            if i != k:
                factor = system[i][k] / system[k][k]
                system[i] = [x - factor * y for x, y in zip(system[i], system[k], strict=True)]
                right[i] -= factor * right[k]
    exact = np.array([float(right[k] / system[k][k]) for k in range(4)])
    assert np.max(np.abs(stationary_distribution(Q) / exact - 1)) < 1e-14


def test_stationary_derivative_is_the_limit_of_the_rows():
    """dπ = −πJQ^# by finite differences, and as the limit of Y(t) (Golub & Meyer)."""
    rng = np.random.default_rng(7)
    Q, J = random_rate_matrix(rng, 6), rng.normal(size=(6, 6))
    J -= np.diag(J.sum(axis=1))
    h = 1e-6
    slope = (stationary_distribution(Q + h * J) - stationary_distribution(Q - h * J)) / (2 * h)
    dpi = stationary_derivative(Q, J)
    assert relative(dpi, slope) < 1e-8
    assert relative(dpi, -stationary_distribution(Q) @ J @ group_inverse(Q)) < 1e-12
    assert relative(derivative(Q, J, 60.0), np.tile(dpi, (6, 1))) < 1e-11
    with pytest.raises(DomainError, match="zero row sums"):
        stationary_derivative(Q, np.eye(6))
    with pytest.raises(DomainError, match="irreducible"):
        stationary_distribution(np.kron(np.eye(2), [[-1.0, 1.0], [1.0, -1.0]]))
