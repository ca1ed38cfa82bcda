"""Everything of a reduced model at one m from one eigendecomposition Q = VΛV⁻¹.

With E_k = e^{t_kΛ}, β = V⁻¹x(0) and α_k = Vᵀa_k for the rows a_k that weigh the states at t_k,

    x_k = V E_k β,      ∂/∂Q Σ_k a_kᵀx_k = V⁻ᵀ G̃ Vᵀ,      G̃_ij = β_j Σ_k α_ki f_k[λ_i, λ_j]

(Daleckii & Krein 1951; Najfeld & Havel 1995).  The sum over k goes inside the divided difference
f_k = (e^{t_kλ_i} − e^{t_kλ_j})/(λ_i − λ_j): K r² for all times, whatever lies between them.  Pairs
too close to divide by are summed with a hyperbolic sine instead.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from advdiff.matexp import DomainError
from advdiff.matexp.balance import balancing, scaled
from advdiff.reduced.linearisation import ReducedLinearisation
from advdiff.reduced.system import System

CLOSE = 1e-4
"""|λ_i − λ_j| t_1 below which nothing is divided: beyond it, four digits are lost at most."""
WORST = 1e7


class Eigenbasis(NamedTuple):
    """Λ (d,), V and V⁻¹ (d, d), and a bound of cond₂(V) (infinite for a defective matrix).

    The bound is that of the eigenvectors in balanced units (``matexp.balance``).
    """

    values: np.ndarray
    vectors: np.ndarray
    inverse: np.ndarray
    condition: float


def eigenbasis(matrix: np.ndarray) -> Eigenbasis:
    """The eigendecomposition of a real matrix."""
    units = balancing(matrix)
    values, vectors = np.linalg.eig(scaled(matrix, units))
    try:
        inverse = np.linalg.inv(vectors)
    except np.linalg.LinAlgError:
        return Eigenbasis(values, vectors, np.full_like(vectors, np.nan), np.inf)
    # ‖X‖₂² ≤ ‖X‖₁‖X‖∞, far cheaper than singular values
    sizes = [np.abs(x).sum(axis=axis).max() for x in (vectors, inverse) for axis in (0, 1)]
    condition = float(np.sqrt(np.prod(sizes)))
    return Eigenbasis(values, units[:, None] * vectors, inverse / units, condition)


class SpectralLinearisation(ReducedLinearisation):
    """One solution of the reduced model in the eigenbasis of its generator.

    Raises:
        DomainError: where the eigenbasis is defective or nearly so.
    """

    def __init__(self, model: System, m: np.ndarray, matrix: np.ndarray, basis: Eigenbasis):
        if not basis.condition <= WORST:
            raise DomainError(
                f"the eigenbasis of the reduced generator has a condition number of up to "
                f"{basis.condition:.0e}; take the method 'pade' or 'auto'"
            )
        self.basis = basis
        self._times = model.times[model.times > 0.0]
        super().__init__(model, m, matrix)

    def _solve(self) -> np.ndarray:
        values, vectors, inverse, _ = self.basis
        self._start = inverse @ self.model.start
        self._exponents = np.exp(self._times[:, None] * values)
        positive = self._real((self._exponents * self._start) @ vectors.T)
        return np.vstack([self.model.start, positive])

    @staticmethod
    def _real(values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(values.real)

    def _gaps(self) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray]:
        """1/(λ_i − λ_j), 0 for close pairs; those pairs; and their f_k, shape (K, pair)."""
        values = self.basis.values
        gap = values[:, None] - values[None, :]
        close = np.abs(gap) * self._times[0] <= CLOSE
        i, j = np.nonzero(close)
        gap[close] = 1.0
        reciprocal = 1.0 / gap
        reciprocal[close] = 0.0
        t = self._times[:, None]
        half = 0.5 * t * (values[i] - values[j])
        ratio = np.ones_like(half)
        np.divide(np.sinh(half), half, out=ratio, where=half != 0.0)
        return reciprocal, (i, j), t * np.exp(0.5 * t * (values[i] + values[j])) * ratio

    def matrix_gradient(self, weights: np.ndarray) -> np.ndarray:
        """Σ_r w_r ∂(prediction r)/∂Q, shape (d, d)."""
        _, vectors, inverse, _ = self.basis
        rows = self._loads(weights)[1:] @ vectors
        reciprocal, (i, j), close = self._gaps()
        own = (rows * self._exponents).sum(axis=0)
        core = (own[:, None] - rows.T @ self._exponents) * reciprocal
        core[i, j] = (rows[:, i] * close).sum(axis=0)
        left = inverse.T @ (core * self._start)
        if not np.iscomplexobj(left):
            return left @ vectors.T
        return left.real @ vectors.real.T - left.imag @ vectors.imag.T

    def push(self, dm: np.ndarray) -> np.ndarray:
        """Derivative of the predictions along dm, shape (reading,)."""
        _, vectors, inverse, _ = self.basis
        inner = inverse @ self._direction(np.asarray(dm, dtype=float)) @ vectors
        reciprocal, (i, j), close = self._gaps()
        far = inner * reciprocal
        moved = self._exponents * (far @ self._start) - (self._exponents * self._start) @ far.T
        turns = np.zeros_like(moved)
        np.add.at(turns.T, i, (close * (inner[i, j] * self._start[j])).T)
        tangents = self._real((moved + turns) @ vectors.T)
        return self._read(np.vstack([np.zeros(self.model.dimension), tangents]))
