"""Taylor tests: the gradient of what was computed, for each engine, family and tolerance.

Φ = ½ Σ_k |y_k − d_k|² of the states at the output times; its remainder Φ(h) − Φ(0) − hΦ' must
fall like h² over three decades and below 1e-9, whatever the tolerance of the engine: the gradient
is that of the computed value.  What an engine chooses (ellipse, filter) is held fixed, as the
gradient does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.domain.fields import interpolate, scalar_field, vector_field
from advdiff.domain.mesh import box
from advdiff.equation import conditions, discretization, velocity
from advdiff.equation.cotangent import OperatorCotangent
from advdiff.equation.operator import Operator
from advdiff.equation.physics import Physics
from advdiff.semigroup.choose import choose
from advdiff.semigroup.faber.engine import FaberEngine, FaberOptions
from advdiff.semigroup.mfn.engine import MFNEngine, MFNOptions
from advdiff.semigroup.rational.engine import ShiftInvert, ShiftInvertOptions

TIMES = (0.1, 0.25, 0.4)
STEPS = 10.0 ** -np.arange(0.0, 6.5, 0.5)
FAMILIES = ("diffusivity", "given", "stream", "source", "initial")


@dataclass
class Case:
    """A flow with every control there is, through a boundary with a prescribed value."""

    operator: Operator
    initial: PETSc.Vec
    wanted: list[PETSc.Vec]


@cache
def case(method: str, degree: int, cell: str, n: int) -> Case:
    """Who moves it puts it back."""
    dim = {"interval": 1, "triangle": 2, "quadrilateral": 2}.get(cell, 3)
    domain = box(MPI.COMM_WORLD, [0.0] * dim, [1.0] * dim, [n] * dim, cell)

    def scalar(text, degree=2):
        space = fem.functionspace(domain.mesh, ("Lagrange", degree))
        return interpolate(scalar_field(text, "test", dim), space, "test")

    components = ["0.3 + 0*x", "0.1 + 0.2*x", "0.1 + 0.1*y"][:dim]
    field = vector_field(components, "test", dim)
    flow = velocity.Velocity(
        domain,
        given=velocity.given(domain, field, "test", max(2, degree)),
        stream=scalar("sin(pi*x)*sin(pi*y)/pi") if dim == 2 else None,
    )
    data = scalar_field("y", "test", dim)
    entering = {name: data for name in ("bottom", "front") if name in domain.tags}
    kind = discretization.make(domain, method, degree)
    given = conditions.make(
        kind, dirichlet={"left": data}, inflow=entering, robin={"right": (data, data)}
    )
    physics = Physics(flow, scalar("0.03 + 0.01*x", 1), scalar("0.2*x*y"), given)
    operator = Operator(kind, physics)
    operator.assemble()
    initial = operator.state(scalar_field("exp(-8*((x-0.4)**2 + (y-0.5)**2))", "t", dim), "t")
    wanted = [operator.state(scalar_field(f"sin({k}*x)*y", "t", dim), "t") for k in range(3)]
    return Case(operator, initial, wanted)


class Faber:
    """The recurrence with its ellipse held fixed, checkpoints forced where memory is 0."""

    def __init__(self, tolerance: float, memory: float = 2.0**30):
        self.options, self.ellipse = FaberOptions(tolerance, memory), None

    def __call__(self, generator: Generator):
        engine = FaberEngine(generator, self.options, ellipse=self.ellipse)
        if self.ellipse is None:
            engine.forward(generator.vector(), TIMES)
            self.ellipse = engine.ellipse
        return engine


class Auto:
    """The automatic choice, made once and held fixed with what it found."""

    def __init__(self, tolerance: float):
        self.tolerance, self.choice = tolerance, None

    def __call__(self, generator: Generator):
        if self.choice is None:
            self.choice = choose(generator, TIMES, self.tolerance, gradient=True)
            self.inner = ENGINES[self.choice.method](self.tolerance)
        return self.inner(generator)


ENGINES = {
    "auto": Auto,
    "faber": Faber,
    "faber, checkpoints": lambda tolerance: Faber(tolerance, 0.0),
    "shift-invert": lambda tolerance: lambda g: ShiftInvert(g, ShiftInvertOptions(tolerance)),
    "krylov": lambda tolerance: lambda g: MFNEngine(g, MFNOptions("krylov", tolerance, nodes=12)),
}


def along(case: Case, family: str) -> PETSc.Vec:
    """A wavy direction of size 1, the same whatever the numbering."""

    def wave(x):
        return np.cos(3.0 * x[0] + 1.0) * np.cos(5.0 * x[1] - 2.0 * x[2])

    if family == "initial":
        return case.operator.state(wave, "direction")
    space = case.operator.controls[family].function_space
    if space.dofmap.index_map_bs == 1:
        field = interpolate(wave, space, "direction")  # which must outlive its vector
        return field.x.petsc_vec.copy()
    turned = [lambda x, k=k: wave(np.roll(x, k, axis=0)) for k in range(case.operator.domain.dim)]
    field = interpolate(lambda x: np.stack([w(x) for w in turned]), space, "direction")
    return field.x.petsc_vec.copy()


def remainders(case: Case, make, families: Sequence[str]) -> np.ndarray:
    """|Φ(h) − Φ(0) − hΦ'| / |Φ(0)| at the steps, along all the families at once."""
    operator, mass = case.operator, case.operator.mass
    bound = 1.5 * operator.generator.flow_bound
    controls = [family for family in families if family != "initial"]
    targets = {family: operator.controls[family].x.petsc_vec for family in controls}
    if "initial" in families:
        targets["initial"] = case.initial
    bases, directions = {}, {}
    for family, target in targets.items():
        bases[family], directions[family] = target.copy(), along(case, family)
        directions[family].scale(0.5 * target.norm(PETSc.NormType.INFINITY))

    def at(step: float, record: bool):
        for family, target in targets.items():
            target.getArray()[:] = bases[family].getArray(readonly=True)
            target.axpy(step, directions[family])
        for family in controls:
            operator.controls[family].x.scatter_forward()
        assembled = operator.assemble() if controls else operator.generator
        engine = make(Generator(assembled.stiffness, mass, bound))
        solution = engine.forward(case.initial, TIMES, operator.load, record=True)
        residuals = []
        for state, wanted in zip(solution.states, case.wanted, strict=True):
            residual = state.copy()
            residual.axpy(-1.0, wanted)
            residuals.append(residual)
        value = 0.5 * sum(r.dot(r) for r in residuals)
        if not record:
            return value, None
        cotangent = OperatorCotangent(operator, controls)
        pullback = engine.pull(solution, residuals, cotangent)
        gradients = cotangent.pull(pullback.load) | {"initial": pullback.initial}
        return value, sum(gradients[f].dot(direction) for f, direction in directions.items())

    value, slope = at(0.0, record=True)
    found = []
    for h in STEPS:
        found.append(abs(at(h, record=False)[0] - value - h * slope) / value)
        if found[-1] < 1e-10:
            break
    at(0.0, record=False)
    return np.array(found)


def check(found: np.ndarray) -> None:
    orders = np.log10(found[:-1] / found[1:]) / 0.5
    second = "".join("x" if abs(order - 2.0) < 0.15 else "-" for order in orders)
    start = second.find("xxxxxx")
    assert start >= 0, (found, orders)
    last = start + len(second[start:]) - len(second[start:].lstrip("x"))
    assert found[last] < 1e-9, (found, orders)


ALONE = pytest.mark.serial
"""What shows nothing new about ranks."""
LUMPED, CONSISTENT = ("cg", 1, "triangle", 6), ("cg", 2, "triangle", 6)
ALL = [name for name in ENGINES if name != "auto"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "engine", [name if name == "faber" else pytest.param(name, marks=ALONE) for name in ALL]
)
def test_lumped(engine, family):
    """Each family by itself: under mpirun with one engine, which meets the others below."""
    check(remainders(case(*LUMPED), ENGINES[engine](1e-6), [family]))


@pytest.mark.parametrize("tolerance", [1e-4, pytest.param(1e-9, marks=ALONE)])
@pytest.mark.parametrize("engine", ALL)
def test_lumped_along_all_families_at_once(engine, tolerance):
    check(remainders(case(*LUMPED), ENGINES[engine](tolerance), FAMILIES))


@ALONE
@pytest.mark.parametrize("family", FAMILIES)
def test_consistent(family):
    check(remainders(case(*CONSISTENT), ENGINES["shift-invert"](1e-6), [family]))


@pytest.mark.parametrize("tolerance", [1e-4, pytest.param(1e-9, marks=ALONE)])
def test_consistent_along_all_families_at_once(tolerance):
    check(remainders(case(*CONSISTENT), ENGINES["shift-invert"](tolerance), FAMILIES))


DIAGONAL = [
    ("spectral", 4, "quadrilateral", 3),
    ("spectral", 2, "hexahedron", 2),
    ("cip", 1, "triangle", 6),
    ("dg", 0, "quadrilateral", 6),
    ("dg", 1, "triangle", 4),
    ("dg", 2, "quadrilateral", 3),
    ("cg", 1, "tetrahedron", 3),
]
SPARSE = [("cg", 3, "triangle", 4), ("cg", 2, "quadrilateral", 4), ("cip", 2, "triangle", 4)]


def combinations():
    """Every kind with every engine that takes its mass, and in turn with the automatic choice or
    MFN; under mpirun with one engine in turn: of a kind they know no more than its matrix."""
    for kinds, engines in ((DIAGONAL, ("faber", "shift-invert")), (SPARSE, ("shift-invert",))):
        for i, kind in enumerate(kinds):
            for engine in (*engines, ("krylov", "auto")[i % 2]):
                alone = () if engine == engines[i % len(engines)] else ALONE
                yield pytest.param(
                    kind, engine, id=f"{kind[0]}{kind[1]}-{kind[2]}-{engine}", marks=alone
                )


@pytest.mark.parametrize(("kind", "engine"), combinations())
def test_discretizations(kind, engine):
    """Along all families at once: an error of one is not made good by another."""
    made = case(*kind)
    families = [f for f in FAMILIES if f == "initial" or f in made.operator.controls]
    check(remainders(made, ENGINES[engine](1e-6), families))
