"""The ellipse holds the region; the coefficients are those of the exponential; the cut is safe."""

import math
import time

import numpy as np
import pytest
from scipy.special import ive

from advdiff.algebra.numerical_range import NumericalRange
from advdiff.semigroup.faber.ellipse import Ellipse, expand, search

pytestmark = pytest.mark.serial  # numbers only: every rank would do the same

REGIONS = [
    NumericalRange(5e3, 300.0, 100.0),
    NumericalRange(50.0, 300.0, 1e4),
    NumericalRange(905.0, 18.0, 100.0),
    NumericalRange(40.0, 25.0),  # P unknown: the box
    NumericalRange(40.0, 25.0, growth=12.0),
    NumericalRange(1e3, 0.0, 0.0),  # symmetric: a segment
    NumericalRange(0.0, 30.0),  # no diffusion
    NumericalRange(0.0, 0.0, 0.0),  # A = 0
    NumericalRange(2e6, 3e3, 1e4),
]


def boundary(region: NumericalRange) -> np.ndarray:
    r = region.real * np.linspace(0.0, 1.0, 2001) ** 2
    with np.errstate(invalid="ignore"):
        height = np.where(r > 0.0, np.sqrt(region.flow * r), 0.0)
    if math.isinf(region.flow):
        height[:] = region.imag
    return region.growth - r + 1j * np.minimum(region.imag, height)


@pytest.mark.parametrize("region", REGIONS, ids=str)
@pytest.mark.parametrize("final", [1e-6, 0.1, 1.0, 50.0])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-12])
def test_contains_the_region(region, final, tolerance):
    ellipse = search(region, final, tolerance)
    z = boundary(region) - ellipse.centre
    if ellipse.b == 0.0:
        assert np.all(z.imag == 0.0)
        assert np.all(abs(z.real) <= ellipse.a)
    else:
        inside = (z.real / ellipse.a) ** 2 + (z.imag / ellipse.b) ** 2
        assert inside.max() <= 1.0 + 1e-9
    excess = ellipse.right - region.growth
    assert 2.2e-16 * math.exp(excess * final) <= tolerance


def test_search_takes_milliseconds():
    search.cache_clear()
    start = time.perf_counter()
    for k in range(10):
        search(NumericalRange(5e3 + k, 300.0, 100.0), 1.0, 1e-9)
    assert time.perf_counter() - start < 10 * 0.05


def test_search_is_not_beaten_by_neighbours():
    """Random ellipses around the region never need noticeably fewer terms."""
    region, tolerance = NumericalRange(905.0, 18.0, 100.0), 1e-9
    found = expand(search(region, 1.0, tolerance), [1.0], tolerance).last
    rng = np.random.default_rng(0)
    z = boundary(region)
    tried = 0
    for _ in range(300):
        right, left = rng.uniform(1e-4, 9.0), region.real * rng.uniform(1.0001, 1.5)
        a, centre = 0.5 * (left + right), 0.5 * (right - left)
        inside = 1.0 - ((z.real - centre) / a) ** 2
        b = math.sqrt(np.max(z.imag**2 / inside))
        tried += 1
        assert expand(Ellipse(centre, a, b), [1.0], tolerance).last >= 0.98 * found
    assert tried == 300


@pytest.mark.parametrize("t", [1e-3, 0.3, 4.0])
@pytest.mark.parametrize("axes", [(30.0, 12.0), (30.0, 29.0), (30.0, 0.0)])
def test_coefficients_are_bessel_functions(axes, t):
    """a > b: g_j(t) = e^{c₀t} ((a+b)/(a−b))^{j/2} I_j(t √(a²−b²))."""
    a, b = axes
    centre = -a + 0.7
    expansion = expand(Ellipse(centre, a, b), [t], 1e-10)
    j = np.arange(expansion.last + 1)
    x = t * math.sqrt(a * a - b * b)
    exact = np.exp(centre * t + x) * ive(j, x) * ((a + b) / (a - b)) ** (0.5 * j)
    assert np.allclose(expansion.weights[:, 0], exact, rtol=0.0, atol=1e-13)


def test_coefficients_of_taylor():
    """On a circle around 0 they are those of the power series."""
    expansion = expand(Ellipse(0.0, 5.0, 5.0), [0.5], 1e-12)
    j = np.arange(expansion.last + 1)
    exact = np.cumprod(np.concatenate([[1.0], 2.5 / j[1:]]))
    assert np.allclose(expansion.weights[:, 0], exact, rtol=0.0, atol=1e-13)


def test_integrated_coefficients():
    """Σ_j h_j F_j(z) = (e^{tz} − 1)/z, at z = 0 too, against quadrature of the others."""
    ellipse = Ellipse(-19.5, 20.0, 25.0)
    times = [0.05, 0.4, 1.0]
    expansion = expand(ellipse, times, 1e-10, load=True)
    node, weight = np.polynomial.legendre.leggauss(60)
    for k, t in enumerate(times):
        s = 0.5 * t * (node + 1.0)
        inner = expand(ellipse, s, 1e-12).weights
        rows = min(len(inner), len(expansion.integrated))
        quadrature = inner[:rows] @ (0.5 * t * weight)
        used = slice(0, min(rows, expansion.terms[k] + 1))
        assert np.allclose(expansion.integrated[used, k], quadrature[used], rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("region", REGIONS, ids=str)
@pytest.mark.parametrize("tolerance", [1e-4, 1e-9, 1e-12])
def test_scalar_error_is_below_the_bound(region, tolerance):
    """The sum at points of the region (A normal): the bound holds, and is not silly."""
    times = np.linspace(0.1, 1.0, 4)
    if region.real > 1e5:
        times = times * 1e-2
    ellipse = search(region, times[-1], tolerance)
    expansion = expand(ellipse, times, tolerance, load=True)
    z = boundary(region)[::50]
    base = ellipse.scale * (z - ellipse.centre)
    older, newer = np.ones_like(z), base
    total = np.outer(expansion.weights[0], older)
    integral = np.outer(expansion.integrated[0], older)
    for j in range(1, expansion.last + 1):
        total += np.outer(expansion.weights[j], newer)
        integral += np.outer(expansion.integrated[j], newer)
        factor = 2.0 * ellipse.s if j == 1 else ellipse.s
        older, newer = newer, base * newer - factor * older
    room = np.exp(region.growth * times)
    t = times[:, None]
    safe = np.where(z == 0.0, 1.0, z)
    exact = np.where(z == 0.0, t, np.expm1(t * z) / safe)
    error = np.abs(total - np.exp(t * z)).max(axis=1)
    assert np.all(error <= tolerance * room)
    assert expansion.bound <= tolerance
    assert np.all(np.abs(integral - exact).max(axis=1) <= tolerance * room * times)


def test_terms_grow_as_they_should():
    """√(2aT ln(1/tol)) where diffusion dominates, about bT where advection does; and the length of
    the FFT follows."""
    few = expand(search(NumericalRange(1e3, 0.0, 0.0), 1.0, 1e-9), [1.0], 1e-9).last
    many = expand(search(NumericalRange(1e5, 0.0, 0.0), 1.0, 1e-9), [1.0], 1e-9).last
    assert 8.0 < many / few < 12.0
    long = expand(search(NumericalRange(10.0, 1e4, 1e9), 1.0, 1e-9), [1.0], 1e-9)
    assert 1e4 < long.last < 1.2e4
    assert long.bound <= 1e-9


def test_early_times_use_fewer_terms():
    expansion = expand(search(NumericalRange(1e4, 0.0, 0.0), 1.0, 1e-9), [1e-3, 0.1, 1.0], 1e-9)
    assert list(expansion.terms) == sorted(expansion.terms)
    assert 20 * expansion.terms[0] < expansion.terms[2] * 2
    assert not expansion.weights[expansion.terms[0] + 1 :, 0].any()
