"""e^Q of a dense matrix together with its adjoint derivative, for the price of three exponentials.

Scaling and squaring with the [13/13] Padé approximant (Higham, SIMAX 26, 2005), and the same steps
backwards: the derivative of the computed matrix, which is the Fréchet derivative to rounding where
the scaled norm is small enough for that (Al-Mohy & Higham, SIMAX 30, 2009, table 6.1).  The powers
and the factorisation are made once.  Real arithmetic, no eigenbasis that could be bad.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import lu_factor, lu_solve

from advdiff.matexp.balance import balancing, scaled, unscaled

LARGEST_NORM = 4.74
"""‖Q/2ˢ‖₁ up to which the approximant's derivative is exact to rounding (ℓ₁₃)."""
# b_j = (26 − j)! / ((13 − j)! j!), relative to b_13
PADE = [math.factorial(26 - j) / (math.factorial(13 - j) * math.factorial(j)) for j in range(14)]
PADE = [b / PADE[13] for b in PADE]


class Exponential:
    """e^Q, in balanced units (``matexp.balance``).

    Args:
        matrix: Q, real, shape (d, d).

    Attributes:
        value: e^Q.
    """

    def __init__(self, matrix: np.ndarray):
        if not np.isfinite(matrix).all():
            raise ValueError("the exponential of a matrix that is not finite")
        D = balancing(matrix, small=1.0)
        matrix = scaled(matrix, D)
        norm = float(np.abs(matrix).sum(axis=0).max(initial=0.0))
        squarings = max(0, math.ceil(math.log2(norm / LARGEST_NORM))) if norm > 0.0 else 0
        self._units = D
        self._scale = 0.5**squarings
        b, identity = PADE, np.eye(len(matrix))
        A = self._A = self._scale * matrix
        A2 = self._A2 = A @ A
        A4 = self._A4 = A2 @ A2
        A6 = self._A6 = A4 @ A2
        self._odd_high = b[13] * A6 + b[11] * A4 + b[9] * A2
        self._even_high = b[12] * A6 + b[10] * A4 + b[8] * A2
        self._odd = A6 @ self._odd_high + (b[7] * A6 + b[5] * A4 + b[3] * A2 + b[1] * identity)
        even = A6 @ self._even_high + (b[6] * A6 + b[4] * A4 + b[2] * A2 + b[0] * identity)
        odd = A @ self._odd
        self._factors = lu_factor(even - odd, overwrite_a=True, check_finite=False)
        self._powers = [lu_solve(self._factors, even + odd, check_finite=False)]
        for _ in range(squarings):
            self._powers.append(self._powers[-1] @ self._powers[-1])
        self.value = unscaled(self._powers[-1], D)

    def pull(self, cotangent: np.ndarray) -> np.ndarray:
        """The gradient of ⟨cotangent, e^Q⟩ with respect to Q, shape (d, d)."""
        b, bar = PADE, unscaled(cotangent, self._units)
        for power in reversed(self._powers[:-1]):
            bar = bar @ power.T + power.T @ bar
        numerator = lu_solve(self._factors, bar, trans=1, check_finite=False)
        denominator = numerator @ self._powers[0].T
        odd, even = numerator + denominator, numerator - denominator
        A, A2, A4, A6 = self._A, self._A2, self._A4, self._A6
        gradient = odd @ self._odd.T
        odd = A.T @ odd
        odd_high, even_high = A6.T @ odd, A6.T @ even
        bar6 = odd @ self._odd_high.T + even @ self._even_high.T
        bar6 += b[13] * odd_high + b[12] * even_high + b[7] * odd + b[6] * even
        bar4 = b[11] * odd_high + b[10] * even_high + b[5] * odd + b[4] * even + bar6 @ A2.T
        bar2 = b[9] * odd_high + b[8] * even_high + b[3] * odd + b[2] * even + A4.T @ bar6
        bar2 += bar4 @ A2.T + A2.T @ bar4
        gradient += bar2 @ A.T + A.T @ bar2
        return scaled(self._scale * gradient, self._units)
