"""The Laplace approximation as a metric: eigenpairs of the whitened Hessian by SLEPc."""

from __future__ import annotations

import numpy as np
from petsc4py import PETSc
from slepc4py import SLEPc

from advdiff.errors import ConvergenceError
from advdiff.inverse.chains.coordinates import Recentred, White
from advdiff.inverse.likelihood import Potential
from advdiff.inverse.prior import Prior

SMALLEST = 0.1
"""Eigenvalues below this change a direction's scale by less than 5 %."""


class _Whitened:
    """Lᵀ H L for the Gauss–Newton Hessian H of a potential, as a shell matrix."""

    def __init__(self, potential: Potential, prior: Prior, m: PETSc.Vec):
        self.potential, self.prior = potential, prior
        self.at = potential.model.linearise(m)

    def mult(self, _mat, x: PETSc.Vec, y: PETSc.Vec) -> None:
        dm = self.prior.color(x)
        dm.axpy(-1.0, self.prior.mean)
        self.prior.color_transpose(self.potential.gauss_newton(self.at, dm)).copy(y)


def recentred(
    target: White, potential: Potential, prior: Prior, m: PETSc.Vec, count: int
) -> Recentred:
    """The target in the coordinates of the Laplace approximation at m (collective).

    Args:
        count: at most so many eigenpairs; those with values above ``SMALLEST`` are kept.

    Raises:
        ConvergenceError: where EPS finds none.
    """
    xi = prior.whiten(m)
    size = xi.getSizes()
    shell = PETSc.Mat().createPython((size, size), _Whitened(potential, prior, m), comm=xi.comm)
    shell.setUp()
    eps = SLEPc.EPS().create(xi.comm)
    eps.setOptionsPrefix("advdiff_metric_")
    eps.setOperators(shell)
    eps.setProblemType(SLEPc.EPS.ProblemType.HEP)
    eps.setWhichEigenpairs(SLEPc.EPS.Which.LARGEST_REAL)
    eps.setDimensions(min(count, xi.getSize()))
    eps.setTolerances(1e-6)
    eps.setFromOptions()
    eps.solve()
    found = min(eps.getConverged(), count)
    if found == 0:
        raise ConvergenceError("the Laplace metric: no eigenpair of the Hessian converged")
    values = np.array([eps.getEigenvalue(i).real for i in range(found)])
    kept = int((values > SMALLEST).sum())
    vectors = []
    for i in range(kept):
        vectors.append(xi.duplicate())
        eps.getEigenvector(i, vectors[-1])
    eps.destroy()
    shell.destroy()
    return Recentred(target, xi, vectors, values[:kept])
