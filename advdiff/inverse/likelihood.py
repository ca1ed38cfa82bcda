"""Likelihoods: what the data say about the predictions of a model, Gaussian or not.

The negative log likelihood of a model is a ``Potential``; the ½‖(predicted − measured)/σ‖² of the
inversion is its Gaussian instance.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from petsc4py import PETSc

from advdiff.core.errors import SIZES, ConvergenceError
from advdiff.inverse.model import Linearisation, Model


class Likelihood(Protocol):
    """The negative log likelihood as a function of the predictions, shape (reading,)."""

    def value(self, predicted: np.ndarray) -> float:
        """Up to a constant; inf where the data are impossible."""

    def slope(self, predicted: np.ndarray) -> np.ndarray:
        """Its derivative, shape (reading,)."""

    def information(self, predicted: np.ndarray) -> np.ndarray:
        """The Fisher information of the predictions, a diagonal, shape (reading,)."""


class Gaussian:
    """Independent normal errors: ½ Σ ((predicted − values)/std)².

    Values, std and predictions have shape (reading,) and the unit of what is read; nothing is
    collective.

    >>> seen = Gaussian(values=np.array([1.0, 2.0]), std=np.array([0.1, 0.1]))
    >>> round(seen.value(np.array([1.1, 2.2])), 6)  # one and two standard deviations off
    2.5
    >>> seen.slope(np.array([1.1, 2.2])).round(6)
    array([10., 20.])
    """

    def __init__(self, values: np.ndarray, std: np.ndarray):
        self.values, self.std = values, std

    @property
    def log_constant(self) -> float:
        """log p(values) + Φ, the constant that Φ leaves out."""
        return -float(
            np.log(np.sqrt(2.0 * np.pi) * np.broadcast_to(self.std, self.values.shape)).sum()
        )

    def scale(self, predicted: np.ndarray) -> np.ndarray:
        """The standard deviation of each reading, shape (reading,)."""
        return np.broadcast_to(self.std, predicted.shape)

    def sizes(self, predicted: np.ndarray) -> tuple[float, ...]:
        """Those of the noise that are estimated too: none."""
        return ()

    def standardised(self, predicted: np.ndarray) -> np.ndarray:
        """Residuals in standard deviations, shape (reading,)."""
        return (self.values - predicted) / self.std

    def value(self, predicted):
        residual = (predicted - self.values) / self.std
        with np.errstate(all="ignore"):
            return 0.5 * float(residual @ residual)

    def slope(self, predicted):
        return (predicted - self.values) / self.std**2

    def information(self, predicted):
        return np.broadcast_to(1.0 / np.square(self.std), predicted.shape)


class Counts:
    """Independent outcomes whose probabilities the model predicts: −Σ n log p.

    ``information`` is n/p², the observed one: push and pull make a semidefinite Hessian of it.
    """

    def __init__(self, counts: np.ndarray):
        self.counts = counts

    def value(self, predicted):
        if not (predicted > 0).all():
            return np.inf
        return -float(self.counts @ np.log(predicted))

    def slope(self, predicted):
        return -self.counts / predicted

    def information(self, predicted):
        return self.counts / predicted**2


class Potential:
    """Φ(m) = −log p(data | m) of a model and a likelihood."""

    def __init__(self, model: Model, likelihood: Likelihood):
        self.model, self.likelihood = model, likelihood

    def value(self, m: PETSc.Vec) -> float:
        """Φ alone (collective)."""
        return self.likelihood.value(self.model.observe(m))

    def linearise(self, m: PETSc.Vec) -> tuple[float, PETSc.Vec, Linearisation]:
        """Φ, ∇Φ and the model at m (collective).

        Raises:
            ConvergenceError: where Φ is not finite.
        """
        at = self.model.linearise(m)
        value = self.likelihood.value(at.predicted)
        if not np.isfinite(value):
            raise ConvergenceError(
                f"the misfit is {value}; mind the sizes of readings and std, or {SIZES}"
            )
        return value, at.pull(self.likelihood.slope(at.predicted)), at

    def gauss_newton(self, at: Linearisation, dm: PETSc.Vec) -> PETSc.Vec:
        """Jᵀ I J dm, the Hessian without second derivatives of the model (collective)."""
        return at.pull(self.likelihood.information(at.predicted) * at.push(dm))
