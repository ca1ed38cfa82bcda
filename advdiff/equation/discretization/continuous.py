"""Continuous elements: Lagrange, spectral, and Lagrange with continuous interior penalty."""

from __future__ import annotations

import math

import basix.ufl
import ufl

from advdiff.core import compat
from advdiff.core.errors import InputError
from advdiff.core.memory import Size
from advdiff.domain.mesh import Domain
from advdiff.equation.discretization.base import Discretization, Sides, upwind

STABILIZATION = 0.1


class Lagrange(Discretization):
    """Lagrange elements: the lumped mass for degree 1, the consistent one for 2 and 3."""

    method = "cg"

    def element(self):
        return basix.ufl.element("Lagrange", self.domain.mesh.basix_cell(), self.degree)

    def mass(self, storage):
        lumped = self.has_diagonal_mass(self.degree)
        return self._row_sums(storage) if lumped else self._gram(storage)

    @classmethod
    def has_diagonal_mass(cls, degree):
        return degree == 1  # row sums of degree 1 are positive on any mesh

    @classmethod
    def sizes(cls, size: Size, degree: int):
        # elements of a mesh of boxes, whether they are divided or not
        boxes = size.cells / (math.factorial(size.dim) if size.is_simplicial else 1)
        count = max(boxes * degree**size.dim, size.nodes)
        share = {2: 0.75, 3: 0.55}.get(size.dim, 1.0) if size.is_simplicial else 1.0
        return count, count * share * (degree + 2) ** size.dim

    def has_energy(self):
        # the rule of the cells is that of the form: exact on affine simplices
        domain = self.domain
        return domain.is_simplicial and compat.coordinate_map(domain.mesh).degree == 1

    def largest_at(self, is_linear):
        return 1 if is_linear else None  # |v|²/κ is convex then


class Spectral(Lagrange):
    """Lagrange elements whose nodes are the points of the quadrature: a diagonal mass.

    Gauss-Lobatto-Legendre rules of degree 2k − 1 on quadrilaterals and hexahedra.
    """

    method = "spectral"
    reads_nodes = True

    def __init__(self, domain: Domain, degree: int):
        if domain.is_simplicial and domain.dim > 1:
            raise InputError(
                "discretization.method = 'spectral': needs quadrilaterals or hexahedra, the mesh "
                f"has cells of kind {domain.mesh.topology.cell_name()}; set domain.cell or take "
                "'cg'"
            )
        super().__init__(domain, degree)
        rule = {"quadrature_rule": "GLL", "quadrature_degree": 2 * degree - 1}
        self.dx = domain.dx(metadata=rule)
        if domain.dim > 1:
            self.ds = domain.ds(metadata=rule)

    def mass(self, storage):
        return self._row_sums(storage)

    @classmethod
    def has_diagonal_mass(cls, degree):
        return True

    def has_energy(self):
        return True

    def largest_at(self, is_linear):
        return self.degree  # the points of the quadrature are these nodes


class InteriorPenalty(Lagrange):
    """Lagrange elements with γ h²k^−3.5 |u·n| [∂θ/∂n][∂φ/∂n] on the facets between cells.

    Burman and Hansbo (2004), Burman and Ern (2007).  It damps what the mesh does not resolve where
    the cell Péclet number is large, and leaves the mass untouched.
    """

    method = "cip"
    has_facets = is_damped = True

    def __init__(self, domain: Domain, degree: int, stabilization: float = STABILIZATION):
        super().__init__(domain, degree)
        self.stabilization = stabilization

    @classmethod
    def sizes(cls, size: Size, degree: int):
        count, entries = super().sizes(size, degree)
        return count, 2.5 * entries  # with the neighbours' neighbours

    def has_energy(self):
        return False

    def facets(self, theta: Sides, phi: Sides, medium, dS):
        normal = ufl.FacetNormal(self.domain.mesh)("+")
        height = ufl.avg(self.height())
        weight = self.stabilization * self.degree**-3.5 * height**2
        u_n = ufl.dot(medium.velocity, normal)
        strength = upwind(u_n, medium.across(normal), height)
        jumps = ufl.inner(ufl.dot(theta.slope_jump, normal), ufl.dot(phi.slope_jump, normal))
        return -weight * strength * jumps * dS
