"""Conditions on the boundary, part by part.

* ``dirichlet``: θ = g;
* ``inflow``: where the flow enters (u·n < 0) it carries θ_in: (u·n)θ − κ∂θ/∂n = (u·n)θ_in;
* ``flux``: κ∂θ/∂n = q, into the domain;
* ``robin``: κ∂θ/∂n = α(θ_ext − θ).

Everywhere else κ∂θ/∂n = 0, and what the flow carries out leaves.  A part where it comes in needs
one of the first two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI

from advdiff.core import jit
from advdiff.core.errors import InputError
from advdiff.domain.fields import Field, interpolate
from advdiff.domain.mesh import Domain
from advdiff.equation.discretization import Discretization
from advdiff.equation.velocity import Velocity

NEGLIGIBLE = 1e-6
"""Part of the largest speed; a smaller one across a boundary is taken for interpolation error."""


@dataclass(frozen=True)
class Conditions:
    """Boundary part → data, callables of coordinates; ``robin`` has pairs (α, θ_ext)."""

    dirichlet: Mapping[str, Field] = field(default_factory=dict)
    inflow: Mapping[str, Field] = field(default_factory=dict)
    flux: Mapping[str, Field] = field(default_factory=dict)
    robin: Mapping[str, tuple[Field, Field]] = field(default_factory=dict)


class BoundaryForms:
    """The conditions as forms (collective).

    Raises:
        InputError: for a part that the mesh has not, or data that are not finite.
    """

    def __init__(self, discretization: Discretization, conditions: Conditions):
        self._discretization = discretization
        domain = self._domain = discretization.domain
        space = fem.functionspace(domain.mesh, ("Lagrange", max(1, discretization.degree)))

        def data(values: Field, key: str, name: str) -> fem.Function:
            domain.tag(name, f"{key}.{name}")
            return interpolate(values, space, f"{key}.{name}")

        def each(kind: str) -> dict[str, fem.Function]:
            table = getattr(conditions, kind)
            return {name: data(values, f"physics.{kind}", name) for name, values in table.items()}

        self._dirichlet, self._inflow, self._flux = map(each, ("dirichlet", "inflow", "flux"))
        self._robin = {
            name: (data(a, "physics.robin", name), data(b, "physics.robin", name))
            for name, (a, b) in conditions.robin.items()
        }

    def extremes(self) -> tuple[float, float]:
        """The least and the largest tracer that the conditions bring in; (inf, -inf) where none
        does (collective).
        """
        robin = (outside for _, outside in self._robin.values())
        brought = [*self._dirichlet.values(), *self._inflow.values(), *robin]
        low = [f.x.petsc_vec.min()[1] for f in brought]
        high = [f.x.petsc_vec.max()[1] for f in brought]
        return min(low, default=np.inf), max(high, default=-np.inf)

    def keeps_bounds(self) -> bool:
        """Whether the tracer stays between what it is and what the conditions bring in, of which
        α(θ_ext − θ) and the inflow's |u·n|(θ_in − θ) draw it to theirs (collective).
        """
        drawn = all(alpha.x.petsc_vec.min()[1] >= 0.0 for alpha, _ in self._robin.values())
        return drawn and not self._flux

    def _ds(self, name: str) -> ufl.Measure:
        return self._discretization.ds(self._domain.tags[name])

    def bilinear(self, theta, phi, u, kappa) -> ufl.Form:
        """What the boundary adds to k(θ, φ)."""
        u_n, both = ufl.dot(u, ufl.FacetNormal(self._domain.mesh)), ufl.inner(theta, phi)
        form = -0.5 * u_n * both * self._discretization.ds
        for name in self._inflow:
            form += 0.5 * (u_n - abs(u_n)) * both * self._ds(name)
        for name, (alpha, _) in self._robin.items():
            form -= alpha * both * self._ds(name)
        for name in self._dirichlet:
            form += self._discretization.dirichlet(theta, phi, u, kappa, self._ds(name))
        return form

    def load(self, phi, u, kappa) -> ufl.Form:
        """What the boundary adds to the load (strong Dirichlet values apart)."""
        u_n = ufl.dot(u, ufl.FacetNormal(self._domain.mesh))
        form = ufl.Form([])
        for name, value in self._inflow.items():
            form += -0.5 * (u_n - abs(u_n)) * value * phi * self._ds(name)
        for name, value in self._flux.items():
            form += value * phi * self._ds(name)
        for name, (alpha, outside) in self._robin.items():
            form += alpha * outside * phi * self._ds(name)
        for name, value in self._dirichlet.items():
            form += self._discretization.dirichlet_load(phi, value, u, kappa, self._ds(name))
        return form


def require_inflow_data(domain: Domain, velocity: Velocity, conditions: Conditions) -> None:
    """Raise :class:`InputError` where the flow enters through a part without data (collective)."""
    given = {*conditions.dirichlet, *conditions.inflow}
    parts = [name for name in domain.tags if name not in given]
    if not parts:
        return
    u, speed = velocity.expression, velocity.largest_speed()
    entering = ufl.max_value(-ufl.dot(u, ufl.FacetNormal(domain.mesh)), 0.0)
    # of one form, as compiling many takes longer: the weights choose a part, and what of it
    weights = fem.Constant(domain.mesh, np.zeros((len(parts), 2)))
    form = jit.form(
        sum(
            (weights[i, 0] * entering + weights[i, 1]) * domain.ds(domain.tags[name])
            for i, name in enumerate(parts)
        )
    )

    def total(*which: int) -> float:
        weights.value[:] = 0.0
        weights.value[which] = 1.0
        return domain.comm.allreduce(fem.assemble_scalar(form), MPI.SUM)

    for i, name in enumerate(parts):
        flow = total(i, 0)
        if flow > NEGLIGIBLE * speed * total(i, 1):
            raise InputError(
                f"physics.velocity: enters through boundary part '{name}' ({flow:.3g} a unit of "
                f"time) where no tracer is given; add physics.inflow.{name} = 0.0, or a value"
            )
