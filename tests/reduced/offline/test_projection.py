"""The projection against the full operator: the family, the sensors, the bound, stability."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mpi4py import MPI
from scipy.linalg import expm

from advdiff.core.errors import InputError
from advdiff.reduced.offline.groups import Groups
from advdiff.reduced.offline.projection import Projection
from tests.reduced import cases


@pytest.fixture(scope="module")
def closed(folder):
    made = cases.reducer(cases.problem(folder), tolerance=1e-3)
    made.enrich([made.evaluate(made.mean)])
    return made


def projected(made, m):
    """V*A(m)V and the load's part by the operator itself."""
    made.model.unknowns.assign(made.model.unknowns.from_numpy(m))
    operator = made.model.operator
    generator = operator.assemble()
    basis = made.basis
    image, state = basis.template.duplicate(), basis.template.duplicate()
    columns = []
    for unit in np.eye(basis.size):
        basis.lift(unit, state)
        generator.mult(state, image)
        columns.append(basis.vectors.dotVec(image))
    if operator.load is not None:
        generator.mass.solve(operator.load, image)
        columns.append(basis.vectors.dotVec(image))
    return np.array(columns).T


@pytest.mark.parametrize(
    "make", [pytest.param(cases.problem, marks=pytest.mark.serial), cases.channel]
)
def test_the_family_is_the_operator(folder, make):
    made = cases.reducer(make(folder), tolerance=1e-2)
    made.enrich([made.evaluate(made.mean)])
    made.enrich([made.evaluate(cases.nearby(made))])
    m = cases.nearby(made, 1.0)
    expected = projected(made, m)
    found = made.reduced.generator(m)[: made.basis.size]
    assert np.abs(found - expected).max() < 1e-10 * np.abs(expected).max()


@pytest.mark.parametrize(
    "make", [pytest.param(cases.problem, marks=pytest.mark.serial), cases.channel]
)
def test_agreement_as_the_basis_grows(folder, make):
    """Loads and Dirichlet values included; every error below its bound."""
    errors = []
    for tolerance in (1e-1, 1e-2, 1e-4):
        made = cases.reducer(make(folder), tolerance=tolerance)
        point = made.evaluate(made.mean)
        made.enrich([point])
        check = made.check(point)
        assert check["state_error"] <= check["bound"]
        assert check["reading_error"] <= check["reading_bound"]
        assert check["effectivity"] < 60.0
        errors.append([check["state_error"], check["reading_error"], check["objective_error"]])
    errors = np.array(errors)
    assert (errors[1:] < 0.5 * errors[:-1]).all(), errors
    assert errors[-1].max() < 3e-3


def test_the_gradient_agrees(closed):
    made = cases.reducer(cases_problem(closed), tolerance=1e-5, snapshots=60)
    point = made.evaluate(made.mean)
    made.enrich([point])
    assert made.check(point)["gradient_error"] < 1e-3


def cases_problem(made):
    """The problem's parts, to make another reducer of them."""

    class Parts:
        model = made.model
        prior = made.full.prior

    return Parts


def test_bound_holds_away_from_the_basis(closed):
    for size in (0.3, 1.0):
        check = closed.check(closed.evaluate(cases.nearby(closed, size)))
        assert check["state_error"] <= check["bound"]
        assert check["state_error"] > 1e-5


def test_sketch_and_orthonormal_residuals_agree(closed):
    exact = Projection(closed.model, closed.family, closed.basis, residuals="orthonormal")
    m = cases.nearby(closed)
    sharp = exact.project().state_bound(m)
    sketched = closed.reduced.state_bound(m)
    assert (sharp <= sketched * (1 + 1e-9)).all()
    assert (sketched < 2.5 * sharp).all()


def test_krylov_vectors_reduce_too(closed):
    """Forward and adjoint, with hardly a snapshot."""
    made = cases.reducer(cases_problem(closed), tolerance=1e-4, snapshots=3, krylov=16)
    point = made.evaluate(made.mean)
    made.enrich([point])
    check = made.check(point)
    bare = cases.reducer(cases_problem(closed), tolerance=1e-4, snapshots=3)
    bare.enrich([point])
    without = bare.check(point)
    assert check["gradient_error"] < 0.6 * without["gradient_error"]
    assert check["state_error"] < 0.5 * without["state_error"]


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.floats(-3.0, 3.0), min_size=5, max_size=5), st.floats(0.01, 10.0))
def test_the_reduced_semigroup_never_grows(closed, m, time):
    matrix = closed.reduced.generator(np.array(m))
    assert np.linalg.eigvalsh(matrix + matrix.T).max() <= 1e-9 * np.abs(matrix).max()
    assert np.linalg.norm(expm(time * matrix), 2) <= 1.0 + 1e-9


def test_taylor_on_the_projected_misfit(closed):
    objective = closed.objective()
    m, dm = cases.nearby(closed), cases.nearby(closed, 0.7) - closed.mean
    at = objective.evaluate(m)
    steps = 10.0 ** -np.arange(0.0, 5.0, 0.5)
    found = np.array(
        [abs(objective.value(m + h * dm) - at.objective - h * (at.gradient @ dm)) for h in steps]
    )
    orders = np.log10(found[:-1] / found[1:]) / 0.5
    assert "xxxx" in "".join("x" if abs(o - 2.0) < 0.2 else "-" for o in orders), orders


def test_the_same_on_one_rank(folder, closed):
    comm = MPI.COMM_SELF
    made = cases.reducer(cases.problem(folder, comm=comm), Groups(comm), tolerance=1e-3)
    made.enrich([made.evaluate(made.mean)])
    m = cases.nearby(closed)
    assert made.basis.size == closed.basis.size
    assert made.reduced.observe(m) == pytest.approx(closed.reduced.observe(m), rel=1e-5, abs=1e-7)
    assert made.reduced.state_bound(m) == pytest.approx(closed.reduced.state_bound(m), rel=1e-4)


@pytest.mark.parametrize("residuals", ["sketch", "orthonormal"])
def test_degree_two_with_its_consistent_mass(folder, residuals):
    made = cases.problem(folder, n=5, degree=2)
    sound = cases.reducer(made, residuals=residuals, tolerance=1e-2, snapshots=9)
    point = sound.evaluate(sound.mean)
    sound.enrich([point])
    check = sound.check(point)
    assert check["state_error"] <= check["bound"] < 100.0 * check["state_error"]
    assert check["state_error"] < 0.02


def test_a_field_is_refused(folder):
    made = cases.problem(folder)
    tables = made.experiment.model_copy(
        update={"unknowns": made.experiment.unknowns.model_copy(update={"initial": True})}
    )
    from advdiff import Problem

    with pytest.raises(InputError, match="initial is a field"):
        cases.reducer(Problem(tables))


def test_the_optimiser_takes_it_for_the_full_model(closed):
    """inverse.Objective and TAO, unchanged, with the same derivatives as the online misfit."""
    from advdiff.inverse.likelihood import Gaussian, Potential
    from advdiff.inverse.map import minimise
    from advdiff.inverse.objective import Objective
    from tests.reduced.vectors import VectorModel

    readings, unknowns = closed.full.readings, closed.model.unknowns
    model = VectorModel(closed.reduced, unknowns)
    objective = Objective(
        Potential(model, Gaussian(readings.values, readings.std)), closed.full.prior
    )
    found = minimise(objective, closed.full.prior.mean, gradient_tolerance=1e-6)
    assert found.converged, found.message
    m = unknowns.to_numpy(found.m)
    at = closed.objective().evaluate(m)
    assert at.objective == pytest.approx(found.history[-1].objective, rel=1e-10)
    assert np.linalg.norm(at.gradient) < 1e-4 * found.history[0].gradient_norm
    dm = unknowns.from_numpy(m - closed.mean)
    applied = unknowns.to_numpy(objective.gauss_newton(objective.evaluate(found.m), dm))
    assert applied == pytest.approx(closed.objective().gauss_newton(at, m - closed.mean), rel=1e-8)
