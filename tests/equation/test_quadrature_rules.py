"""Where a cell term is no polynomial its derivative takes the rule of the term itself."""

import numpy as np
import pytest
import ufl
from dolfinx import fem
from mpi4py import MPI

from advdiff.domain.fields import interpolate, scalar_field, vector_field
from advdiff.domain.mesh import box
from advdiff.equation import velocity
from advdiff.equation.cotangent import OperatorCotangent
from advdiff.equation.discretization.continuous import Lagrange
from advdiff.equation.operator import Operator
from advdiff.equation.physics import Physics
from tests import dense


class Dispersive(Lagrange):
    """Across the flow κ, along it κ + |u|: the tensor of dispersion."""

    def cells(self, theta, phi, medium):
        (u, kappa), (slope, weight) = medium, map(ufl.grad, (theta, phi))
        speed = ufl.sqrt(ufl.dot(u, u) + 1e-4)
        along = ufl.inner(ufl.dot(slope, u), ufl.dot(weight, u)) / speed
        extra = -kappa * (along + 0.1 * speed * ufl.inner(slope, weight)) * self.dx
        return super().cells(theta, phi, medium) + extra


def operator(kind, degree: int, cell: str, bend: float) -> Operator:
    domain = box(MPI.COMM_WORLD, [0.0, 0.0], [1.0, 1.0], [4, 4], cell)
    x = domain.mesh.geometry.x
    x[:, 0] += bend * np.sin(3.0 * x[:, 0]) * x[:, 1] ** 2
    field = vector_field(["y - 0.5", "0.4 - x"], "u", 2)
    flow = velocity.Velocity(domain, velocity.given(domain, field, "u"))
    space = fem.functionspace(domain.mesh, ("Lagrange", 1))
    kappa = interpolate(scalar_field("1 + 0.5*x", "kappa", 2), space, "kappa")
    result = Operator(kind(domain, degree), Physics(flow, kappa))
    result.assemble()
    return result


CASES = [
    (Dispersive, 1, "triangle", 0.0),
    (Dispersive, 2, "triangle", 0.0),
    (Dispersive, 1, "quadrilateral", 0.0),
    pytest.param(Lagrange, 1, "quadrilateral", 0.2, id="bent cells"),
]


@pytest.mark.parametrize(("kind", "degree", "cell", "bend"), CASES)
def test_gradient_is_that_of_what_is_assembled(kind, degree, cell, bend):
    """λᵀKθ along both controls at once: central differences, and Taylor's remainder."""
    op = operator(kind, degree, cell, bend)
    names = ["given", "diffusivity"]
    lam, theta = (op.state(scalar_field(text, "t", 2), "t") for text in ("sin(5*x+y)", "x*y*y"))
    cotangent = OperatorCotangent(op, names)
    cotangent.clear()
    cotangent.add([lam], [theta])
    gradient = cotangent.pull(None)
    base, directions, slope = {}, {}, 0.0
    wave = scalar_field("0.3*cos(2*x + 3*y)", "w", 2)
    for name in names:
        space = op.controls[name].function_space
        field = vector_field(["0.5*x*y", "cos(3*x)"], "w", 2) if name == "given" else wave
        directions[name] = interpolate(field, space, "w")
        base[name] = op.controls[name].x.petsc_vec.copy()
        slope += gradient[name].dot(directions[name].x.petsc_vec)
    moved = op.generator.vector()
    op.push(directions).stiffness.mult(theta, moved)
    assert slope == pytest.approx(lam.dot(moved), rel=1e-11)

    def value(step: float) -> float:
        for name, start in base.items():
            vector = op.controls[name].x.petsc_vec
            start.copy(vector)
            vector.axpy(step, directions[name].x.petsc_vec)
            op.controls[name].x.scatter_forward()
        op.assemble().stiffness.mult(theta, moved)
        return lam.dot(moved)

    central = (value(1e-4) - value(-1e-4)) / 2e-4
    assert central == pytest.approx(slope, rel=1e-6)
    start = value(0.0)
    coarse, fine = (abs(value(step) - start - step * slope) for step in (2e-2, 1e-2))
    assert fine < 0.3 * coarse or coarse < 1e-12 * abs(start)  # linear without dispersion


def test_polynomial_terms_take_no_more_points_than_they_need():
    """On affine cells: κ∇θ·∇φ of degree 1, u·∇θ φ of degree 3 for u of degree 2."""
    op = operator(Lagrange, 1, "triangle", 0.0)
    trial, test = ufl.TrialFunction(op.space), ufl.TestFunction(op.space)
    cells = [p for p in op.form(trial, test).integrals() if p.integral_type() == "cell"]
    assert [part.metadata()["quadrature_degree"] for part in cells] == [3]
    assert np.isfinite(dense.matrix(op.generator.stiffness)).all()
