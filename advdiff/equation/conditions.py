"""Conditions on the boundary: one class a kind, each for one part of the boundary.

Where none stands κ∂θ/∂n = 0, and what the flow carries out leaves.  A part where it comes in needs
one that says what it carries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI

from advdiff.core.errors import InputError
from advdiff.domain.fields import Field, interpolate, interpolate_positive
from advdiff.domain.mesh import Domain
from advdiff.equation.discretization import Discretization
from advdiff.equation.discretization.base import Medium
from advdiff.equation.velocity import Velocity

NEGLIGIBLE = 1e-6
"""Part of the largest speed; a smaller one across a boundary is taken for interpolation error."""


class Condition:
    """What happens at one part of the boundary (collective).

    Args:
        discretization: whose measure and degree the forms take.
        part: its name.
        fields: the data, callables of coordinates, in the order of ``data``.

    Attributes:
        kind: its table in ``[physics]``.
        data: keys of what it is given there; an empty one: the value itself.
        says_inflow: whether it says what the flow carries in.
        makes_layer: whether a boundary layer forms where the flow leaves against it.
        functions: the data on the mesh.

    Raises:
        InputError: for a part that the mesh has not, or data that it cannot have.
    """

    kind: ClassVar[str]
    data: ClassVar[tuple[str, ...]] = ("",)
    says_inflow: ClassVar[bool] = False
    makes_layer: ClassVar[bool] = False

    def __init__(self, discretization: Discretization, part: str, *fields: Field):
        self.part, self.key, self.fields = part, f"physics.{self.kind}.{part}", fields
        self._discretization = discretization
        domain = discretization.domain
        self.ds = discretization.ds(domain.tag(part, self.key))
        self.normal = ufl.FacetNormal(domain.mesh)
        self.functions = tuple(
            self._read(name, field, f"{self.key}.{name}" if name else self.key)
            for name, field in zip(self.data, fields, strict=True)
        )

    def _read(self, name: str, field: Field, key: str) -> fem.Function:
        """One of ``data`` on the mesh."""
        return interpolate(field, self._discretization.data_space, key)

    def bilinear(self, theta, phi, medium: Medium) -> ufl.Form:
        """What it adds to k(θ, φ)."""
        return ufl.Form([])

    def load(self, phi, medium: Medium) -> ufl.Form:
        """What it adds to l(φ)."""
        return ufl.Form([])

    @property
    def brought(self) -> fem.Function | None:
        """The tracer that it brings in or draws θ to."""
        return None

    def range(self, function: fem.Function) -> tuple[float, float]:
        """Least and largest nodal value of one of ``functions`` on the part (collective)."""
        domain, space = self._discretization.domain, function.function_space
        facets = domain.facets([self.part], self.key)
        values = function.x.array[fem.locate_dofs_topological(space, domain.dim - 1, facets)]
        low, high = values.min(initial=np.inf), values.max(initial=-np.inf)
        return domain.comm.allreduce(low, MPI.MIN), domain.comm.allreduce(high, MPI.MAX)

    def keeps_bounds(self) -> bool:
        """Whether θ stays between what it is and what is brought in."""
        return True


class Dirichlet(Condition):
    """θ = g: held strongly by continuous elements, weakly by discontinuous ones."""

    kind, says_inflow, makes_layer = "dirichlet", True, True

    @property
    def brought(self):
        return self.functions[0]

    def bilinear(self, theta, phi, medium):
        return self._discretization.dirichlet(theta, phi, medium, self.ds)

    def load(self, phi, medium):
        return self._discretization.dirichlet_load(phi, self.functions[0], medium, self.ds)


class Inflow(Condition):
    """Where the flow enters (u·n < 0) it carries θ_in: (u·n)θ − κ∂θ/∂n = (u·n)θ_in."""

    kind, says_inflow = "inflow", True

    @property
    def brought(self):
        return self.functions[0]

    def _entering(self, medium):
        """½(u·n − |u·n|)."""
        u_n = ufl.dot(medium.velocity, self.normal)
        return 0.5 * (u_n - abs(u_n))

    def bilinear(self, theta, phi, medium):
        return self._entering(medium) * ufl.inner(theta, phi) * self.ds

    def load(self, phi, medium):
        return -self._entering(medium) * self.functions[0] * phi * self.ds


class Flux(Condition):
    """κ∂θ/∂n = q, into the domain."""

    kind, makes_layer = "flux", True

    def load(self, phi, medium):
        return self.functions[0] * phi * self.ds

    def keeps_bounds(self):
        return False


class Robin(Condition):
    """κ∂θ/∂n = α(θ_ext − θ), α ≥ 0: else the tracer would grow without bound."""

    kind, data, makes_layer = "robin", ("coefficient", "exterior"), True

    def _read(self, name, field, key):
        kind = self._discretization
        if name == "exterior" or kind.reads_nodes:
            function = super()._read(name, field, key)
        else:
            degree = max(1, kind.degree)
            function, _ = interpolate_positive(field, kind.domain.mesh, degree, key)
        if name == "coefficient":
            self._require_not_negative(function, key)
        return function

    def _require_not_negative(self, function: fem.Function, key: str) -> None:
        smallest, _ = self.range(function)
        if smallest < 0.0:
            raise InputError(f"{key}: {smallest:g} somewhere on '{self.part}'; give α >= 0")

    @property
    def brought(self):
        return self.functions[1]

    def bilinear(self, theta, phi, medium):
        return -self.functions[0] * ufl.inner(theta, phi) * self.ds

    def load(self, phi, medium):
        alpha, outside = self.functions
        return alpha * outside * phi * self.ds


KINDS: dict[str, type[Condition]] = {kind.kind: kind for kind in (Dirichlet, Inflow, Flux, Robin)}


def make(
    discretization: Discretization, **tables: Mapping[str, Field | Sequence[Field]]
) -> list[Condition]:
    """Conditions by kind and part (collective), as ``make(…, flux={"left": q})``.

    Args:
        tables: kind → part → its data: a callable of coordinates, or several.
    """
    return [
        KINDS[kind](discretization, part, *(data if isinstance(data, Sequence) else [data]))
        for kind, table in tables.items()
        for part, data in table.items()
    ]


def held(conditions: Iterable[Condition]) -> dict[str, Field]:
    """Part → the value that is held there."""
    return {c.part: c.fields[0] for c in conditions if isinstance(c, Dirichlet)}


def extremes(conditions: Iterable[Condition]) -> tuple[float, float]:
    """The least and the largest tracer that conditions bring in; (inf, -inf) where none does
    (collective).
    """
    ranges = [c.range(c.brought) for c in conditions if c.brought is not None]
    return min((r[0] for r in ranges), default=np.inf), max((r[1] for r in ranges), default=-np.inf)


def require_inflow_data(
    domain: Domain, velocity: Velocity, conditions: Iterable[Condition]
) -> None:
    """Raise :class:`InputError` where the flow enters through a part without data (collective)."""
    given = {condition.part for condition in conditions if condition.says_inflow}
    parts = [name for name in domain.tags if name not in given]
    if not parts:
        return
    speed = velocity.largest_speed()
    for name in parts:
        _, flow, area = velocity.crossing(name)
        if flow > NEGLIGIBLE * speed * area:
            raise InputError(
                f"physics.velocity: enters through boundary part '{name}' ({flow:.3g} a unit of "
                f"time) where no tracer is given; add physics.inflow.{name} = 0.0, or a value"
            )
