"""What the physics says of itself: bounds that hold whatever the mesh."""

import numpy as np
import pytest

from advdiff.core.errors import InputError
from tests import flows

pytestmark = pytest.mark.serial

CLOSED = {"diffusivity": "0.1 + x", "initial": "x"}


def physics(n=4, degree=1, **tables):
    return flows.problem(n, degree, physics=CLOSED | tables).operator.physics


def test_bounds_of_a_linear_diffusivity():
    """κ = 0.1 + x: least at the left, |u|²/κ largest where |u| = |∇ψ| is, dκ/κ = 1/κ."""
    found = physics(velocity=["2*x", "-2*y"], inflow=dict.fromkeys(("left", "top"), 0.0))
    assert found.least_diffusion() == pytest.approx(0.1)
    assert found.peclet_bound() == pytest.approx(4.0 / 0.1)  # at (0, 1): 4/0.1, at (1, 1): 8/1.1
    one = found.diffusivity.copy()
    one.x.array[:] = -1.0
    assert found.spread(one) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("terms", "keeps"),
    [
        ({}, True),
        ({"inflow": {"left": 1.0}}, True),
        ({"robin": {"left": {"coefficient": 1.0}}}, True),
        ({"source": 1.0}, False),
        ({"flux": {"left": 1.0}}, False),
        ({"velocity": ["x", "0"], "dirichlet": {"right": 0.0}}, False),
    ],
)
def test_who_keeps_bounds(terms, keeps):
    assert physics(**terms).keeps_bounds() == keeps


def test_a_diffusivity_that_is_not_positive_is_refused():
    found = physics()
    found.diffusivity.x.array[0] = -1.0
    with pytest.raises(InputError, match=r"^physics\.diffusivity: -1 somewhere"):
        found.require_positive()
    assert np.isfinite(found.least_diffusion())
