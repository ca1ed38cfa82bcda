"""A basis is orthonormal, spans what it was given, and does not trust dependent directions."""

import numpy as np
import pytest
from mpi4py import MPI

from advdiff.reduced.offline.basis import Basis
from tests import flows


@pytest.fixture(scope="module", params=[1, 2])
def operator(request):
    return flows.problem(8, request.param).operator


def waves(operator, count):
    return [
        operator.state(lambda x, k=k: np.cos(k * x[0] + 0.3 * k * x[1]), "wave")
        for k in range(1, count + 1)
    ]


def gram(basis):
    return basis.coordinates(basis.vectors)


def residual(basis, vector):
    rest = vector.copy()
    basis.vectors.multVec(-1.0, 1.0, rest, basis.vectors.dotVec(vector))
    return basis.mass.norm(rest) / basis.mass.norm(vector)


def test_orthonormal_and_spanning(operator):
    vectors = waves(operator, 9)
    basis = Basis(operator.mass, vectors[0], 30)
    assert basis.extend(vectors[:5], 0.0) == 5
    assert basis.extend(vectors[5:], 0.0) == 4
    assert np.abs(gram(basis) - np.eye(9)).max() < 1e-13
    assert max(residual(basis, v) for v in vectors) < 1e-6


def test_a_dependent_direction_is_cut(operator):
    vectors = waves(operator, 4)
    basis = Basis(operator.mass, vectors[0], 30)
    basis.extend(vectors[:3], 0.0)
    mixture = vectors[0].copy()
    mixture.axpy(-2.0, vectors[1])
    noisy = mixture.copy()
    noisy.axpy(1e-12, vectors[3])
    assert basis.extend([mixture, noisy], 0.0) == 0
    assert basis.extend([mixture, noisy, vectors[3]], 0.0) == 1
    assert np.abs(gram(basis) - np.eye(4)).max() < 1e-13


def test_compression_leaves_out_no_more_than_the_tolerance(operator):
    vectors = waves(operator, 12)
    total = np.sqrt(sum(operator.mass.norm(v) ** 2 for v in vectors))
    sizes = []
    for tolerance in (1e-1, 1e-2, 1e-4):
        basis = Basis(operator.mass, vectors[0], 30)
        basis.extend(vectors, tolerance)
        rest = [residual(basis, v) * operator.mass.norm(v) for v in vectors]
        assert np.linalg.norm(rest) <= tolerance * total
        sizes.append(basis.size)
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1] < 12


def test_the_limit_holds(operator):
    vectors = waves(operator, 6)
    basis = Basis(operator.mass, vectors[0], 3)
    assert basis.extend(vectors, 0.0) == 3
    assert basis.extend(vectors, 0.0) == 0


def test_sizes_do_not_depend_on_the_ranks(operator):
    """Nor does what is left out: the same problem on one rank."""
    alone = flows.problem(8, operator.degree, MPI.COMM_SELF).operator
    found = []
    for op in (operator, alone):
        basis = Basis(op.mass, waves(op, 1)[0], 30)
        basis.extend(waves(op, 12), 1e-3)
        found.append((basis.size, residual(basis, waves(op, 14)[13])))
    assert found[0][0] == found[1][0]
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-6)
