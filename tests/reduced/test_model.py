"""The online model: derivatives of every method, stability, and life without PETSc."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from advdiff import matexp
from advdiff.reduced import Affine, GaussianPrior, ReducedMisfit, ReducedModel, ResidualBound

pytestmark = pytest.mark.serial  # no communication

EXACT = [name for name, row in matexp.METHODS.items() if row.exact and name != "eigenpair"]
STEPS = 10.0 ** -np.arange(0.0, 5.5, 0.5)


def model(d=7, parameters=4, times=(0.0, 0.1, 0.2, 0.4), seed=0, method="frechet") -> ReducedModel:
    """Skew velocity terms and a symmetric negative one, as a projection gives them."""
    rng = np.random.default_rng(seed)
    skew = rng.standard_normal((parameters - 1, d, d))
    skew = skew - skew.swapaxes(1, 2)
    root = rng.standard_normal((d, d))
    diffusion = -root @ root.T
    reference = np.append(rng.standard_normal(parameters - 1), np.log(0.3))
    base = np.tensordot(reference[:-1], skew, 1) + 0.3 * diffusion
    stack = np.array([base, *skew, diffusion]).reshape(parameters + 1, d * d)
    sensor, time = np.meshgrid(np.arange(3), np.arange(len(times)))
    return ReducedModel(
        Affine(reference, *[np.arange(parameters) == parameters - 1] * 2),
        stack,
        rng.standard_normal(d),
        rng.standard_normal((3, d)),
        np.array(times),
        sensor.ravel(),
        time.ravel(),
        ResidualBound(rng.standard_normal((parameters + 1, 5 * d)), 0.1, np.ones(3), 0.4),
        method,
    )


def misfit(reduced) -> ReducedMisfit:
    rng = np.random.default_rng(5)
    n, size = len(reduced.sensor), reduced.affine.size
    prior = GaussianPrior(np.zeros(size), np.diag(rng.uniform(0.5, 2.0, size)))
    return ReducedMisfit(reduced, rng.standard_normal(n), rng.uniform(0.1, 0.3, n), prior)


def second_order(found: np.ndarray) -> bool:
    orders = np.log10(found[:-1] / found[1:]) / 0.5
    return "xxxxx" in "".join("x" if abs(o - 2.0) < 0.2 else "-" for o in orders)


@pytest.mark.parametrize("times", [(0.0, 0.1, 0.2, 0.4), (0.03, 0.1, 0.45)])
@pytest.mark.parametrize("method", [*EXACT, "pade", "spectral", "auto"])
def test_gradient(method, times):
    objective = misfit(model(times=times, method=method))
    rng = np.random.default_rng(1)
    m, dm = 0.4 * rng.standard_normal((2, 4))
    at = objective.evaluate(m)
    found = [
        abs(objective.value(m + h * dm) - at.objective - h * (at.gradient @ dm)) for h in STEPS
    ]
    assert second_order(np.array(found)), found


@pytest.mark.parametrize(
    "method", sorted({"pade", "spectral", "auto", *matexp.METHODS} - {"eigenpair", "asymptotic"})
)
def test_push_and_pull_are_adjoint(method):
    """Of surrogates too."""
    reduced = model(method=method)
    rng = np.random.default_rng(2)
    m, dm, weights = *rng.standard_normal((2, 4)), rng.standard_normal(len(reduced.sensor))
    at = reduced.linearise(m)
    assert at.push(dm) @ weights == pytest.approx(at.pull(weights) @ dm, rel=1e-9)


def test_a_surrogate_is_not_exact():
    m = np.full(4, 0.3)
    exact = misfit(model()).evaluate(m).gradient
    found = misfit(model(method="first-order")).evaluate(m).gradient
    assert np.linalg.norm(found - exact) > 1e-3 * np.linalg.norm(exact)


@pytest.mark.parametrize("times", [(0.0, 0.1, 0.2, 0.4), (0.03, 0.1, 0.45)])
def test_hessian_is_the_derivative_of_the_gradient(times):
    objective = misfit(model(times=times))
    rng = np.random.default_rng(4)
    m, dm = 0.4 * rng.standard_normal((2, 4))
    at = objective.evaluate(m)
    product = objective.hessian(at, dm)
    found = [
        np.linalg.norm(objective.evaluate(m + h * dm).gradient - at.gradient - h * product)
        for h in STEPS
    ]
    assert second_order(np.array(found)), found
    other = rng.standard_normal(4)
    assert other @ product == pytest.approx(dm @ objective.hessian(at, other), rel=1e-9)


def test_gauss_newton_is_the_hessian_without_residual():
    objective = misfit(model())
    m, dm = np.full(4, 0.2), np.array([1.0, -0.5, 0.3, 0.7])
    objective.values = objective.model.observe(m)
    at = objective.evaluate(m)
    assert objective.gauss_newton(at, dm) == pytest.approx(objective.hessian(at, dm), rel=1e-8)


def test_states_at_any_time():
    reduced = model()
    m = np.full(4, 0.1)
    times = np.array([0.05, 0.3, 0.31])
    expected = [expm(t * reduced.generator(m)) @ reduced.start for t in times]
    assert reduced.at(m, times) == pytest.approx(np.array(expected), rel=1e-10)


numbers = st.floats(-5.0, 5.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(numbers, min_size=4, max_size=4), st.integers(0, 20), st.floats(0.01, 50.0))
def test_the_semigroup_never_grows(m, seed, time):
    """Skew and negative terms, as a projection in L² gives them, for any m."""
    matrix = model(seed=seed).generator(np.array(m))
    assert np.linalg.norm(expm(time * matrix), 2) <= 1.0 + 1e-9


@pytest.mark.parametrize("log_ratio", [0.0, -1.0, 1.0])
def test_bound_is_the_integral_of_the_residual(log_ratio):
    """Against quadrature by far more points; a larger diffusivity than at m̄ is not used."""
    reduced = model()
    m = reduced.affine.reference + np.array([0.1, 0.1, 0.1, log_ratio])
    factors, d = reduced.affine.values(m), reduced.dimension
    residual = (factors @ reduced.bound.residuals).reshape(-1, d)
    times = np.linspace(0.0, 0.4, 4001)
    states = np.vstack([reduced.start, reduced.at(m, times[1:])])
    squares = np.exp(-2.0 * 0.4 * times) * np.sum((states @ residual.T) ** 2, axis=1)
    weakest = min(1.0, np.exp(log_ratio))
    integral = 0.1**2 + np.trapezoid(squares, times) / (2.0 * weakest)
    expected = np.exp(0.4 * 0.4) * np.sqrt(integral)
    assert reduced.state_bound(m)[-1] == pytest.approx(expected, rel=3e-2)


def test_saved_and_loaded_without_petsc(tmp_path):
    """In a process that cannot import PETSc, mpi4py or DOLFINx: the same value and gradient."""
    reduced = model()
    objective, m = misfit(reduced), np.full(4, 0.3)
    at = objective.evaluate(m)
    weights = np.linspace(-1.0, 2.0, len(reduced.sensor))
    path = tmp_path / f"model{np.random.default_rng().integers(1 << 40)}.h5"
    script = f"""
import sys
for name in ("petsc4py", "slepc4py", "mpi4py", "dolfinx", "pydantic"):
    sys.modules[name] = None
import numpy as np
from pathlib import Path
from advdiff.reduced import ReducedModel
model = ReducedModel.load(Path({str(path)!r}))
m = np.full(4, 0.3)
at = model.linearise(m)
print(*map(float, [*at.predicted, *at.pull(np.linspace(-1.0, 2.0, len(at.predicted))),
                   *model.state_bound(m)]))
"""
    reduced.save(path)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI", "PMI", "PRTE"))}
    clean["H5PY_ALWAYS_USE_MPI"] = "0"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=clean, timeout=100
    )
    assert done.returncode == 0, done.stderr
    expected = [*at.predicted, *at.linearisation.pull(weights), *reduced.state_bound(m)]
    assert [float(word) for word in done.stdout.split()] == pytest.approx(expected, rel=1e-12)


def test_the_diffusivity_is_of_what_multiplies_it():
    """A Robin coefficient is e^m too."""
    affine = Affine(np.zeros(3), np.array([False, True, True]), np.array([False, True, False]))
    assert affine.diffusivity(np.array([5.0, np.log(2.0), 7.0])) == pytest.approx(2.0)


def test_a_wrong_number_of_parameters_is_refused():
    with pytest.raises(ValueError, match="parameters"):
        model().observe(np.zeros(3))
