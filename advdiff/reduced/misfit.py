"""The objective of the inversion in numpy: the same terms as ``inverse.objective``, with a Hessian.

It takes any model with ``linearise(m)`` → ``predicted``, ``push``, ``pull``; its exact Hessian
also needs ``curve``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class GaussianPrior:
    """m = m₀ + Lξ with ξ white.

    Attributes:
        mean: m₀, shape (parameter,).
        factor: L, shape (parameter, parameter).

    >>> prior = GaussianPrior(mean=np.array([1.0]), factor=np.array([[2.0]]))
    >>> prior.color(np.array([1.0])), prior.whiten(np.array([3.0]))
    (array([3.]), array([1.]))
    """

    mean: np.ndarray
    factor: np.ndarray

    def color(self, xi: np.ndarray) -> np.ndarray:
        """m = m₀ + Lξ."""
        return self.mean + self.factor @ xi

    @cached_property
    def _inverse(self) -> np.ndarray:
        return np.linalg.inv(self.factor)

    def whiten(self, m: np.ndarray) -> np.ndarray:
        """ξ = L⁻¹(m − m₀)."""
        return self._inverse @ (m - self.mean)

    def precision(self, dm: np.ndarray) -> np.ndarray:
        """(LLᵀ)⁻¹ dm."""
        return self._inverse.T @ (self._inverse @ dm)

    def value_and_gradient(self, m: np.ndarray) -> tuple[float, np.ndarray]:
        """½‖L⁻¹(m − m₀)‖² and its gradient."""
        gradient = self.precision(m - self.mean)
        return 0.5 * float((m - self.mean) @ gradient), gradient


@dataclass
class ReducedEvaluation:
    """The negative log posterior at one m; the names of ``inverse.objective.Evaluation``."""

    m: np.ndarray
    misfit: float
    regularization: float
    predicted: np.ndarray
    data_gradient: np.ndarray
    gradient: np.ndarray
    weights: np.ndarray
    linearisation: object

    @property
    def objective(self) -> float:
        return self.misfit + self.regularization


class ReducedMisfit:
    """½ Σ ((predicted − values)/std)² + ½‖L⁻¹(m − m₀)‖² and its derivatives."""

    def __init__(self, model, values: np.ndarray, std: np.ndarray, prior: GaussianPrior):
        self.model, self.values, self.std, self.prior = model, values, std, prior

    def value(self, m: np.ndarray) -> float:
        """The objective alone."""
        residual = (self.model.observe(m) - self.values) / self.std
        return 0.5 * float(residual @ residual) + self.prior.value_and_gradient(m)[0]

    def evaluate(self, m: np.ndarray) -> ReducedEvaluation:
        """The objective and its gradient."""
        at = self.model.linearise(m)
        residual = (at.predicted - self.values) / self.std
        weights = residual / self.std
        data_gradient = at.pull(weights)
        regularization, gradient = self.prior.value_and_gradient(m)
        return ReducedEvaluation(
            np.array(m, dtype=float),
            0.5 * float(residual @ residual),
            regularization,
            at.predicted,
            data_gradient,
            gradient + data_gradient,
            weights,
            at,
        )

    def gauss_newton(self, at: ReducedEvaluation, dm: np.ndarray) -> np.ndarray:
        """(JᵀΣ⁻¹J + C⁻¹) dm."""
        pushed = at.linearisation.push(dm)
        return at.linearisation.pull(pushed / self.std**2) + self.prior.precision(dm)

    def hessian(self, at: ReducedEvaluation, dm: np.ndarray) -> np.ndarray:
        """The exact Hessian times dm."""
        change = at.linearisation.push(dm) / self.std**2
        return at.linearisation.curve(at.weights, dm, change) + self.prior.precision(dm)
