"""SLEPc's actions, and the derivatives by quadrature and by the augmented matrix, against scipy."""

import numpy as np
import pytest
import scipy.linalg
from petsc4py import PETSc

from advdiff.core.errors import ConvergenceError, InputError
from advdiff.equation.cotangent import OperatorCotangent
from advdiff.semigroup.mfn import augmented, quadrature
from advdiff.semigroup.mfn.engine import MFNEngine, MFNOptions
from tests import dense, flows

TIMES = (0.1, 0.15, 0.4)
MAKERS = {"closed": flows.problem, "through": flows.through_flow}


def phi1(a: np.ndarray) -> np.ndarray:
    n = len(a)
    block = np.block([[a, np.eye(n)], [np.zeros((n, 2 * n))]])
    return scipy.linalg.expm(block)[:n, n:]


def reference(problem, times=TIMES):
    """States at the times from dense matrices."""
    a = dense.generator(problem.operator.generator)
    x = dense.vector(problem.initial)
    f = np.zeros_like(x)
    if problem.operator.load is not None:
        source = problem.operator.generator.vector()
        problem.operator.mass.solve(problem.operator.load, source)
        f = dense.vector(source)
    return [scipy.linalg.expm(t * a) @ x + t * phi1(t * a) @ f for t in times]


# Of three axes with two values each, every pair.
@pytest.mark.parametrize(
    ("flow", "degree", "kind"),
    [
        ("closed", 1, "krylov"),
        ("closed", 2, "expokit"),
        ("through", 1, "expokit"),
        ("through", 2, "krylov"),
    ],
)
def test_forward(flow, degree, kind):
    problem = MAKERS[flow](5, degree)
    engine = MFNEngine(problem.operator.generator, MFNOptions(kind, 1e-11))
    found = engine.forward(problem.initial, TIMES, problem.operator.load)
    for state, expected in zip(found.states, reference(problem), strict=True):
        assert np.abs(dense.vector(state) - expected).max() < 1e-9
    assert found.report["method"] == kind


@pytest.mark.parametrize("degree", [1, 2])
def test_transpose(degree):
    problem = flows.problem(5, degree)
    generator = problem.operator.generator
    engine = MFNEngine(generator, MFNOptions(tolerance=1e-11))
    residuals = [dense.random(generator.vector(), seed) for seed in range(3)]
    a = dense.generator(generator)
    pairs = zip(residuals, TIMES, strict=True)
    expected = sum(scipy.linalg.expm(t * a).T @ dense.vector(r) for r, t in pairs)
    found = dense.vector(engine.transpose(residuals, TIMES))
    assert np.abs(found - expected).max() < 1e-8 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("flow", "degree", "method"),
    [
        ("closed", 1, "quadrature"),
        ("closed", 2, "augmented"),
        ("through", 1, "augmented"),
        pytest.param("through", 2, "quadrature", marks=pytest.mark.serial),
    ],
)
def test_push_against_dense_differences(flow, degree, method):
    """The derivative of the dense solution by central differences of order four."""
    problem = MAKERS[flow](5 - degree, degree)
    operator = problem.operator
    name = next(n for n in ("stream", "given") if n in operator.controls)
    control = operator.controls[name]
    direction = type(control)(control.function_space)
    dense.random(direction.x.petsc_vec, 5).copy(direction.x.petsc_vec)
    direction.x.scatter_forward()
    scale = 0.2 if name == "stream" else 1.0
    direction.x.petsc_vec.scale(scale)
    direction.x.scatter_forward()
    start = dense.random(problem.initial, 6)
    change = operator.push({name: direction})._replace(initial=start)
    arguments = (problem.initial, TIMES, change, operator.load)
    options = MFNOptions(tolerance=1e-12)
    if method == "augmented":
        _, tangents = augmented.push(operator.generator, options, *arguments)
    else:
        engine = MFNEngine(operator.generator, options)
        _, tangents, error = quadrature.converged_push(
            engine, 1e-9, lambda nodes: quadrature.push(engine, *arguments, nodes=nodes)
        )
        assert error <= 1e-9
    found = [dense.vector(v) for v in tangents]
    base, initial = control.x.petsc_vec.copy(), problem.initial.copy()

    def shifted(step):
        base.copy(control.x.petsc_vec)
        control.x.petsc_vec.axpy(step, direction.x.petsc_vec)
        control.x.scatter_forward()
        initial.copy(problem.initial)
        problem.initial.axpy(step, start)
        operator.assemble()
        return np.array(reference(problem))

    h = 2e-3
    expected = (8 * (shifted(h) - shifted(-h)) - (shifted(2 * h) - shifted(-2 * h))) / (12 * h)
    assert np.abs(np.array(found) - expected).max() < 1e-7 * np.abs(expected).max()


def test_pull_is_the_adjoint_of_push():
    problem = flows.through_flow(5)
    operator = problem.operator
    engine = MFNEngine(operator.generator, MFNOptions(tolerance=1e-12, nodes=6))
    solution = engine.forward(problem.initial, TIMES, operator.load, record=True)
    residuals = [dense.random(operator.generator.vector(), seed) for seed in range(3)]
    cotangent = OperatorCotangent(operator, ["given", "diffusivity"])
    pullback = engine.pull(solution, residuals, cotangent)
    gradient = cotangent.pull(pullback.load)
    d_initial, d_load = (dense.random(problem.initial, seed) for seed in (7, 8))
    for name, start, load in (("given", None, None), (None, d_initial, None), (None, None, d_load)):
        directions = {}
        expected = 0.0
        if name:
            control = operator.controls[name]
            direction = type(control)(control.function_space)
            dense.random(direction.x.petsc_vec, 9).copy(direction.x.petsc_vec)
            direction.x.scatter_forward()
            directions = {name: direction}
            expected = direction.x.petsc_vec.dot(gradient[name])
        if start:
            expected += start.dot(pullback.initial)
        if load:
            expected += load.dot(pullback.load)
        change = operator.push(directions)
        change = change._replace(initial=start, load=load or change.load)
        _, tangents = engine.push(problem.initial, TIMES, change, operator.load)
        found = sum(t.dot(r) for t, r in zip(tangents, residuals, strict=True))
        assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", ["krylov", "expokit"])
def test_not_converging_is_an_error_that_says_what_was_reached(kind):
    problem = flows.problem(12)
    options = MFNOptions(kind, 1e-12, dimension=5, max_restarts=2)
    engine = MFNEngine(problem.operator.generator, options)
    with pytest.raises(ConvergenceError, match=r"reached a relative error estimate of .*, not 1"):
        engine.forward(problem.initial, [1.0])


def test_petsc_options_are_obeyed():
    problem = flows.problem(4)
    asked = {"type": "expokit", "ncv": 17, "tol": 1e-5, "max_it": 77}
    options = PETSc.Options("advdiff_mfn_")
    for name, value in asked.items():
        options[name] = value
    try:
        engine = MFNEngine(problem.operator.generator)
        report = engine.forward(problem.initial, [10.0]).report
    finally:
        for name in asked:
            options.delValue(name)
    assert report["method"] == "expokit"
    assert report["krylov_dimension"] == 17
    assert report["tolerance"] == 1e-5
    assert engine.options.max_restarts == 77


@pytest.mark.parametrize("option", ["type=arnoldi", "ncv=-1", "tol=2", "max_it=0"])
def test_impossible_petsc_options_are_refused(option):
    name, value = option.split("=")
    options = PETSc.Options("advdiff_mfn_")
    options[name] = value
    try:
        with pytest.raises(InputError, match=f"-advdiff_mfn_{name}"):
            MFNEngine(flows.problem(3).operator.generator)
    finally:
        options.delValue(name)


def test_zero_state_stays_zero():
    problem = flows.problem(4)
    engine = MFNEngine(problem.operator.generator)
    zero = problem.operator.generator.vector()
    assert engine.forward(zero, [1.0]).states[0].norm() == 0.0
