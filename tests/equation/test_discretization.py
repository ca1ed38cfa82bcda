"""Each discretisation on each kind of cell, open and periodic: what holds whatever the mesh."""

from functools import cache

import numpy as np
import pytest
import ufl
from dolfinx import fem
from mpi4py import MPI

from advdiff.config.tables.space import ELEMENTS
from advdiff.domain.fields import interpolate, scalar_field, vector_field
from advdiff.domain.mesh import box
from advdiff.equation import conditions, velocity
from advdiff.equation.cotangent import OperatorCotangent
from advdiff.equation.discretization import METHODS, make
from advdiff.equation.operator import Operator
from advdiff.equation.physics import Physics
from tests import dense

KINDS = [
    ("cg", 1, "interval"),
    ("cg", 3, "triangle"),
    ("spectral", 3, "interval"),
    ("spectral", 4, "quadrilateral"),
    ("spectral", 2, "hexahedron"),
    ("cip", 1, "triangle"),
    ("cip", 2, "quadrilateral"),
    ("dg", 0, "interval"),
    ("dg", 0, "hexahedron"),
    ("dg", 1, "triangle"),
    ("dg", 2, "quadrilateral"),
    ("dg", 1, "tetrahedron"),
]
DIVIDED = [
    ("cg", 3, "triangle"),
    ("spectral", 2, "hexahedron"),
    ("cip", 2, "quadrilateral"),
    ("dg", 0, "hexahedron"),
    ("dg", 2, "quadrilateral"),
]
"""Under mpirun: the others show nothing new about ranks."""
DIMENSIONS = {"interval": 1, "triangle": 2, "quadrilateral": 2, "tetrahedron": 3, "hexahedron": 3}
PLACES = [
    pytest.param(
        *kind,
        periodic,
        # of tori, those whose facets across the seam ranks divide
        marks=()
        if kind in DIVIDED and (kind[0] in ("cip", "dg") or not periodic)
        else pytest.mark.serial,
    )
    for kind in KINDS
    for periodic in (False, True)
]
THROUGH = ["0.4 + 0*x", "0.3 - 0.1*x", "0.2*x"]
"""Free of divergence."""
ALONG = ["1.0", "sin(2*pi*x)", "cos(2*pi*y) + sin(2*pi*x)"]
"""The same on a torus."""


@cache
def operator(method, degree, cell, *, periodic=False, closed=False):
    """Who moves its controls puts them back."""
    dim = DIMENSIONS[cell]
    kappa = "0.03 + 0.01*y" if dim > 1 else "0.03"
    kappa = "0.03 + 0.01*cos(2*pi*x)" if periodic else kappa
    axes = "xyz"[:dim] if periodic else ""
    domain = box(MPI.COMM_WORLD, [0.0] * dim, [1.0] * dim, [3] * dim, cell, axes)
    flow = velocity.Velocity(domain)
    if not closed:
        text = (ALONG if periodic else THROUGH)[:dim]
        field = vector_field(text, "u", dim)
        flow.given = velocity.given(domain, field, "u", max(2, degree))
    elif dim == 2:
        space = velocity.stream_space(domain)
        text = (
            "sin(pi*x)*sin(pi*y)/pi"
            if not periodic
            else "sin(2*pi*x)*cos(2*pi*y)/6 + 0.1*sin(2*pi*y)"
        )
        flow.stream = interpolate(scalar_field(text, "psi", 2), space, "psi")
    space = fem.functionspace(domain.mesh, ("Lagrange", 1))
    diffusivity = interpolate(scalar_field(kappa, "kappa", dim), space, "kappa")
    kind, given, source = make(domain, method, degree), [], None
    if not closed and not periodic:
        data = scalar_field("1 + x", "data", dim)
        inflow = {"bottom": data, "front": data}
        given = conditions.make(
            kind,
            dirichlet={"left": data},
            inflow={name: inflow[name] for name in inflow if name in domain.tags},
            flux={"right": data},
            robin={"top": (data, data)} if dim > 1 else {},
        )
        source = interpolate(data, fem.functionspace(domain.mesh, ("Lagrange", 2)), "f")
    result = Operator(kind, Physics(flow, diffusivity, source, given))
    result.assemble()
    return result


def test_registry_and_file_have_the_same_elements():
    assert set(METHODS) == set(ELEMENTS)
    for name, kind in METHODS.items():
        assert kind.method == name and kind.is_discontinuous != ELEMENTS[name].continuous


@pytest.mark.serial
@pytest.mark.parametrize(("method", "degree", "cell"), KINDS)
def test_what_elements_say_of_themselves(method, degree, cell):
    """The diagonal mass, and the energy xᵀKx = −∫κ|∇x|² of a flow that crosses no wall."""
    op = operator(method, degree, cell, closed=True)
    kind = op.discretization
    assert kind.has_diagonal_mass(degree) == op.mass.is_diagonal
    x = dense.random(op.generator.vector(), 4)
    moved, theta = op.generator.vector(), op.extend(x)
    op.generator.stiffness.mult(x, moved)
    slope = ufl.grad(theta)
    energy = fem.form(op.diffusivity * ufl.dot(slope, slope) * kind.dx)
    expected = -op.domain.comm.allreduce(fem.assemble_scalar(energy))
    if kind.has_energy():
        assert x.dot(moved) == pytest.approx(expected, rel=1e-12)
    if kind.is_damped and degree > 0 and DIMENSIONS[cell] == 2:
        assert x.dot(moved) < 1.0001 * expected  # more is taken out than diffusion does


@pytest.mark.parametrize(("method", "degree", "cell", "periodic"), PLACES)
def test_cotangent_is_the_adjoint_of_push(method, degree, cell, periodic):
    """For all controls at once: an error of one is not made good by another."""
    op = operator(method, degree, cell, periodic=periodic)
    names = list(op.controls)
    lam, theta = (dense.random(op.generator.vector(), seed) for seed in (1, 2))
    cotangent = OperatorCotangent(op, names)
    cotangent.clear()
    cotangent.add([lam], [theta])
    gradient = cotangent.pull(lam)
    directions = {name: fem.Function(op.controls[name].function_space) for name in names}
    for seed, direction in enumerate(directions.values()):
        dense.random(direction.x.petsc_vec, seed).copy(direction.x.petsc_vec)
        direction.x.scatter_forward()
    _, stiffness, d_load = op.push(directions)
    moved = stiffness.createVecLeft()
    stiffness.mult(theta, moved)
    if d_load is not None:
        moved.axpy(1.0, d_load)
    found = sum(gradient[name].dot(directions[name].x.petsc_vec) for name in names)
    assert abs(found - moved.dot(lam)) < 1e-12 * moved.norm() * lam.norm()


@pytest.mark.parametrize(("method", "degree", "cell", "periodic"), PLACES)
def test_push_is_the_derivative(method, degree, cell, periodic):
    op = operator(method, degree, cell, periodic=periodic)
    before = dense.matrix(op.generator.stiffness)
    load = None if op.load is None else dense.vector(op.load)
    base = {name: c.x.petsc_vec.copy() for name, c in op.controls.items()}
    wave = scalar_field("0.1*cos(2*pi*x + 0.3)", "w", op.domain.dim)
    directions = {}
    for name, control in op.controls.items():
        space = control.function_space
        if name == "given":
            field = vector_field(["0.1*cos(2*pi*x + 0.3)"] * op.domain.dim, "w", op.domain.dim)
            directions[name] = interpolate(field, space, "w")
        else:
            directions[name] = interpolate(wave, space, "w")
            directions[name].x.petsc_vec.scale(0.05)
    _, stiffness, d_load = op.push(directions)
    slope = dense.matrix(stiffness)
    d_load = None if d_load is None else dense.vector(d_load)

    def at(step):
        for name, control in op.controls.items():
            base[name].copy(control.x.petsc_vec)
            control.x.petsc_vec.axpy(step, directions[name].x.petsc_vec)
            control.x.scatter_forward()
        matrix = dense.matrix(op.assemble().stiffness)
        return matrix, None if op.load is None else dense.vector(op.load)

    def remainder(step):
        (ahead, load_ahead), (behind, load_behind) = at(step), at(-step)
        size = np.abs(0.5 * (ahead - behind) / step - slope).max() / np.abs(slope).max()
        if load is not None:
            error = np.abs(0.5 * (load_ahead - load_behind) / step - d_load).max()
            size = max(size, error / np.abs(load).max())
        return size

    coarse, fine = remainder(0.5), remainder(0.05)
    at(0.0)
    assert fine < max(0.02 * coarse, 1e-12)
    assert fine < 1e-3
    assert np.abs(slope).max() > 1e-3 * np.abs(before).max() * 1e-3


@pytest.mark.serial
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize(("method", "degree", "cell"), KINDS)
def test_closed_problem_conserves_mass_and_dissipates(method, degree, cell, periodic):
    op = operator(method, degree, cell, periodic=periodic, closed=True)
    one = dense.vector(op.state(lambda x: np.ones(x.shape[1]), "one"))
    k = dense.matrix(op.generator.stiffness)
    scale = np.abs(k).max() * np.abs(one).max()
    assert np.abs(one @ k).max() < 1e-12 * scale
    assert np.abs(k @ one).max() < 1e-12 * scale
    symmetric = np.linalg.eigvalsh(0.5 * (k + k.T))
    assert symmetric[-1] < 1e-12 * scale
    assert symmetric[-2] < -1e-6 * scale  # constants alone do not decay


@pytest.mark.serial
@pytest.mark.parametrize(("method", "degree", "cell"), KINDS)
def test_open_problem_never_grows(method, degree, cell):
    op = operator(method, degree, cell)
    k = dense.matrix(op.generator.stiffness)
    assert np.linalg.eigvalsh(0.5 * (k + k.T))[-1] < 0.0


@pytest.mark.serial
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize(("method", "degree", "cell"), KINDS)
def test_numerical_range_lies_in_the_parabola(method, degree, cell, periodic):
    """|Im ⟨Ax, x⟩|² ≤ P |Re ⟨Ax, x⟩| ‖x‖², tried where it is tightest."""
    op = operator(method, degree, cell, periodic=periodic)
    mass, k = op.mass, dense.matrix(op.generator.stiffness)
    m = np.diag(dense.vector(mass.diagonal)) if mass.is_diagonal else dense.matrix(mass.matrix)
    root = np.linalg.inv(np.linalg.cholesky(m))
    a = root @ k @ root.T
    symmetric, skew = -0.5 * (a + a.T), 0.5j * (a - a.T)
    bound = op.generator.flow_bound
    # (Im)² ≤ P Re for all x  ⇔  2s·Im ≤ P + s²·Re … for all s: eigenvalues of P/4s + s·H − Im
    for s in np.logspace(-3, 3, 13):
        smallest = np.linalg.eigvalsh(s * symmetric - skew + bound / (4.0 * s) * np.eye(len(a)))[0]
        assert smallest > -1e-10 * np.abs(a).max() * s
