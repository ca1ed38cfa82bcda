"""The Faber engine against exact solutions, dense matrices and difference quotients."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from mpi4py import MPI
from petsc4py import PETSc
from scipy.linalg import expm, expm_frechet

from advdiff.algebra.generator import Generator, Mass
from advdiff.algebra.pattern import PatternCotangent
from advdiff.semigroup.engine import Change, ConvergenceError
from advdiff.semigroup.faber.ellipse import expand
from advdiff.semigroup.faber.engine import FaberEngine
from advdiff.semigroup.faber.options import FaberOptions
from advdiff.semigroup.faber.recurrence import Bounded, Growth
from tests.semigroup import problems

TIMES = [0.05, 0.3, 1.0]


def alone(value):
    """What shows nothing new about ranks."""
    return pytest.param(value, marks=pytest.mark.serial)


MAKERS = {
    "uniform": lambda: problems.unit_square(12),
    "weak diffusion": lambda: problems.unit_square(12, 1e-4),
    "irregular": lambda: problems.irregular(12),
    "irregular, weak diffusion": lambda: problems.irregular(12, 1e-4),
    "holes": lambda: problems.holes(0.15),
    "box": lambda: problems.box(5),
    "through flow": lambda: problems.through_flow(12),
    "open inflow": lambda: problems.open_inflow(12),
    "no flow": lambda: problems.unit_square(12, flow=False),
    "unknown flow": lambda: replace_bound(problems.unit_square(12), math.inf),
}
PROBLEMS = {name: cache(make) for name, make in MAKERS.items()}
"""Each is made once: nobody changes them."""


def replace_bound(generator, flow_bound):
    changed = replace(generator, flow_bound=flow_bound)
    problems.share(generator, changed)
    return changed


def engine(generator, tolerance=1e-9, ellipse=None, **options):
    return FaberEngine(generator, FaberOptions(tolerance, **options), ellipse=ellipse)


def dense_solution(generator, initial, times, load=None):
    """Exact y_k in the order of the coordinates, by the augmented dense exponential."""
    size = generator.size
    augmented = np.zeros((size + 1, size + 1))
    augmented[:size, :size] = problems.dense_generator(generator)
    start = np.append(problems.gathered(generator, initial), 1.0)
    if load is not None:
        mass = problems.gathered(generator, generator.mass.diagonal)
        augmented[:size, size] = problems.gathered(generator, load) / mass
    return [(expm(t * augmented) @ start)[:size] for t in times]


def norm(generator, values):
    mass = problems.gathered(generator, generator.mass.diagonal)
    return math.sqrt(values @ (mass * values))


def errors(generator, solution, exact):
    return np.array(
        [
            norm(generator, problems.gathered(generator, state) - y)
            for state, y in zip(solution.states, exact, strict=True)
        ]
    )


def residuals(generator, count):
    """Dual vectors of moderate size."""
    duals = []
    for k in range(count):
        dual = problems.rough(generator, 70 + k)
        generator.mass.mult(dual.copy(), dual)
        duals.append(dual)
    return duals


def value(states, duals):
    return sum(state.dot(dual) for state, dual in zip(states, duals, strict=True))


# ---- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("uniform", "irregular", "holes", "box", "through flow", "open inflow"),
        *map(alone, ("weak diffusion", "irregular, weak diffusion", "no flow", "unknown flow")),
    ],
)
def test_error_is_below_the_tolerance(name):
    generator = PROBLEMS[name]()
    for initial in problems.rough(generator), problems.bump(generator):
        exact = dense_solution(generator, initial, TIMES)
        scale = generator.mass.norm(initial)
        for tolerance in (1e-4, 1e-6, 1e-9, 1e-12):
            solver = engine(generator, tolerance)
            solution = solver.forward(initial, TIMES)
            report = solution.report
            room = np.maximum(1.0, np.exp(report["growth"] * np.array(TIMES)))
            error = errors(generator, solution, exact) / scale / room
            assert error.max() <= tolerance
            assert report["bound"] <= tolerance
            assert report["notes"] == ""
            assert report["products"] == report["terms"]
            assert report["largest_norm_ratio"] <= 2.0


def within(error, tolerance):
    """Whether the 2-norm is small enough; a lower bound of it first, which is cheap."""
    if np.linalg.norm(error, axis=0).max() > tolerance:
        return False
    return np.linalg.norm(error, 2) <= tolerance


@pytest.mark.serial
@pytest.mark.parametrize("name", ["uniform", "weak diffusion", "irregular", "holes", "box"])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-9, 1e-12])
def test_products_are_close_to_the_fewest(name, tolerance):
    """At most 1.5 times the smallest number of terms for which the true error is small enough, for
    the worst initial state (the 2-norm of the error of the whole matrix)."""
    generator = PROBLEMS[name]()
    final = 1.0
    solver = engine(generator, tolerance)
    terms = solver.forward(problems.bump(generator), [final]).report["terms"]
    root = np.sqrt(problems.gathered(generator, generator.mass.diagonal))
    matrix = root[:, None] * problems.dense_generator(generator) / root
    ellipse = solver.ellipse
    weights = expand(ellipse, [final], 1e-3 * tolerance).weights[:, 0]
    base = ellipse.scale * (matrix - ellipse.centre * np.eye(len(matrix)))
    error = weights[0] * np.eye(len(matrix)) - expm(final * matrix)
    older, newer = np.eye(len(matrix)), base
    fewest = None
    for j in range(1, terms + 1):
        error += weights[j] * newer
        factor = 2.0 * ellipse.s if j == 1 else ellipse.s
        older, newer = newer, base @ newer - factor * older
        if fewest is None and within(error, tolerance):
            fewest = j
    assert np.linalg.norm(error, 2) <= tolerance
    assert terms <= 1.5 * fewest


@pytest.mark.parametrize("name", ["uniform", "irregular", "through flow", "open inflow"])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-9])
def test_load(name, tolerance):
    generator = PROBLEMS[name]()
    initial, load = problems.bump(generator), residuals(generator, 1)[0]
    exact = dense_solution(generator, initial, TIMES, load)
    solution = engine(generator, tolerance).forward(initial, TIMES, load)
    generator.mass.solve(load, load)
    times = np.array(TIMES)
    scale = generator.mass.norm(initial) + times * generator.mass.norm(load)
    room = np.maximum(1.0, np.exp(solution.report["growth"] * times))
    assert np.all(errors(generator, solution, exact) <= tolerance * scale * room)
    assert solution.report["products"] == 2 * solution.report["terms"]


def test_cosine_mode():
    """No flow, bilinear elements: the nodal cosines are eigenvectors, by hand."""
    n, kappa = 12, 0.05
    generator = problems.quadrilaterals(n, kappa)
    p, q = 2, 1
    initial = problems.field(
        generator, lambda x: np.cos(p * np.pi * x[0]) * np.cos(q * np.pi * x[1])
    )
    stiff = [2.0 * n**2 * (1.0 - math.cos(k * math.pi / n)) for k in (p, q)]
    mass = [(2.0 + math.cos(k * math.pi / n)) / 3.0 for k in (p, q)]
    rate = kappa * (stiff[0] * mass[1] + mass[0] * stiff[1])
    solution = engine(generator, 1e-12).forward(initial, TIMES)
    for t, state in zip(TIMES, solution.states, strict=True):
        state.axpy(-math.exp(-rate * t), initial)
        assert generator.mass.norm(state) <= 1e-12 * generator.mass.norm(initial)


def test_constants_stay():
    """∇·u = 0, no flux: the constant is kept, however long and with thousands of products."""
    generator = problems.irregular(16, 0.1)
    initial = problems.field(generator, lambda x: np.ones(x.shape[1]))
    solution = engine(generator, 1e-9).forward(initial, [1.0, 100.0])
    assert solution.report["terms"] > 3000
    for state in solution.states:
        state.axpy(-1.0, initial)
        assert generator.mass.norm(state) <= 1e-9


def test_zero_matrix_and_tiny_times():
    generator = problems.unit_square(6)
    initial = problems.rough(generator)
    tiny = engine(generator, 1e-9).forward(initial, [1e-14, 1e-12])
    assert tiny.report["terms"] <= 4
    generator.stiffness.scale(0.0)
    still = engine(generator, 1e-12).forward(initial, [1.0, 1e6])
    for state in tiny.states + still.states:
        state.axpy(-1.0, initial)
        assert generator.mass.norm(state) <= 1e-9 * generator.mass.norm(initial)
    nothing = initial.duplicate()
    nothing.zeroEntries()
    assert engine(generator).forward(nothing, [1.0]).states[0].norm() == 0.0


def test_lanczos_saves_products():
    generator = problems.holes(0.06)
    initial = problems.rough(generator)
    proven = engine(generator).forward(initial, TIMES)
    sharp = engine(generator, range="lanczos").forward(initial, TIMES)
    assert sharp.report["terms"] < proven.report["terms"]
    for a, b in zip(proven.states, sharp.states, strict=True):
        b.axpy(-1.0, a)
        assert generator.mass.norm(b) <= 2e-9 * generator.mass.norm(initial)


# ---- the guard ---------------------------------------------------------------------------------


def test_wrong_flow_bound_is_noticed_and_mended():
    generator = problems.irregular(18, flow_bound=1e-8)
    initial = problems.rough(generator)
    exact = dense_solution(generator, initial, TIMES)
    solver = engine(generator)
    solution = solver.forward(initial, TIMES)
    assert "dropped the flow bound" in solution.report["notes"]
    assert solution.report["products"] > solution.report["terms"]  # those in vain count
    error = errors(generator, solution, exact) / generator.mass.norm(initial)
    assert error.max() <= 1e-9
    again = solver.forward(initial, TIMES).report  # it does not walk into it twice
    assert again["products"] == again["terms"] == solution.report["terms"]


def test_wrong_ellipse_is_noticed_in_every_verb():
    generator = problems.irregular(18)
    thin = engine(problems.irregular(18, flow_bound=1e-8))
    ellipse = thin._choice.ellipse(1.0)
    initial, duals = problems.rough(generator), residuals(generator, 3)
    for verb in ("forward", "push", "transpose"):
        solver = engine(generator, ellipse=ellipse)
        good = engine(generator)
        if verb == "forward":
            actual = solver.forward(initial, TIMES).states
            expected = good.forward(initial, TIMES).states
        elif verb == "push":
            change = Change(stiffness=problems.direction(generator))
            actual = solver.push(initial, TIMES, change)[1]
            expected = good.push(initial, TIMES, change)[1]
        else:
            actual, expected = [solver.transpose(duals, TIMES)], [good.transpose(duals, TIMES)]
        assert solver.ellipse == good.ellipse
        for a, b in zip(actual, expected, strict=True):
            a.axpy(-1.0, b)
            assert a.norm() <= 1e-12 * b.norm()


def test_growth_that_the_flow_bound_denies():
    """An unstable generator that claims to be dissipative: σ is found once the claim is dropped."""
    generator = problems.unit_square(6)
    generator.stiffness.zeroEntries()
    generator.stiffness.setDiagonal(generator.mass.diagonal)
    generator.stiffness.scale(1e4)
    generator.stiffness.assemble()
    initial = problems.rough(generator)
    solution = engine(generator).forward(initial, [1e-3])
    assert "dropped the flow bound" in solution.report["notes"]
    assert solution.report["growth"] == pytest.approx(1e4, rel=1e-2)
    solution.states[0].axpy(-math.exp(10.0), initial)
    assert generator.mass.norm(solution.states[0]) <= 1e-9 * math.exp(10.0) * generator.mass.norm(
        initial
    )


def test_growth_without_end_is_an_error(monkeypatch):
    def grown(*arguments):
        raise Growth("always")

    monkeypatch.setattr(Bounded, "grown", grown)
    generator = problems.unit_square(6)
    with pytest.raises(ConvergenceError, match=r"dropped the flow bound.*doubled the box"):
        engine(generator).forward(problems.rough(generator), [1.0])


# ---- refusals ----------------------------------------------------------------------------------


def test_bad_input_is_refused():
    generator = problems.unit_square(5)
    initial = problems.bump(generator)
    solver = engine(generator)
    for times in ([], [0.0, 1.0], [1.0, 1.0], [1.0, math.inf], [math.nan]):
        with pytest.raises(ValueError, match="times must be"):
            solver.forward(initial, times)
    for wrong in math.nan, math.inf:
        broken = initial.copy()
        if generator.comm.rank == 0:
            broken.setValue(broken.getOwnershipRange()[0], wrong)
        broken.assemble()
        with pytest.raises(ValueError, match="initial state"):
            solver.forward(broken, [1.0])
        with pytest.raises(ValueError, match="load"):
            solver.forward(initial, [1.0], broken)
        with pytest.raises(ValueError, match="residual 0"):
            solver.transpose([broken], [1.0])
    with pytest.raises(ValueError, match="no tape"):
        solver.pull(
            solver.forward(initial, [1.0]), [initial], PatternCotangent(generator.stiffness)
        )
    with pytest.raises(ValueError, match="1 residuals for 2 times"):
        solver.transpose([initial], [0.5, 1.0])
    consistent = Mass(PETSc.Mat().createConstantDiagonal(generator.stiffness.getSizes(), 1.0))
    with pytest.raises(ValueError, match="diagonal mass"):
        FaberEngine(Generator(generator.stiffness, consistent))
    for wrong in (
        {"tolerance": 0.0},
        {"tolerance": 1e-15},
        {"memory": -1.0},
        {"check": 0},
        {"range": "guess"},
    ):
        with pytest.raises(ValueError):
            FaberOptions(**wrong)


def test_a_changed_matrix_is_noticed():
    generator = problems.unit_square(6)
    initial = problems.rough(generator)
    solver = engine(generator)
    solution = solver.forward(initial, [1.0], record=True)
    generator.stiffness.scale(2.0)
    with pytest.raises(ValueError, match="changed"):
        solver.pull(solution, residuals(generator, 1), PatternCotangent(generator.stiffness))
    changed = solver.forward(initial, [1.0])
    exact = dense_solution(generator, initial, [1.0])
    assert errors(generator, changed, exact) <= 1e-9 * generator.mass.norm(initial)


def test_petsc_options_are_obeyed():
    generator = problems.unit_square(6)
    given = PETSc.Options()
    names = {"tolerance": "1e-5", "memory": "0", "range": "lanczos", "check": "3"}
    for key, text in names.items():
        given.setValue(f"advdiff_faber_{key}", text)
    try:
        solver = FaberEngine(generator)
        assert solver.options == FaberOptions(1e-5, 0.0, "lanczos", 3)
        report = solver.forward(problems.bump(generator), [30.0], record=True).report
        assert report["storage"] == "checkpoints"
        assert report["range_method"] == "lanczos"
    finally:
        for key in names:
            given.delValue(f"advdiff_faber_{key}")
    assert FaberEngine(generator).options == FaberOptions()


# ---- derivatives -------------------------------------------------------------------------------


def frechet(generator, direction, initial, times):
    matrix = problems.dense_generator(generator)
    change = problems.dense(generator, direction)
    change = change / problems.gathered(generator, generator.mass.diagonal)[:, None]
    start = problems.gathered(generator, initial)
    return [expm_frechet(t * matrix, t * change, compute_expm=False) @ start for t in times]


@pytest.mark.parametrize("name", ["uniform", "irregular", "holes", "through flow"])
def test_push_is_the_frechet_derivative(name):
    generator = PROBLEMS[name]()
    initial, direction = problems.rough(generator), problems.direction(generator)
    _, derivatives = engine(generator, 1e-12).push(initial, TIMES, Change(stiffness=direction))
    for state, exact in zip(
        derivatives, frechet(generator, direction, initial, TIMES), strict=True
    ):
        error = norm(generator, problems.gathered(generator, state) - exact)
        assert error <= 1e-9 * (norm(generator, exact) + generator.mass.norm(initial))


@pytest.mark.parametrize("name", ["uniform", "irregular", "through flow"])
def test_pull_is_the_frechet_derivative(name):
    generator = PROBLEMS[name]()
    initial, duals = problems.rough(generator), residuals(generator, len(TIMES))
    solver = engine(generator, 1e-12)
    cotangent = PatternCotangent(generator.stiffness)
    solver.pull(solver.forward(initial, TIMES, record=True), duals, cotangent)
    for seed in range(2):
        direction = problems.direction(generator, seed)
        exact = sum(
            problems.gathered(generator, dual) @ derivative
            for dual, derivative in zip(
                duals, frechet(generator, direction, initial, TIMES), strict=True
            )
        )
        assert cotangent.inner(direction) == pytest.approx(exact, rel=1e-8)


@pytest.mark.parametrize("name", ["uniform", "irregular", "box", "open inflow"])
@pytest.mark.parametrize("tolerance", [alone(1e-4), 1e-9])
@pytest.mark.parametrize("memory", [0.0, 1e9])
@pytest.mark.parametrize("loaded", [False, True])
def test_adjoint_identities(name, tolerance, memory, loaded):
    """⟨push, r⟩ = ⟨dθ0, ∂θ0⟩ + ⟨dK, Ḡ⟩ + ⟨dF, ∂F⟩, and transpose is the transpose."""
    generator = PROBLEMS[name]()
    initial, duals = problems.rough(generator), residuals(generator, len(TIMES))
    load, d_load = residuals(generator, 2) if loaded else (None, None)
    d_initial, direction = problems.rough(generator, 5), problems.direction(generator)
    solver = engine(generator, tolerance, memory=memory)
    solution = solver.forward(initial, TIMES, load, record=True)
    assert solution.report["storage"] == ("all" if memory else "checkpoints")
    cotangent = PatternCotangent(generator.stiffness)
    gradient = solver.pull(solution, duals, cotangent)
    assert (gradient.load is None) == (not loaded)
    pushed, derivatives = solver.push(initial, TIMES, Change(d_initial, direction, d_load), load)
    for a, b in zip(pushed.states, solution.states, strict=True):
        a.axpy(-1.0, b)
        assert a.norm() <= 1e-13 * b.norm()
    parts = [gradient.initial.dot(d_initial), cotangent.inner(direction)]
    if loaded:
        parts.append(gradient.load.dot(d_load))
    size = sum(map(abs, parts)) + sum(
        d.norm() * r.norm() for d, r in zip(derivatives, duals, strict=True)
    )
    assert abs(value(derivatives, duals) - sum(parts)) <= 1e-12 * size
    transposed = solver.transpose(duals, TIMES)
    transposed.axpy(-1.0, gradient.initial)
    assert transposed.norm() <= 1e-13 * gradient.initial.norm()


@pytest.mark.parametrize("tolerance", [alone(1e-4), 1e-6, alone(1e-9)])
@pytest.mark.parametrize("name", ["uniform", "irregular", "through flow"])
def test_taylor_remainder(name, tolerance):
    """Central differences of the computed functional, ellipse frozen, to 1e-9; and the one-sided
    remainder is of second order."""
    generator = PROBLEMS[name]()
    initial, load = problems.bump(generator), residuals(generator, 1)[0]
    duals = residuals(generator, len(TIMES))
    for k, dual in enumerate(duals):  # smooth weights, so that nothing cancels
        generator.mass.mult(problems.field(generator, lambda x, k=k: 1.0 + np.cos(k + x[0])), dual)
    solver = engine(generator, tolerance)
    solution = solver.forward(initial, TIMES, load, record=True)
    cotangent = PatternCotangent(generator.stiffness)
    gradient = solver.pull(solution, duals, cotangent)

    def functional(matrix, start, source):
        changed = FaberEngine(
            replace(generator, stiffness=matrix), solver.options, ellipse=solver.ellipse
        )
        return value(changed.forward(start, TIMES, source).states, duals)

    for seed in range(2):
        direction = problems.direction(generator, seed)
        d_initial, d_load = problems.bump(generator), residuals(generator, 2)[1]
        slopes = {
            "stiffness": cotangent.inner(direction),
            "initial": gradient.initial.dot(d_initial),
            "load": gradient.load.dot(d_load),
        }
        for what, slope in slopes.items():

            def along(h, what=what, direction=direction, d_initial=d_initial, d_load=d_load):
                matrix, start, source = generator.stiffness.copy(), initial.copy(), load.copy()
                if what == "stiffness":
                    matrix.axpy(h, direction, structure=PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
                elif what == "initial":
                    start.axpy(h, d_initial)
                else:
                    source.axpy(h, d_load)
                return functional(matrix, start, source)

            here = along(0.0)
            if what == "stiffness":
                steps = 1e-1 * 0.5 ** np.arange(4)
                remainders = [abs(along(h) - here - h * slope) for h in steps]
                orders = np.log2(np.divide(remainders[:-1], remainders[1:]))
                assert orders[-1] == pytest.approx(2.0, abs=0.1)
                d = [(along(h) - along(-h)) / (2 * h) for h in (4e-2, 2e-2, 1e-2)]
                d = [(4 * d[1] - d[0]) / 3, (4 * d[2] - d[1]) / 3]
                difference = (16 * d[1] - d[0]) / 15  # sixth order
            else:
                difference = (along(1.0) - along(-1.0)) / 2  # linear
            assert difference == pytest.approx(slope, rel=1e-9, abs=1e-12 * abs(here))


def test_storage_makes_no_difference():
    generator = problems.irregular(12)
    initial, duals = problems.rough(generator), residuals(generator, len(TIMES))
    results = []
    for memory in (0.0, 1e9):
        solver = engine(generator, memory=memory)
        cotangent = PatternCotangent(generator.stiffness)
        solution = solver.forward(initial, TIMES, record=True)
        gradient = solver.pull(solution, duals, cotangent)
        terms = solution.report["terms"]
        vectors = solution.report["vectors"]
        assert vectors == terms + 1 if memory else vectors <= 2 * math.sqrt(2 * terms + 2) + 2
        results.append((cotangent.values, gradient.initial.array.copy()))
    for few, all_kept in zip(*results, strict=True):
        assert np.allclose(few, all_kept, rtol=1e-13, atol=1e-13 * abs(all_kept).max(initial=0.0))


def test_pull_may_be_repeated():
    generator = problems.unit_square(8)
    solver = engine(generator, memory=0.0)
    solution = solver.forward(problems.rough(generator), TIMES, record=True)
    solver.forward(problems.bump(generator), TIMES)  # does not touch the tape
    values = []
    for _ in range(2):
        cotangent = PatternCotangent(generator.stiffness)
        solver.pull(solution, residuals(generator, len(TIMES)), cotangent)
        values.append(cotangent.values)
    assert np.array_equal(*values)


def test_adjoint_growth_is_an_error(monkeypatch):
    generator = problems.unit_square(8)
    solver = engine(generator)
    solution = solver.forward(problems.rough(generator), TIMES, record=True)
    monkeypatch.setattr(Bounded, "_limits", lambda self, weights, riesz: np.zeros(len(weights)))
    with pytest.raises(ConvergenceError, match="adjoint"):
        solver.pull(
            solution, residuals(generator, len(TIMES)), PatternCotangent(generator.stiffness)
        )


# ---- ranks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [problems.irregular, problems.through_flow], ids=lambda f: f.__name__
)
def test_same_numbers_on_any_number_of_ranks(make):
    """The communicator of all ranks against each rank alone."""
    results = []
    for comm in (MPI.COMM_WORLD, MPI.COMM_SELF):
        generator = make(12, 1e-2, comm)
        initial, duals = problems.rough(generator), residuals(generator, len(TIMES))
        load = residuals(generator, 1)[0]
        solver = engine(generator, memory=0.0)
        solution = solver.forward(initial, TIMES, load, record=True)
        cotangent = PatternCotangent(generator.stiffness)
        gradient = solver.pull(solution, duals, cotangent)
        vectors = [*solution.states, gradient.initial, gradient.load]
        results.append(
            [problems.gathered(generator, vector) for vector in vectors]
            + [problems.dense(generator, cotangent.matrix())]
        )
    for together, alone in zip(*results, strict=True):
        assert np.allclose(together, alone, rtol=0.0, atol=1e-12 * abs(alone).max())
