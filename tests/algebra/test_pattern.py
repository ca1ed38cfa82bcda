"""The pattern cotangent against the dense outer product."""

import numpy as np
import pytest
from mpi4py import MPI

from advdiff.algebra.pattern import PatternCotangent
from tests.semigroup import problems

PROBLEMS = {
    "square": lambda comm: problems.unit_square(9, comm=comm),
    "box": lambda comm: problems.box(4, comm=comm),
    "eliminated": lambda comm: problems.through_flow(9, comm=comm),
}


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("count", [1, 3, 16, 17, 40])
def test_is_the_outer_product_on_the_pattern(name, count):
    generator = PROBLEMS[name](MPI.COMM_WORLD)
    left = [problems.rough(generator, seed) for seed in range(count)]
    right = [problems.rough(generator, 100 + seed) for seed in range(count)]
    cotangent = PatternCotangent(generator.stiffness)
    cotangent.add(left, right)
    cotangent.add(left[:1], right[-1:], -2.5)

    rows = np.array([problems.gathered(generator, x) for x in left])
    columns = np.array([problems.gathered(generator, x) for x in right])
    expected = rows.T @ columns - 2.5 * np.outer(rows[0], columns[-1])
    ones = generator.stiffness.copy()
    start, indices, values = ones.getValuesCSR()
    ones.setValuesCSR(start, indices, np.ones_like(values))
    ones.assemble()
    expected *= problems.dense(generator, ones)
    actual = problems.dense(generator, cotangent.matrix())
    assert np.allclose(actual, expected, rtol=0.0, atol=1e-12 * abs(expected).max())


def test_pairing_with_a_direction():
    generator = problems.unit_square(9)
    left = [problems.rough(generator, seed) for seed in range(5)]
    right = [problems.rough(generator, 50 + seed) for seed in range(5)]
    cotangent = PatternCotangent(generator.stiffness)
    cotangent.add(left, right, 0.5)
    direction = problems.direction(generator)
    work = generator.vector()
    expected = 0.0
    for x, y in zip(left, right, strict=True):
        direction.mult(y, work)
        expected += 0.5 * x.dot(work)
    assert cotangent.inner(direction) == pytest.approx(expected, rel=1e-12)
    matrix = cotangent.matrix()
    assert matrix.norm() > 0.0
    cotangent.clear()
    assert cotangent.inner(direction) == 0.0


def test_wrong_arguments_are_refused():
    generator = problems.unit_square(6)
    cotangent = PatternCotangent(generator.stiffness)
    x = problems.rough(generator)
    with pytest.raises(ValueError, match="left vectors"):
        cotangent.add([x, x], [x])
    other = generator.stiffness.matMult(generator.stiffness)
    with pytest.raises(ValueError, match="sparsity pattern"):
        cotangent.inner(other)
