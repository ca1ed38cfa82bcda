"""A solution that grows where it cannot is an error."""

from __future__ import annotations

import math

import pytest

from advdiff.core.errors import ConvergenceError
from advdiff.semigroup.growth import require_bounded
from tests import flows


@pytest.mark.parametrize("make", [flows.problem, flows.through_flow])
def test_norms_beyond_their_bound(make):
    """‖θ0‖ + t‖M⁻¹F‖ holds; of states that an engine made wrong it does not."""
    problem = make()
    operator, start = problem.operator, problem.initial
    solution = problem.semigroup().solve([0.1, 0.2])
    bound, rate = operator.mass.norm(start), start.copy()
    if operator.load is not None:
        operator.mass.solve(operator.load, rate)
        bound += 0.1 * operator.mass.norm(rate)
    require_bounded(operator.generator, solution, start, operator.load, 0.0)
    solution.states[0].scale(1.02 * bound / operator.mass.norm(solution.states[0]))
    with pytest.raises(ConvergenceError, match=r"L2 norm at t = 0\.1 is"):
        require_bounded(operator.generator, solution, start, operator.load, 0.0)
    require_bounded(operator.generator, solution, start, operator.load, math.inf)


def test_a_flow_that_comes_in_unsaid_has_no_bound():
    """Nothing is checked then; with inflow, or out of an outlet, it is a contraction."""
    physics = {"velocity": ["1", "0"], "inflow": {"left": 0.0}}
    problem = flows.problem(4, physics=physics)
    assert problem.operator.physics.growth() == 0.0
    problem.operator.velocity.given.x.array[:] *= -1.0  # an estimate may do so
    assert problem.operator.physics.growth() == math.inf
    assert flows.problem(4).operator.physics.growth() == 0.0
