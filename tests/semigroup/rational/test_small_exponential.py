"""w' = A w + c against the dense φ₁."""

import numpy as np
import pytest
from scipy.linalg import expm

from advdiff.semigroup.rational.small_exponential import small_increments

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
