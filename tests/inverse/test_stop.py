"""How far an estimate is from the optimum, and estimates that there is nothing to read for."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from advdiff import Problem
from advdiff.config.load import parse
from advdiff.core.errors import ConvergenceError, InputError
from advdiff.inverse.map import minimise
from tests import flows
from tests.inverse import cases

STD = 0.005


def initial(tmp_path, **optimizer) -> Problem:
    """A linear problem: 49 nodal values of the initial state, from 120 readings."""
    if MPI.COMM_WORLD.rank == 0:
        rng = np.random.default_rng(0)
        rows = ["x,y,t,value,std"]
        for t in (0.05, 0.2, 0.4):
            for x, y in rng.uniform(0.05, 0.95, (40, 2)).tolist():
                value = np.exp(-8 * ((x - 0.4) ** 2 + (y - 0.5) ** 2)) + STD * rng.normal()
                rows.append(f"{x!r},{y!r},{t},{float(value)!r},{STD}")
        (tmp_path / "data.csv").write_text("\n".join(rows))
    MPI.COMM_WORLD.barrier()
    tables = flows.data(
        6,
        task="invert",
        physics={"diffusivity": 0.05, "initial": 0.0},
        observations={"file": str(tmp_path / "data.csv")},
        unknowns={"initial": True},
        prior={"initial": {"std": 1.0, "correlation_length": 0.3}},
        optimizer=optimizer,
    )
    return Problem(parse(tables))


def distance(problem: Problem, m) -> float:
    """Posterior standard deviations from the optimum, by dense algebra."""
    objective, prior, size = problem.objective, problem.prior, problem.unknowns.size
    at = objective.evaluate(prior.mean)
    hessian = np.eye(size)
    for i in range(size):
        unit = prior.mean.duplicate()
        unit.set(0.0)
        unit.setValue(i, 1.0)
        unit.assemble()
        hessian[:, i] += objective.white_hessian(at, unit).array
    gradient = prior.color_transpose(at.data_gradient).array
    off = prior.whiten(m).array + np.linalg.solve(hessian, gradient)
    return float(np.sqrt(off @ hessian @ off))


@pytest.mark.serial
def test_the_default_ends_within_a_tenth_of_a_standard_deviation(tmp_path):
    problem = initial(tmp_path)
    assert problem.unknowns.size == 49
    estimate = problem.invert()
    assert estimate.converged, estimate.message
    bound = estimate.history[-1].gradient_norm
    assert distance(problem, estimate.m) <= bound <= 0.1
    assert "posterior standard deviations from the optimum" in estimate.message


@pytest.mark.serial
def test_a_given_reduction_of_the_gradient_keeps_its_meaning(tmp_path):
    """It ends where it says, and here the estimate is far off."""
    problem = initial(tmp_path, type="lmvm", gradient_tolerance=1e-4)
    estimate = problem.invert()
    first, last = (estimate.history[i].gradient_norm for i in (0, -1))
    assert estimate.converged and 1e-5 * first < last <= 1e-4 * first
    assert 0.1 < distance(problem, estimate.m) <= last


def test_of_two_tolerances_one_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"optimizer.gradient_tolerance: .* give one of the two"):
        initial(tmp_path, distance_tolerance=0.2, gradient_tolerance=1e-4)


def blind(tmp_path, **changes) -> Problem:
    """A tracer that is the same everywhere, which no flow and no diffusion changes."""
    tables = {"physics": {"initial": 1.0}, "optimizer": {}} | changes
    return cases.problem(tmp_path, "sine", **tables)


@pytest.mark.parametrize("type", ["nls", "lmvm"])
def test_readings_that_depend_on_nothing_are_no_success(tmp_path, type):
    with pytest.raises(ConvergenceError, match=r"do not depend .*\(velocity, log diffusivity\)"):
        blind(tmp_path, optimizer={"type": type}).invert()


def test_a_start_that_fits_is_one(tmp_path):
    """Readings that are the predictions at the prior's mean: 0 iterations, and no fault."""
    case = cases.LinearGaussian()
    start = case.objective.prior.mean
    case.likelihood.values = case.objective.evaluate(start).predicted.copy()
    estimate = minimise(case.objective, start.copy())
    assert estimate.converged and len(estimate.history) == 1
    assert estimate.evaluation.misfit == 0.0
    assert "its first norm" not in estimate.message  # 0/0
