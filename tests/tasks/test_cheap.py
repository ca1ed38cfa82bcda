"""Chains of a flow by way of a reduced model: the exact accept step keeps them exact."""

from __future__ import annotations

from typing import NamedTuple

import h5py
import numpy as np
import pytest
from mpi4py import MPI

from advdiff import tasks
from advdiff.chains import diagnostics
from advdiff.chains.run import Options, sample
from advdiff.core.random import Random
from advdiff.tasks.cheap import reduce
from advdiff.tasks.flow import posterior
from tests.differences import central
from tests.tasks.test_flow import problem

REDUCED = {"tolerance": 0.3, "dimension": 8, "snapshots": 6}
"""Poor on purpose."""


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = MPI.COMM_WORLD.bcast(tmp_path_factory.mktemp("reduced"))
    sampler = {"kernel": "delayed-acceptance"}
    solver = {"tolerance": 1e-6}
    found = problem(folder, "reduced", 0.5, reduced=REDUCED, sampler=sampler, solver=solver)
    return found, posterior(found), reduce(found, [found.prior.mean])


def test_gradient_of_the_reduced_potential(case):
    """Against central differences of its own value; and it is not the exact potential."""
    found, exact, cheap = case
    m = found.prior.color(Random(0, 0, 1).white(found.prior.mean))
    way = Random(0, 0, 2).white(found.prior.mean)
    value, gradient, _ = cheap.linearise(m)
    assert value == pytest.approx(cheap.value(m), rel=1e-12)
    assert gradient.dot(way) == pytest.approx(central(cheap.value, m, way, 1e-5), rel=1e-5)
    assert abs(value - exact.potential.value(m)) > 1e-3 * value


WALK = {"warmup": 0, "chains": 2, "steps": 4, "step_size": 0.4}


class Moments(NamedTuple):
    """Mean, its Monte Carlo error and standard deviation of each unknown."""

    mean: np.ndarray
    error: np.ndarray
    spread: np.ndarray


def moments(exact, options: Options, **extra) -> Moments:
    """Of a chain for the exact posterior."""
    draws = sample(exact.potential, exact.prior, options, **extra).array()
    error, spread = diagnostics.mcse_mean(draws), draws.std(axis=(0, 1))
    assert ((spread / error) ** 2).min() > 20
    return Moments(draws.mean(axis=(0, 1)), error, spread)


@pytest.fixture(scope="module")
def by_exact_hmc(case) -> Moments:
    return moments(case[1], Options("hmc", draws=100, **WALK))


@pytest.mark.serial
@pytest.mark.parametrize("kind", ["delayed acceptance", "reduced gradient"])
def test_moments_agree_with_exact_hmc(case, by_exact_hmc, kind):
    """Means within four Monte Carlo errors, variances within their own."""
    _, exact, cheap = case
    if kind == "delayed acceptance":
        found = moments(exact, Options("delayed-acceptance", draws=200, **WALK), cheap=cheap)
    else:
        found = moments(exact, Options("hmc", draws=100, seed=1, **WALK), surrogate=cheap)
    error = np.hypot(found.error, by_exact_hmc.error)
    assert (np.abs(found.mean - by_exact_hmc.mean) < 4.0 * error).all()
    assert (np.abs(np.log(found.spread / by_exact_hmc.spread)) < 0.5).all()


@pytest.mark.parametrize(
    "sampler",
    [
        {"kernel": "delayed-acceptance", "step_size": 0.3, "metric": "laplace"},
        {"kernel": "hmc", "gradient": "reduced", "step_size": 0.1},
    ],
)
def test_a_task_with_a_reduced_model(tmp_path, sampler):
    table = sampler | {"draws": 5, "warmup": 2, "chains": 2, "steps": 2}
    lines: list[str] = []
    assert tasks.run(problem(tmp_path, "task", 0.5, sampler=table, reduced={}), lines.append)
    assert any(line.startswith("reduced     basis") for line in lines)
    with h5py.File(tmp_path / "task.h5") as file:
        draws = file["posterior/velocity_coefficients"][:]
        assert draws.shape[:2] == (2, 5) and np.ptp(draws, axis=1).max() > 0
        assert file["sample_stats/acceptance_rate"][:].mean() > 0.3
    MPI.COMM_WORLD.barrier()
