"""The error that krylov, expokit and the augmented action report is never below the true one.

The reference is the exponential of the stored matrices in extended precision, by scaling and
squaring of e^A − 1 (``np.longdouble``, 64 bits of mantissa or more).
"""

import math

import numpy as np
import pytest
from mpi4py import MPI

from advdiff import Problem, tasks
from advdiff.algebra.generator import Generator
from advdiff.config.load import parse
from advdiff.core.errors import ConvergenceError
from advdiff.semigroup.mfn import augmented, quadrature
from advdiff.semigroup.mfn.engine import MFNEngine, MFNOptions
from advdiff.semigroup.semigroup import SolverOptions
from advdiff.sensitivity.rho import Direction, sensitivity
from tests import dense, flows

KINDS = ["krylov", "expokit"]
ROUGH = [False, True] if MPI.COMM_WORLD.size == 1 else [True]  # there the ranks are tried
SLACK = 10.0

# What, how long: from t‖A‖ = 1 to 1e7.
CASES = {
    "heat": (
        lambda: flows.problem(5, physics={"velocity": ["0", "0"], "diffusivity": 1.0}),
        (0.01, 3.0, 3e3),
    ),
    "advection": (lambda: flows.problem(5, physics={"diffusivity": 1e-5}), (0.5, 300.0)),
    "both": (lambda: flows.problem(6), (0.5, 300.0, 3e4)),
    "quadratic": (lambda: flows.problem(3, 2, physics={"diffusivity": 0.5}), (0.1, 30.0, 3e4)),
    "cubic": (lambda: flows.problem(2, 3, physics={"diffusivity": 1.0}), (1.0, 3e3)),
    "discontinuous": (
        lambda: flows.problem(3, physics={"diffusivity": 0.1}, discretization={"method": "dg"}),
        (1.0, 3e3),
    ),
    "source": (lambda: flows.through_flow(5), (0.5, 30.0, 3e3)),
    "source, quadratic": (lambda: flows.through_flow(3, 2), (0.1, 30.0)),
}


def exponential(a: np.ndarray) -> np.ndarray:
    """e^A in extended precision."""
    halvings = max(0, math.ceil(math.log2(max(float(np.abs(a).sum(axis=0).max()), 1e-30))) + 4)
    small = a / np.longdouble(2) ** halvings
    less_one, term = small.copy(), small.copy()
    for j in range(2, 17):
        term = term @ small / np.longdouble(j)
        less_one = less_one + term
    for _ in range(halvings):
        less_one = 2 * less_one + less_one @ less_one
    return less_one + np.eye(len(a), dtype=np.longdouble)


def in_states(generator: Generator, b: np.ndarray) -> np.ndarray:
    """M⁻¹b in extended precision, b a matrix or a vector."""
    b = b.astype(np.longdouble)
    if generator.mass.is_diagonal:
        return (b.T / dense.vector(generator.mass.diagonal).astype(np.longdouble)).T
    m = dense.matrix(generator.mass.matrix)
    x = np.zeros_like(b)
    for _ in range(4):
        rest = b - m.astype(np.longdouble) @ x
        x = x + np.linalg.solve(m, rest.astype(float)).astype(np.longdouble)
    return x


def exact(problem: Problem, time: float, stiffness=None, d_load=None) -> np.ndarray:
    """θ(t), and with a change ρ(t) before it."""
    generator, load = problem.operator.generator, problem.operator.load
    a = in_states(generator, dense.matrix(generator.stiffness))
    n, none = len(a), np.zeros(len(a), dtype=np.longdouble)
    f = none if load is None else in_states(generator, dense.vector(load))
    start = np.concatenate([dense.vector(problem.initial), [1.0]]).astype(np.longdouble)
    block = np.zeros((n + 1, n + 1), dtype=np.longdouble)
    block[:n, :n], block[:n, n] = a, f
    if stiffness is not None:
        whole = np.zeros((2 * n + 1, 2 * n + 1), dtype=np.longdouble)
        whole[n:, n:], whole[:n, :n] = block, a
        whole[:n, n : 2 * n] = in_states(generator, dense.matrix(stiffness))
        if d_load is not None:
            whole[:n, -1] = in_states(generator, dense.vector(d_load))
        block, start = whole, np.concatenate([none, start])
    return (exponential(np.longdouble(time) * block) @ start)[:-1]


def distance(generator: Generator, vector, expected: np.ndarray) -> float:
    difference = (dense.vector(vector).astype(np.longdouble) - expected).astype(float)
    return generator.mass.norm(dense.like(vector, difference))


def start_rough(problem: Problem) -> None:
    dense.random(problem.initial, 3).copy(problem.initial)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rough", ROUGH, ids="rough={}".format)
@pytest.mark.parametrize("case", CASES)
def test_of_states(case, rough, kind):
    make, times = CASES[case]
    problem = make()
    if rough:
        start_rough(problem)
    generator = problem.operator.generator
    for time in times:
        expected = exact(problem, time)
        for tolerance in (1e-2, 1e-4, 1e-8, 1e-12):
            engine = MFNEngine(generator, MFNOptions(kind, tolerance))
            solution = engine.forward(problem.initial, [0.3 * time, time], problem.operator.load)
            size = max(map(generator.mass.norm, (problem.initial, *solution.states)))
            claimed = solution.report["error_bound"]
            true = distance(generator, solution.states[-1], expected) / size
            assert true <= claimed
            rounding = 4.0 * np.finfo(float).eps * time * generator.norm_bound()
            assert claimed <= 1.01 * tolerance + 4.0 * rounding


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_state_that_grows(kind):
    """A flow from the walls to the middle: norms near a wall grow, by e^{πt} at most."""
    physics = {"diffusivity": 1e-3, "velocity": ["sin(2*pi*x)", "0"]}
    problem = flows.problem(6, physics=physics)
    generator = problem.operator.generator
    for time in (0.5, 2.0):
        expected = exact(problem, time)
        for tolerance in (1e-4, 1e-9):
            engine = MFNEngine(generator, MFNOptions(kind, tolerance))
            solution = engine.forward(problem.initial, [time], problem.operator.load)
            size = max(map(generator.mass.norm, (problem.initial, *solution.states)))
            true = distance(generator, solution.states[0], expected) / size
            assert true <= solution.report["error_bound"] <= 1e3 * tolerance


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("degree", [1, 2])
def test_a_closed_flow_keeps_its_mean(degree, kind):
    """To rounding, not to the tolerance: 1ᵀMθ over what there is of |θ|."""
    problem = flows.problem(6, degree)
    generator, start = problem.operator.generator, problem.initial
    engine = MFNEngine(generator, MFNOptions(kind, 1e-3))
    state = engine.forward(start, [300.0]).states[0]
    one, dual = generator.vector(), generator.vector()
    one.set(1.0)
    generator.mass.mult(one, dual)
    assert dual.dot(state) == pytest.approx(dual.dot(start), rel=1e-11)


@pytest.mark.serial  # exponentials of twice the size in extended precision
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", ["heat", "advection", "both", "quadratic", "source"])
def test_of_tangents(case, kind):
    """The augmented action, of ρ and of θ; and the quadrature where it is short."""
    make, _ = CASES[case]
    problem = make()
    operator, generator = problem.operator, problem.operator.generator
    name = next((n for n in ("stream", "given") if n in operator.controls), "diffusivity")
    direction = type(operator.controls[name])(operator.controls[name].function_space)
    dense.random(direction.x.petsc_vec, 5).copy(direction.x.petsc_vec)
    direction.x.scatter_forward()
    change = operator.push({name: direction})
    given = (change, operator.load)
    for time in (0.1, 3.0, 60.0):
        expected = exact(problem, time, change.stiffness, change.load)
        rho, theta = expected[: len(expected) // 2], expected[len(expected) // 2 :]
        for tolerance in (1e-4, 1e-7):
            options, times = MFNOptions(kind, tolerance), [0.5 * time, time]
            runs = []
            try:
                runs.append(augmented.push(generator, options, problem.initial, times, *given))
            except ConvergenceError as error:
                assert time == 60.0 and "rounding allows no better" in str(error)
            if time < 1.0:
                engine = MFNEngine(generator, options)
                runs.append(quadrature.push(engine, problem.initial, times, *given, nodes=40))
            for solution, tangents in runs:
                report = solution.report
                largest = max(map(generator.mass.norm, tangents))
                true = distance(generator, tangents[-1], rho) / largest
                assert true <= report["tangent_error_bound"] <= SLACK * tolerance
                size = max(map(generator.mass.norm, (problem.initial, *solution.states)))
                true = distance(generator, solution.states[-1], theta) / size
                assert true <= report["error_bound"] <= SLACK * tolerance


EDDY = {
    "diffusivity": 0.02,
    "velocity": {"stream": "sin(pi*x)*sin(pi*y)/pi"},
    "initial": "exp(-((x-0.35)**2 + (y-0.5)**2)/0.02)",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_run_on_a_mesh_is_not_lost(tmp_path, kind):
    """SLEPc's stopping test takes 0 for e^{tA}θ0 here, where t‖A‖ is 3e4."""
    problem = flows.problem(20, physics=EDDY, time={"final": 300.0, "outputs": 1})
    generator = problem.operator.generator
    engine = MFNEngine(generator, MFNOptions(kind, 1e-8))
    solution = engine.forward(problem.initial, [300.0], problem.operator.load)
    # all that is left is the mean, which stays
    one, dual = generator.vector(), generator.vector()
    one.set(1.0)
    generator.mass.mult(one, dual)
    mean = dual.dot(problem.initial) / dual.sum()
    error = distance(generator, solution.states[0], np.full(441, mean))
    assert error / generator.mass.norm(problem.initial) <= solution.report["error_bound"] <= 1e-8


@pytest.mark.parametrize("tolerance", [1e-2, 1e-6])
def test_where_auto_gives_up_the_augmented_action_is_right(monkeypatch, tolerance):
    """An engine of choice that fails: ρ for the initial state is e^{TA}dθ0, known by its mean."""
    from advdiff.sensitivity import rho as module

    problem = flows.problem(20, physics=EDDY, time={"final": 300.0, "outputs": 1})
    operator, generator = problem.operator, problem.operator.generator

    class Fails:
        def push(self, *_):
            raise ConvergenceError("no more")

    monkeypatch.setattr(module, "make_engine", lambda *_: Fails())
    found = sensitivity(
        operator,
        Direction({}, problem.initial),
        problem.initial,
        [300.0],
        tolerance=tolerance,
        options=SolverOptions("auto", tolerance),
    )
    assert "gave up (no more)" in found.solution.report["reason"]
    one, dual = generator.vector(), generator.vector()
    one.set(1.0)
    generator.mass.mult(one, dual)
    mean = np.full(441, dual.dot(problem.initial) / dual.sum())
    size = generator.mass.norm(found.tangents[0])
    true = distance(generator, found.tangents[0], mean) / size
    assert true <= found.error_estimate <= tolerance
    assert distance(generator, found.solution.states[0], mean) <= tolerance


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_says_its_bound(tmp_path, kind):
    """The file and the log of a run have the bound, and the task succeeds."""
    import h5py

    tables = flows.data(8, physics=EDDY, time={"final": 50.0, "outputs": 2})
    tables["solver"] = {"method": kind, "tolerance": 1e-6}
    said = []
    assert tasks.run(Problem(parse(tables, tmp_path / "e.toml")), said.append)
    with h5py.File(tmp_path / "e.h5") as file:
        bound = file["solver"].attrs["error_bound"]
        assert 0.0 < bound <= 1e-6
        assert file["solver"].attrs["error_estimate"] == bound
    assert any(f"{bound:.1e} of the states" in line for line in said)
