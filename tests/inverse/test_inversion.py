"""Gradients by Taylor tests, and an inversion that finds what made its data."""

import numpy as np
import pytest
from petsc4py import PETSc

from advdiff import Problem
from advdiff.config.load import StreamVelocity, parse
from tests import flows

STEPS = 10.0 ** -np.arange(7)

SINE = {"velocity": {"family": "sine", "modes": [2, 2]}, "diffusivity": True}
FAMILIES = {
    "sine and diffusivity": SINE,
    "stream field": {"velocity": {"family": "stream"}},
    "initial state": {"initial": True},
    "all": {"velocity": {"family": "stream"}, "diffusivity": True, "initial": True},
}


def observations(path, problem, times=(0.0, 0.2, 0.35), std=0.02) -> str:
    """Readings of made-up values at a few points."""
    if problem.comm.rank == 0:
        rng = np.random.default_rng(0)
        rows = ["x,y,t,value,std"]
        for t in times:
            for x, y in rng.uniform(0.1, 0.9, (5, 2)):
                rows.append(f"{x},{y},{t},{np.cos(3 * x + y - t)},{std}")
        (path / "data.csv").write_text("\n".join(rows))
    problem.comm.barrier()
    return str(path / "data.csv")


def inverse_problem(tmp_path, unknowns, degree=1, **changes) -> Problem:
    file = observations(tmp_path, flows.problem(2))
    changes = {"prior": {"velocity": {"std": 0.2}}} | changes
    tables = flows.data(
        6, degree, observations={"file": file}, unknowns=unknowns, task="invert", **changes
    )
    return Problem(parse(tables))


def direction(problem) -> PETSc.Vec:
    """A direction of the prior's size (which one depends on how the unknowns are numbered)."""
    xi = problem.unknowns.vector()
    start, stop = xi.getOwnershipRange()
    xi.setArray(1.0 + 0.3 * np.sin(0.37 * np.arange(start, stop)))
    step = problem.prior.color(xi)
    step.axpy(-1.0, problem.prior.mean)
    return step


TORUS = {"periodic": ["x", "y"]}
FOURIER = {"velocity": {"family": "fourier", "largest": 2.0}}
ELSEWHERE = {
    "Fourier modes, spectral": (
        FOURIER,
        TORUS | {"cells": [3, 3], "cell": "quadrilateral"},
        {"method": "spectral", "degree": 4},
    ),
    "Fourier modes and diffusivity, dg": (
        FOURIER | {"diffusivity": True},
        TORUS,
        {"method": "dg", "degree": 1},
    ),
    "stream field on a torus, cip": ({"velocity": {"family": "stream"}}, TORUS, {"method": "cip"}),
    "nodal velocity": (
        {"velocity": {"family": "nodal"}, "diffusivity": "field"},
        {},
        {"method": "cg"},
    ),
    "nodal velocity of degree 1, dg": (
        {"velocity": {"family": "nodal", "degree": 1}},
        {},
        {"method": "dg", "degree": 1},
    ),
    "uniform and nodal velocity": (
        {"velocity": [{"family": "uniform"}, {"family": "nodal", "degree": 1}]},
        {},
        {"method": "cg"},
    ),
    "flows of a basis, one positive": (
        {
            "velocity": {
                "family": "basis",
                "fields": [
                    {"stream": "x*(1-x)*y", "std": 0.3},
                    {"stream": "x*y", "mean": 0.5, "std": 0.2, "positive": True},
                ],
            },
            "diffusivity": True,
        },
        {},
        {"method": "dg", "degree": 1},
    ),
    "diffusivity field, spectral": (
        {"diffusivity": "field"},
        {"cells": [3, 3], "cell": "quadrilateral"},
        {"method": "spectral", "degree": 3},
    ),
}


# Between them nodes and modes, walls and a torus, facets with and without a jump.
RANKS = ("Fourier modes and diffusivity, dg", "stream field on a torus, cip", "nodal velocity")


@pytest.mark.parametrize(
    "name", [n if n in RANKS else pytest.param(n, marks=pytest.mark.serial) for n in ELSEWHERE]
)
def test_taylor_remainder_elsewhere(tmp_path, name):
    """Other domains, discretisations and families, with the recurrence and the penalty."""
    unknowns, domain, kind = ELSEWHERE[name]
    velocity = ["0.3 + 0*x", "0.2"] if domain.get("periodic") else flows.CELL
    families = unknowns.get("velocity", [])
    families = families if isinstance(families, list) else [families]
    laws = [
        {"std": 0.2} | ({"divergence_penalty": 2.0} if one["family"] == "nodal" else {})
        for one in families
    ]
    problem = inverse_problem(
        tmp_path,
        unknowns,
        domain=domain,
        discretization=kind,
        physics={"velocity": velocity},
        prior={"velocity": laws if len(laws) > 1 else laws[0]} if laws else {},
        solver={"tolerance": 1e-12, "method": "faber"},
    )
    check_taylor(problem)


@pytest.mark.parametrize("degree", [1, pytest.param(2, marks=pytest.mark.serial)])
@pytest.mark.parametrize(
    "family",
    [
        "sine and diffusivity",
        pytest.param("stream field", marks=pytest.mark.serial),
        pytest.param("initial state", marks=pytest.mark.serial),
        "all",
    ],
)
def test_taylor_remainder_is_of_second_order(tmp_path, family, degree):
    problem = inverse_problem(
        tmp_path, FAMILIES[family], degree, solver={"tolerance": 1e-12, "method": "krylov"}
    )
    problem.nodes = 10
    check_taylor(problem)


def check_taylor(problem):
    m, dm = problem.prior.mean.copy(), direction(problem)
    m.axpy(0.1, dm)
    at = problem.objective.evaluate(m)
    slope = at.gradient.dot(dm)
    remainders = []
    for h in STEPS:
        there = m.copy()
        there.axpy(h, dm)
        remainders.append(abs(problem.objective.value(there) - at.objective - h * slope))
    remainders = np.array(remainders) / abs(at.objective)
    # A first-order slip would keep the remainder proportional to h.  Large steps feel the third
    # order, small ones round-off: in between there must be three decades of the second.
    orders = np.log10(remainders[:-1] / remainders[1:])
    second = "".join("x" if abs(order - 2.0) < 0.1 else "-" for order in orders)
    assert "xxx" in second, (remainders, orders)


def test_linearisation_pushes_and_pulls_alike(tmp_path):
    problem = inverse_problem(tmp_path, FAMILIES["all"])
    problem.nodes = 8
    at = problem.model.linearise(problem.prior.mean)
    dm = direction(problem)
    weights = np.linspace(-1, 2, len(problem.readings))
    assert at.push(dm) @ weights == pytest.approx(at.pull(weights).dot(dm), rel=1e-8)


def test_gauss_newton_is_the_hessian_where_the_residual_vanishes(tmp_path):
    """Measured values replaced by predicted ones: differences of the gradient are the Hessian."""
    problem = inverse_problem(tmp_path, FAMILIES["all"], solver={"tolerance": 1e-11})
    objective, m, dm = problem.objective, problem.prior.mean.copy(), direction(problem)
    m.axpy(0.1, dm)
    objective.potential.likelihood.values = problem.model.observe(m)
    applied = objective.gauss_newton(objective.evaluate(m), dm)
    h = 1e-4
    sides = []
    for step in (h, -h):
        there = m.copy()
        there.axpy(step, dm)
        sides.append(objective.evaluate(there).gradient)
    difference = sides[0]
    difference.axpy(-1.0, sides[1])
    difference.scale(0.5 / h)
    difference.axpy(-1.0, applied)
    assert difference.norm() < 1e-5 * applied.norm()


def test_the_users_verbs(tmp_path):
    """``misfit`` takes and gives numpy arrays for coefficients, and a Taylor step confirms it."""
    problem = inverse_problem(tmp_path, SINE)
    m = problem.initial_guess()
    assert m.shape == (5,)
    value, gradient = problem.misfit(m)
    step = 1e-6 * gradient / np.linalg.norm(gradient)
    up, down = problem.misfit(m + step)[0], problem.misfit(m - step)[0]
    assert (up - down) / 2 == pytest.approx(gradient @ step, rel=1e-4)
    assert value > 0


def test_inversion_finds_the_flow_that_made_its_data(tmp_path):
    """Data of the same discretisation without noise: the flow and κ come back."""
    truth = {"stream": "0.2*sin(pi*x)*sin(pi*y) + 0.05*sin(2*pi*x)*sin(pi*y)"}
    forward = flows.problem(10, physics={"velocity": truth, "diffusivity": 0.03})
    from advdiff.problem.sensors import Sensors

    side = np.linspace(0.15, 0.85, 5)
    points = np.array([(x, y) for x in side for y in side])
    times = [0.1, 0.2, 0.3, 0.4]
    sensors = Sensors(forward.operator, points)
    values = [sensors.sample(s) for s in forward.semigroup().trajectory(times)]
    if forward.comm.rank == 0:
        rows = [
            f"{x!r},{y!r},{t!r},{v!r}"
            for t, row in zip(times, values, strict=True)
            for (x, y), v in zip(points.tolist(), row.tolist(), strict=True)
        ]
        (tmp_path / "data.csv").write_text("\n".join(["x,y,t,value", *rows]))
    forward.comm.barrier()
    tables = flows.data(
        10,
        task="invert",
        physics={"velocity": None, "diffusivity": 0.05},
        observations={"file": str(tmp_path / "data.csv"), "std": 1e-4},
        unknowns=SINE,
        optimizer={"gradient_tolerance": 1e-6},
        truth={"velocity": truth, "diffusivity": 0.03},
    )
    problem = Problem(parse(tables))
    estimate = problem.invert()
    assert estimate.converged, estimate.message
    found = problem.unknowns.to_numpy(estimate.m)
    assert np.exp(found[-1]) == pytest.approx(0.03, rel=1e-3)
    error = problem.operator.velocity.relative_error(problem.velocity(tables_truth(truth), "t"))
    assert error < 2e-3


def tables_truth(truth):
    return StreamVelocity(**truth)


def test_stopping_short_is_said(tmp_path):
    problem = inverse_problem(tmp_path, SINE, optimizer={"max_iterations": 2})
    estimate = problem.invert()
    assert not estimate.converged
    assert "NOT reached" in estimate.message
