"""½ Σ_r ((predicted − measured)/σ)² + ½‖L⁻¹(m − m₀)‖² + penalties, and its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from petsc4py import PETSc

from advdiff.errors import SIZES, ConvergenceError
from advdiff.inverse.penalty import DivergencePenalty
from advdiff.inverse.prior import Prior
from advdiff.model import Linearisation, Model


@dataclass
class Evaluation:
    """The negative log posterior at one m (up to a constant).

    Attributes:
        misfit: ½ Σ ((predicted − measured)/σ)².
        regularization: ½‖L⁻¹(m − m₀)‖², and the penalties.
        predicted: shape (reading,).
        data_gradient: gradient of all but the prior's term with respect to m.
        gradient: gradient of the sum.
        linearisation: the model at m.
    """

    misfit: float
    regularization: float
    predicted: np.ndarray
    data_gradient: PETSc.Vec
    gradient: PETSc.Vec
    linearisation: Linearisation

    @property
    def objective(self) -> float:
        return self.misfit + self.regularization


class Misfit:
    """The function that the inversion minimises.

    Args:
        model: m ↦ predicted readings.
        values, std: measured values and their standard deviations, shape (reading,).
        prior: of m.
        penalties: quadratic functions of m beside it.
    """

    def __init__(
        self,
        model: Model,
        values: np.ndarray,
        std: np.ndarray,
        prior: Prior,
        penalties: Sequence[DivergencePenalty] = (),
    ):
        self.model, self.values, self.std, self.prior = model, values, std, prior
        self.penalties = list(penalties)

    def penalty(self, m: PETSc.Vec) -> float:
        """What the penalties add (collective)."""
        return sum(penalty.value_and_gradient(m)[0] for penalty in self.penalties)

    def value(self, m: PETSc.Vec) -> float:
        """The objective alone (collective)."""
        residual = (self.model.observe(m) - self.values) / self.std
        regularization, gradient = self.prior.value_and_gradient(m)
        gradient.destroy()
        return 0.5 * float(residual @ residual) + regularization + self.penalty(m)

    def evaluate(self, m: PETSc.Vec) -> Evaluation:
        """The objective and its gradient, from one forward and one adjoint pass (collective)."""
        at = self.model.linearise(m)
        residual = (at.predicted - self.values) / self.std
        with np.errstate(all="ignore"):
            square = float(residual @ residual)
        if not np.isfinite(square):
            raise ConvergenceError(
                f"the misfit is not finite; mind the sizes of readings and std, or {SIZES}"
            )
        data_gradient = at.pull(residual / self.std)
        regularization, gradient = self.prior.value_and_gradient(m)
        for penalty in self.penalties:
            value, slope = penalty.value_and_gradient(m)
            regularization += value
            data_gradient.axpy(1.0, slope)
        gradient.axpy(1.0, data_gradient)
        misfit = 0.5 * square
        return Evaluation(misfit, regularization, at.predicted, data_gradient, gradient, at)

    def gauss_newton(self, at: Evaluation, dm: PETSc.Vec) -> PETSc.Vec:
        """The Gauss-Newton Hessian (JᵀΣ⁻¹J + C⁻¹) dm: one push, one pull (collective).

        ``at`` is the latest evaluation: its linearisation is that of the model as it stands.
        """
        pushed = at.linearisation.push(dm)
        result = at.linearisation.pull(pushed / self.std**2)
        result.axpy(1.0, self.prior.precision(dm))
        for penalty in self.penalties:
            result.axpy(1.0, penalty.hessian(dm))
        return result
