"""θ and ρ converge to exact solutions at the order of the elements (``exact.py`` prints them)."""

import numpy as np
import pytest

from advdiff.sensitivity import sensitivity
from tests import exact

# Ogata-Banks starts with a jump between the boundary value and the state, which costs degree 2 half
# an order on meshes that a test can afford.
EXPECTED = {1: (1.9, 1.85), 2: (2.85, 2.75)}
ROUGH = {"Ogata-Banks, d/du": {1: (1.9, 1.9), 2: (2.55, 2.5)}}


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("name", exact.CASES)
def test_order(name, degree):
    last = exact.orders(exact.CASES[name](), degree)[-1]
    theta, rho = ROUGH.get(name, EXPECTED)[degree]
    assert last[2] > theta
    assert last[4] > rho


@pytest.mark.parametrize("name", exact.CASES)
def test_the_three_methods_agree(name):
    case = exact.CASES[name]()
    problem = case.problem(1, case.sizes[1][0])
    given = (problem.operator, problem.direction("d"), problem.initial, [0.3, 0.5])
    a, b, c = (
        sensitivity(*given, method=method, tolerance=1e-7).tangents[-1]
        for method in ("quadrature", "augmented", "recurrence")
    )
    norm = problem.operator.mass.norm
    size = norm(a)
    assert np.isfinite(size) and size > 0
    for other in (b, c):
        other.axpy(-1.0, a)
        assert norm(other) <= 2e-7 * size
