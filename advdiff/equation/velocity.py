"""Velocity fields: given ones, and stream functions ψ with u = (∂ψ/∂y, −∂ψ/∂x).

A stream function of degree 2 gives an exactly divergence-free velocity, and no flow through any
boundary part on which it is constant, on any mesh.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import basix.ufl
import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.core import compat, jit
from advdiff.core.errors import InputError
from advdiff.domain.fields import Field, interpolate
from advdiff.domain.mesh import Domain
from advdiff.domain.quadrature import maximum
from advdiff.domain.samples import Samples

DEGREE = 2
VANISHING = 1e-10
"""Relative size below which a gradient or divergence is but rounding."""
NODAL = 20.0
"""A polynomial of a cell is nowhere larger than that many times its values at the nodes."""
DIVERGENCE = 1e-3
"""Of |∇u|; less is what interpolation leaves."""


def curl(stream: fem.Function) -> ufl.core.expr.Expr:
    """The velocity (∂ψ/∂y, −∂ψ/∂x) of a stream function."""
    return ufl.as_vector((stream.dx(1), -stream.dx(0)))


@dataclass
class Velocity:
    """u = given + curl ψ; either part may be absent (both absent: no flow).

    Attributes:
        domain: where it lives.
        given: a vector Lagrange function, or None.
        stream: a scalar Lagrange function ψ of degree 2, or None (two dimensions only).

    A speed is a length over a time, both yours; ψ a length² over a time.

    >>> from advdiff.domain.mesh import box
    >>> domain = box(MPI.COMM_WORLD, [-1.0, -1.0], [1.0, 1.0], [4, 4])
    >>> psi = interpolate(lambda x: 0.5 * (x[0]**2 + x[1]**2), stream_space(domain), "psi")
    >>> u = Velocity(domain, stream=psi)  # a rotation, (y, -x)
    >>> round(u.largest_speed(), 6), round(u.norm() ** 2, 6), u.divergence()
    (1.414214, 2.666667, 0.0)
    """

    domain: Domain
    given: fem.Function | None = None
    stream: fem.Function | None = None

    @property
    def expression(self) -> ufl.core.expr.Expr:
        """u as UFL, linear in its functions."""
        parts = [] if self.given is None else [self.given]
        if self.stream is not None:
            parts.append(curl(self.stream))
        if not parts:
            zero = fem.Constant(self.domain.mesh, np.zeros(self.domain.dim))
            return zero
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    def maximum(self, quantity: ufl.core.expr.Expr) -> Callable[[], float]:
        """A collective function that returns the present maximum of a quantity ≥ 0.

        Sampled at the nodes of the degree of u on each cell.
        """
        degree, msh = 1, self.domain.mesh
        if self.given is not None:
            degree = self.given.function_space.element.basix_element.degree
        element = basix.ufl.element("DG", msh.basix_cell(), degree)
        return maximum(self.domain, quantity, element.basix_element.points)

    def sampled(self, samples: Samples) -> list[PETSc.Vec]:
        """The components of u at sample points (collective)."""
        return self.sampler(samples)()

    def sampler(self, samples: Samples) -> Callable[[], list[PETSc.Vec]]:
        """A collective function that returns the components of the present u at sample points."""
        u, part = self.expression, fem.Function(samples.space)
        points = compat.interpolation_points(samples.space)
        axes = [jit.expression(u[axis], points) for axis in range(self.domain.dim)]

        def sample() -> list[PETSc.Vec]:
            components = []
            for axis in axes:
                part.interpolate(axis)
                components.append(samples.values(part))
            return components

        return sample

    def crossing(self, name: str | None) -> tuple[float, float, float]:
        """∫max(u·n, 0), ∫max(−u·n, 0) and ∫1 over a boundary part; None: the whole boundary
        (collective).
        """
        domain = self.domain
        u_n = ufl.dot(self.expression, ufl.FacetNormal(domain.mesh))
        which = fem.Constant(domain.mesh, np.zeros(3))  # of one form, the same for all parts
        found = which[0] * ufl.max_value(u_n, 0.0) + which[1] * ufl.max_value(-u_n, 0.0) + which[2]
        form = jit.form(found * domain.side(name))

        def total(i: int) -> float:
            which.value[:] = 0.0
            which.value[i] = 1.0
            return domain.comm.allreduce(fem.assemble_scalar(form), MPI.SUM)

        return total(0), total(1), total(2)

    @property
    def is_nodal(self) -> bool:
        """Whether the values of the given part are those of u, at the nodes of its degree."""
        return self.stream is None and self.given is not None

    def largest_speed(self) -> float:
        """max |u|, sampled at the nodes (collective)."""
        if self.is_nodal:
            values = self.given.x.array.reshape(-1, self.domain.dim)
            local = float(np.einsum("ij,ij->i", values, values).max(initial=0.0))
            return float(np.sqrt(self.domain.comm.allreduce(local, MPI.MAX)))
        u = self.expression
        return float(np.sqrt(self.maximum(ufl.dot(u, u))()))

    def norm(self) -> float:
        """‖u‖ in L² (collective)."""
        u = self.expression
        return self.domain.norm(u)

    def relative_error(self, truth: Velocity) -> float:
        """‖u − truth‖ / ‖truth‖ in L² (collective); nan where the truth is 0."""
        size = truth.norm()
        error = self.domain.norm(self.expression - truth.expression)
        return error / size if size > 0 else float("nan")

    def divergence(self) -> float:
        """‖∇·u‖ in L² (collective); 0 where it is rounding error."""
        return self._divergence()[0]

    def relative_divergence(self) -> float:
        """‖∇·u‖ / ‖∇u‖ of the given part, in L² (collective); 0 where it is constant."""
        value, slope = self._divergence()
        return value / slope if value > 0.0 else 0.0

    def _divergence(self) -> tuple[float, float]:
        """:meth:`divergence`, and ‖∇u‖ of the given part."""
        if self.given is None:
            return 0.0, 0.0
        domain = self.domain
        value, slope = domain.norm(ufl.div(self.given)), domain.norm(ufl.grad(self.given))
        # beside ‖u‖ over the size of the domain, which is asked for where it can matter
        scale = domain.measure ** (1 / domain.dim)
        most = Velocity(domain, self.given).largest_speed() * domain.measure**0.5
        if value <= VANISHING * (slope + NODAL * most / scale):
            most = domain.norm(self.given)
            value = value if value > VANISHING * (slope + most / scale) else 0.0
        return value, slope


def vector_space(domain: Domain, degree: int = DEGREE) -> fem.FunctionSpace:
    """The space of given velocities."""
    return fem.functionspace(domain.mesh, ("Lagrange", degree, (domain.dim,)))


def stream_space(domain: Domain, key: str = "velocity") -> fem.FunctionSpace:
    """The space of stream functions.

    Raises:
        InputError: where the domain is not two-dimensional.
    """
    if domain.dim != 2:
        raise InputError(
            f"{key}: a stream function needs two dimensions, the domain has {domain.dim}; "
            "give the components of the velocity"
        )
    return fem.functionspace(domain.mesh, ("Lagrange", DEGREE))


def given(domain: Domain, field: Field, key: str, degree: int = DEGREE) -> fem.Function:
    """Interpolate a vector field (collective)."""
    return interpolate(field, vector_space(domain, degree), key)


def wall_dofs(domain: Domain, space: fem.FunctionSpace, open_parts: Sequence[str]) -> np.ndarray:
    """Local stream-function unknowns on every boundary facet that is not in an open part."""
    msh = domain.mesh
    fdim = domain.dim - 1
    msh.topology.create_connectivity(fdim, domain.dim)
    from dolfinx.mesh import exterior_facet_indices

    boundary = exterior_facet_indices(msh.topology)
    walls = np.setdiff1d(boundary, domain.facets(open_parts, "domain.open"))
    return fem.locate_dofs_topological(space, fdim, walls)
