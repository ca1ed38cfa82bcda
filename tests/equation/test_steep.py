"""A diffusivity that changes steeply is positive wherever it is used, whatever the element."""

from __future__ import annotations

import numpy as np
import pytest
from dolfinx import fem
from mpi4py import MPI

from advdiff.core.errors import ConvergenceError, InputError
from advdiff.domain.fields import interpolate_positive, scalar_field
from advdiff.domain.mesh import box
from advdiff.equation.discretization import make
from advdiff.equation.operator import Operator
from advdiff.equation.physics import Physics
from advdiff.equation.velocity import Velocity
from advdiff.semigroup.semigroup import Semigroup, SolverOptions, make_engine
from tests import dense, flows

ELEMENTS = [
    ("cg", 2, "triangle"),
    ("cg", 3, "quadrilateral"),
    ("spectral", 4, "quadrilateral"),
    ("cip", 2, "triangle"),
    ("dg", 2, "triangle"),
    ("dg", 3, "quadrilateral"),
]
FIELDS = {
    "step": "where(x <= 0.5, 1.0, 0.03)",
    "slanted": "where(x + y < 0.9, 1.0, 1e-3)",
    "layer": "1e-3 + exp(-60*x)",
    "front": "0.501 + 0.499*tanh(80*(x - 0.5))",
    "mild": "exp(-8*x)",
}


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """A file with a step from 1 to 1e-3."""
    h5py = pytest.importorskip("h5py")
    path = tmp_path_factory.mktemp("grid") / "layers.h5"
    if MPI.COMM_WORLD.rank == 0:
        axis = np.linspace(0.0, 1.0, 21)
        with h5py.File(path, "w") as file:
            file["x"], file["y"] = axis, axis
            file["kappa"] = np.where(axis[None, :] < 0.42, 1.0, 1e-3) * np.ones((21, 1))
            for i, name in enumerate("yx"):
                file[name].make_scale(name)
                file["kappa"].dims[i].attach_scale(file[name])
    MPI.COMM_WORLD.barrier()
    return {"file": str(path), "names": ["kappa"]}


def growth(method: str, degree: int, cell: str, kappa) -> float:
    """The largest eigenvalue of the symmetric part of K, over the largest entry."""
    problem = flows.problem(
        4,
        physics={"diffusivity": kappa, "dirichlet": {"left": 0.0}, "robin": ROBIN},
        discretization={"method": method, "degree": degree},
        domain={"cell": cell},
    )
    k = dense.matrix(problem.operator.generator.stiffness)
    return np.linalg.eigvalsh(0.5 * (k + k.T))[-1] / np.abs(k).max()


ROBIN = {"right": {"coefficient": "where(y < 0.4, 1.0, 1e-3)"}}


@pytest.mark.serial
@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize(("method", "degree", "cell"), ELEMENTS)
def test_the_symmetric_part_never_grows(method, degree, cell, name):
    assert growth(method, degree, cell, FIELDS[name]) < 1e-14


@pytest.mark.serial
@pytest.mark.parametrize(("method", "degree", "cell"), ELEMENTS)
def test_nor_that_of_a_grid_file(method, degree, cell, grid):
    assert growth(method, degree, cell, {"file": grid["file"], "name": "kappa"}) < 1e-14


@pytest.mark.serial
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_discontinuous_elements_bear_any_linear_diffusivity(degree):
    """Nodal values over six orders of magnitude, at random."""
    problem = flows.problem(
        2,
        physics={"velocity": None, "diffusivity": 1.0, "dirichlet": {"left": 0.0}},
        discretization={"method": "dg", "degree": degree},
    )
    values, rng = problem.operator.diffusivity.x.array, np.random.default_rng(degree)
    for _ in range(20):
        values[:] = 10.0 ** (-6.0 * rng.random(len(values)))
        k = dense.matrix(problem.operator.assemble().stiffness)
        assert np.linalg.eigvalsh(0.5 * (k + k.T))[-1] < 1e-14 * np.abs(k).max()


@pytest.mark.parametrize("degree", [2, 3])
@pytest.mark.parametrize("name", FIELDS)
def test_positive_at_random_points(degree, name):
    """And between the smallest and the largest value there is, up to what a parabola adds."""
    domain = box(MPI.COMM_WORLD, [0.0, 0.0], [1.0, 1.0], [5, 5])
    field = scalar_field(FIELDS[name], "k", 2)
    function, _ = interpolate_positive(field, domain.mesh, degree, "k")
    space = function.function_space
    points = np.random.default_rng(1).dirichlet(np.ones(3), 300)[:, :2]
    basis = space.element.basix_element.tabulate(0, points)[0, :, :, 0]
    assert (function.x.array[space.dofmap.list] @ basis.T).min() > 0.0


@pytest.mark.parametrize("degree", [2, 3])
def test_what_the_mesh_resolves_is_taken_at_its_degree(degree):
    """A polynomial of the degree exactly, and nothing is said of it, nor of a linear one."""
    domain = box(MPI.COMM_WORLD, [0.0, 0.0], [1.0, 1.0], [5, 5])
    for text in (f"(0.3 + x)**{degree}", "1e-6 + y"):
        field = scalar_field(text, "k", 2)
        function, share = interpolate_positive(field, domain.mesh, degree, "k")
        fine = fem.Function(fem.functionspace(domain.mesh, ("Lagrange", 5)))
        exact = fem.Function(fine.function_space)
        fine.interpolate(function)
        exact.interpolate(field)
        assert np.abs(fine.x.array - exact.x.array).max() < 1e-13
        assert share == 0.0


@pytest.mark.serial
def test_layers_do_not_depend_on_the_degree():
    """Two layers, 1 and 0.03: θ at the end against a fine mesh of degree 1.

    They meet midway between nodes of both meshes: at a node, rounding says which layer it is in.
    """
    physics = {
        "diffusivity": "where(x <= 11.5/24, 1.0, 0.03)",
        "velocity": {"stream": "0.1*sin(pi*x)*sin(pi*y)"},
        "initial": "exp(-((x-0.3)**2 + (y-0.5)**2)/0.02)",
    }

    def final(n: int, degree: int) -> np.ndarray:
        problem = flows.problem(n, degree, physics=physics, time={"final": 0.5, "outputs": 1})
        (state,) = problem.semigroup().trajectory([0.5])
        function, step = problem.operator.extend(state), 1.0 / 8
        x = problem.operator.space.tabulate_dof_coordinates()
        at = np.flatnonzero(np.all(np.abs(x[:, :2] / step - np.rint(x[:, :2] / step)) < 1e-9, 1))
        order = np.lexsort(np.rint(x[at, :2] / step).T)
        return function.x.array[at][order]

    fine = final(72, 1)
    for degree in (1, 2, 3):
        assert np.linalg.norm(final(24, degree) - fine) < 0.04 * np.linalg.norm(fine)


@pytest.mark.serial
@pytest.mark.parametrize("kappa", ["where(x < 0.5, 1.0, 0.06)", "exp(-9*x)"])
@pytest.mark.parametrize("cells", [5, 16])
def test_the_certificate_holds(kappa, cells):
    """|first-order − ρ| within its bound, κ in a step of it and smooth at the degree."""
    problem = flows.problem(
        task="sensitivity",
        degree=2,
        domain={"shape": "interval", "cells": [cells]},
        physics={"velocity": None, "diffusivity": kappa, "initial": "cos(pi*x)"},
        sensitivity={"method": "first-order", "directions": {"k": {"diffusivity": 1.0}}},
        time={"final": 5.0, "outputs": [0.1, 0.5, 2.0, 5.0]},
    )
    found = problem.sensitivity("k")
    exact = problem.sensitivity("k", method="recurrence").tangents
    for bound, tangent, other in zip(found.bounds, found.tangents, exact, strict=True):
        tangent.axpy(-1.0, other)
        assert problem.operator.mass.norm(tangent) <= bound.value


@pytest.mark.serial
@pytest.mark.parametrize("method", ["shift-invert", "krylov"])
def test_growth_that_the_theory_forbids_is_an_error(method):
    """A matrix of a diffusivity that is negative inside cells, as nodal values make one."""
    domain = box(MPI.COMM_WORLD, [0.0], [1.0], [5])
    kappa = fem.Function(fem.functionspace(domain.mesh, ("Lagrange", 2)))
    kappa.interpolate(lambda x: np.where(x[0] < 0.5, 1.0, 1e-3))
    operator = Operator(make(domain, "cg", 2), Physics(Velocity(domain), kappa))
    engine = make_engine(operator.assemble(), SolverOptions(method=method))
    start = operator.state(lambda x: np.exp(-((x[0] - 0.3) ** 2) / 0.05), "start")
    with pytest.raises(ConvergenceError, match="L2 norm grows"):
        Semigroup(engine, start, None, operator.physics.growth).solve([0.1])


@pytest.mark.serial
@pytest.mark.parametrize("degree", [1, 2])
def test_a_negative_robin_coefficient_is_refused(degree):
    """Where it is used, and with any way to write it; negative elsewhere it does no harm."""

    def operator(coefficient):
        robin = {"right": {"coefficient": coefficient}}
        return flows.problem(4, degree, physics={"robin": robin}).operator

    for negative in ("-1.0 + 0*x", "y - 0.5"):
        with pytest.raises(InputError, match=r"^physics\.robin\.right\.coefficient: -.*α >= 0"):
            operator(negative)
    assert operator("x - 0.5").physics.growth() == 0.0
