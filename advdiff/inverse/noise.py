"""Noise other than one of known size: what readings say then of their predictions.

Each is a :class:`~advdiff.inverse.likelihood.Likelihood`.  A reading below a limit of detection is
one of which only that is known: its likelihood is the probability of it, at the limit.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from scipy import special, stats

DEPTH, NODES = 40.0, 241
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
        value = -special.log_ndtr(z)
        ratio = np.exp(self.log_constant - 0.5 * z**2 + value)
        return Terms(value, -ratio, np.maximum(ratio * (ratio + z), 0.0))

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
        value = -stats.t.logcdf(z, self.nu)
        ratio = np.exp(stats.t.logpdf(z, self.nu) + value)
        slope = (self.nu + 1.0) * z / (self.nu + z**2)
        return Terms(value, -ratio, np.maximum(ratio * (ratio + slope), 0.0))

    def normal(self, z):
        return -np.sign(z) * special.ndtri_exp(stats.t.logcdf(-np.abs(z), self.nu))


class Noise(ABC):
    """Readings with errors of a kind, some of them only known to be below a limit.

    Args:
        values: read, or the limit below which the reading is, shape (reading,).
        std: as the kind takes it, shape (reading,).
        below: which are below the limit, shape (reading,), bool; none if left out.
    """

    def __init__(self, values: np.ndarray, std: np.ndarray, below: np.ndarray | None = None):
        self.values = np.asarray(values, dtype=float)
        self.std = np.broadcast_to(np.asarray(std, dtype=float), self.values.shape)
        none = np.zeros(self.values.shape, dtype=bool)
        self.below = none if below is None else np.asarray(below, dtype=bool)

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
        """Residuals in standard deviations, as quantiles of a normal error; of a reading below its
        limit, what half of such readings are below, shape (reading,)."""
        z = (self.values - predicted) / self.scale(predicted)
        density = getattr(self, "density", Normal())
        result = density.normal(np.where(self.below, 0.0, z))
        if self.below.any():
            half = -density.below(z[self.below]).value - math.log(2.0)
            result[self.below] = special.ndtri_exp(half)
        return result


class Known(Noise):
    """Errors of known size.

    >>> seen = Known(np.array([1.0, 0.5]), np.array([0.1, 0.1]), below=np.array([False, True]))
    >>> round(seen.value(np.array([1.1, 0.5])), 4)  # one off; at the limit: ½ + log 2
    1.1931
    """

    def __init__(self, values, std, below=None, density: Density | None = None):
        super().__init__(values, std, below)
        self.density = density or Normal()

    def scale(self, predicted):
        return self.std

    def terms(self, predicted):
        z = (self.values - predicted) / self.std
        return _chosen(self.density, z, self.below, -1.0 / self.std)

    @property
    def log_constant(self):
        inside = ~self.below
        return inside.sum() * self.density.log_constant - float(np.log(self.std[inside]).sum())


class Relative(Noise):
    """Errors of the size √(σ₀² + (rθ)²): σ₀ alone, and a share of what is there.

    Args:
        relative: r.
    """

    def __init__(self, values, std, relative: float, below=None):
        super().__init__(values, std, below)
        self.relative = relative

    log_constant = property(lambda self: (~self.below).sum() * Normal.log_constant)

    def scale(self, predicted):
        return np.hypot(self.std, self.relative * predicted)

    def terms(self, predicted):
        scale = self.scale(predicted)
        growth = self.relative**2 * predicted / scale**2  # ∂ log scale/∂predicted
        z = (self.values - predicted) / scale
        value, slope, information = _chosen(Normal(), z, self.below, -1.0 / scale - z * growth)
        inside = ~self.below
        value = value + np.where(inside, np.log(scale), 0.0)
        slope = slope + np.where(inside, growth, 0.0)
        fisher = 1.0 / scale**2 + 2.0 * growth**2
        return Terms(value, slope, np.where(inside, fisher, information))


class Unknown(Noise):
    """Errors of one unknown size σ a group, which is integrated out under p(σ) ∝ 1/σ.

    Without readings below a limit in closed form, ½n log Σ((value − predicted)/std)²; with some by
    the trapezoidal rule in log σ.

    Args:
        std: σ is in units of these.
        group: of each reading, 0, 1, …, shape (reading,).
    """

    def __init__(self, values, std, group: np.ndarray, below=None):
        super().__init__(values, std, below)
        self.group = np.asarray(group)
        self.members = [np.flatnonzero(self.group == g) for g in range(self.group.max() + 1)]

    def _parts(self, predicted):
        """(members, z in units of std, σ², number inside) of every group."""
        z = (self.values - predicted) / self.std
        for members in self.members:
            inside = members[~self.below[members]]
            yield members, z, float(z[inside] @ z[inside]), len(inside)

    def scale(self, predicted):
        result = np.empty_like(self.values)
        for members, _z, squares, count in self._parts(predicted):
            result[members] = self.std[members] * math.sqrt(squares / count)
        return result

    def terms(self, predicted):
        found = Terms(*np.zeros((3, len(self.values))))
        for members, z, squares, count in self._parts(predicted):
            part = self._closed if not self.below[members].any() else self._integrated
            for total, one in zip(found, part(members, z, squares, count), strict=True):
                total[members] = one
        return found

    def _closed(self, members, z, squares, count):
        value = 0.5 * count * math.log(squares) if squares > 0.0 else -math.inf
        precision = count / squares / self.std[members] if squares > 0.0 else math.nan
        share = np.full(len(members), value / len(members))
        return Terms(share, -precision * z[members], precision / self.std[members])

    def _integrated(self, members, z, squares, count):
        z, below, std = z[members], self.below[members], self.std[members]
        logs = self._range(squares, np.maximum(-z[below], 0.0), count)
        sizes = np.exp(logs)[:, None]
        inside, limits = Normal().inside(z / sizes), Normal().below(z / sizes)
        parts = [np.where(below, b, a) for a, b in zip(inside, limits, strict=True)]
        weights = -parts[0].sum(axis=1) - count * logs
        total = special.logsumexp(weights) + math.log(logs[1] - logs[0])
        weights = np.exp(weights - special.logsumexp(weights))[:, None]
        slope = -(weights * parts[1] / sizes).sum(axis=0) / std
        information = (weights * parts[2] / sizes**2).sum(axis=0) / std**2
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
            inside = members[~self.below[members]]
            n = len(inside)
            total += n * Normal.log_constant - float(np.log(self.std[inside]).sum())
            if not self.below[members].any():
                total += (0.5 * n - 1.0) * math.log(2.0) + special.gammaln(0.5 * n)
        return total


def _chosen(density: Density, z: np.ndarray, below: np.ndarray, by: np.ndarray) -> Terms:
    """The terms of z, of those below a limit where they are; derivatives by what z moves with."""
    inside = density.inside(z)
    if below.any():
        limits = density.below(z)
        inside = Terms(*(np.where(below, b, a) for a, b in zip(inside, limits, strict=True)))
    return Terms(inside.value, inside.slope * by, inside.information * by**2)
