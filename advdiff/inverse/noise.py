"""Noise other than one of known size: what readings say then of their predictions.

Each is a :class:`~advdiff.inverse.likelihood.Likelihood`.  Of a reading beyond a limit only that is
known, and its likelihood is the probability of that.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol

import numpy as np
from scipy import special, stats

from advdiff.core.errors import ConvergenceError, InputError
from advdiff.inverse.likelihood import Gaussian

FEWEST = 3
"""Readings that tell the size of their noise, if badly."""
FAR = 1e3
"""Standard deviations beyond a limit from which the second derivative is 1 − 1/z², to 6/z⁴."""
DEPTH, NODES = 40.0, 129
"""How small the integrand over an unknown log σ is where it is cut off, e^−40, and its nodes."""


class Terms(NamedTuple):
    """−log of a density and what follows from it, a number a reading.

    ``information`` is the Fisher information of a value, and the second derivative, where that is
    positive, of what is below a limit.
    """

    value: np.ndarray
    slope: np.ndarray
    information: np.ndarray


class Density(ABC):
    """A standard error: of size 1 about 0."""

    @abstractmethod
    def inside(self, z: np.ndarray) -> Terms:
        """−log p(z) but for its value at 0, and its derivatives by z."""

    @abstractmethod
    def below(self, z: np.ndarray) -> Terms:
        """−log P(error < z), and its derivatives by z."""

    @abstractmethod
    def normal(self, z: np.ndarray) -> np.ndarray:
        """The quantile of a normal error that is as improbable as z."""

    @property
    @abstractmethod
    def log_constant(self) -> float:
        """log p(0)."""


class Normal(Density):
    """N(0, 1)."""

    log_constant = -0.5 * math.log(2.0 * math.pi)

    def inside(self, z):
        return Terms(0.5 * z**2, z, np.ones_like(z))

    def below(self, z):
        ratio = math.sqrt(2.0 / math.pi) / special.erfcx(-z / math.sqrt(2.0))
        far = z < -FAR  # where ratio + z cancels: the tail of the normal distribution
        second = np.where(far, 1.0 - 1.0 / np.where(far, z, 1.0) ** 2, ratio * (ratio + z))
        return Terms(-special.log_ndtr(z), -ratio, np.maximum(second, 0.0))

    def normal(self, z):
        return z


class Student(Density):
    """Student's t with ν degrees of freedom: far off readings pull less and less."""

    def __init__(self, nu: float):
        self.nu = nu

    @property
    def log_constant(self):
        return float(stats.t.logpdf(0.0, self.nu))

    def inside(self, z):
        nu = self.nu
        slope = (nu + 1.0) * z / (nu + z**2)
        value = 0.5 * (nu + 1.0) * np.log1p(z**2 / nu)
        return Terms(value, slope, np.full_like(z, (nu + 1.0) / (nu + 3.0)))

    def below(self, z):
        value = -self._log_cdf(z)
        ratio = np.exp(stats.t.logpdf(z, self.nu) + value)
        slope = (self.nu + 1.0) * z / (self.nu + z**2)
        return Terms(value, -ratio, np.maximum(ratio * (ratio + slope), 0.0))

    def normal(self, z):
        return -np.sign(z) * special.ndtri_exp(self._log_cdf(-np.abs(z)))

    def _log_cdf(self, z):
        """SciPy's, and by the incomplete beta function (DLMF 8.17.8) where its own is −inf."""
        with np.errstate(divide="ignore"):
            result = stats.t.logcdf(z, self.nu)
        far = np.isneginf(result) & np.isfinite(z)
        a, log_x = 0.5 * self.nu, np.log(self.nu) - 2.0 * np.log(np.hypot(self.nu**0.5, z[far]))
        x = np.exp(log_x)
        series = special.hyp2f1(a + 0.5, 1.0, a + 1.0, x)
        beta = a * log_x + 0.5 * np.log1p(-x) - special.betaln(a, 0.5)
        result[far] = beta + np.log(series / (2.0 * a))
        return result


class Noise(ABC):
    """Readings with errors of a kind, some of them only known to be below a limit.

    Args:
        values: read, or the limit that the reading is beyond, shape (reading,).
        std: as the kind takes it, shape (reading,).
        censored: −1 where the reading is below the limit, 1 where it is above, 0 where it is
            known, shape (reading,); known if left out.
    """

    density: Density = Normal()

    def __init__(self, values: np.ndarray, std: np.ndarray, censored: np.ndarray | None = None):
        self.values = np.asarray(values, dtype=float)
        self.std = np.broadcast_to(np.asarray(std, dtype=float), self.values.shape)
        none = np.zeros(self.values.shape, dtype=int)
        self.censored = none if censored is None else np.asarray(censored, dtype=int)

    @property
    def seen(self) -> np.ndarray:
        """Which readings are known, shape (reading,)."""
        return self.censored == 0

    @abstractmethod
    def terms(self, predicted: np.ndarray) -> Terms:
        """What each reading says, in derivatives by its prediction."""

    @abstractmethod
    def scale(self, predicted: np.ndarray) -> np.ndarray:
        """The standard deviation of each reading, where it is estimated too at its estimate."""

    @property
    @abstractmethod
    def log_constant(self) -> float:
        """log p(values) + Φ, the constant that Φ leaves out."""

    def sizes(self, predicted: np.ndarray) -> tuple[float, ...]:
        """Those of the noise that are estimated too, in units of std."""
        return ()

    def value(self, predicted):
        """Φ up to a constant; inf where the data are impossible."""
        with np.errstate(all="ignore"):
            total = float(self.terms(predicted).value.sum())
        return math.inf if math.isnan(total) else total

    def slope(self, predicted):
        """∂Φ/∂predicted, shape (reading,)."""
        return self.terms(predicted).slope

    def information(self, predicted):
        """The Fisher information of the predictions, a diagonal, shape (reading,)."""
        return self.terms(predicted).information

    def standardised(self, predicted: np.ndarray) -> np.ndarray:
        """Residuals in standard deviations, as quantiles of a normal error; of one beyond a
        limit, what half of such readings are beyond, shape (reading,)."""
        z = (self.values - predicted) / self.scale(predicted)
        density = self.density
        result = density.normal(np.where(self.seen, z, 0.0))
        beyond = ~self.seen
        if beyond.any():
            side = self.censored[beyond]
            half = -density.below(-side * z[beyond]).value - math.log(2.0)
            result[beyond] = -side * special.ndtri_exp(half)
        return result


class Known(Noise):
    """Errors of known size.

    >>> seen = Known(np.array([1.0, 0.5]), np.array([0.1, 0.1]), censored=np.array([0, -1]))
    >>> round(seen.value(np.array([1.1, 0.5])), 4)  # one off; at the limit: ½ + log 2
    1.1931
    """

    def __init__(self, values, std, censored=None, density: Density | None = None):
        super().__init__(values, std, censored)
        self.density = density or Normal()

    def scale(self, predicted):
        return self.std

    def terms(self, predicted):
        z = (self.values - predicted) / self.std
        return _chosen(self.density, z, self.censored, -1.0 / self.std)

    @property
    def log_constant(self):
        inside = self.seen
        return inside.sum() * self.density.log_constant - float(np.log(self.std[inside]).sum())


class Relative(Noise):
    """Errors of the size √(σ₀² + (rθ)²): σ₀ alone, and a share of what is there.

    Args:
        relative: r.
    """

    def __init__(self, values, std, relative: float, censored=None):
        super().__init__(values, std, censored)
        self.relative = relative

    log_constant = property(lambda self: self.seen.sum() * Normal.log_constant)

    def scale(self, predicted):
        return np.hypot(self.std, self.relative * predicted)

    def terms(self, predicted):
        scale = self.scale(predicted)
        growth = self.relative**2 * predicted / scale**2  # ∂ log scale/∂predicted
        z = (self.values - predicted) / scale
        value, slope, information = _chosen(
            self.density, z, self.censored, -1.0 / scale - z * growth
        )
        inside = self.seen
        value = value + np.where(inside, np.log(scale), 0.0)
        slope = slope + np.where(inside, growth, 0.0)
        fisher = 1.0 / scale**2 + 2.0 * growth**2
        return Terms(value, slope, np.where(inside, fisher, information))


class Unknown(Noise):
    """Errors of one unknown size σ a group, which is integrated out under p(σ) ∝ 1/σ.

    Without readings beyond a limit in closed form, ½n log Σ((value − predicted)/std)²; with some by
    the trapezoidal rule in log σ.  ``information`` is a share (n − 2)/n of n/Σ: its inverse is the
    variance that is left for a linear model, wider than at the most probable σ.

    Args:
        std: σ is in units of these.
        group: of each reading, 0, 1, …, shape (reading,).
    """

    def __init__(self, values, std, group: np.ndarray, censored=None):
        super().__init__(values, std, censored)
        self.group = np.asarray(group)
        self.members = [np.flatnonzero(self.group == g) for g in range(self.group.max() + 1)]

    def _parts(self, predicted):
        """(members, z in units of std, σ², number inside) of every group."""
        z = (self.values - predicted) / self.std
        for members in self.members:
            inside = members[self.seen[members]]
            yield members, z, float(z[inside] @ z[inside]), len(inside)

    def sizes(self, predicted: np.ndarray) -> tuple[float, ...]:
        """σ of every group, where its density is largest but for readings beyond limits."""
        return tuple(math.sqrt(squares / n) for _, _, squares, n in self._parts(predicted))

    def scale(self, predicted):
        return self.std * np.array(self.sizes(predicted))[self.group]

    def terms(self, predicted):
        found = Terms(*np.zeros((3, len(self.values))))
        for members, z, squares, count in self._parts(predicted):
            if squares == 0.0:
                raise ConvergenceError(
                    f"observations.noise = 'unknown': all {count} readings of one size of noise "
                    "are met exactly, which makes that size 0; mind what they depend on "
                    "(physics.initial, physics.source), or give the size in observations.std"
                )
            part = self._closed if self.seen[members].all() else self._integrated
            for total, one in zip(found, part(members, z, squares, count), strict=True):
                total[members] = one
        return found

    def _closed(self, members, z, squares, count):
        value = 0.5 * count * math.log(squares)
        precision = count / squares / self.std[members]
        share = np.full(len(members), value / len(members))
        # what is left of m is a multivariate t: the precision that has its variance
        matched = max(count - 2, 1) / count * precision / self.std[members]
        return Terms(share, -precision * z[members], matched)

    def _integrated(self, members, z, squares, count):
        z, side, std = z[members], self.censored[members], self.std[members]
        logs = self._range(squares, np.maximum(side * z, 0.0), count)
        sizes = np.exp(logs)[:, None]
        parts = _chosen(self.density, z / sizes, side, 1.0)
        weights = -parts[0].sum(axis=1) - count * logs
        total = special.logsumexp(weights) + math.log(logs[1] - logs[0])
        weights = np.exp(weights - special.logsumexp(weights))[:, None]
        slope = -(weights * parts[1] / sizes).sum(axis=0) / std
        information = (weights * parts[2] / sizes**2).sum(axis=0) / std**2
        information *= max(count - 2, 1) / count
        return Terms(np.full(len(z), -total / len(z)), slope, information)

    @staticmethod
    def _range(squares: float, over: np.ndarray, count: int) -> np.ndarray:
        """log σ between bounds outside of which the integrand is below e^−DEPTH of its peak: of
        what is inside alone, and with predictions over their limits as if these had been read."""
        low, high = (0.5 * math.log(s / count) for s in (squares, squares + float(over @ over)))
        wide = DEPTH / count + math.sqrt(DEPTH / count)
        return np.linspace(low - 0.5 * math.log1p(2.0 * wide), high + wide, NODES)

    @property
    def log_constant(self):
        """Of the closed form; the prior 1/σ has no constant of its own, and 1 is taken."""
        total = 0.0
        for members in self.members:
            inside = members[self.seen[members]]
            n = len(inside)
            total += n * Normal.log_constant - float(np.log(self.std[inside]).sum())
            if self.seen[members].all():
                total += (0.5 * n - 1.0) * math.log(2.0) + special.gammaln(0.5 * n)
        return total


class Seen(Protocol):
    """Readings, as far as their noise asks; arrays of shape (reading,)."""

    values: np.ndarray
    std: np.ndarray
    censored: np.ndarray | None
    group: np.ndarray


def make(readings: Seen, kind: str, relative: float | None, nu: float, by: str) -> Gaussian | Noise:
    """The likelihood of a kind of noise.

    Raises:
        InputError: for an unknown size of too few readings.
    """
    values, std, censored = readings.values, readings.std, readings.censored
    if kind == "relative":
        return Relative(values, std, relative, censored)
    if kind == "student":
        return Known(values, std, censored, Student(nu))
    if kind == "given":
        return Gaussian(values, std) if censored is None else Known(values, std, censored)
    group = readings.group if by == "sensor" else np.zeros(len(values), dtype=int)
    found = Unknown(values, std, group, censored)
    fewest = min(int(found.seen[members].sum()) for members in found.members)
    if fewest < FEWEST:
        raise InputError(
            f"observations.noise = 'unknown': {fewest} readings within their limits"
            f"{' at one sensor' if by == 'sensor' else ''} do not tell the size of their noise; "
            f"it takes {FEWEST}: give it in observations.std, or write by = 'all'"
        )
    return found


def _chosen(density: Density, z: np.ndarray, side: np.ndarray, by: np.ndarray | float) -> Terms:
    """The terms of z, of those beyond a limit where they are; derivatives by what z moves with."""
    found = density.inside(z)
    if side.any():
        limits = density.below(np.where(side > 0, -z, z))
        limits = limits._replace(slope=np.where(side > 0, -1.0, 1.0) * limits.slope)
        found = Terms(*(np.where(side == 0, a, b) for a, b in zip(found, limits, strict=True)))
    return Terms(found.value, found.slope * by, found.information * by**2)
