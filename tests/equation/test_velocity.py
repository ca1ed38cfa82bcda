"""Of a velocity: its largest speed, what crosses which side, and its divergence, all exact."""

import numpy as np
import pytest
import ufl
from mpi4py import MPI

from advdiff.domain.fields import interpolate
from advdiff.domain.mesh import SIDES, box
from advdiff.equation.velocity import Velocity, given, stream_space


def unit(dim=2, n=4):
    return box(MPI.COMM_WORLD, [0.0] * dim, [1.0, 2.0, 4.0][:dim], [n] * dim)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_every_side_has_its_name_and_its_flow(dim):
    """u = (2, 3, 5) through the sides of a box of 1 × 2 × 4."""
    u, lengths = np.array([2.0, 3.0, 5.0])[:dim], [1.0, 2.0, 4.0][:dim]
    domain = unit(dim)
    flow = Velocity(domain, given(domain, lambda x: np.outer(u, np.ones(x.shape[1])), "u"))
    areas = [np.prod([length for j, length in enumerate(lengths) if j != i]) for i in range(dim)]
    for axis in range(dim):
        through = u[axis] * areas[axis]
        assert flow.crossing(SIDES[2 * axis]) == pytest.approx((0.0, through, areas[axis]))
        assert flow.crossing(SIDES[2 * axis + 1]) == pytest.approx((through, 0.0, areas[axis]))
    total = float(u @ areas)
    assert flow.crossing(None) == pytest.approx((total, total, 2.0 * sum(areas)))


def test_the_largest_speed_is_what_the_forms_see_at_the_nodes():
    """Read off the nodes, and sampled cell by cell as of any expression."""
    domain = unit()
    flow = Velocity(domain, given(domain, lambda x: np.stack([x[0] * x[1], 1.0 - x[1] ** 2]), "u"))
    u = flow.expression
    assert flow.is_nodal
    assert flow.largest_speed() == pytest.approx(np.sqrt(flow.maximum(ufl.dot(u, u))()))
    assert flow.largest_speed() == pytest.approx(np.sqrt(13.0))  # (2, -3) at the corner (1, 2)
    psi = interpolate(lambda x: 3.0 * x[0] * x[1], stream_space(domain), "psi")
    both = Velocity(domain, flow.given, psi)
    assert not both.is_nodal
    assert both.largest_speed() == pytest.approx(np.hypot(2.0 + 3.0, -3.0 - 6.0))


def test_divergence_is_exact_and_rounding_is_none():
    domain = unit()
    flow = Velocity(domain, given(domain, lambda x: np.stack([x[0], x[1]]), "u"))
    assert flow.divergence() == pytest.approx(2.0 * np.sqrt(2.0))
    assert flow.relative_divergence() == pytest.approx(np.sqrt(2.0))
    for still in (lambda x: np.ones((2, x.shape[1])), lambda x: np.stack([x[1], x[0]])):
        flow = Velocity(domain, given(domain, still, "u"))
        assert flow.divergence() == flow.relative_divergence() == 0.0
