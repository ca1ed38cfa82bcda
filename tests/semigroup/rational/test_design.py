"""The design of a filter: numbers only, so every rank does the same."""

import numpy as np
import pytest

from advdiff.core.errors import ConvergenceError
from advdiff.semigroup.rational.design import design_filter

pytestmark = pytest.mark.serial  # numbers only: every rank would do the same

TIMES = (0.1, 0.25, 0.7, 1.0)


def evaluate(rational, z):
    """1 + ψ_t (1/(1 − γz) − 1), what the filter makes of e^{tz}, and z times its derivative; times
    by points."""
    w = 1.0 / (1.0 - rational.pole * z)
    h, c = rational.hessenberg, rational.coefficients.T
    basis, slopes = [w - 1.0], [w * (w - 1.0)]
    for j in range(rational.dimension - 1):
        slope = w * slopes[j] + w * (w - 1.0) * basis[j] - h[: j + 1, j] @ np.array(slopes)
        basis.append((w * basis[j] - h[: j + 1, j] @ np.array(basis)) / h[j + 1, j])
        slopes.append(slope / h[j + 1, j])
    return 1.0 + c @ np.array(basis), c @ np.array(slopes)


def inside(flow_bound, count=400, seed=0):
    """Random points of the parabola, at all scales."""
    rng = np.random.default_rng(seed)
    distance = 10.0 ** rng.uniform(-4, 7, count)
    return -distance + 1j * rng.uniform(-1, 1, count) * np.sqrt(flow_bound * distance)


@pytest.mark.parametrize("flow_bound", [0.0, 5.0, 100.0, 1000.0])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-9])
def test_the_error_is_bounded_all_over_the_parabola(flow_bound, tolerance):
    rational = design_filter(flow_bound, TIMES, tolerance)
    z = inside(flow_bound)
    exact = np.exp(np.outer(TIMES, z))
    value, slope = evaluate(rational, z)
    error = np.abs(value - exact)
    start = np.abs(1.0 / (1.0 - rational.pole * z) - 1.0)
    assert rational.error <= 10.0 * tolerance
    assert np.all(error <= 1.05 * rational.error * start + 1e-12)
    assert np.abs(slope - np.outer(TIMES, z) * exact).max() <= 2.0 * tolerance
    shorter = design_filter(flow_bound, TIMES, tolerance, dimension=rational.dimension - 1)
    assert shorter.error > 10.0 * tolerance or shorter.slope > tolerance


@pytest.mark.parametrize(("decades", "tolerance"), [(3, 1e-6), (3, 1e-11), (4, 1e-9)])
def test_slopes_are_bounded_between_the_points_of_the_design(decades, tolerance):
    """Of filters as long as there are, at ten times as many points, with those in pairs."""
    times = np.geomspace(10.0**-decades, 1.0, 7)
    rational = design_filter(0.0, times, tolerance)
    z = -np.geomspace(1e-6, 1e6, 7777) / rational.pole
    exact = np.exp(np.outer(times, z))
    value, slope = evaluate(rational, z)
    assert np.abs(slope - np.outer(times, z) * exact).max() <= 1.1 * tolerance
    error, z = (value - exact)[:, ::40], z[::40]
    i, j = np.triu_indices(len(z), 1)
    divided = np.abs(error[:, i] - error[:, j]) * np.sqrt(z[i] * z[j]) / np.abs(z[i] - z[j])
    assert divided.max() <= 1.1 * tolerance


def test_time_has_no_unit():
    ours = design_filter(50.0, TIMES, 1e-6)
    theirs = design_filter(0.5, tuple(100.0 * t for t in TIMES), 1e-6)
    assert theirs.pole == pytest.approx(100.0 * ours.pole)
    np.testing.assert_allclose(theirs.coefficients, ours.coefficients, atol=1e-9)
    np.testing.assert_allclose(theirs.hessenberg, ours.hessenberg, atol=1e-9)


def test_nearby_flows_have_the_same_filter():
    ours, theirs = (design_filter(bound, TIMES, 1e-6) for bound in (100.0, 101.0))
    np.testing.assert_array_equal(ours.coefficients, theirs.coefficients)


def test_the_default_pole_is_near_the_best():
    for flow_bound in (1.0, 100.0, 1000.0):
        ours = design_filter(flow_bound, TIMES, 1e-6)
        others = []
        for factor in (0.5, 0.7, 1.4, 2.0):
            try:
                others.append(design_filter(flow_bound, TIMES, 1e-6, pole=factor * ours.pole))
            except ConvergenceError:
                continue
        assert ours.dimension <= 1.2 * min(other.dimension for other in others)


def test_too_few_vectors_are_an_error_that_says_what_was_reached():
    with pytest.raises(ConvergenceError, match=r"20 vectors reaches \d.*solver.tolerance"):
        design_filter(1000.0, TIMES, 1e-6, max_dimension=20)
