"""ρ of starts with energy at all scales, along directions that are no multiple of K."""

from functools import cache

import numpy as np
import pytest
from dolfinx import fem
from scipy.linalg import eigh, expm_frechet

from advdiff.semigroup.semigroup import SolverOptions
from advdiff.sensitivity.rho import Direction, sensitivity
from tests import dense, flows

TIMES = (0.002, 0.05, 1.0)

pytestmark = pytest.mark.serial  # dense references


@cache
def problem(degree, walls):
    physics = {"velocity": None, "diffusivity": "0.2 + x"}
    if walls:
        physics["dirichlet"] = {"left": 0.0}
    return flows.problem(8 // degree, degree, physics=physics)


def diffusivity(operator, kind):
    """One, or noise of the nodes, as large as κ."""
    found = fem.Function(operator.diffusivity.function_space)
    found.x.array[:] = 1.0
    if kind == "noise":
        found.x.array[:] = np.random.default_rng(5).uniform(-1.0, 1.0, len(found.x.array))
    return found


@pytest.mark.parametrize("tolerance", [1e-5, 1e-8])
@pytest.mark.parametrize("kind", ["one", "noise"])
@pytest.mark.parametrize("start", ["rough", "mode", "indicator"])
@pytest.mark.parametrize("walls", [False, True])
def test_the_error_is_within_what_is_said(walls, start, kind, tolerance):
    operator = problem(2, walls).operator
    generator = operator.generator
    mass, stiffness = (dense.matrix(m) for m in (generator.mass.matrix, generator.stiffness))
    initial = dense.random(problem(2, walls).initial, 3)
    if start != "rough":
        values = (initial.array > 0.0).astype(float)
        if start == "mode":
            values = eigh(stiffness, mass)[1][:, len(mass) // 2]
        initial.setArray(values)
    direction = Direction({"diffusivity": diffusivity(operator, kind)})
    change = dense.matrix(operator.push(direction.controls).stiffness)
    options = SolverOptions("shift-invert")
    found = sensitivity(operator, direction, initial, TIMES, tolerance=tolerance, options=options)
    rates, moved = np.linalg.solve(mass, stiffness), np.linalg.solve(mass, change)

    def norm(state):
        return float(np.sqrt(state @ mass @ state))

    expected = [
        expm_frechet(t * rates, t * moved, compute_expm=False) @ dense.vector(initial)
        for t in TIMES
    ]
    pairs = zip(found.tangents, expected, strict=True)
    error = max(norm(dense.vector(one) - row) for one, row in pairs) / max(map(norm, expected))
    assert error <= found.error_estimate
    assert error <= tolerance and found.error_estimate <= 10.0 * tolerance
