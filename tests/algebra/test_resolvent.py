"""The resolvent and its transpose, by factors and by iteration."""

import pytest
from petsc4py import PETSc

from advdiff.algebra.resolvent import Resolvent
from advdiff.core.errors import ConvergenceError
from tests.semigroup.rational.problems import Cellular

POLE = 0.05


@pytest.fixture
def options():
    database, names = PETSc.Options("advdiff_resolvent_"), []

    def put(**values):
        for name, value in values.items():
            database[name] = value
            names.append(name)

    yield put
    for name in names:
        del database[name]


@pytest.mark.parametrize(
    ("degree", "pc"), [(1, None), (2, None), (1, "hypre"), (2, "hypre"), (1, "gamg")]
)
@pytest.mark.parametrize("transpose", [False, True])
def test_residuals(degree, pc, transpose, options):
    if pc == "hypre" and not PETSc.Sys.hasExternalPackage(pc):
        pytest.skip("a PETSc without hypre")
    if pc:
        options(ksp_type="gmres", pc_type=pc)
    problem = Cellular(12, 1e-2, degree)
    resolvent = Resolvent(problem.generator, POLE, rtol=1e-11)
    assert resolvent.ksp.getType() == ("gmres" if pc else "preonly")
    load = problem.load(problem.rough(3))
    state, residual, part = (load.duplicate() for _ in range(3))
    (resolvent.solve_transpose if transpose else resolvent.solve)(load, state)
    stiffness = problem.generator.stiffness
    (stiffness.multTranspose if transpose else stiffness.mult)(state, part)
    problem.generator.mass.mult(state, residual)
    residual.axpy(-POLE, part)
    residual.axpy(-1.0, load)
    assert residual.norm() <= 1e-9 * load.norm()
    resolvent.destroy()


def test_an_iteration_that_does_not_converge_is_an_error(options):
    options(ksp_type="gmres", pc_type="none", ksp_max_it=2)
    problem = Cellular(12, 1e-2)
    resolvent = Resolvent(problem.generator, POLE)
    load = problem.load(problem.rough(3))
    for solve in (resolvent.solve, resolvent.solve_transpose):
        with pytest.raises(ConvergenceError, match=r"gmres with none .* after 2 iterations"):
            solve(load, load.duplicate())
    resolvent.destroy()
