"""Newton's method by TAO."""

from __future__ import annotations

import numpy as np
import pytest
from petsc4py import PETSc

from advdiff.core.errors import ConvergenceError, InputError
from advdiff.inverse.map import NEWTON, make_tao, minimise
from tests.inverse import cases


@pytest.mark.parametrize("type", NEWTON)
def test_newton_finds_the_mean_of_a_gaussian(type):
    case = cases.LinearGaussian()
    start = case.objective.prior.mean.copy()
    estimate = minimise(case.objective, start, type=type, gradient_tolerance=1e-11)
    assert estimate.converged, estimate.message
    np.testing.assert_allclose(case.unknowns.to_numpy(estimate.m), case.mean, atol=1e-8)
    products = [entry.hessian_products for entry in estimate.history]
    assert products[0] == 0 < products[-1] and sorted(products) == products
    assert f"{products[-1]} Hessian products" in estimate.message


def test_gradient_methods_make_no_products():
    case = cases.LinearGaussian()
    start = case.objective.prior.mean.copy()
    estimate = minimise(case.objective, start, type="lmvm", max_iterations=500)
    assert estimate.converged and estimate.history[-1].hessian_products == 0
    assert "Hessian" not in estimate.message


@pytest.mark.parametrize("family", [pytest.param("stream", marks=pytest.mark.serial), "fields"])
def test_newton_finds_what_quasi_newton_finds(tmp_path, family):
    found = []
    for type in ("lmvm", "nls"):
        optimizer = {"type": type, "gradient_tolerance": 1e-7}
        problem = cases.problem(tmp_path, family, optimizer=optimizer)
        found.append(problem.invert())
        assert found[-1].converged, found[-1].message
    slow, newton = found
    assert newton.evaluation.objective == pytest.approx(slow.evaluation.objective, rel=1e-10)
    slow.m.axpy(-1.0, newton.m)
    assert slow.m.norm() < 1e-4 * newton.m.norm()
    assert newton.history[-1].hessian_products > 0


def test_what_a_product_raises_passes_through(monkeypatch):
    case = cases.LinearGaussian()

    def fail(*_):
        raise ConvergenceError("no product today")

    monkeypatch.setattr(case.objective, "data_hessian", fail)
    with pytest.raises(ConvergenceError, match="no product today"):
        minimise(case.objective, case.objective.prior.mean.copy(), type="nls")


def test_the_first_trial_is_not_beyond_what_the_prior_allows(monkeypatch):
    """A reading a million standard deviations off: ten of the prior's, and no more, at first."""
    case, tried = cases.LinearGaussian(), []
    case.likelihood.values = case.likelihood.values + 1e6 * case.likelihood.std
    objective, evaluate = case.objective, case.objective.evaluate

    def watched(m):
        tried.append(objective.prior.whiten(m).norm())
        return evaluate(m)

    monkeypatch.setattr(objective, "evaluate", watched)
    estimate = minimise(objective, objective.prior.mean.copy())
    first = next(size for size in tried if size > 0.0)
    assert 5.0 < first <= 10.0 < tried[-1]
    assert estimate.converged, estimate.message


def test_inexactness_is_a_default_only():
    """An option of the user's comes first, and ours do not stay behind."""
    options = PETSc.Options()
    make_tao(PETSc.COMM_WORLD, "nls").destroy()
    assert not options.hasName("tao_ksp_ew")
    options.setValue("tao_type", "tron")
    try:
        with pytest.raises(InputError, match="-tao_type tron: take one of"):
            make_tao(PETSc.COMM_WORLD, "nls")
    finally:
        options.delValue("tao_type")
