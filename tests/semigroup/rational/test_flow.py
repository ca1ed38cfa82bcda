"""Derivatives by filters, designed and learned: dense references, adjoints, Taylor remainders."""

import numpy as np
import pytest
from scipy.linalg import expm

from advdiff.algebra.generator import Generator
from advdiff.core.errors import ConvergenceError
from advdiff.semigroup.engine import Change
from tests.semigroup.rational.problems import (
    Along,
    Cellular,
    Dense,
    dense,
    engine,
    gathered,
    without_bound,
)

TIMES = tuple(np.arange(1, 6) / 5)
MASSES = pytest.mark.parametrize("degree", [1, 2], ids=["lumped", "consistent"])


def alone(*values):
    """What shows nothing new about ranks."""
    return pytest.param(*values, marks=pytest.mark.serial)


TOLERANCES = pytest.mark.parametrize("tolerance", [alone(1e-4), 1e-6, alone(1e-9)])


@pytest.fixture(scope="module", params=[(1, 1e-2), alone((1, 1e-3)), (2, 1e-2)], ids=str)
def small(request):
    """A problem with data, and its dense twin."""
    degree, diffusivity = request.param
    problem = Cellular(8 // degree, diffusivity, degree)
    return problem, Dense(problem)


@TOLERANCES
@pytest.mark.parametrize("known", [True, False], ids=["designed", "learned"])
def test_push_is_the_true_derivative(small, known, tolerance):
    problem, reference = small
    generator = problem.generator if known else without_bound(problem.generator)
    ours = engine(generator, tolerance)
    load = problem.load(problem.rough(3))
    zero, no_load = np.zeros(generator.size), np.zeros((generator.size, generator.size))
    for start, change in (
        (problem.rough(1), Change(stiffness=problem.direction(5))),
        (problem.blob(), Change(stiffness=problem.direction(5))),
        (problem.blob(), Change(stiffness=problem.faster())),
        (problem.blob(), Change(problem.rough(7), load=problem.load(problem.rough(9)))),
    ):
        _, derivatives = ours.push(start, TIMES, change, load)
        expected = reference.derivatives(
            gathered(start),
            gathered(load),
            TIMES,
            no_load if change.stiffness is None else dense(change.stiffness),
            *(zero if v is None else gathered(v) for v in (change.initial, change.load)),
        )
        size = max(map(reference.norm, expected))
        assert reference.largest_error(derivatives, expected) <= tolerance * size
    ours.destroy()


@pytest.mark.parametrize("known", [True, False], ids=["designed", "learned"])
def test_pull_is_the_adjoint_of_push(small, known):
    problem, _ = small
    ours = engine(problem.generator if known else without_bound(problem.generator), 1e-6)
    initial, load = problem.blob(), problem.load(problem.rough(3))
    d_initial, d_load = problem.rough(7), problem.load(problem.rough(9))
    residuals = [problem.load(problem.rough(20 + k)) for k in range(len(TIMES))]
    solution = ours.forward(initial, TIMES, load, record=True)
    along = Along(problem.direction(5))
    initial_bar, load_bar = ours.pull(solution, residuals, along)
    for change, pulled in (
        (Change(stiffness=along.direction), along.value),
        (Change(d_initial), initial_bar.dot(d_initial)),
        (Change(load=d_load), load_bar.dot(d_load)),
    ):
        _, derivatives = ours.push(initial, TIMES, change, load)
        parts = [r.dot(dy) for r, dy in zip(residuals, derivatives, strict=True)]
        assert pulled == pytest.approx(sum(parts), rel=1e-11, abs=1e-12 * max(map(abs, parts)))
    without = ours.pull(ours.forward(initial, TIMES, record=True), residuals, along)
    assert without.load is None
    ours.destroy()


@MASSES
@pytest.mark.parametrize(
    ("tolerance", "dimension"),
    [alone(1e-4, None), (1e-6, None), alone(1e-9, None), alone(1e-6, 17)],
)
@pytest.mark.parametrize("what", ["stiffness", "initial", "load"])
def test_taylor(degree, tolerance, dimension, what):
    """Second order down to 1e-9 and less of Φ, far below the tolerance of the states."""
    problem = Cellular(8 // degree, 1e-2, degree)
    initial, load = problem.blob(), problem.load(problem.rough(3))
    residuals = [problem.load(problem.rough(20 + k)) for k in range(len(TIMES))]
    direction = {
        "stiffness": problem.direction(5),
        "initial": problem.rough(7),
        "load": problem.load(problem.rough(9)),
    }[what]
    work = initial.duplicate()

    def value_and_engine(step):
        generator, start, source = problem.generator, initial.copy(), load.copy()
        if what == "stiffness":
            generator = problem.perturbed(step, direction)
        else:
            (start if what == "initial" else source).axpy(step, direction)
        ours = engine(generator, tolerance, dimension=dimension)
        solution = ours.forward(start, TIMES, source, record=True)
        value = 0.0
        for r, y in zip(residuals, solution.states, strict=True):
            problem.generator.mass.mult(y, work)
            value += r.dot(y) + 0.5 * y.dot(work)
        return value, ours, solution

    value, ours, solution = value_and_engine(0.0)
    gradient_in = []
    for r, y in zip(residuals, solution.states, strict=True):
        problem.generator.mass.mult(y, work)
        gradient_in.append(r + work)
    along = Along(direction if what == "stiffness" else problem.generator.stiffness)
    initial_bar, load_bar = ours.pull(solution, gradient_in, along)
    if what == "stiffness":
        slope = along.value
    else:
        slope = (initial_bar if what == "initial" else load_bar).dot(direction)
    steps = 0.05 * 8.0 ** -np.arange(5)
    remainders = [abs(value_and_engine(h)[0] - value - h * slope) / abs(value) for h in steps]
    clear = [r for r in remainders if r > 1e-11]
    assert remainders[-1] < 1e-9 and len(clear) >= 3
    rates = np.log(np.array(clear[:-1]) / clear[1:]) / np.log(8.0)
    assert rates[-2:] == pytest.approx(2.0, abs=0.1)


def test_a_gradient_in_every_entry_of_the_pattern(small):
    """Ḡ itself, entry by entry, against the exact one of a smooth start: no direction is spoilt."""
    problem, reference = small
    initial = problem.blob()
    ours = engine(problem.generator, 1e-6)
    solution = ours.forward(initial, TIMES, record=True)
    residual = problem.load(problem.rough(21))
    found = np.zeros((problem.generator.size,) * 2)

    class Everything:
        def add(self, left, right, weight=1.0):
            for p, q in zip(left, right, strict=True):
                found[:] += weight * np.outer(gathered(p), gathered(q))

    zero = [problem.generator.vector() for _ in TIMES[:-1]]
    ours.pull(solution, [*zero, residual], Everything())
    n = problem.generator.size
    rows = np.outer(gathered(residual), gathered(initial))
    # dΦ = rᵀ L(tA, t M⁻¹dK) θ0, so Ḡ = t M⁻ᵀ L(tAᵀ, r θ0ᵀ)
    block = np.zeros((2 * n, 2 * n))
    block[:n, :n] = block[n:, n:] = reference.matrix.T
    block[:n, n:] = rows
    exact = np.linalg.solve(reference.mass.T, expm(TIMES[-1] * block)[:n, n:])
    pattern = dense(problem.generator.stiffness) != 0.0
    error = np.abs(found - exact)[pattern].max()
    assert error <= 1e-6 * np.abs(exact[pattern]).max()
    ours.destroy()


def test_the_gradient_at_nothing_is_the_transpose(small):
    problem, _ = small
    ours = engine(problem.generator)
    residuals = [problem.load(problem.rough(20 + k)) for k in range(len(TIMES))]
    solution = ours.forward(problem.generator.vector(), TIMES, record=True)
    along = Along(problem.direction(5))
    found = ours.pull(solution, residuals, along).initial
    expected = ours.transpose(residuals, TIMES)
    found.axpy(-1.0, expected)
    assert found.norm() <= 1e-13 * expected.norm() and along.value == 0.0
    ours.destroy()


def test_a_flow_bound_that_is_too_small_is_found_out():
    problem = Cellular(16, 1e-3)
    wrong = Generator(problem.generator.stiffness, problem.generator.mass, 1e-2)
    with pytest.raises(ConvergenceError, match="flow_bound is too small"):
        engine(wrong, 1e-9).forward(problem.rough(1), TIMES, record=True)
