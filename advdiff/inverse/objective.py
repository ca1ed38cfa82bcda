"""What the inversion minimises: Φ(m) + ½‖L⁻¹(m − m₀)‖² + penalties, and its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from petsc4py import PETSc

from advdiff.inverse.likelihood import Potential
from advdiff.inverse.model import Linearisation
from advdiff.inverse.penalty import DivergencePenalty
from advdiff.inverse.prior import Prior


@dataclass
class Evaluation:
    """The negative log posterior at one m (up to a constant).

    Attributes:
        misfit: Φ, for Gaussian errors ½ Σ ((predicted − measured)/σ)².
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


class Objective:
    """The function that the inversion minimises.

    Args:
        potential: Φ of the model and the data.
        prior: of m.
        penalties: quadratic functions of m beside it.

    It has no unit: a negative logarithm.

    Jumps between two states, 0 → 0 once and 0 → 1 twice, in a unit of time; with both rates 1 their
    probabilities are (1 ± e⁻²)/2:

    >>> from advdiff.models.coefficients import independent_prior
    >>> from advdiff.models.rate_matrix import RateMatrixModel, Transitions
    >>> model = RateMatrixModel(2, Transitions.collect([0, 0, 0], [0, 1, 1], [1.0, 1.0, 1.0]))
    >>> prior = independent_prior(model.unknowns, mean=0.0, std=1.0)  # of the logarithms
    >>> at = Objective(model.potential(), prior).evaluate(prior.mean)
    >>> round(at.misfit, 4), at.regularization
    (2.2433, 0.0)
    >>> float(-np.log(0.5 * (1.0 + np.exp(-2.0)) * (0.5 * (1.0 - np.exp(-2.0))) ** 2).round(4))
    2.2433
    """

    def __init__(
        self, potential: Potential, prior: Prior, penalties: Sequence[DivergencePenalty] = ()
    ):
        self.potential, self.prior, self.penalties = potential, prior, list(penalties)

    def penalty(self, m: PETSc.Vec) -> float:
        """What the penalties add (collective)."""
        return sum(penalty.value_and_gradient(m)[0] for penalty in self.penalties)

    def value(self, m: PETSc.Vec) -> float:
        """The objective alone (collective)."""
        misfit = self.potential.value(m)
        regularization, gradient = self.prior.value_and_gradient(m)
        gradient.destroy()
        return misfit + regularization + self.penalty(m)

    def evaluate(self, m: PETSc.Vec) -> Evaluation:
        """The objective and its gradient, from one forward and one adjoint pass (collective)."""
        misfit, data_gradient, at = self.potential.linearise(m)
        regularization, gradient = self.prior.value_and_gradient(m)
        for penalty in self.penalties:
            value, slope = penalty.value_and_gradient(m)
            regularization += value
            data_gradient.axpy(1.0, slope)
        gradient.axpy(1.0, data_gradient)
        return Evaluation(misfit, regularization, at.predicted, data_gradient, gradient, at)

    def data_hessian(self, at: Evaluation, dm: PETSc.Vec) -> PETSc.Vec:
        """The Gauss-Newton Hessian of all but the prior's term times dm: one push, one pull.

        ``at`` is the latest evaluation: its linearisation is that of the model as it stands
        (collective).
        """
        result = self.potential.gauss_newton(at.linearisation, dm)
        for penalty in self.penalties:
            result.axpy(1.0, penalty.hessian(dm))
        return result

    def white_hessian(self, at: Evaluation, xi: PETSc.Vec) -> PETSc.Vec:
        """LᵀHL ξ with this Hessian, in the white coordinates of the prior (collective)."""
        dm = self.prior.scaled(xi)
        product = self.data_hessian(at, dm)
        result = self.prior.color_transpose(product)
        for thing in (dm, product):
            thing.destroy()
        return result

    def gauss_newton(self, at: Evaluation, dm: PETSc.Vec) -> PETSc.Vec:
        """The same with the prior's precision, (JᵀΣ⁻¹J + C⁻¹) dm (collective)."""
        result = self.data_hessian(at, dm)
        result.axpy(1.0, self.prior.precision(dm))
        return result
