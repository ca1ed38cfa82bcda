"""Values against densities of SciPy, slopes by Taylor tests, σ integrated out by quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from advdiff.core.errors import ConvergenceError
from advdiff.inverse.noise import Known, Normal, Relative, Student, Unknown

pytestmark = pytest.mark.serial
RNG = np.random.default_rng(3)
N = 14
VALUES, PREDICTED = RNG.uniform(0.2, 1.0, (2, N))
STD = RNG.uniform(0.05, 0.3, N)
NONE, SOME = np.zeros(N, int), np.array([-1, 0, 0, 1, 0, 0, -1] * 2)
GROUP = np.arange(N) % 2
KINDS = {
    "given": lambda limits: Known(VALUES, STD, limits),
    "student": lambda limits: Known(VALUES, STD, limits, Student(3.5)),
    "relative": lambda limits: Relative(VALUES, STD, 0.3, limits),
    "unknown": lambda limits: Unknown(VALUES, STD, GROUP, limits),
}
each = pytest.mark.parametrize("name", KINDS)
either = pytest.mark.parametrize("limits", [NONE, SOME], ids=["all seen", "some beyond limits"])


def log_density(name, predicted, limits):
    """By SciPy, reading by reading."""
    scale = np.hypot(STD, 0.3 * predicted) if name == "relative" else STD
    law = stats.t(3.5) if name == "student" else stats.norm
    z = (VALUES - predicted) / scale
    inside, beyond = (
        law.logpdf(z) - np.log(scale),
        np.where(limits < 0, law.logcdf(z), law.logsf(z)),
    )
    return np.where(limits == 0, inside, beyond).sum()


@each
@either
def test_value_is_the_log_density(name, limits):
    noise = KINDS[name](limits)
    if name != "unknown":
        expected = log_density(name, PREDICTED, limits)
        assert noise.log_constant - noise.value(PREDICTED) == pytest.approx(expected, rel=1e-12)
        return

    def density(sigma, group):
        z = (VALUES - PREDICTED) / (STD * sigma)
        beyond = np.where(limits < 0, stats.norm.logcdf(z), stats.norm.logsf(z))
        terms = np.where(limits == 0, stats.norm.logpdf(z) - np.log(STD * sigma), beyond)
        return math.exp(terms[group].sum()) / sigma

    expected = sum(
        math.log(integrate.quad(density, 0.0, np.inf, (g == GROUP,), limit=500, epsrel=1e-11)[0])
        for g in (0, 1)
    )
    assert noise.log_constant - noise.value(PREDICTED) == pytest.approx(expected, rel=1e-9)


@each
@either
def test_slope_is_the_derivative(name, limits):
    noise, step = KINDS[name](limits), RNG.standard_normal(N)
    slope = noise.slope(PREDICTED) @ step
    steps = 10.0 ** -np.arange(1.0, 4.5, 0.5)
    change = [noise.value(PREDICTED + h * step) - noise.value(PREDICTED) for h in steps]
    remainder = np.abs(np.array(change) - steps * slope)
    orders = np.log10(remainder[:-1] / remainder[1:]) / 0.5
    assert (np.abs(orders[-4:] - 2.0) < 0.1).all(), orders


@pytest.mark.parametrize("name", ["given", "student", "relative"])
def test_information_is_fishers(name):
    """The mean of the squared slope, over readings that the noise makes."""
    noise = KINDS[name](NONE)
    scale = noise.scale(PREDICTED)
    angles = np.linspace(-1.57, 1.57, 200_001)
    z = np.tan(angles) if name == "student" else 8.0 * angles
    law = stats.t(3.5) if name == "student" else stats.norm
    for i in (0, 5):
        squares = []
        for part in np.array_split(z, 50):
            readings = PREDICTED[i] + scale[i] * part
            one = type(noise)(readings, STD[i], *_more(name))
            squares.append(one.slope(np.full(len(part), PREDICTED[i])) ** 2)
        mean = integrate.trapezoid(np.concatenate(squares) * law.pdf(z), z)
        assert noise.information(PREDICTED)[i] == pytest.approx(mean, rel=1e-4)


def _more(name):
    return {"given": (), "student": (None, Student(3.5)), "relative": (0.3,)}[name]


@each
@either
def test_information_is_not_negative(name, limits):
    noise = KINDS[name](limits)
    for predicted in (PREDICTED, PREDICTED + 5.0, PREDICTED - 5.0, 1e3 * PREDICTED):
        assert (noise.information(predicted) >= 0.0).all()
        assert np.isfinite(noise.slope(predicted)).all()


@each
def test_standardised_residuals_are_normal(name):
    """Of readings that the noise makes; of those below a limit the middle of what they may be."""
    n, truth = 4000, np.linspace(0.2, 2.0, 4000)
    draw = np.random.default_rng(0)
    scale = np.hypot(0.1, 0.3 * truth) if name == "relative" else np.full(n, 0.1)
    error = draw.standard_t(3.5, n) if name == "student" else draw.standard_normal(n)
    values = truth + scale * error
    std = np.full(n, 0.1)
    noise = {
        "given": Known(values, std),
        "student": Known(values, std, None, Student(3.5)),
        "relative": Relative(values, std, 0.3),
        "unknown": Unknown(values, np.ones(n), np.zeros(n, int)),
    }[name]
    assert stats.kstest(noise.standardised(truth), "norm").pvalue > 1e-3
    below = values < 0.7
    limited = Known(np.where(below, 0.7, values), std, -below.astype(int))
    z = limited.standardised(truth)
    assert z[below & (truth < 0.3)] == pytest.approx(0.0, abs=1e-4)
    assert limited.standardised(truth + 3.0)[below].max() < -10.0


def test_far_off_limits_keep_their_slopes():
    """At forty standard deviations the probability is no double, its logarithm is."""
    far = Known(np.array([0.0]), np.array([1.0]), np.array([-1]))
    assert far.value(np.array([40.0])) == pytest.approx(-stats.norm.logcdf(-40.0))
    assert far.slope(np.array([40.0]))[0] == pytest.approx(40.025, abs=1e-3)


@pytest.mark.parametrize("z", [-1e3, -2e3, -1e8, -1e17, -1e150])
def test_far_tail_is_millss(z):
    """φ/Φ = −z + 1/|z| − … and its derivative 1 − 1/z² + … (Mills 1926)."""
    found = Normal().below(np.array([z]))
    assert found.slope[0] == pytest.approx(z + 1.0 / z, rel=1e-11)
    assert found.information[0] == pytest.approx(1.0 - 1.0 / z**2, rel=1e-9)


@either
def test_an_exact_fit_does_not_tell_the_size(limits):
    with pytest.raises(ConvergenceError, match="met exactly"):
        Unknown(VALUES, STD, GROUP, limits).value(VALUES)


@pytest.mark.parametrize(("nu", "z"), [(1e3, -100.0), (100.0, -1e12), (30.0, -1e80)])
def test_far_tail_of_student_is_the_integral_of_its_density(nu, z):
    """∫ p(z s) |z| ds over s > 1, scaled by p(z); its slope is p/P."""
    ratio = integrate.quad(
        lambda u: math.exp(stats.t.logpdf(z * math.exp(u), nu) - stats.t.logpdf(z, nu) + u), 0, 2
    )[0]
    found = Student(nu).below(np.array([z]))
    expected = stats.t.logpdf(z, nu) + math.log(-z) + math.log(ratio)
    assert -found.value[0] == pytest.approx(expected, rel=1e-9)
    assert found.slope[0] * -z == pytest.approx(-1.0 / ratio, rel=1e-6)
