"""Newton's method by TAO."""

from __future__ import annotations

import numpy as np
import pytest
from petsc4py import PETSc

from advdiff.core.errors import ConvergenceError, InputError
from advdiff.inverse.map import NEWTON, make_tao, minimise
from advdiff.inverse.objective import Objective
from advdiff.models.coefficients import independent_prior
from advdiff.models.rate_matrix import RateMatrixModel, Transitions
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


@pytest.mark.parametrize("type", ["nls", "ntr"])
def test_steps_are_solved_for_as_exactly_as_said(type):
    """Ours have an effect, an option of the user's comes first, and ours do not stay behind."""
    pairs = np.array([[i, j] for i in range(4) for j in range(4)])
    counts = 5 + 7 * np.arange(16) % 60
    model = RateMatrixModel(4, Transitions.collect(*pairs.T, np.ones(16), counts))
    prior = independent_prior(model.unknowns, mean=0.0, std=0.5)
    options = PETSc.Options()
    names = [f"tao_{type}_ksp_ew_{name}" for name in ("rtol0", "rtolmax")]

    def products(**given):
        for name, value in given.items():
            options.setValue(name, value)
        try:
            objective = Objective(model.potential(), prior)
            return minimise(objective, prior.mean, type=type).history[-1].hessian_products
        finally:
            for name in given:
                options.delValue(name)

    ours = products()
    assert not any(options.hasName(name) for name in [*names, "tao_ksp_ew"])
    assert ours == products(**dict.fromkeys(names, 0.1))
    assert ours != products(**dict.fromkeys(names, 1e-9))
    assert ours != products(**dict.fromkeys(names, 0.95))


def test_a_type_with_constraints_is_refused():
    options = PETSc.Options()
    options.setValue("tao_type", "tron")
    try:
        with pytest.raises(InputError, match="-tao_type tron: take one of"):
            make_tao(PETSc.COMM_WORLD, "nls")
    finally:
        options.delValue("tao_type")
