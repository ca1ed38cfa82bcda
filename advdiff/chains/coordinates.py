"""Targets: a potential in white coordinates, of the prior or of a Laplace approximation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from petsc4py import PETSc

from advdiff.chains.kernel import Target
from advdiff.core.errors import ConvergenceError
from advdiff.inverse.likelihood import Potential
from advdiff.inverse.prior import Prior
from advdiff.matexp import DomainError

FAILURES = (ConvergenceError, DomainError, FloatingPointError, OverflowError, np.linalg.LinAlgError)
"""What a model raises, on all ranks alike, for parameters that it cannot be evaluated at."""


class White:
    """Φ(m₀ + Lξ) and its gradient Lᵀ∇Φ.

    A model that fails at some ξ has Φ = inf there: a kernel does not go there, and counts it as
    diverging.

    Attributes:
        values, gradients: how many were evaluated.
    """

    def __init__(self, potential: Potential, prior: Prior):
        self.potential, self.prior = potential, prior
        self.values = self.gradients = 0

    def parameters(self, xi: PETSc.Vec) -> PETSc.Vec:
        """m = m₀ + Lξ."""
        return self.prior.color(xi)

    def likelihood(self, _xi: PETSc.Vec, value: float) -> float:
        """The negative log likelihood where the target has this value."""
        return value

    def value(self, xi: PETSc.Vec) -> float:
        self.values += 1
        m = self.prior.color(xi)
        try:
            value = self.potential.value(m)
        except FAILURES:
            value = math.inf
        m.destroy()
        return value if math.isfinite(value) else math.inf

    def both(self, xi: PETSc.Vec) -> tuple[float, PETSc.Vec | None]:
        self.gradients += 1
        m = self.prior.color(xi)
        try:
            value, gradient, _ = self.potential.linearise(m)
        except FAILURES:
            return math.inf, None
        finally:
            m.destroy()
        white = self.prior.color_transpose(gradient)
        gradient.destroy()
        return value, white

    def gradient(self, xi: PETSc.Vec) -> PETSc.Vec | None:
        return self.both(xi)[1]


class Recentred:
    """A target in the white coordinates η of a Gaussian N(ξ₀, (I + UΛUᵀ)⁻¹) in place of the prior.

    ξ = ξ₀ + Sη with S = (I + UΛUᵀ)^(−½), and Φ'(η) = Φ(ξ) + ½|ξ|² − ½|η|², where the difference of
    squares is ½|ξ₀|² + ⟨ξ₀, Sη⟩ − ½ Σ_i λ_i/(1 + λ_i) ⟨u_i, η⟩²: finite also where |ξ|² is not.
    Every kernel for Φ' is one for Φ with the Laplace metric.

    Args:
        target: Φ.
        centre: ξ₀, such as the maximum a posteriori.
        vectors, values: orthonormal u_i and λ_i > −1, eigenpairs of the Hessian of Φ.
    """

    def __init__(
        self, target: Target, centre: PETSc.Vec, vectors: Sequence[PETSc.Vec], values: np.ndarray
    ):
        self.target, self.centre, self.vectors = target, centre, list(vectors)
        self.values = np.asarray(values, dtype=float)
        self.shrunk = 1.0 / np.sqrt(1.0 + values) - 1.0
        self.lost = values / (1.0 + values)

    def over(self, target: Target) -> Recentred:
        """Another target in the same coordinates."""
        return Recentred(target, self.centre, self.vectors, self.values)

    def parameters(self, eta: PETSc.Vec) -> PETSc.Vec:
        """m of η."""
        return self.target.parameters(self._position(eta)[0])

    def likelihood(self, eta: PETSc.Vec, value: float) -> float:
        """The negative log likelihood where the target has this value."""
        return value - self._position(eta)[1]

    def _along(self, vector: PETSc.Vec) -> np.ndarray:
        return np.array([u.dot(vector) for u in self.vectors])

    def _shrink(self, vector: PETSc.Vec, along: np.ndarray) -> PETSc.Vec:
        """S v, from the components of v along the eigenvectors."""
        result = vector.copy()
        if self.vectors:
            result.maxpy(self.shrunk * along, self.vectors)
        return result

    def _position(self, eta: PETSc.Vec) -> tuple[PETSc.Vec, float, np.ndarray]:
        """ξ, what Φ' has beside Φ, and the components of η."""
        along = self._along(eta)
        xi = self._shrink(eta, along)
        extra = 0.5 * self.centre.dot(self.centre) + self.centre.dot(xi)
        xi.axpy(1.0, self.centre)
        return xi, extra - 0.5 * float(self.lost @ along**2), along

    def value(self, eta):
        xi, extra, _ = self._position(eta)
        return self.target.value(xi) + extra

    def both(self, eta):
        xi, extra, along = self._position(eta)
        value, gradient = self.target.both(xi)
        return value + extra, self._pull(gradient, along)

    def gradient(self, eta):
        xi, _, along = self._position(eta)
        return self._pull(self.target.gradient(xi), along)

    def _pull(self, gradient, along):
        """S(∇Φ + ξ₀) − UΛ(1 + Λ)⁻¹Uᵀη."""
        if gradient is None:
            return None
        total = gradient.copy()
        total.axpy(1.0, self.centre)
        result = self._shrink(total, self._along(total))
        if self.vectors:
            result.maxpy(-self.lost * along, self.vectors)
        return result
