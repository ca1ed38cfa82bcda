"""The exponential and its adjoint derivative, against scipy's, at every scaling."""

import numpy as np
import pytest
from scipy.linalg import expm, expm_frechet

from advdiff.reduced.exponential import Exponential

pytestmark = pytest.mark.serial


@pytest.mark.parametrize("size", [1e-12, 0.1, 4.0, 60.0])
@pytest.mark.parametrize("d", [1, 6, 30])
def test_value_and_pull(d, size):
    rng = np.random.default_rng(d)
    matrix, cotangent = rng.standard_normal((2, d, d))
    matrix = matrix - matrix.T - np.diag(rng.uniform(0.1, 3.0, d))
    matrix *= size / np.abs(matrix).sum(axis=0).max()
    found = Exponential(matrix)
    value, expected = expm(matrix), expm_frechet(matrix.T, cotangent, compute_expm=False)
    assert np.abs(found.value - value).max() < 1e-13 * np.abs(value).max()
    assert np.abs(found.pull(cotangent) - expected).max() < 1e-12 * np.abs(expected).max()


def test_a_nilpotent_matrix():
    """Small powers: a degree chosen from them would be too low for the derivative."""
    matrix = np.diag(np.full(3, 3.0), 1)
    cotangent = np.ones((4, 4))
    expected = expm_frechet(matrix.T, cotangent, compute_expm=False)
    assert Exponential(matrix).pull(cotangent) == pytest.approx(expected, rel=1e-13)


def test_zero_and_not_finite():
    assert Exponential(np.zeros((2, 2))).value == pytest.approx(np.eye(2))
    assert Exponential(np.zeros((2, 2))).pull(np.ones((2, 2))) == pytest.approx(np.ones((2, 2)))
    with pytest.raises(ValueError, match="not finite"):
        Exponential(np.full((2, 2), np.nan))


def test_units_that_differ_cost_no_digits():
    """Value and pull of D⁻¹QD, entry by entry."""
    rng = np.random.default_rng(3)
    matrix, cotangent = rng.standard_normal((2, 4, 4))
    units = np.exp2([0.0, 30.0, -20.0, 10.0])
    change = units[None, :] / units[:, None]
    plain, found = Exponential(matrix), Exponential(matrix * change)
    assert found.value / change == pytest.approx(plain.value, rel=1e-12)
    pulled = found.pull(cotangent / change) * change
    assert pulled == pytest.approx(plain.pull(cotangent), rel=1e-12)
