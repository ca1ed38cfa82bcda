"""Passing, checkpointed and kept runs give the same vectors, bit for bit."""

import math

import numpy as np
import pytest

from advdiff.semigroup.faber.checkpoints import CHUNK, Recurrence, checkpoint_stride
from tests.semigroup import problems


def make(generator, count, stride, keep, calls=None):
    matrix = generator.stiffness

    def step(j, older, newer, vector):
        matrix.mult(newer, vector)
        if older is not None:
            vector.axpy(-0.3 * j, older)
        if calls is not None:
            calls.append(j)

    return Recurrence(step, count, stride, generator.vector(), keep=keep)


def forward(run, start):
    return {
        first + i: vector.array.copy()
        for first, vectors in run.forward(start)
        for i, vector in enumerate(vectors)
    }


def alone(values, shown):
    """One of them where ranks are several: each only keeps its part of the same vectors."""
    return [pytest.param(v, marks=() if v == shown else pytest.mark.serial) for v in values]


@pytest.mark.parametrize("count", alone([1, 2, 3, 7, 16, 17, 33, 50], 33))
@pytest.mark.parametrize("stride", alone([2, 3, 7, 16, 20, 50], 7))
def test_every_storage_gives_the_same_vectors(count, stride):
    generator = problems.unit_square(5)
    start = problems.rough(generator)
    reference = forward(make(generator, count, count, True), start)
    assert sorted(reference) == list(range(count))
    passing = forward(make(generator, count, stride, False), start)
    run = make(generator, count, stride, True)
    recorded = forward(run, start)
    start.zeroEntries()  # a tape does not rely on the caller's vector
    for _ in range(2):
        backward, order = {}, []
        for first, vectors in run.backward():
            order.append(first)
            for i, vector in enumerate(vectors):
                backward[first + i] = vector.array.copy()
        assert order == sorted(order, reverse=True)
        assert sorted(backward) == list(range(count))
        for j in range(count):
            for other in (passing, recorded, backward):
                assert np.array_equal(other[j], reference[j])


def test_memory_and_work():
    generator = problems.unit_square(3)
    count = 400
    calls = []
    run = make(generator, count, checkpoint_stride(count), True, calls)
    assert run.size <= 2.0 * math.sqrt(2.0 * count) + 2
    forward(run, problems.rough(generator))
    assert len(calls) == count - 1
    for _ in run.backward():
        pass
    assert len(calls) < 2 * count  # the last segment was still there
    assert make(generator, count, CHUNK, False).size == CHUNK + 2
    assert make(generator, count, count, True).size == count


def test_a_passing_run_has_no_way_back():
    generator = problems.unit_square(3)
    run = make(generator, 40, CHUNK, False)
    forward(run, problems.rough(generator))
    with pytest.raises(RuntimeError, match="record"):
        next(run.backward())
