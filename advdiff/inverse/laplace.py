"""The Laplace approximation: the posterior as a Gaussian around its mode.

In white coordinates it is N(ξ*, (1 + H)⁻¹) with H = Lᵀ(Gauss-Newton Hessian of the data)L.  The
data see few directions: with the eigenpairs H ≈ VΛVᵀ whose values are above a threshold,

    (1 + H)⁻¹ ≈ 1 − V Λ(1 + Λ)⁻¹ Vᵀ = S²,    S = 1 + V((1 + Λ)^−½ − 1)Vᵀ

(Bui-Thanh, Ghattas, Martin and Stadler, SIAM J. Sci. Comput. 2013, section 3).  A direction left
out with the value λ keeps the prior's variance, too large by the factor 1 + λ at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from petsc4py import PETSc
from slepc4py import SLEPc

from advdiff.core.errors import ConvergenceError
from advdiff.core.petsc_errors import Callbacks
from advdiff.inverse.objective import Objective
from advdiff.inverse.prior import Prior

THRESHOLD = 0.1
"""Eigenvalues below this change a direction's standard deviation by less than 5 %."""
BLOCK = 30
"""Directions that EPS works with beside those it has found."""
START, NOISE = 0, 1
"""First draws of the random numbers: of the eigensolver's first vector, and of all others."""


@dataclass(frozen=True)
class Eigenpairs:
    """The dominant eigenpairs of a symmetric operator.

    Attributes:
        values: decreasing, all above the threshold.
        vectors: orthonormal.
        complete: True where no other eigenvalue is above the threshold; False where they were
            more than allowed.
        products: with the operator.
    """

    values: np.ndarray
    vectors: list[PETSc.Vec]
    complete: bool
    products: int

    def along(self, x: PETSc.Vec) -> np.ndarray:
        """Vᵀx (collective)."""
        return np.array(x.mDot(self.vectors)) if self.vectors else np.zeros(0)

    def function(self, x: PETSc.Vec, weights: np.ndarray) -> PETSc.Vec:
        """x + V diag(weights) Vᵀ x (collective)."""
        result = x.copy()
        if self.vectors:
            result.maxpy(weights * self.along(x), self.vectors)
        return result


class _Shell:
    """1 + H as a matrix, which counts."""

    def __init__(self, function: Callable[[PETSc.Vec], PETSc.Vec], callbacks: Callbacks):
        self.function, self.products = function, 0
        self.mult = callbacks(self._mult)

    def _mult(self, _mat, x: PETSc.Vec, y: PETSc.Vec) -> None:
        self.products += 1
        product = self.function(x)
        y.waxpy(1.0, x, product)
        product.destroy()


class _Ending:
    """Ends EPS at the first eigenvalue λ of H below a threshold."""

    def __init__(self, threshold: float):
        self.threshold, self.smallest = threshold, math.inf

    def look(self, _eps, _its, found, values, _errors) -> None:
        self.smallest = values[found - 1].real - 1.0 if found else math.inf

    def test(self, _eps, iteration, limit, found, wanted):
        reason = SLEPc.EPS.ConvergedReason
        if found >= wanted:
            return reason.CONVERGED_TOL
        if self.smallest < self.threshold:
            return reason.CONVERGED_USER
        return reason.DIVERGED_ITS if iteration >= limit else reason.CONVERGED_ITERATING


def dominant(
    operator: Callable[[PETSc.Vec], PETSc.Vec],
    start: PETSc.Vec,
    *,
    threshold: float = THRESHOLD,
    most: int = 100,
    prefix: str = "advdiff_laplace_",
) -> Eigenpairs:
    """The eigenpairs of a symmetric operator above a threshold, by Krylov-Schur (collective).

    They are found from the largest on; EPS stops at the first below the threshold.  It sees 1 + H,
    so that a residual is measured in units of 1 + λ: small eigenvalues need not be exact.

    Args:
        operator: x ↦ Hx, a new vector.
        start: first vector of the iteration.
        threshold: positive.
        most: eigenpairs.
        prefix: of SLEPc's options.

    Raises:
        ConvergenceError: where EPS stops before either.
    """
    callbacks = Callbacks()
    shell = _Shell(operator, callbacks)
    size = start.getSize()
    most = min(most, size)
    matrix = PETSc.Mat().createPython((start.getSizes(), start.getSizes()), shell, comm=start.comm)
    matrix.setUp()
    eps = SLEPc.EPS().create(start.comm)
    eps.setOptionsPrefix(prefix)
    eps.setOperators(matrix)
    eps.setProblemType(SLEPc.EPS.ProblemType.HEP)
    eps.setWhichEigenpairs(SLEPc.EPS.Which.LARGEST_REAL)
    eps.setDimensions(most, min(size, most + BLOCK), min(size, BLOCK))
    eps.setTolerances(1e-6)
    eps.setInitialSpace(start)
    eps.setFromOptions()

    ending = _Ending(threshold)
    eps.setMonitor(ending.look)
    eps.setStoppingTest(ending.test)
    with callbacks.raising():
        eps.solve()
    found, reason = eps.getConverged(), eps.getConvergedReason()
    values = np.array([eps.getEigenvalue(i).real - 1.0 for i in range(min(found, most))])
    above = int((values > threshold).sum())
    complete = above < len(values) or above == size
    if reason < 0 and not complete:
        raise ConvergenceError(
            f"eigenvalues of the data's Hessian: {len(values)} found above {threshold:g} in "
            f"{eps.getIterationNumber()} restarts, the next does not converge to "
            f"{eps.getTolerances()[0]:g}; raise laplace.threshold or -{prefix}eps_tol"
        )
    vectors = []
    for i in range(above):
        vectors.append(start.duplicate())
        eps.getEigenvector(i, vectors[-1])
    for thing in (eps, matrix):
        thing.destroy()
    return Eigenpairs(values[:above], vectors, complete, shell.products)


class Laplace:
    """N(m*, L S² Lᵀ), the Gaussian approximation of the posterior at m*.

    Attributes:
        prior: of the unknowns.
        mean: m*.
        pairs: eigenpairs of the whitened Hessian of the data.

    >>> from advdiff.inverse.map import minimise
    >>> from advdiff.models.coefficients import independent_prior
    >>> from advdiff.models.rate_matrix import RateMatrixModel, Transitions
    >>> pairs, counts = [[0, 0, 1, 1], [0, 1, 0, 1]], [60, 40, 40, 60]
    >>> model = RateMatrixModel(2, Transitions.collect(*pairs, np.ones(4), counts))
    >>> objective = Objective(model.potential(), independent_prior(model.unknowns, 0.0, 10.0))
    >>> found = approximate(objective, minimise(objective, objective.prior.mean).m)
    >>> unit = model.unknowns.from_numpy([1.0, 0.0])
    >>> round(found.covariance(unit).dot(unit) ** 0.5, 2)  # of a logarithm: the rate within 23 %
    0.23
    >>> found.draw(seed=0, draw=0).getSize()
    2
    """

    def __init__(self, prior: Prior, mean: PETSc.Vec, objective: float, pairs: Eigenpairs):
        self.prior, self.mean, self.pairs = prior, mean, pairs
        self.objective = objective

    def spread(self, x: PETSc.Vec) -> PETSc.Vec:
        """S x, in white coordinates (collective)."""
        return self.pairs.function(x, 1.0 / np.sqrt(1.0 + self.pairs.values) - 1.0)

    def unseen(self, x: PETSc.Vec) -> PETSc.Vec:
        """(1 − VVᵀ) x: what the data say nothing about (collective)."""
        return self.pairs.function(x, -np.ones(len(self.pairs.values)))

    def covariance(self, g: PETSc.Vec) -> PETSc.Vec:
        """The posterior covariance times g, L S² Lᵀ g (collective)."""
        white = self.prior.color_transpose(g)
        lost = self.pairs.values / (1.0 + self.pairs.values)
        return self.prior.scaled(self.pairs.function(white, -lost))

    def draw(self, seed: int, draw: int) -> PETSc.Vec:
        """A sample, the same on any number of ranks (collective)."""
        sample = self.prior.scaled(self.spread(self.prior.white(seed, NOISE + draw)))
        sample.axpy(1.0, self.mean)
        return sample

    def log_evidence(self, log_constant: float = 0.0) -> float:
        """log p(data), −Φ(m*) − ½|ξ*|² − ½ Σ log(1 + λ), and the likelihood's constant.

        Penalties count as factors of the likelihood.  An eigenvalue λ left out would lower it by
        ½ log(1 + λ).
        """
        return log_constant - self.objective - 0.5 * float(np.log1p(self.pairs.values).sum())


def approximate(
    objective: Objective,
    m: PETSc.Vec,
    *,
    threshold: float = THRESHOLD,
    most: int = 100,
    seed: int = 0,
    prefix: str = "advdiff_laplace_",
) -> Laplace:
    """The Laplace approximation at m, where the gradient should be zero (collective).

    Args:
        objective: the negative log posterior; its Hessian is Gauss and Newton's.
        m: its minimum.
        threshold, most, prefix: see :func:`dominant`.
        seed: of the eigensolver's first vector.

    Raises:
        ConvergenceError: where the eigenpairs do not converge.
    """
    prior, at = objective.prior, objective.evaluate(m)
    pairs = dominant(
        lambda x: objective.white_hessian(at, x),
        prior.white(seed, START),
        threshold=threshold,
        most=most,
        prefix=prefix,
    )
    return Laplace(prior, m, at.objective, pairs)
