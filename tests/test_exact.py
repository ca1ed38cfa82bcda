"""θ and ρ converge to exact solutions at the order of the elements (``exact.py`` prints them)."""

import numpy as np
import pytest

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
def test_quadrature_and_augmented_agree(name):
    case = exact.CASES[name]()
    n = case.sizes[1][0]
    results = [
        case.problem(1, n, sensitivity={"method": method}).sensitivity("d")
        for method in ("quadrature", "augmented")
    ]
    mass = case.problem(1, n).operator.mass
    a, b = (result.tangents[-1] for result in results)
    size = mass.norm(b)
    b.axpy(-1.0, a)
    assert mass.norm(b) <= 1e-7 * size
    assert np.isfinite(size) and size > 0
