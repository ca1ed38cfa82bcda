"""The stopping rule: its estimate holds the true error, and does not ask for many solves more."""

import numpy as np
import pytest

from advdiff.algebra.resolvent import Resolvent
from advdiff.semigroup.rational.krylov import KrylovIncrements
from tests.semigroup.rational.problems import Cellular

TIMES = tuple(np.arange(1, 11) / 10)


def difference(problem, ours, reference):
    """Largest M norm over the times of the difference of two increments."""
    y = problem.generator.vector()
    error = 0.0
    for k in range(len(TIMES)):
        y.set(0.0)
        reference.add(k, y)
        y.scale(-1.0)
        ours.add(k, y)
        error = max(error, problem.generator.mass.norm(y))
    return error


@pytest.mark.parametrize("diffusivity", [1e-2, 1e-3])
@pytest.mark.parametrize("start", ["blob", "rough"])
@pytest.mark.parametrize(
    "tolerance",
    [pytest.param(t, marks=() if t == 1e-6 else pytest.mark.serial) for t in (1e-4, 1e-6, 1e-9)],
)
def test_estimates(diffusivity, start, tolerance):
    problem = Cellular(32, diffusivity)
    resolvent = Resolvent(problem.generator, 0.025)
    vector = problem.blob() if start == "blob" else problem.rough(1)
    size = problem.generator.mass.norm(vector)

    def run(tolerance, max_dimension=120, fixed=False):
        return KrylovIncrements(
            resolvent,
            vector,
            TIMES,
            tolerance=tolerance,
            scale=size,
            max_dimension=max_dimension,
            fixed=fixed,
        )

    reference, ours = run(1e-13), run(tolerance)
    scale = max(size, *(np.linalg.norm(ours.coefficients, axis=0)))
    assert difference(problem, ours, reference) / scale <= ours.estimate <= tolerance
    fewer = run(tolerance, max_dimension=ours.arnoldi.dimension - 6, fixed=True)
    assert difference(problem, fewer, reference) / scale > tolerance
    for increments in (reference, ours, fewer):
        increments.destroy()
    resolvent.destroy()
