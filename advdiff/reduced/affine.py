"""The scalar functions f_j(m) of an affine family A(m) = A_0 + Σ_j (f_j(m) − f_j(m̄)) A_j.

A coefficient of the velocity enters as itself, the logarithm of a diffusivity through its
exponential: the family is affine in f, not in m.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Affine:
    """f_j(m) = m_j, or e^{m_j} where ``exponential``; one function an unknown.

    Attributes:
        reference: m̄, where A_0 was assembled, shape (parameter,).
        exponential: shape (parameter,), bool.
        diffuses: which of these multiply the diffusivity, shape (parameter,), bool.
    """

    reference: np.ndarray
    exponential: np.ndarray
    diffuses: np.ndarray

    @property
    def size(self) -> int:
        """Number of parameters."""
        return len(self.reference)

    def _functions(self, m: np.ndarray) -> np.ndarray:
        return np.where(self.exponential, np.exp(np.where(self.exponential, m, 0.0)), m)

    def values(self, m: np.ndarray) -> np.ndarray:
        """The factors of (A_0, A_1, …) at m: 1 and f_j(m) − f_j(m̄), shape (1 + parameter,)."""
        m = np.asarray(m, dtype=float)
        if m.shape != self.reference.shape:
            raise ValueError(f"parameters of shape {m.shape}; there are ({self.size},)")
        return np.concatenate([[1.0], self._functions(m) - self._functions(self.reference)])

    def slopes(self, m: np.ndarray) -> np.ndarray:
        """f_j'(m), shape (parameter,)."""
        return np.where(self.exponential, self._functions(np.asarray(m, dtype=float)), 1.0)

    def curvatures(self, m: np.ndarray) -> np.ndarray:
        """f_j''(m), shape (parameter,)."""
        return np.where(self.exponential, self._functions(np.asarray(m, dtype=float)), 0.0)

    def diffusivity(self, m: np.ndarray) -> float:
        """The diffusivity over that at m̄; 1 where it is known."""
        return float(np.exp(np.sum((np.asarray(m) - self.reference)[self.diffuses])))
