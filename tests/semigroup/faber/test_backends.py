"""The compiled recurrence beside PETSc's: the same numbers to rounding, on any layout and rank."""

import math

import numpy as np
import pytest
from dolfinx import mesh
from mpi4py import MPI
from petsc4py import PETSc
from scipy.linalg import expm

from advdiff.algebra.generator import Generator
from advdiff.algebra.pattern import PatternCotangent
from advdiff.core import jit
from advdiff.core.errors import InputError
from advdiff.semigroup.engine import Change
from advdiff.semigroup.faber.compiled import CompiledRecurrence
from advdiff.semigroup.faber.engine import FaberEngine
from advdiff.semigroup.faber.halo import Halo
from advdiff.semigroup.faber.layout import Layout
from advdiff.semigroup.faber.options import FaberOptions
from advdiff.semigroup.faber.recurrence import FaberRecurrence
from tests.semigroup import problems

WORLD = MPI.COMM_WORLD
TIMES = [0.02, 0.05, 0.2]


def interval(n: int) -> Generator:
    return problems.assemble(mesh.create_unit_interval(WORLD, n), 1e-2)


MAKERS = {
    "3 diagonals": lambda: interval(90),
    "7 diagonals": lambda: problems.unit_square(20),
    "15 diagonals": lambda: problems.box(6),
    "sliced rows": lambda: problems.irregular(14),
}


def engine(generator: Generator, backend: str, **options) -> FaberEngine:
    return FaberEngine(generator, FaberOptions(1e-9, backend=backend, **options))


def everything(generator: Generator, backend: str, **options) -> dict[str, np.ndarray]:
    """What the four verbs make of the same input, on this rank."""
    solver = engine(generator, backend, **options)
    start, load = problems.rough(generator), problems.bump(generator)
    duals = [problems.rough(generator) for _ in TIMES]
    for k, dual in enumerate(duals):
        dual.scale(k + 0.5)
    change = generator.stiffness.copy()
    change.scale(-0.3)
    solution = solver.forward(start, TIMES, load, record=True)
    cotangent = PatternCotangent(generator.stiffness)
    pulled = solver.pull(solution, duals, cotangent)
    pushed, tangents = solver.push(start, TIMES, Change(load, change, load), load)
    assert solution.report["backend"].startswith(backend)
    found = {"states": solution.states, "pushed": pushed.states, "tangents": tangents}
    found |= {"pulled": [*pulled], "transposed": [solver.transpose(duals, TIMES)]}
    arrays = {n: np.concatenate([v.array_r for v in vs]) for n, vs in found.items()}
    return arrays | {"entries": cotangent.values, "steps": np.array(solution.report["products"])}


@pytest.mark.parametrize("memory", [2.0**30, 0.0], ids=["all kept", "checkpoints"])
@pytest.mark.parametrize("name", MAKERS)
def test_both_backends_agree_to_rounding(name, memory):
    generator = MAKERS[name]()
    if WORLD.size == 1:
        assert Layout(generator).kind == name
    compiled, petsc = (everything(generator, b, memory=memory) for b in ("compiled", "petsc"))
    for key, expected in petsc.items():
        size = WORLD.allreduce(abs(expected).max(initial=0.0), MPI.MAX)
        difference = abs(compiled[key] - expected).max(initial=0.0)
        assert WORLD.allreduce(difference, MPI.MAX) <= 1e-12 * size, key


@pytest.mark.parametrize("steps", [1, 3, 16])
def test_ghosts_are_exchanged_in_time(monkeypatch, steps):
    monkeypatch.setattr(Halo, "_affordable", lambda self, stiffness: steps)
    generator = problems.unit_square(20)
    compiled, petsc = (everything(generator, b) for b in ("compiled", "petsc"))
    for key, expected in petsc.items():
        size = WORLD.allreduce(abs(expected).max(initial=0.0), MPI.MAX)
        difference = abs(compiled[key] - expected).max(initial=0.0)
        assert WORLD.allreduce(difference, MPI.MAX) <= 1e-12 * size, key


@pytest.mark.parametrize("steps", [1, 5, 16])
def test_sweeps_of_any_depth_agree(monkeypatch, steps):
    """Also where the blocks of rows are many."""
    generator = problems.unit_square(20)
    expected = everything(generator, "petsc")
    layout = Layout(generator)
    layout.steps, layout.block = steps, 2
    monkeypatch.setattr(FaberEngine, "_layout", lambda self: layout)
    found = everything(generator, "compiled")
    for key, value in expected.items():
        size = WORLD.allreduce(abs(value).max(initial=0.0), MPI.MAX)
        difference = abs(found[key] - value).max(initial=0.0)
        assert WORLD.allreduce(difference, MPI.MAX) <= 1e-12 * size, key


@pytest.mark.parametrize("name", ["7 diagonals", "sliced rows"])
def test_gradients_by_taylor_and_states_by_a_dense_exponential(name):
    generator = MAKERS[name]()
    start, dual = problems.rough(generator), problems.rough(generator)
    reference = problems.gathered(generator, start)
    dense = expm(TIMES[1] * problems.dense_generator(generator)) @ reference
    solver = engine(generator, "compiled")
    solution = solver.forward(start, [TIMES[1]], record=True)
    found = problems.gathered(generator, solution.states[0])
    assert np.linalg.norm(found - dense) <= 1e-8 * np.linalg.norm(reference)
    cotangent = PatternCotangent(generator.stiffness)
    solver.pull(solution, [dual], cotangent)
    direction = generator.stiffness.copy()
    direction.scale(0.2)
    slope, value = cotangent.inner(direction), solution.states[0].dot(dual)
    errors = []
    for step in (0.1, 0.05, 0.025):
        moved = generator.stiffness.copy()
        moved.axpy(step, direction)
        at = Generator(moved, generator.mass, generator.flow_bound * 1.1)
        at.points = generator.points
        moved_solver = FaberEngine(at, FaberOptions(1e-9, backend="compiled"))
        at_step = moved_solver.forward(start, [TIMES[1]]).states[0].dot(dual)
        errors.append(abs(at_step - value - step * slope))
    assert math.log2(errors[0] / errors[1]) > 1.85
    assert math.log2(errors[1] / errors[2]) > 1.85


def test_a_direction_of_another_pattern_goes_by_petsc(monkeypatch):
    generator = problems.unit_square(8)
    diagonal = PETSc.Mat().createDiagonal(generator.mass.diagonal)
    diagonal.convert("aij")
    start, tangents = problems.rough(generator), []
    used = []
    for kind in (CompiledRecurrence, FaberRecurrence):
        monkeypatch.setattr(kind, "tangent", _seen(kind.tangent, used))
    for backend in ("compiled", "petsc"):
        _, found = engine(generator, backend).push(start, TIMES, Change(stiffness=diagonal))
        tangents.append(found[-1])
    assert used == [FaberRecurrence, FaberRecurrence]
    tangents[0].axpy(-1.0, tangents[1])
    assert tangents[0].norm() <= 1e-12 * tangents[1].norm()


def _seen(method, used):
    def wrapped(self, *arguments):
        used.append(type(self))
        return method(self, *arguments)

    return wrapped


def test_without_a_compiler_petsc_makes_the_products_and_says_so(monkeypatch, tmp_path):
    generator = problems.unit_square(8)
    start = problems.rough(generator)
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setattr(jit, "_cache", lambda: tmp_path / "empty")
    report = FaberEngine(generator).forward(start, TIMES).report
    assert report["backend"] == "petsc: no C compiler: no-such-compiler: No such file or directory"
    with pytest.raises(InputError, match=r"backend compiled: no C compiler.*take 'auto' or"):
        engine(generator, "compiled").forward(start, TIMES)
