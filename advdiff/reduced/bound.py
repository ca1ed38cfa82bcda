"""A bound of the reduced model's error from the norm of its residual.

The error e = θ − Vc of a Galerkin model of x' = A(m)x + f obeys e' = Ae + R(m)x with the residual
R(m)x = A V c + M⁻¹F − V(A_r c + b).  Where the boundary gives nothing (no flow through it beyond
what prescribed values let in) ⟨Ae, e⟩ ≤ −κ‖∇e‖² in L², whatever the velocity.  With the norms
‖e‖₊² = κ̄‖∇e‖² + δ‖e‖² and its dual ‖r‖₋ (``energy``), and ρ = min(1, κ/κ̄), Young's inequality gives
d‖e‖²/dt ≤ 2δ‖e‖² + ‖r‖₋²/2ρ, so that

    ‖e(t)‖² ≤ e^{2δt} ( ‖e(0)‖² + 1/(2ρ) ∫₀ᵗ e^{−2δs} ‖R(m) x(s)‖₋² ds ) .

The dual norm counts a rough residual for as little as it matters: diffusion damps it at once, which
the contraction ‖e^{tA}‖ ≤ 1 alone does not know.

R(m) is affine like A(m).  Its columns are known through q coordinates: in an orthonormal basis of
all residuals (a norm exact to rounding, nothing subtracted), or through q random test functions (a
sketch; Balabanov & Nouy, Adv. Comput. Math. 45, 2019), whose norm is right to about √(1/2q)
relative and is raised by ``safety``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from advdiff.matexp.balance import balancing, expm, scaled, small_for
from advdiff.matexp.operands import EPS, norm1

SUBSTEPS = 8
"""Pieces of each interval, for the trapezoidal rule of the integral."""


def rounding(matrix: np.ndarray, times: np.ndarray, states: np.ndarray) -> np.ndarray:
    """What rounding may do to x(t) = e^{tQ} x(0) in k steps, (d + k + t‖Q‖)ε of the largest so far.

    Shape (time,).  ‖Q‖ is that of the matrix in balanced units; states have shape (time, d).
    """
    units = balancing(matrix, small_for(times))
    size = float(norm1(scaled(matrix, units))[0, 0])
    largest = np.maximum.accumulate(np.linalg.norm(states, axis=1))
    steps = np.arange(1, len(times) + 1)
    return EPS * (len(matrix) + steps + times * size) * largest


@dataclass(frozen=True)
class ResidualBound:
    """The residual's matrices.

    Attributes:
        residuals: coordinates of R_0, R_1, …, each flattened, shape (1 + parameter, q·d).
        initial_error: ‖θ0 − Vc(0)‖.
        sensor_norms: the norm of each sensor on the discrete L², shape (sensor,): a reading's error
            is at most that times the state's.
        shift: δ, a rate.
        safety: factor on the norm of the residual; 1 for orthonormal coordinates.
    """

    residuals: np.ndarray
    initial_error: float
    sensor_norms: np.ndarray
    shift: float
    safety: float = 1.0

    def evaluate(
        self,
        factors: np.ndarray,
        matrix: np.ndarray,
        start: np.ndarray,
        steps: np.ndarray,
        diffusivity: float = 1.0,
    ) -> np.ndarray:
        """The bound after each of the steps.

        Args:
            factors: f of the family at m, shape (1 + parameter,).
            matrix, start: the reduced generator and x(0).
            steps: widths between the times, shape (time,).
            diffusivity: κ/κ̄.
        """
        residual = (factors @ self.residuals).reshape(-1, len(start))
        exponentials = {h: expm(h / SUBSTEPS * matrix) for h in np.unique(steps)}
        trajectory, widths = [start], np.repeat(steps / SUBSTEPS, SUBSTEPS)
        for h in np.repeat(steps, SUBSTEPS):
            trajectory.append(exponentials[h] @ trajectory[-1])
        times = np.cumsum(np.append(0.0, widths))
        squares = np.sum((residual @ np.array(trajectory).T) ** 2, axis=0)
        squares *= (
            self.safety**2 / (2.0 * min(1.0, diffusivity)) * np.exp(-2.0 * self.shift * times)
        )
        integral = np.cumsum(widths * 0.5 * (squares[1:] + squares[:-1]))
        bounds = np.exp(self.shift * times[1:]) * np.sqrt(self.initial_error**2 + integral)
        bounds += rounding(matrix, times[1:], np.array(trajectory[1:]))
        return bounds[SUBSTEPS - 1 :: SUBSTEPS]

    def arrays(self) -> dict[str, np.ndarray]:
        """What is saved, by name."""
        return {
            "residuals": self.residuals,
            "initial_error": np.array(self.initial_error),
            "sensor_norms": self.sensor_norms,
            "shift": np.array(self.shift),
            "safety": np.array(self.safety),
        }

    @classmethod
    def from_arrays(cls, data: dict[str, np.ndarray]) -> ResidualBound:
        """From what was saved."""
        return cls(
            data["residuals"],
            float(data["initial_error"]),
            data["sensor_norms"],
            float(data["shift"]),
            float(data["safety"]),
        )
