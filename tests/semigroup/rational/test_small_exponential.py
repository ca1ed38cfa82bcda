"""w' = A w + c against the dense φ₁."""

import numpy as np
import pytest
from scipy.linalg import expm

from advdiff.semigroup.rational.small_exponential import (
    resolvent_increments,
    small_increments,
)

pytestmark = pytest.mark.serial  # numbers only: every rank would do the same


@pytest.mark.parametrize("times", [(0.1, 0.2, 0.3, 0.4), (0.05, 0.3, 2.0), (1.5,)])
def test_increments_are_those_of_phi1(times):
    rng = np.random.default_rng(1)
    matrix = rng.standard_normal((9, 9)) - 4.0 * np.eye(9)
    source = rng.standard_normal(9)
    expected = [np.linalg.solve(matrix, (expm(t * matrix) - np.eye(9)) @ source) for t in times]
    np.testing.assert_allclose(
        small_increments(matrix, source, times), np.transpose(expected), atol=1e-13
    )


def test_times_that_differ_by_rounding_share_a_step():
    matrix, source = np.array([[-3.0]]), np.array([2.0])
    times = np.cumsum([0.1] * 10)
    assert len(set(np.diff(times, prepend=0.0))) > 1
    expected = 2.0 * np.expm1(-3.0 * times) / -3.0
    np.testing.assert_allclose(small_increments(matrix, source, times)[0], expected, rtol=1e-13)


def test_a_singular_matrix_is_no_trouble():
    np.testing.assert_allclose(
        small_increments(np.zeros((2, 2)), np.array([1.0, 2.0]), (0.5, 2.0)),
        [[0.5, 2.0], [1.0, 4.0]],
    )


@pytest.mark.parametrize("skew", [0.0, 0.3])
def test_what_has_died_out_does_not_drown_the_rest(skew):
    """H with eigenvalues from 0.9 to 1e-15, of which the first two live: ψ(w) = (e^{t(1 − 1/w)/γ}
    − 1)/(w − 1) of each, in extended precision."""
    m, pole, times = 12, 2.0, (1.0, 70.0)
    w = np.append([0.9, 0.5], np.geomspace(1e-4, 1e-15, m - 2))
    rng = np.random.default_rng(3)
    basis = np.linalg.qr(rng.standard_normal((m, m)))[0] + skew * rng.standard_normal((m, m)) / m
    hessenberg = basis @ np.diag(w) @ np.linalg.inv(basis)
    first = np.linalg.solve(basis, np.eye(m)[:, 0]).astype(np.longdouble)
    long = w.astype(np.longdouble)
    for t, found in zip(times, resolvent_increments(hessenberg, pole, times).T, strict=True):
        psi = np.expm1(t * (1 - 1 / long) / pole) / (long - 1)
        np.testing.assert_allclose(found, (basis @ (psi * first)).astype(float), atol=1e-12)
