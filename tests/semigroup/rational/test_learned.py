"""A filter learned from noise, for states it has never seen."""

import numpy as np
import pytest

from advdiff.algebra.resolvent import Resolvent
from advdiff.semigroup.rational.flow import FilterFlow
from advdiff.semigroup.rational.learned import learn_filter
from tests.semigroup.rational.problems import Cellular, Dense, gathered

TIMES = (0.2, 0.5, 1.0)


@pytest.mark.parametrize("diffusivity", [1e-1, 1e-2, 1e-3])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-8])
def test_other_states(diffusivity, tolerance):
    problem = Cellular(8, diffusivity)
    reference = Dense(problem)
    resolvent = Resolvent(problem.generator, 0.02)
    rational = learn_filter(resolvent, TIMES, tolerance)
    assert not rational.bounded and rational.error <= tolerance
    # m pairs, a flow and its push; beside them the probes, and the resolvents of the check
    assert resolvent.solves <= 4 * rational.dimension + 20
    nothing = np.zeros(problem.generator.size)
    for initial in (problem.blob(), problem.rough(5), problem.state(lambda x: x[0])):
        flow = FilterFlow(resolvent, rational, initial, None)
        expected = reference.states(gathered(initial), nothing, TIMES)
        error = reference.largest_error(flow.states, expected)
        assert error <= tolerance * reference.norm(gathered(initial))
        flow.destroy()
    resolvent.destroy()
