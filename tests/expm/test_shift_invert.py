"""The shift-invert engine against dense exponentials, cosine modes, itself and other ranks."""

import numpy as np
import pytest
from mpi4py import MPI
from petsc4py import PETSc
from scipy.linalg import eigh, expm
from shift_invert_problems import Cellular, Dense, dense, gathered

from advdiff.errors import ConvergenceError
from advdiff.expm.generator import Generator
from advdiff.expm.shift_invert import ShiftInvert, ShiftInvertOptions

TIMES = tuple(np.arange(1, 6) / 5)
MASSES = pytest.mark.parametrize("degree", [1, 2], ids=["lumped", "consistent"])
TOLERANCES = pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-9])


class Along:
    """The cotangent that answers ⟨Ḡ, dK⟩ for one dK."""

    def __init__(self, direction):
        self.direction, self.value = direction, 0.0
        self.work = direction.createVecLeft()

    def add(self, left, right, weight=1.0):
        for p, q in zip(left, right, strict=True):
            self.direction.mult(q, self.work)
            self.value += weight * p.dot(self.work)


def engine(generator, tolerance=1e-9, **options):
    return ShiftInvert(generator, ShiftInvertOptions(tolerance=tolerance, **options))


def without_bound(generator):
    return Generator(generator.stiffness, generator.mass)


def largest_error(dense_problem, vectors, expected):
    return max(dense_problem.norm(gathered(v) - e) for v, e in zip(vectors, expected, strict=True))


@pytest.fixture(scope="module", params=[(1, 1e-2), (1, 1e-3), (2, 1e-2)], ids=str)
def small(request):
    """A problem with data, and its dense twin."""
    degree, diffusivity = request.param
    problem = Cellular(8 // degree, diffusivity, degree)
    return problem, Dense(problem)


@TOLERANCES
@pytest.mark.parametrize("start", ["rough", "blob", "zero"])
@pytest.mark.parametrize("loaded", [False, True])
def test_states(small, start, loaded, tolerance):
    problem, reference = small
    initial = {
        "rough": lambda: problem.rough(1),
        "blob": problem.blob,
        "zero": problem.generator.vector,
    }[start]()
    load = problem.load(problem.rough(3)) if loaded else None
    expected = reference.states(
        gathered(initial),
        gathered(load) if loaded else np.zeros(problem.generator.size),
        TIMES,
    )
    size = max(reference.norm(gathered(initial)), *map(reference.norm, expected))
    ours = engine(problem.generator, tolerance)
    for record in (False, True):
        solution = ours.forward(initial, TIMES, load, record=record)
        assert largest_error(reference, solution.states, expected) <= tolerance * size
    ours.destroy()


@TOLERANCES
@pytest.mark.parametrize("known", [True, False], ids=["designed", "learned"])
def test_push_is_the_true_derivative(small, known, tolerance):
    problem, reference = small
    generator = problem.generator if known else without_bound(problem.generator)
    ours = engine(generator, tolerance)
    load = problem.load(problem.rough(3))
    zero, no_load = np.zeros(generator.size), np.zeros((generator.size, generator.size))
    for start, direction in (
        (problem.rough(1), {"stiffness": problem.direction(5)}),
        (problem.blob(), {"stiffness": problem.direction(5)}),
        (problem.blob(), {"stiffness": problem.faster()}),
        (problem.blob(), {"d_initial": problem.rough(7), "d_load": problem.load(problem.rough(9))}),
    ):
        _, derivatives = ours.push(start, TIMES, load=load, **direction)
        expected = reference.derivatives(
            gathered(start),
            gathered(load),
            TIMES,
            dense(direction["stiffness"]) if "stiffness" in direction else no_load,
            gathered(direction["d_initial"]) if "d_initial" in direction else zero,
            gathered(direction["d_load"]) if "d_load" in direction else zero,
        )
        size = max(map(reference.norm, expected))
        assert largest_error(reference, derivatives, expected) <= tolerance * size
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
    for direction, pulled in (
        ({"stiffness": along.direction}, along.value),
        ({"d_initial": d_initial}, initial_bar.dot(d_initial)),
        ({"d_load": d_load}, load_bar.dot(d_load)),
    ):
        _, derivatives = ours.push(initial, TIMES, load=load, **direction)
        parts = [r.dot(dy) for r, dy in zip(residuals, derivatives, strict=True)]
        assert pulled == pytest.approx(sum(parts), rel=1e-11, abs=1e-12 * max(map(abs, parts)))
    without = ours.pull(ours.forward(initial, TIMES, record=True), residuals, along)
    assert without.load is None
    ours.destroy()


@MASSES
@pytest.mark.parametrize(
    ("tolerance", "dimension"), [(1e-4, None), (1e-6, None), (1e-9, None), (1e-6, 17)]
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


@MASSES
def test_transpose(degree):
    problem = Cellular(8 // degree, 1e-2, degree)
    reference = Dense(problem)
    ours = engine(problem.generator)
    residuals = [problem.load(problem.rough(20 + k)) for k in range(len(TIMES))]
    expected = sum(
        expm(t * reference.matrix.T) @ gathered(r) for t, r in zip(TIMES, residuals, strict=True)
    )
    found = gathered(ours.transpose(residuals, TIMES))
    assert np.linalg.norm(found - expected) <= 1e-9 * np.linalg.norm(expected)
    ours.destroy()


@MASSES
def test_cosine_modes_decay_as_they_should(degree):
    """u = 0: what is cos πx ± cos πy up to the mesh width decays by its own eigenvalue, exactly."""
    diffusivity = 0.05
    problem = Cellular(16 // degree, diffusivity, degree, speed=0.0)
    reference = Dense(problem)
    rates, modes = eigh(reference.stiffness, reference.mass)
    rate, mode = rates[-2], problem.generator.vector()  # the last is the constant
    assert rate == pytest.approx(-diffusivity * np.pi**2, rel=1e-2)
    mode.setArray(modes[slice(*mode.getOwnershipRange()), -2])
    for axis in (0, 1):
        cosine = problem.state(lambda x, axis=axis: np.cos(np.pi * x[axis]))
        share = problem.load(cosine).dot(mode) * np.sqrt(2.0)
        assert abs(share) == pytest.approx(np.sqrt(0.5), rel=1e-2)
    ours = engine(problem.generator)
    krylov = ours.forward(mode, TIMES)
    assert krylov.report["solves"] <= 5
    filtered, derivatives = ours.push(mode, TIMES, problem.stiffness(1.0, 0.0))  # dκ = 1
    for t, y, z, dy in zip(TIMES, krylov.states, filtered.states, derivatives, strict=True):
        for state, factor in ((y, 1.0), (z, 1.0), (dy, rate * t / diffusivity)):
            state.axpy(-factor * np.exp(rate * t), mode)
            assert state.norm() <= 1e-9 * max(1.0, abs(factor)) * mode.norm()
    ours.destroy()


@MASSES
def test_nothing_and_constants_stay(degree):
    problem = Cellular(8, 0.05, degree, speed=0.0)
    ours = engine(problem.generator)
    constant = problem.state(lambda x: np.ones(x.shape[1]))
    for record in (False, True):
        for state in ours.forward(constant, TIMES, record=record).states:
            state.axpy(-1.0, constant)
            assert state.norm() <= 1e-12 * constant.norm()
    solution = ours.forward(problem.generator.vector(), TIMES)
    assert all(state.norm() == 0.0 for state in solution.states)
    assert solution.report["solves"] == 1
    ours.destroy()


@MASSES
@pytest.mark.parametrize("record", [False, True])
def test_the_mean_of_a_closed_flow_is_kept(degree, record):
    problem = Cellular(12, 1e-2, degree)
    initial = problem.rough(1)
    initial.shift(0.3)
    ones = problem.load(problem.state(lambda x: np.ones(x.shape[1])))
    ours = engine(problem.generator, 1e-4)
    for state in ours.forward(initial, TIMES, record=record).states:
        assert state.dot(ones) == pytest.approx(initial.dot(ones), rel=1e-12)
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


def test_solves_do_not_grow_under_refinement_and_the_estimate_is_honest():
    counts = []
    for n in (16, 32, 64):
        problem = Cellular(n, 1e-2)
        initial = problem.blob()
        reference = engine(problem.generator, 1e-12)
        exact = reference.forward(initial, TIMES).states
        ours = engine(problem.generator, 1e-6)
        solution = ours.forward(initial, TIMES)
        error = 0.0
        for y, e in zip(solution.states, exact, strict=True):
            y.axpy(-1.0, e)
            error = max(error, problem.generator.mass.norm(y))
        error /= problem.generator.mass.norm(initial)
        assert error <= solution.report["error_estimate"] <= 1e-6
        assert solution.report["solves"] == solution.report["dimension"] + 1
        counts.append(solution.report["solves"])
        reference.destroy()
        ours.destroy()
    assert max(counts) <= 26 and counts[2] <= counts[1] + 2


def test_giving_up_says_what_was_reached():
    problem = Cellular(32, 1e-3)
    ours = engine(problem.generator, 1e-9, max_dimension=12)
    with pytest.raises(ConvergenceError, match=r"estimated error \d.* after 13 solves"):
        ours.forward(problem.blob(), TIMES)
    with pytest.raises(ConvergenceError, match=r"12 vectors reaches \d"):
        ours.forward(problem.blob(), TIMES, record=True)
    learning = engine(without_bound(problem.generator), 1e-9, max_dimension=12)
    with pytest.raises(ConvergenceError, match=r"learned from noise reaches \d"):
        learning.forward(problem.blob(), TIMES, record=True)


def test_a_flow_bound_that_is_too_small_is_found_out():
    problem = Cellular(16, 1e-3)
    wrong = Generator(problem.generator.stiffness, problem.generator.mass, 1e-2)
    with pytest.raises(ConvergenceError, match="flow_bound is too small"):
        engine(wrong, 1e-9).forward(problem.rough(1), TIMES, record=True)


@pytest.mark.parametrize("times", [(), (0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (1.0, np.inf)])
def test_times_are_checked(times):
    problem = Cellular(4, 1.0)
    with pytest.raises(ValueError, match="strictly increasing"):
        engine(problem.generator).forward(problem.blob(), times)


def test_what_does_not_fit_is_refused():
    problem = Cellular(4, 1.0)
    ours = engine(problem.generator, 1e-4)
    solution = ours.forward(problem.blob(), TIMES)
    with pytest.raises(ValueError, match="record=True"):
        ours.pull(solution, solution.states, None)
    with pytest.raises(ValueError, match="1 residuals for 5 times"):
        ours.transpose([problem.blob()], TIMES)
    for wrong in ({"tolerance": 0.0}, {"pole": -1.0}, {"dimension": 0}, {"max_dimension": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ShiftInvertOptions(**wrong)
    ours.destroy()


def test_petsc_options_win():
    database = PETSc.Options("advdiff_shift_invert_")
    database["dimension"], database["pole"], database["tolerance"] = 9, 0.07, 1e-3
    problem = Cellular(8, 1e-2)
    ours = engine(problem.generator, 1e-9)
    for name in ("dimension", "pole", "tolerance"):
        del database[name]
    for record in (False, True):
        report = ours.forward(problem.blob(), TIMES, record=record).report
        assert (report["dimension"], report["pole"], report["tolerance"]) == (9, 0.07, 1e-3)
    ours.destroy()


@pytest.mark.skipif(MPI.COMM_WORLD.size == 1, reason="compares ranks")
@MASSES
def test_the_same_numbers_on_any_number_of_ranks(degree):
    def numbers(comm):
        problem = Cellular(12, 1e-2, degree, comm=comm)
        ours = engine(problem.generator, 1e-8)
        initial, load = problem.blob(), problem.load(problem.rough(3))
        residuals = [problem.load(problem.rough(20 + k)) for k in range(len(TIMES))]
        along = Along(problem.direction(5))
        value = ours.forward(initial, TIMES, load)
        solution = ours.forward(initial, TIMES, load, record=True)
        initial_bar, load_bar = ours.pull(solution, residuals, along)
        back = ours.transpose(residuals, TIMES)
        result = [y.norm() for y in (*value.states, *solution.states)]
        return [*result, along.value, initial_bar.norm(), load_bar.norm(), back.norm()]

    np.testing.assert_allclose(numbers(MPI.COMM_WORLD), numbers(MPI.COMM_SELF), rtol=1e-10)
