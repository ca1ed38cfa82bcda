"""Counter-based random numbers: numpy's bits, and nothing but seed, chain, step and index."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI
from petsc4py import PETSc
from scipy.stats import kstest

from advdiff.core import random
from advdiff.core.random import Random


@pytest.mark.parametrize("key", [(1, 2), (2**64 - 1, 2**63 + 5)])
@pytest.mark.parametrize("counter", [(0, 0, 0, 0), (2**64 - 2, 3, 7, 2**64 - 1)])
def test_numpy_has_the_same_bits(key, counter):
    whole = [np.array(part, dtype=np.uint64) for part in (key, counter)]
    theirs = np.random.Philox(key=whole[0], counter=whole[1]).random_raw(4)
    first = np.uint64(counter[0] + 1)  # numpy counts before it draws
    words = [first, *(np.uint64(c) for c in counter[1:]), *(np.uint64(k) for k in key)]
    np.testing.assert_array_equal(np.array(random._block(*words), dtype=np.uint64), theirs)


def vector(size, comm=MPI.COMM_WORLD):
    return PETSc.Vec().createMPI((PETSc.DECIDE, size), comm=comm)


def test_noise_does_not_depend_on_its_distribution():
    together = Random(3, 1, 5).white(vector(1001))
    alone = Random(3, 1, 5).white(vector(1001, MPI.COMM_SELF))
    np.testing.assert_array_equal(together.array, alone.array[slice(*together.getOwnershipRange())])


def test_labels_take_the_place_of_the_numbering():
    like = vector(50, MPI.COMM_SELF)
    order = np.random.default_rng(0).permutation(50).astype(np.uint64)
    shuffled = Random(3, 1, 5, order).white(like).array
    np.testing.assert_array_equal(shuffled, Random(3, 1, 5).white(like).array[order])


def test_every_call_step_chain_and_seed_has_numbers_of_its_own():
    like, rng = vector(1000, MPI.COMM_SELF), Random(3, 1, 5)
    found = [rng.white(like).array, rng.white(like).array]
    found += [Random(*key).white(like).array for key in ((4, 1, 5), (3, 2, 5), (3, 1, 6))]
    correlation = np.corrcoef(found) - np.eye(len(found))
    assert np.abs(correlation).max() < 0.15
    uniform = [Random(1, 2, step).uniform() for step in range(2000)]
    assert kstest(uniform, "uniform").pvalue > 1e-3
    assert kstest(np.concatenate(found), "norm").pvalue > 1e-3
