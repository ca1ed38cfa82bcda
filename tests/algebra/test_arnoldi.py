"""The Arnoldi process: its relation, its orthogonality, its end."""

import numpy as np
import pytest

from advdiff.algebra.arnoldi import Arnoldi
from advdiff.algebra.resolvent import Resolvent
from tests.semigroup.rational.problems import Cellular, Dense, gathered

POLE = 0.03


def columns(arnoldi, count):
    result = []
    for j in range(count):
        vector = arnoldi.basis.getColumn(j)
        result.append(gathered(vector))
        arnoldi.basis.restoreColumn(j, vector)
    return np.transpose(result)


@pytest.mark.parametrize("degree", [1, 2])
def test_relation_and_orthogonality_beyond_the_first_allocation(degree):
    problem = Cellular(6, 1e-1, degree)
    dense = Dense(problem)
    resolvent = Resolvent(problem.generator, POLE)
    start = problem.rough(1)
    arnoldi = Arnoldi(resolvent, start)
    for _ in range(36):
        arnoldi.extend()
    m = arnoldi.dimension
    basis, h = columns(arnoldi, m), arnoldi.hessenberg
    assert m == 36 and resolvent.solves == 36
    np.testing.assert_allclose(basis.T @ dense.mass @ basis, np.eye(m), atol=1e-13)
    np.testing.assert_allclose(arnoldi.norm * basis[:, 0], gathered(start), atol=1e-13)
    image = np.linalg.solve(dense.mass - POLE * dense.stiffness, dense.mass @ basis[:, :-1])
    np.testing.assert_allclose(image, basis @ h[:, :-1], atol=1e-12)
    arnoldi.destroy()
    resolvent.destroy()


def test_an_invariant_space_ends_the_process():
    problem = Cellular(6, 1e-1)
    resolvent = Resolvent(problem.generator, POLE)
    zero = problem.generator.vector()
    arnoldi = Arnoldi(resolvent, zero)
    arnoldi.extend()
    assert arnoldi.broken and arnoldi.dimension == 0
    arnoldi.destroy()
    resolvent.destroy()
