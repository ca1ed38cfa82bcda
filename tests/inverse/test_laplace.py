"""The Laplace approximation: exact where the posterior is Gaussian, and the same on all ranks."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from advdiff.inverse.laplace import approximate, dominant
from advdiff.inverse.map import minimise
from tests.inverse import cases


@pytest.fixture(scope="module")
def case():
    return cases.LinearGaussian()


@pytest.fixture(scope="module")
def found(case):
    start = case.objective.prior.mean.copy()
    estimate = minimise(case.objective, start, type="nls", gradient_tolerance=1e-12)
    return approximate(case.objective, estimate.m, threshold=1e-3)


def test_mean_covariance_and_evidence_are_exact(case, found):
    unknowns = case.unknowns
    np.testing.assert_allclose(unknowns.to_numpy(found.mean), case.mean, atol=1e-8)
    columns = [
        unknowns.to_numpy(found.covariance(unknowns.from_numpy(unit)))
        for unit in np.eye(unknowns.size)
    ]
    np.testing.assert_allclose(np.array(columns), case.covariance, atol=1e-8)
    evidence = found.log_evidence(case.likelihood.log_constant)
    assert evidence == pytest.approx(case.log_evidence, abs=1e-8)
    assert len(found.pairs.values) == 7 and found.pairs.complete


def test_samples_have_the_covariance(case, found):
    count = 4000
    draws = np.array([case.unknowns.to_numpy(found.draw(1, k)) for k in range(count)])
    std = np.sqrt(np.diag(case.covariance))
    scaled = (draws - case.mean) / std
    correlation = case.covariance / np.outer(std, std)
    assert np.abs(scaled.mean(axis=0)).max() < 4.5 / np.sqrt(count)
    assert np.abs(scaled.T @ scaled / count - correlation).max() < 4.5 * np.sqrt(2 / count)


def test_spread_is_the_root_of_the_covariance(found):
    x = cases.random(found.mean, 2)
    twice, once = found.spread(found.spread(x)), x.copy()
    lost = found.pairs.values / (1 + found.pairs.values)
    once = found.pairs.function(x, -lost)
    once.axpy(-1.0, twice)
    assert once.norm() < 1e-12 * x.norm()
    assert found.pairs.along(found.unseen(x)) == pytest.approx(0.0, abs=1e-12)


def test_what_is_left_out_is_said_and_small(case):
    """Two pairs of seven: said to be incomplete; half of the spectrum by a threshold: complete."""
    m = case.objective.prior.mean
    whole = approximate(case.objective, m, threshold=1e-3).pairs
    two = approximate(case.objective, m, threshold=1e-3, most=2).pairs
    assert not two.complete
    np.testing.assert_allclose(two.values, whole.values[:2], rtol=1e-8)
    level = float(np.sqrt(whole.values[3] * whole.values[4]))
    cut = approximate(case.objective, m, threshold=level).pairs
    assert cut.complete and len(cut.values) == 4


def test_no_information_leaves_the_prior(case):
    def nothing(x):
        y = x.copy()
        y.set(0.0)
        return y

    pairs = dominant(nothing, case.objective.prior.white(0, 0))
    assert len(pairs.values) == 0 and pairs.complete
    x = cases.random(case.objective.prior.mean, 1)
    assert pairs.function(x, np.zeros(0)).equal(x)


@pytest.mark.serial
def test_more_directions_than_a_block():
    """A spectrum that needs many restarts of EPS: every value above the threshold, none below."""
    from petsc4py import PETSc

    size = 400
    values = PETSc.Vec().createSeq(size)
    values.setArray(100.0 * 0.95 ** np.arange(size))

    def apply(x):
        y = x.duplicate()
        y.pointwiseMult(values, x)
        return y

    start = cases.random(values, 0)
    pairs = dominant(apply, start, threshold=0.1, most=300)
    expected = values.array[values.array > 0.1]
    assert pairs.complete and len(expected) == 135
    np.testing.assert_allclose(pairs.values, expected, rtol=1e-6)
    assert pairs.products < 2.5 * len(expected)
    few = dominant(apply, start, threshold=0.1, most=50)
    assert not few.complete and len(few.values) == 50


@pytest.mark.parametrize("family", ["sine", "stream", "fields"])
def test_hessian_is_symmetric_and_positive(tmp_path, family):
    objective = cases.problem(tmp_path, family).objective
    at = objective.evaluate(objective.prior.mean)
    x, y = (cases.random(objective.prior.mean, seed) for seed in (0, 1))
    hx, hy = (objective.white_hessian(at, v) for v in (x, y))
    assert hx.dot(y) == pytest.approx(hy.dot(x), rel=1e-8, abs=1e-10 * hx.norm() * y.norm())
    assert hx.dot(x) > 0 and hy.dot(y) > 0


@pytest.mark.parametrize("family", ["stream", "fields"])
def test_the_same_on_any_number_of_ranks(tmp_path, family):
    found = []
    for comm in (MPI.COMM_WORLD, MPI.COMM_SELF):
        objective = cases.problem(tmp_path, family, comm=comm).objective
        laplace = approximate(objective, objective.prior.mean, threshold=0.01)
        draw = laplace.draw(0, 3)
        size = objective.prior.whiten(draw).norm()
        found.append((laplace.pairs.values, laplace.log_evidence(), size, draw.norm()))
    for together, alone in zip(*found, strict=True):
        np.testing.assert_allclose(together, alone, rtol=1e-6)
