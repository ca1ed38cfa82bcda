"""A bound of the reduced model's error from the norm of its residual.

The error e = θ − Vc of a Galerkin model of x' = A(m)x + f obeys e' = Ae + R(m)x with the residual
R(m)x = A V c + M⁻¹F − V(A_r c + b).  Where ⟨Ax, x⟩ ≤ 0 in L² (no flow through the boundary beyond
what prescribed values let in) the semigroup is a contraction, whatever m, and

    ‖e(t)‖ ≤ ‖e(0)‖ + ∫₀ᵗ ‖R(m) x(s)‖ ds .

R(m) is affine like A(m).  Its columns are known through q coordinates: in an orthonormal basis of
all residuals (a norm exact to rounding, nothing subtracted), or through q random test functions (a
sketch; Balabanov & Nouy, Adv. Comput. Math. 45, 2019), whose norm is right to about √(1/2q)
relative and is raised by ``safety``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import expm

SUBSTEPS = 8
"""Pieces of each interval, for the trapezoidal rule of the integral."""


@dataclass(frozen=True)
class ResidualBound:
    """The residual's matrices.

    Attributes:
        residuals: coordinates of R_0, R_1, …, each flattened, shape (1 + parameter, q·d).
        initial_error: ‖θ0 − Vc(0)‖.
        sensor_norms: the norm of each sensor on the discrete L², shape (sensor,): a reading's error
            is at most that times the state's.
        safety: factor on the norm of the residual; 1 for orthonormal coordinates.
    """

    residuals: np.ndarray
    initial_error: float
    sensor_norms: np.ndarray
    safety: float = 1.0

    def evaluate(
        self, factors: np.ndarray, matrix: np.ndarray, start: np.ndarray, steps: np.ndarray
    ) -> np.ndarray:
        """The bound after each of the steps.

        Args:
            factors: f of the family at m, shape (1 + parameter,).
            matrix, start: the reduced generator and x(0).
            steps: widths between the times, shape (time,).
        """
        residual = (factors @ self.residuals).reshape(-1, len(start))
        exponentials = {h: expm(h / SUBSTEPS * matrix) for h in np.unique(steps)}
        trajectory = [start]
        for h in np.repeat(steps, SUBSTEPS):
            trajectory.append(exponentials[h] @ trajectory[-1])
        sizes = np.linalg.norm(residual @ np.array(trajectory).T, axis=0)
        pieces = np.repeat(steps / SUBSTEPS, SUBSTEPS) * 0.5 * (sizes[1:] + sizes[:-1])
        return self.initial_error + self.safety * np.cumsum(pieces)[SUBSTEPS - 1 :: SUBSTEPS]

    def arrays(self) -> dict[str, np.ndarray]:
        """What is saved, by name."""
        return {
            "residuals": self.residuals,
            "initial_error": np.array(self.initial_error),
            "sensor_norms": self.sensor_norms,
            "safety": np.array(self.safety),
        }

    @classmethod
    def from_arrays(cls, data: dict[str, np.ndarray]) -> ResidualBound:
        """From what was saved."""
        return cls(
            data["residuals"],
            float(data["initial_error"]),
            data["sensor_norms"],
            float(data["safety"]),
        )
