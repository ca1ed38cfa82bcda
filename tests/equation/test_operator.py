"""The matrix, its derivative and its gradient belong together, and conserve what they should."""

import numpy as np
import pytest
from dolfinx import fem

from advdiff.core import jit
from advdiff.domain.fields import interpolate, scalar_field
from advdiff.equation import conditions
from advdiff.equation.cotangent import OperatorCotangent
from advdiff.equation.discretization import make
from advdiff.equation.operator import Operator
from advdiff.equation.physics import Physics
from tests import dense, flows

ALONE = pytest.mark.serial
"""What shows nothing new about ranks."""
MADE = [
    (flows.problem, 1),
    pytest.param(flows.problem, 2, marks=ALONE),
    pytest.param(flows.through_flow, 1, marks=ALONE),
    (flows.through_flow, 2),
]


@pytest.mark.parametrize("degree", [1, pytest.param(2, marks=ALONE)])
def test_closed_flow_conserves_mass_and_dissipates(degree):
    problem = flows.problem(6, degree)
    operator = problem.operator
    k = dense.matrix(operator.generator.stiffness)
    scale = np.abs(k).max()
    assert np.abs(k.sum(axis=0)).max() < 1e-13 * scale
    assert np.abs(k.sum(axis=1)).max() < 1e-13 * scale
    symmetric = np.linalg.eigvalsh(0.5 * (k + k.T))
    assert symmetric.max() < 1e-13 * scale
    still = flows.beside(problem, physics={"velocity": None}).operator
    assert np.allclose(0.5 * (k + k.T), dense.matrix(still.generator.stiffness), atol=1e-13)


def test_lumped_mass_is_the_area():
    operator = flows.problem(6).operator
    assert operator.mass.diagonal.sum() == pytest.approx(1.0, rel=1e-13)


def test_generator_solves_the_heat_equation():
    """K of x² − 2y² … : (A θ)_i = κΔθ in the interior for a quadratic, up to the boundary."""
    operator = flows.problem(8, 1, physics={"velocity": None, "diffusivity": 0.5}).operator
    state = operator.state(lambda x: x[0] ** 2 + 3 * x[1] ** 2, "quadratic")
    result = operator.generator.vector()
    operator.generator.mult(state, result)
    x = operator.space.tabulate_dof_coordinates()[: state.getLocalSize()]
    inside = np.all((x[:, :2] > 0.01) & (x[:, :2] < 0.99), axis=1)
    assert np.allclose(result.array[inside], 0.5 * (2 + 6), atol=1e-10)


@pytest.mark.parametrize(("make", "degree"), MADE)
def test_push_is_the_difference_of_matrices(make, degree):
    """K is linear in each control, so K(c + dc) − K(c) = dK exactly, and so for the load."""
    operator = make(4, degree).operator
    kind = "stream" if "stream" in operator.controls else "given"
    directions = {}
    for seed, name in enumerate((kind, "diffusivity")):
        function = fem.Function(operator.controls[name].function_space)
        values = dense.random(function.x.petsc_vec, seed)
        values.scale(0.01)
        values.copy(function.x.petsc_vec)
        function.x.scatter_forward()
        directions[name] = function
    before = dense.matrix(operator.generator.stiffness)
    load = None if operator.load is None else operator.load.copy()
    _, push, d_load = operator.push(directions)
    push = dense.matrix(push)
    diffusivity = directions["diffusivity"].x.petsc_vec
    diffusivity.scale(0.02 / np.abs(dense.vector(diffusivity)).max() / 4)
    _, push_small, d_load = operator.push(directions)
    push_small = dense.matrix(push_small)
    assert not np.allclose(push, push_small)
    for name, direction in directions.items():
        operator.controls[name].x.petsc_vec.axpy(1.0, direction.x.petsc_vec)
        operator.controls[name].x.scatter_forward()
    after = dense.matrix(operator.assemble().stiffness)
    assert np.allclose(after - before, push_small, atol=1e-13)
    if load is None:
        assert d_load is None
    else:
        load.axpy(-1.0, operator.load)
        load.axpy(1.0, d_load)
        assert load.norm() < 1e-13


@pytest.mark.parametrize(("make", "degree"), MADE)
def test_cotangent_is_the_adjoint_of_push(make, degree):
    operator = make(4, degree).operator
    names = list(operator.controls)
    lam, theta = (dense.random(operator.generator.vector(), seed) for seed in (1, 2))
    cotangent = OperatorCotangent(operator, names)
    cotangent.add([lam, theta], [theta, lam], 0.7)
    cotangent.clear()
    cotangent.add([lam], [theta], 0.7)
    load = lam.copy()
    load.scale(0.7)
    gradient = cotangent.pull(load)
    for seed, name in enumerate(names):
        direction = fem.Function(operator.controls[name].function_space)
        dense.random(direction.x.petsc_vec, seed).copy(direction.x.petsc_vec)
        direction.x.scatter_forward()
        _, stiffness, d_load = operator.push({name: direction})
        moved = stiffness.createVecLeft()
        stiffness.mult(theta, moved)
        if d_load is not None:
            moved.axpy(1.0, d_load)
        expected = 0.7 * lam.dot(moved)
        found = direction.x.petsc_vec.dot(gradient[name])
        assert found == pytest.approx(expected, rel=1e-11, abs=1e-13)


def test_dirichlet_values_are_kept_and_give_the_steady_state():
    """θ = x solves the steady problem with values 0 and 1 at the ends and u = 0."""
    problem = flows.problem(
        6,
        physics={
            "velocity": None,
            "initial": "x",
            "diffusivity": 0.3,
            "dirichlet": {"left": 0.0, "right": 1.0},
        },
    )
    (state,) = problem.semigroup().trajectory([0.5])
    function = problem.operator.extend(state)
    x = problem.operator.space.tabulate_dof_coordinates()[:, 0]
    assert np.allclose(function.x.array, x, atol=1e-9)


def test_variable_diffusivity_matches_its_linear_form():
    """∇·((1 + x)∇(x²)) = 2 + 4x, exactly reproduced inside by P1 on a symmetric stencil average."""
    problem = flows.problem(8, 2, physics={"velocity": None, "diffusivity": "1 + x"})
    operator = problem.operator
    theta = operator.state(lambda x: x[0] ** 2, "square")
    moved = operator.generator.vector()
    operator.generator.stiffness.mult(theta, moved)
    test = operator.state(lambda x: x[0] * (1 - x[0]) * x[1] * (1 - x[1]), "bubble")
    # −∫(1+x) 2x ∂_x φ for φ = x(1−x)y(1−y), which P2 does not hold: use its interpolant.
    phi = operator.extend(test)
    import ufl
    from mpi4py import MPI

    x = ufl.SpatialCoordinate(operator.domain.mesh)
    form = jit.form(-(1 + x[0]) * 2 * x[0] * phi.dx(0) * ufl.dx)
    expected = problem.comm.allreduce(fem.assemble_scalar(form), MPI.SUM)
    assert test.dot(moved) == pytest.approx(expected, rel=1e-12)


def test_boundary_term_closes_the_energy_balance():
    """With ∇·u = 0: ⟨Kθ, θ⟩ = −∫κ|∇θ|² − ½∫_∂Ω |u·n|θ² for a flow through the domain."""
    import ufl
    from mpi4py import MPI

    physics = {
        "velocity": ["1 + 0*x", "0.5"],
        "diffusivity": 0.1,
        "inflow": {"left": 0.0, "bottom": "x"},
    }
    problem = flows.problem(5, 1, physics=physics)
    operator = problem.operator
    theta = dense.random(operator.generator.vector(), 3)
    moved = operator.generator.vector()
    operator.generator.stiffness.mult(theta, moved)
    f = operator.extend(theta)
    n = ufl.FacetNormal(operator.domain.mesh)
    u = ufl.as_vector((1.0, 0.5))
    balance = (
        -0.1 * ufl.dot(ufl.grad(f), ufl.grad(f)) * ufl.dx - 0.5 * abs(ufl.dot(u, n)) * f**2 * ufl.ds
    )
    expected = problem.comm.allreduce(fem.assemble_scalar(jit.form(balance)), MPI.SUM)
    assert theta.dot(moved) == pytest.approx(expected, rel=1e-11)


def test_every_unknown_constrained_is_refused():
    from advdiff.core.errors import InputError

    problem = flows.problem(1)
    domain = problem.domain
    one = scalar_field(1.0, "d", 2)
    kappa = interpolate(one, fem.functionspace(domain.mesh, ("Lagrange", 1)), "k")
    flow = problem.velocity(None, "v")
    kind = make(domain)
    given = conditions.make(kind, dirichlet=dict.fromkeys(domain.tags, one))
    with pytest.raises(InputError, match="every unknown"):
        Operator(kind, Physics(flow, kappa, None, given))
