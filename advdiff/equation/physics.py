"""The physics: what carries the tracer, apart from how that is discretised.

    ∂θ/∂t = ∇·(κ∇θ) − u·∇θ + f

A term of the equation stands here alone.  Discretisations ask for what it does (a flux, the
strength of diffusion across a facet, what a volume stores), certificates, concerns and engines for
what bounds it; none of them knows its data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
import ufl
from dolfinx import fem
from petsc4py import PETSc

from advdiff.core.errors import InputError
from advdiff.domain.quadrature import largest
from advdiff.equation.conditions import NEGLIGIBLE, Condition
from advdiff.equation.discretization import Discretization
from advdiff.equation.velocity import DIVERGENCE, Velocity


class Isotropic(NamedTuple):
    """A flow, and a diffusion that is the same in all directions, as UFL: a ``Medium``."""

    velocity: ufl.core.expr.Expr
    diffusivity: ufl.core.expr.Expr

    def flux(self, slope):
        """κ∇θ."""
        return self.diffusivity * slope

    def across(self, normal):
        """κ."""
        return self.diffusivity


class Physics:
    """Velocity, diffusion, source and conditions, of which the functions may change in place.

    Args:
        velocity: u.
        diffusivity: κ, a Lagrange function, positive.
        source: f, or None.
        conditions: on parts of the boundary; elsewhere κ∂θ/∂n = 0.

    Attributes:
        optional: the data that it may do without, scalars, by their names here and in
            ``[physics]``.
        controls: the functions that may vary, by name: ``diffusivity``, and ``given`` and
            ``stream`` where the velocity has that part, and of ``optional`` what there is.
    """

    optional: ClassVar[tuple[str, ...]] = ("source",)

    def __init__(
        self,
        velocity: Velocity,
        diffusivity: fem.Function,
        source: fem.Function | None = None,
        conditions: Sequence[Condition] = (),
    ):
        self.velocity, self.diffusivity, self.source = velocity, diffusivity, source
        self.conditions = conditions
        self.controls = {"diffusivity": diffusivity}
        for name in ("given", "stream"):
            if getattr(velocity, name) is not None:
                self.controls[name] = getattr(velocity, name)
        for name in self.optional:
            if getattr(self, name) is not None:
                self.controls[name] = getattr(self, name)

    @property
    def inside(self) -> Isotropic:
        """In cells, and at the boundary from within."""
        return Isotropic(self.velocity.expression, self.diffusivity)

    @property
    def between(self) -> Isotropic:
        """On a facet between cells."""
        return Isotropic(ufl.avg(self.velocity.expression), ufl.avg(self.diffusivity))

    # -- forms ----------------------------------------------------------------------------------

    def storage(self, theta):
        """What a volume holds of the tracer: θ."""
        return theta

    def bilinear(self, discretization: Discretization, theta, phi) -> ufl.Form:
        """k(θ, φ) on cells and boundary; of vectors, the sum over their components."""
        medium, normal = self.inside, ufl.FacetNormal(discretization.domain.mesh)
        leaves = 0.5 * ufl.dot(medium.velocity, normal) * ufl.inner(theta, phi)
        form = discretization.cells(theta, phi, medium) - leaves * discretization.ds
        return sum((c.bilinear(theta, phi, medium) for c in self.conditions), form)

    def load(self, discretization: Discretization, phi) -> ufl.Form:
        """l(φ) (held Dirichlet values apart); empty where there is nothing."""
        form = sum((c.load(phi, self.inside) for c in self.conditions), ufl.Form([]))
        return form if self.source is None else form + self.source * phi * discretization.dx

    # -- bounds, all collective -----------------------------------------------------------------

    def require_positive(self) -> None:
        """Raise :class:`InputError` where the diffusivity is not positive."""
        smallest = self.least_diffusion()
        if not smallest > 0.0:
            raise InputError(
                f"physics.diffusivity: {smallest:g} somewhere in the domain; it must be positive"
            )

    @property
    def is_linear(self) -> bool:
        """Whether κ is linear in every cell (along each axis of a box), so that vertices tell."""
        return self.diffusivity.function_space.element.basix_element.degree == 1

    def least_diffusion(self) -> float:
        """min κ at the nodes."""
        return self.diffusivity.x.petsc_vec.min()[1]

    def peclet_bound(self) -> float:
        """P = max |u|²/κ.

        Sampled at the nodes of the degree of u on each cell: exact where u is linear there (a
        stream function), an estimate otherwise.
        """
        kappa = self.diffusivity.x.petsc_vec
        least, most = kappa.min()[1], kappa.max()[1]
        if least == most and self.velocity.is_nodal:
            return self.velocity.largest_speed() ** 2 / least
        return self._peclet()

    @cached_property
    def _peclet(self) -> Callable[[], float]:
        u = self.velocity.expression
        return self.velocity.maximum(ufl.dot(u, u) / self.diffusivity)

    def spread(self, direction: fem.Function, points: np.ndarray | None = None) -> float:
        """max |dκ|/κ along a direction of the diffusivity, at reference points of the cells, or at
        the nodes: there it is largest where κ and dκ are linear along axes.
        """
        if points is not None:
            return largest(self.velocity.domain, abs(direction) / self.diffusivity, points)
        ratio = direction.x.petsc_vec.duplicate()
        ratio.pointwiseDivide(direction.x.petsc_vec, self.diffusivity.x.petsc_vec)
        value = ratio.norm(PETSc.NormType.INFINITY)
        ratio.destroy()
        return value

    def growth(self) -> float:
        """ω with ‖θ(t)‖ ≤ e^{ωt}‖θ(0)‖ in L² without load; infinite where nothing bounds it.

        0 for a contraction.  Advection is skew-symmetric, whatever ∇·u, and no condition adds to
        the norm; what adds to it without bound is a flow that comes in where nothing says what it
        carries.
        """
        speed = self.velocity.largest_speed()
        if not speed > 0.0:
            return 0.0
        _, entering, area = self.velocity.crossing(None)
        said = {condition.part for condition in self.conditions if condition.says_inflow}
        entering -= sum(self.velocity.crossing(part)[1] for part in sorted(said))
        return 0.0 if entering <= NEGLIGIBLE * speed * area else math.inf

    def keeps_bounds(self) -> bool:
        """Whether the equation itself, on any mesh, keeps θ between the least and the largest that
        it starts with or is brought in; each term and condition has its say.
        """
        return (
            self.source is None
            and all(condition.keeps_bounds() for condition in self.conditions)
            and self.velocity.relative_divergence() <= DIVERGENCE
        )
