"""A periodic box, spectral elements and Fourier modes: the sketch, the sensors, the estimate."""

import numpy as np
import pytest
from mpi4py import MPI

from advdiff.core.errors import InputError
from advdiff.reduced.offline.groups import Groups
from advdiff.reduced.offline.projection import Projection
from advdiff.reduced.offline.trust import TrustRegion
from tests.reduced import cases


@pytest.fixture(scope="module")
def made(folder):
    found = cases.reducer(cases.torus(folder), tolerance=1e-2)
    found.enrich([found.evaluate(cases.nearby(found, 0.1))])
    return found


def test_every_term_is_skew_but_the_first(made):
    assert {term.sign for term in made.family.terms[1:]} == {-1}
    assert made.family.terms[0].sign == 1  # at the mean there is no flow


def test_sketch_and_orthonormal_residuals_agree(made):
    exact = Projection(made.model, made.family, made.basis, residuals="orthonormal")
    m = cases.nearby(made)
    sharp, sketched = exact.project().state_bound(m), made.reduced.state_bound(m)
    assert (sharp <= sketched * (1 + 1e-9)).all()
    assert (sketched < 2.5 * sharp).all()


def test_the_same_on_one_rank(folder, made):
    """The sketch too: nodes on the seam have two positions, and either rank may ask."""
    comm = MPI.COMM_SELF
    alone = cases.reducer(cases.torus(folder, comm), Groups(comm), tolerance=1e-2)
    alone.enrich([alone.evaluate(cases.nearby(alone, 0.1))])
    assert alone.basis.size == made.basis.size
    m = cases.nearby(made)
    assert made.reduced.observe(m) == pytest.approx(alone.reduced.observe(m), rel=1e-5, abs=1e-7)
    assert made.reduced.state_bound(m) == pytest.approx(alone.reduced.state_bound(m), rel=1e-4)


def test_the_bound_holds(made):
    for size in (0.1, 0.5):
        check = made.check(made.evaluate(cases.nearby(made, size)))
        assert 1e-6 < check["state_error"] <= check["bound"]


@pytest.mark.parametrize("panel", [5, 1000])
def test_panels_change_nothing(made, monkeypatch, panel):
    """Nor does symmetry: the reference has none declared."""
    from advdiff.reduced.offline import projection

    monkeypatch.setattr(projection, "PANEL", panel)
    found = Projection(made.model, made.family, made.basis).project()
    signs = [term.sign for term in made.family.terms]
    for term in made.family.terms:
        term.sign = 0
    expected = Projection(made.model, made.family, made.basis).project()
    for term, sign in zip(made.family.terms, signs, strict=True):
        term.sign = sign
    assert np.abs(found.stack - expected.stack).max() < 1e-12 * np.abs(expected.stack).max()
    scale = np.abs(expected.bound.residuals).max()
    assert np.abs(found.bound.residuals - expected.bound.residuals).max() < 1e-12 * scale


@pytest.mark.serial  # thousands of solves of 200 unknowns; ranks that share a core take minutes
def test_the_estimate_is_the_full_models(folder):
    """With the sensors' vectors in the basis, in fewer evaluations than without."""
    problem = cases.torus(folder, optimizer={"gradient_tolerance": 1e-6})
    plain = problem.invert()
    found = {}
    for steps in (0, 3):
        made = cases.reducer(problem, tolerance=1e-2, sensors=steps)
        found[steps] = made, TrustRegion(made, made.mean, gradient_tolerance=1e-6).run()
        assert found[steps][1].converged, found[steps][1].message
    made, estimate = found[3]
    expected = made.prior.whiten(problem.unknowns.to_numpy(plain.m))
    assert made.prior.whiten(estimate.m) == pytest.approx(expected, abs=1e-4)
    assert made.sensor_solves == 3 * 4
    assert 2 * made.full.evaluations < plain.history[-1].solves
    assert made.full.evaluations <= found[0][0].full.evaluations


@pytest.mark.parametrize("method", ["cip", "dg"])
def test_a_family_that_is_not_affine_is_refused(folder, method):
    problem = cases.problem(folder, discretization={"method": method})
    with pytest.raises(InputError, match="not affine"):
        cases.reducer(problem)
