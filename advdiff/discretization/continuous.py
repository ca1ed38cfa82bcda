"""Continuous elements: Lagrange, spectral, and Lagrange with continuous interior penalty."""

from __future__ import annotations

import basix.ufl
import ufl

from advdiff.discretization.base import Discretization, Sides, upwind
from advdiff.domain import Domain

STABILIZATION = 0.1


class Lagrange(Discretization):
    """Lagrange elements: the lumped mass for degree 1, the consistent one for 2 and 3."""

    method = "cg"

    def element(self):
        return basix.ufl.element("Lagrange", self.domain.mesh.basix_cell(), self.degree)

    def mass(self):
        # row sums of degree 1 are positive on any mesh
        return self._row_sums() if self.degree == 1 else self._gram()


class Spectral(Lagrange):
    """Lagrange elements whose nodes are the points of the quadrature: a diagonal mass.

    Gauss-Lobatto-Legendre rules of degree 2k − 1 on quadrilaterals and hexahedra.
    """

    method = "spectral"

    def __init__(self, domain: Domain, degree: int):
        super().__init__(domain, degree)
        rule = {"quadrature_rule": "GLL", "quadrature_degree": 2 * degree - 1}
        self.dx = domain.dx(metadata=rule)
        if domain.dim > 1:
            self.ds = domain.ds(metadata=rule)

    def mass(self):
        return self._row_sums()


class InteriorPenalty(Lagrange):
    """Lagrange elements with γ h²k^−3.5 |u·n| [∂θ/∂n][∂φ/∂n] on the facets between cells.

    Burman and Hansbo (2004), Burman and Ern (2007).  It damps what the mesh does not resolve where
    the cell Péclet number is large, and leaves the mass untouched.
    """

    method, has_facets = "cip", True

    def __init__(self, domain: Domain, degree: int, stabilization: float = STABILIZATION):
        super().__init__(domain, degree)
        self.stabilization = stabilization

    def facets(self, theta: Sides, phi: Sides, u, kappa, dS):
        normal = ufl.FacetNormal(self.domain.mesh)("+")
        height = ufl.avg(self.height())
        weight = self.stabilization * self.degree**-3.5 * height**2
        strength = upwind(ufl.dot(ufl.avg(u), normal), ufl.avg(kappa), height)
        jumps = ufl.inner(ufl.dot(theta.slope_jump, normal), ufl.dot(phi.slope_jump, normal))
        return -weight * strength * jumps * dS
