"""The Laplace approximation as a metric of chains."""

from __future__ import annotations

from petsc4py import PETSc

from advdiff.chains.coordinates import Recentred, White
from advdiff.inverse.laplace import approximate
from advdiff.inverse.likelihood import Potential
from advdiff.inverse.objective import Objective
from advdiff.inverse.prior import Prior


def recentred(
    target: White, potential: Potential, prior: Prior, m: PETSc.Vec, count: int
) -> Recentred:
    """The target in the coordinates of the Laplace approximation at m (collective).

    Args:
        count: at most so many eigenpairs; those with values above a tenth are kept.

    Raises:
        ConvergenceError: where they do not converge.
    """
    objective = Objective(potential, prior)
    pairs = approximate(objective, m, most=count, prefix="advdiff_metric_").pairs
    return Recentred(target, prior.whiten(m), pairs.vectors, pairs.values)
