"""The ellipse of the Faber recurrence and the Laurent coefficients of the exponential on it.

With centre c₀, semi-axes a and b, and s = (a−b)/(a+b),

    z(w) = c₀ + ((a+b) w + (a−b)/w)/2      maps |w| ≥ 1 onto the outside of the ellipse E,
    exp(t z(w)) = Σ_j g_j(t) wʲ + …,       exp(tA) = Σ_{j≥0} g_j(t) F_j(A).

‖F_j(A)‖ ≤ 2 whenever W(A) ⊂ E (B. Beckermann, C. R. Acad. Sci. Paris 340 (2005) 855-860, "Image
numérique, GMRES et polynômes de Faber"), so that stopping after the term m costs at most
2 Σ_{j>m} |g_j(t)|.  On |w| = ρ > 1 Cauchy's estimate gives |g_j(t)| ≤ exp(t z(ρ)) ρ⁻ʲ: that
predicts m, and the search takes the ellipse for which the prediction is least.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from advdiff.algebra.numerical_range import NumericalRange
from advdiff.core.errors import ConvergenceError

_EPS = 2.2e-16


@dataclass(frozen=True)
class Ellipse:
    """An ellipse with axes parallel to the coordinate axes.

    Attributes:
        centre: c₀ (real).
        a, b: horizontal and vertical semi-axis, a + b > 0.
        growth: σ; errors are meant relative to max(1, e^{σt}).
    """

    centre: float
    a: float
    b: float
    growth: float = 0.0

    @property
    def scale(self) -> float:
        """2/(a+b): B = scale (A − centre)."""
        return 2.0 / (self.a + self.b)

    @property
    def s(self) -> float:
        return (self.a - self.b) / (self.a + self.b)

    @property
    def right(self) -> float:
        """Right end; exact, the two terms nearly cancel."""
        return self.centre + self.a

    def boundary(self, angle: np.ndarray) -> np.ndarray:
        """z(e^{iφ}), accurate near the right end, where the exponential is large."""
        real = self.right - 2.0 * self.a * np.sin(0.5 * angle) ** 2
        return real + 1j * self.b * np.sin(angle)

    def rounding(self, final: float) -> float:
        """Rough size of the rounding errors at time ``final``, relative as the tolerance is.

        Two kinds: phases of size bT, multiplied by e^{δT}; and those of every product, some
        ε‖A‖‖x_j‖, which drift as a change of A would, T‖A‖ε at most since exp(tA) does not grow.
        Parts that live to time T show the second (measured: up to a fifth of it); where all has
        died out it overstates.
        """
        phases = _rounding(self.b * final) * math.exp((self.right - self.growth) * final)
        return phases + 0.5 * _EPS * (self.a + self.b) * final


def _rounding(phase: float) -> float:
    return _EPS * (16.0 + phase)


@dataclass(frozen=True)
class Expansion:
    """Everything about one set of times that does not depend on the vectors.

    Attributes:
        weights: g_j(t_k), shape (m+1, K), zero from j > terms[k] on.
        integrated: ∫₀^{t_k} g_j, same shape, zero from some other j on; None without a load.
        terms: the last j used for θ0 at each time.
        bound: max_k 2 Σ_{j>terms[k]} |g_j(t_k)| / max(1, e^{σ t_k}).
        load_bound: max_k 2 Σ |∫₀^{t_k} g_j| over the j left out / max(1, e^{σ t_k}), a time.
    """

    ellipse: Ellipse
    times: tuple[float, ...]
    weights: np.ndarray
    integrated: np.ndarray | None
    terms: np.ndarray
    bound: float
    load_bound: float = 0.0

    @property
    def pair(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The weights of the sequences from θ0 and from M⁻¹F."""
        return self.weights, self.integrated

    @property
    def size(self) -> int:
        """Numbers held."""
        return self.weights.size * (1 if self.integrated is None else 2)

    @property
    def last(self) -> int:
        """m: the recurrence needs x_0 … x_m, that is m products."""
        return len(self.weights) - 1


@functools.lru_cache(maxsize=1024)
def search(region: NumericalRange, final: float, tolerance: float) -> Ellipse:
    """The ellipse around ``region`` with the fewest terms at time ``final``: a grid, refined.

    Its right end may stand out by δ with e^{δT} · rounding ≤ tolerance (δT ≤ 1 is always allowed,
    see :meth:`Ellipse.rounding`), its left end freely.
    """
    scale = max(region.real, region.imag, 1e-8 / final)
    widest = max(math.log(tolerance / _rounding(region.imag * final)), 1.0) / final
    right = np.log([1e-6 * widest, widest])
    left = np.log([1e-6 * scale, 4.0 * scale])
    low, high = np.array([right[0], left[0]]), np.array([right[1], left[1]])
    for _ in range(4):
        p = np.linspace(low[0], high[0], 17)
        q = np.linspace(low[1], high[1], 17)
        delta, margin = np.meshgrid(np.exp(p), np.exp(q), indexing="ij")
        a, b = _around(region, delta, region.real + margin)
        centre = region.growth + delta - a
        _, _, terms = _cauchy(centre, a, b, final, math.log(tolerance) + region.growth * final)
        best = np.unravel_index(np.argmin(terms), terms.shape)
        middle = np.array([p[best[0]], q[best[1]]])
        step = np.array([p[1] - p[0], q[1] - q[0]])
        low, high = np.maximum(middle - step, low), np.minimum(middle + step, high)
    return Ellipse(float(centre[best]), float(a[best]), float(b[best]), region.growth)


def _around(
    region: NumericalRange, delta: np.ndarray, left: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Semi-axes of the flattest ellipse over [−left, delta] that contains the region (σ = 0)."""
    a = 0.5 * (left + delta)
    squares = [y**2 / ((delta + r) * (left - r)) for r, y in region.corners()]
    return a, a * np.sqrt(np.maximum(*squares))


FIRST = 0.99
"""Of the tolerance, for what becomes of θ0; the rest is for a load."""
_MOST_TERMS = 1e7
_LEAST = 1e-13  # of t, what the coefficients of a load are known to
_BISECTIONS, _NEWTON = 9, 4  # for log ρ in [1e-8, 80]


def _cauchy(centre, a, b, time, target):
    """log ρ, exponent z(ρ) and j = ρ ∂_ρ(t z) for which the bound exp(t z(ρ)) ρ⁻ʲ is e^target."""
    outer, inner = 0.5 * (a + b), 0.5 * (a - b)
    low, high = np.full_like(outer, 1e-8), np.full_like(outer, 80.0)
    for step in range(_BISECTIONS + _NEWTON):
        if step <= _BISECTIONS:
            log = np.sqrt(low * high)
        rho = np.exp(log)
        z = centre + outer * rho + inner / rho
        j = time * (outer * rho - inner / rho)
        excess = time * z - j * log - target
        low, high = np.where(excess > 0.0, log, low), np.where(excess > 0.0, high, log)
        if step >= _BISECTIONS:
            slope = np.maximum(log * time * (outer * rho + inner / rho), 1e-300)
            log = np.clip(log + excess / slope, low, high)
    return log, z, j


@functools.lru_cache(maxsize=1024)
def predicted_terms(ellipse: Ellipse, final: float, tolerance: float) -> float:
    """About as many terms as :func:`expand` will find, for nothing."""
    axes = np.float64(ellipse.centre), np.float64(ellipse.a), np.float64(ellipse.b)
    return float(_cauchy(*axes, final, math.log(tolerance) + ellipse.growth * final)[2])


def expand(
    ellipse: Ellipse, times: Sequence[float], tolerance: float, *, load: bool = False
) -> Expansion:
    """Coefficients for all times; those that were asked for last are remembered.

    Raises:
        ConvergenceError: rounding, or the number of products, allows no such tolerance.
    """
    key = (ellipse, tuple(times), tolerance, load)
    found = _REMEMBERED.pop(key, None)
    if found is None:
        found = _expand(ellipse, times, tolerance, load=load)
        while sum(kept.size for kept in _REMEMBERED.values()) + found.size > _MOST_NUMBERS:
            if not _REMEMBERED:
                return found
            _REMEMBERED.pop(next(iter(_REMEMBERED)))
    _REMEMBERED[key] = found
    return found


_REMEMBERED: dict[tuple, Expansion] = {}
_MOST_NUMBERS = 4_000_000


def _expand(ellipse: Ellipse, times: Sequence[float], tolerance: float, *, load: bool) -> Expansion:
    """By one FFT a time, cut where the rest is below the tolerance.

    The rest is summed up to an index J and bounded by Cauchy's estimate beyond it; the length of
    the FFT exceeds 2J, so that what is folded back (g_{−i} = sⁱ g_i included) is below it as well.
    With ``load`` the integrated coefficients obey tolerance · t_k, and as far as rounding allows
    tolerance · min(t_k, 1/2a): however short-lived what a load makes, it reaches that many ‖M⁻¹F‖.
    """
    t = np.asarray(times, dtype=float)
    final = t[-1]
    room = np.maximum(1.0, np.exp(ellipse.growth * t)) * tolerance
    axes = np.float64(ellipse.centre), np.float64(ellipse.a), np.float64(ellipse.b)
    settled = np.minimum(t, 0.5 / max(ellipse.a, ellipse.b)) if load else t
    least = np.maximum(tolerance * settled, min(tolerance, _LEAST) * t)
    log, z, j = _cauchy(*axes, final, math.log(1e-4 * np.min(least / t)))
    if not j < _MOST_TERMS:
        raise ConvergenceError(
            f"the recurrence would take {j:.1e} products to t = {final:g}, more than "
            f"{_MOST_TERMS:.0e}; shorten time.final, coarsen the mesh, or use shift-invert"
        )
    reach = int(j) + 4
    beyond = np.exp(max(final * z, 0.0) - reach * log) / np.expm1(log)  # for every s ≤ T

    length = 1 << (2 * reach + 16).bit_length()
    path = ellipse.boundary(2.0 * np.pi * np.arange(length // 2 + 1) / length)
    weights = _laurent(np.exp(np.outer(t, path)), length, reach)
    rest = 2.0 * (_rest(weights) + beyond)
    enough = rest <= FIRST * room
    integrated = None
    if load:
        # (e^{tz} − 1)/z, continued through z = 0; expm1 keeps its digits there
        safe = np.where(path == 0.0, 1.0, path)
        quotient = np.where(path == 0.0, t[:, None], np.expm1(np.outer(t, path)) / safe)
        integrated = _laurent(quotient, length, reach)
        tail = 2.0 * (_rest(integrated) + beyond * t)
        passed = tail <= room * t
        enough[-1] &= passed[-1]
    if not enough[-1].all():
        raise ConvergenceError(
            f"the tolerance {tolerance:g} is below what rounding allows to t = {t[-1]:g}; raise "
            "solver.tolerance or shorten time.final"
        )
    terms = np.argmax(enough, axis=0)
    at = np.arange(t.size)
    bound = float(np.max(rest[terms, at] / room) * tolerance)
    load_bound, last = 0.0, int(terms.max())
    if load:
        wanted = tail <= room / tolerance * least
        load_terms = np.argmax(np.where(wanted[-1], wanted, passed), axis=0)
        load_bound = float(np.max(tail[load_terms, at] / room) * tolerance)
        last = max(last, int(load_terms.max()))
        integrated = np.where(
            np.arange(last + 1)[:, None] <= load_terms, integrated[: last + 1], 0.0
        )
    used = np.arange(last + 1)[:, None] <= terms
    return Expansion(
        ellipse,
        tuple(float(value) for value in t),
        np.where(used, weights[: last + 1], 0.0),
        integrated,
        terms,
        bound,
        load_bound,
    )


def _laurent(samples: np.ndarray, length: int, reach: int) -> np.ndarray:
    """Coefficients 0 … reach, one column a row of samples on the upper half of the circle."""
    return np.fft.hfft(samples, length, axis=1)[:, : reach + 1].T / length


def _rest(weights: np.ndarray) -> np.ndarray:
    """Σ_{i>j} |weights[i]| for every j."""
    sums = np.cumsum(np.abs(weights[::-1]), axis=0)[::-1]
    return np.vstack([sums[1:], np.zeros((1, weights.shape[1]))])
