"""Chains of a flow by way of a reduced model: the exact accept step keeps them exact."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from mpi4py import MPI

from advdiff import tasks
from advdiff.inverse.chains import diagnostics
from advdiff.inverse.chains.philox import Random
from advdiff.inverse.chains.run import Options, sample
from advdiff.sampling.flow import posterior
from advdiff.sampling.reduced import reduce
from tests.differences import central
from tests.sampling.test_flow import problem

REDUCED = {"tolerance": 0.3, "dimension": 8, "snapshots": 6}
"""Poor on purpose."""


@pytest.fixture
def case(tmp_path):
    found = problem(
        tmp_path, "reduced", 0.5, reduced=REDUCED, sampler={"kernel": "delayed-acceptance"}
    )
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


@pytest.mark.serial
@pytest.mark.parametrize("kind", ["delayed acceptance", "reduced gradient"])
def test_moments_agree_with_exact_hmc(case, kind):
    """Means within four Monte Carlo errors, variances within their own."""
    found, exact, cheap = case
    walk = {"warmup": 0, "chains": 2, "steps": 4, "step_size": 0.4}
    runs = [
        (Options("hmc", draws=100, **walk), {}),
        (Options("delayed-acceptance", draws=300, **walk), {"cheap": cheap}),
        (Options("hmc", draws=150, seed=1, **walk), {"surrogate": cheap}),
    ]
    chosen = [runs[0], runs[1] if kind == "delayed acceptance" else runs[2]]
    means, errors, spreads = [], [], []
    for options, extra in chosen:
        draws = sample(exact.potential, exact.prior, options, **extra)
        local = draws.array()
        every = found.comm.bcast(local if found.comm.rank == 0 else None)
        size = diagnostics.ess_mean(every)
        flat = every.reshape(-1, every.shape[2])
        assert size.min() > 20
        means.append(flat.mean(axis=0))
        spreads.append(flat.std(axis=0))
        errors.append(flat.std(axis=0) / np.sqrt(size))
    assert (np.abs(means[1] - means[0]) < 4.0 * np.hypot(*errors)).all()
    assert (np.abs(np.log(spreads[1] / spreads[0])) < 0.5).all()


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
