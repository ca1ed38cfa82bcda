"""Discontinuous elements: upwind advection and symmetric interior penalty diffusion.

The basis is orthonormal on the reference cell (Legendre), so that the mass of an affine cell is a
multiple of the identity: M is diagonal and A an explicit sparse matrix.  Degree 0 on a grid of
rectangular cells is the two-point flux scheme, whose A is a rate matrix when ∇·u = 0.

The penalty follows from the inverse inequality ‖g‖²_F ≤ C|F|/|T|·‖g‖²_T (Warburton & Hesthaven
2003): what is left of the diffusion is at least half of it, and bounds the numerical range.
"""

from __future__ import annotations

import math

import basix
import basix.ufl
import ufl

from advdiff.core.errors import InputError
from advdiff.core.memory import Size
from advdiff.domain.mesh import Domain
from advdiff.equation.discretization.base import Discretization, Sides, upwind

MARGIN = 1.5
ORTHOGONAL = 1e-12
"""Relative size of the entries beside a mass matrix' diagonal that are rounding."""


class Discontinuous(Discretization):
    """Discontinuous polynomials of degree 0 … 3 on affine cells."""

    method = "dg"
    is_discontinuous = has_facets = is_damped = True

    def __init__(self, domain: Domain, degree: int):
        super().__init__(domain, degree)
        dim, simplex = domain.dim, domain.is_simplicial
        if degree == 0:
            if simplex and dim > 1:
                raise InputError(
                    "discretization.degree = 0: a two-point flux needs cells with orthogonal "
                    "centres; set domain.cell = 'quadrilateral' or 'hexahedron', or take degree 1"
                )
            self.penalty, self.flow_factor = 1.0, float(dim)
            return
        if simplex:
            inverse, faces = degree * (degree + dim - 1) / dim, dim + 1
            ratio = (degree + 1) * (degree + dim) / (degree * (degree + dim - 1))
            self.flow_factor = 2.0 + ratio
        else:
            inverse, faces = degree**2, 2
            self.flow_factor = 2.0 + dim * ((degree + 1) / degree) ** 2
        self.penalty = MARGIN * faces * inverse

    def element(self):
        return basix.ufl.element(
            basix.ElementFamily.P,
            self.domain.mesh.basix_cell(),
            self.degree,
            lagrange_variant=basix.LagrangeVariant.legendre,
            discontinuous=True,
        )

    @classmethod
    def has_diagonal_mass(cls, degree):
        return True

    @classmethod
    def sizes(cls, size: Size, degree: int):
        dim = size.dim
        each = math.comb(degree + dim, dim) if size.is_simplicial else (degree + 1) ** dim
        neighbours = dim + 2 if size.is_simplicial else 2 * dim + 1
        return size.cells * each, size.cells * each**2 * neighbours

    def mass(self, storage):
        gram = self._gram(storage)
        diagonal = gram.getDiagonal()
        nothing = diagonal.duplicate()
        nothing.set(0.0)
        gram.setDiagonal(nothing)
        if gram.norm() > ORTHOGONAL * diagonal.norm():
            raise InputError(
                "discretization.method = 'dg': needs affine cells (simplices, parallelograms), the "
                "mesh has others; take 'cg' or 'spectral', or mesh it with triangles"
            )
        gram.destroy()
        return diagonal

    def facets(self, theta: Sides, phi: Sides, medium, dS):
        normal = ufl.FacetNormal(self.domain.mesh)("+")
        height, kappa = ufl.avg(self.thickness()), medium.across(normal)
        u_n = ufl.dot(medium.velocity, normal)
        mixed = ufl.inner(theta.average, phi.jump) - ufl.inner(theta.jump, phi.average)
        jumps = ufl.inner(theta.jump, phi.jump)
        drift = 0.5 * u_n * mixed + 0.5 * upwind(u_n, kappa, height) * jumps
        spread = self.penalty * kappa / self._least() * jumps
        if self.degree > 0:
            flux, weight = map(medium.flux, (theta.slope_average, phi.slope_average))
            spread -= ufl.inner(ufl.dot(flux, normal), phi.jump)
            spread -= ufl.inner(theta.jump, ufl.dot(weight, normal))
        return -(drift + spread) * dS

    def _least(self):
        """The thickness that the penalty goes by: the mean for degree 0, else the smaller one."""
        height = self.thickness()
        if self.degree == 0:
            return ufl.avg(height)
        return ufl.min_value(height("+"), height("-"))

    def dirichlet(self, theta, phi, medium, ds):
        """Nitsche's terms and, where the flow enters, the value it carries."""
        normal = ufl.FacetNormal(self.domain.mesh)
        form = -self._pull(medium, normal) * ufl.inner(theta, phi)
        if self.degree > 0:
            flux, weight = (medium.flux(ufl.grad(function)) for function in (theta, phi))
            form += ufl.inner(ufl.dot(flux, normal), phi)
            form += ufl.inner(theta, ufl.dot(weight, normal))
        return form * ds

    def dirichlet_load(self, phi, value, medium, ds):
        normal = ufl.FacetNormal(self.domain.mesh)
        load = self._pull(medium, normal) * value * phi
        if self.degree > 0:
            load -= ufl.dot(medium.flux(ufl.grad(phi)), normal) * value
        return load * ds

    def _pull(self, medium, normal):
        """How strongly a weak value is held: by diffusion, and by the flow where it enters."""
        u_n = ufl.dot(medium.velocity, normal)
        held = 2.0 * self.penalty * medium.across(normal) / self.thickness()
        return held - 0.5 * (u_n - abs(u_n))
