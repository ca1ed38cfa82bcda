"""Pointwise standard deviations against dense algebra and against samples."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from advdiff.inverse.laplace import approximate
from advdiff.results.spread import Directions, standard_deviations
from tests.inverse import cases


def whole(comm, vector) -> np.ndarray:
    return np.concatenate(comm.allgather(vector.array))


def at_the_estimate(tmp_path, family, comm=MPI.COMM_WORLD):
    """A problem, its Laplace approximation, and the directions of its fields."""
    optimizer = {"type": "nls", "gradient_tolerance": 1e-6}
    problem = cases.problem(tmp_path, family, comm=comm, optimizer=optimizer)
    estimate = problem.invert()
    assert estimate.converged
    laplace = approximate(problem.objective, estimate.m, threshold=1e-6, most=500)
    return problem, laplace, Directions(problem)


def test_std_of_the_speed_against_brute_force(tmp_path):
    """Coefficients: velocities by differences, the covariance a dense inverse."""
    problem, laplace, directions = at_the_estimate(tmp_path, "sine")
    spread = standard_deviations(laplace, directions)
    assert spread.exact
    unknowns, comm = problem.unknowns, problem.comm
    objective, at = problem.objective, problem.objective.evaluate(laplace.mean)
    hessian = np.array(
        [
            unknowns.to_numpy(objective.gauss_newton(at, unknowns.from_numpy(unit)))
            for unit in np.eye(unknowns.size)
        ]
    )
    covariance = np.linalg.inv(hessian)
    middle, step = unknowns.to_numpy(laplace.mean), 1e-5

    def fields(m):
        unknowns.assign(unknowns.from_numpy(m))
        parts = problem.operator.velocity.sampled(problem.samples)
        velocity = np.stack([whole(comm, part) for part in parts])
        kappa = whole(comm, problem.samples.values(problem.operator.diffusivity))
        return velocity, np.linalg.norm(velocity, axis=0), kappa

    slopes = []
    for unit in np.eye(unknowns.size):
        pair = fields(middle + step * unit), fields(middle - step * unit)
        slopes.append([(a - b) / (2 * step) for a, b in zip(*pair, strict=True)])
    moving = fields(middle)[1] > 1e-3
    assert moving.sum() > 20

    def std(which):
        jacobian = np.array([slope[which] for slope in slopes])
        return np.sqrt(np.einsum("i...,ij,j...->...", jacobian, covariance, jacobian))

    found = np.stack([whole(comm, part) for part in spread.posterior["velocity"]])
    np.testing.assert_allclose(found, std(0), atol=1e-7)
    speed = whole(comm, spread.posterior["speed"][0])
    np.testing.assert_allclose(speed[moving], std(1)[moving], rtol=1e-5)
    np.testing.assert_allclose(whole(comm, spread.posterior["diffusivity"][0]), std(2), rtol=1e-5)
    of_m = unknowns.to_numpy(spread.posterior_m)
    np.testing.assert_allclose(of_m, np.sqrt(np.diag(covariance)), rtol=1e-6)
    before = unknowns.to_numpy(spread.prior_m)
    np.testing.assert_allclose(before[:-1], 0.2, rtol=1e-10)
    assert before[-1] == pytest.approx(1.0)


@pytest.mark.serial  # statistics; ranks are below
def test_probes_estimate_what_the_data_do_not_see(tmp_path):
    """A field: the mean over samples of the posterior, and never more than the prior."""
    problem, laplace, directions = at_the_estimate(tmp_path, "stream")
    spread = standard_deviations(laplace, directions, probes=300, seed=2)
    assert not spread.exact
    squares, count = 0.0, 300
    for k in range(count):
        dm = laplace.draw(9, k)
        dm.axpy(-1.0, laplace.mean)
        moved = directions(dm)["velocity"]
        squares = squares + np.stack([whole(problem.comm, part) ** 2 for part in moved])
    sampled = np.sqrt(squares / count)
    found = np.stack([whole(problem.comm, part) for part in spread.posterior["velocity"]])
    before = np.stack([whole(problem.comm, part) for part in spread.prior["velocity"]])
    free = sampled > 1e-6
    np.testing.assert_allclose(found[free], sampled[free], rtol=6 / np.sqrt(count))
    assert (found <= before * (1 + 1e-12)).all()
    assert found[free].mean() < 0.9 * before[free].mean()


def test_the_same_on_any_number_of_ranks(tmp_path):
    found = []
    for comm in (MPI.COMM_WORLD, MPI.COMM_SELF):
        _, laplace, directions = at_the_estimate(tmp_path, "fields", comm)
        spread = standard_deviations(laplace, directions, probes=20)
        found.append(
            {name: whole(comm, parts[0]) for name, parts in spread.posterior.items()}
            | {f"prior {name}": whole(comm, parts[0]) for name, parts in spread.prior.items()}
        )
    assert set(found[0]) == {"diffusivity", "initial", "prior diffusivity", "prior initial"}
    for name, alone in found[1].items():
        np.testing.assert_allclose(found[0][name], alone, rtol=1e-4, atol=1e-6)
