"""How far a surrogate of ρ is from ρ: a bound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import basix.ufl
import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.core import compat, jit
from advdiff.core.errors import InputError
from advdiff.domain.quadrature import largest
from advdiff.equation.operator import Operator
from advdiff.equation.velocity import Velocity
from advdiff.sensitivity.constants import Kernel

CROSSING = 1e-10
"""Part of the largest speed; a smaller one across the boundary is rounding."""


class Bound(NamedTuple):
    """A bound on an error in L² and the argument it comes from."""

    value: float
    reason: str


@dataclass(frozen=True)
class Remainder:
    """What bounds r(t) and r̂(t); infinite where there is no proof.

    Attributes:
        gap: g.
        norm: ‖J‖ in L².
        flow: P' = max |v|²/κ of the direction's velocity.
        spread: max |dκ|/κ of the direction's diffusivity.
    """

    gap: float
    norm: float
    flow: float
    spread: float

    def long(self, t: float) -> Bound:
        """r(t)."""
        decay, energy = math.exp(-self.gap * t), 1.0 + 2.0 * self.gap * t
        by_energy = math.sqrt(0.5 * self.flow * t * energy) + 0.5 * self.spread * energy
        return least(
            Bound(decay * t * self.norm, "operator norm"), Bound(decay * by_energy, "energy")
        )

    def short(self, t: float) -> Bound:
        """r̂(t)."""
        by_energy = math.sqrt(2.0 * self.flow) * t**1.5 / 3.0 + math.exp(-0.5) * self.spread * t
        return least(Bound(0.5 * t**2 * self.norm, "operator norm"), Bound(by_energy, "energy"))


def least(*bounds: Bound) -> Bound:
    return min(bounds, key=lambda bound: bound.value)


def remainder_of(
    operator: Operator, kernel: Kernel, matrix: PETSc.Mat, directions: Mapping[str, fem.Function]
) -> Remainder:
    domain = operator.domain
    lower, upper = domain.bounds
    smallest = operator.physics.least_diffusion()
    gap = kernel.gap(smallest / float(np.sum((upper - lower) ** 2)))
    if not gap > 0.0:
        raise InputError(
            f"sensitivity.method: the problem does not dissipate (gap {gap:.2g}); a surrogate "
            "needs that; take method = 'recurrence'"
        )
    flow, spread = math.inf, math.inf
    has_energy = kernel.holds(matrix) and operator.discretization.has_energy()
    if has_energy and _crossing(operator, operator.velocity) <= CROSSING:
        velocity = {n: f for n, f in directions.items() if n in ("given", "stream")}
        flow = _flow(operator, Velocity(domain, **velocity)) if velocity else 0.0
        spread = 0.0
        if "diffusivity" in directions:
            points = None if operator.physics.is_linear else operator.cell_points()
            spread = operator.physics.spread(directions["diffusivity"], points)
    return Remainder(gap, kernel.norm(matrix), flow, spread)


def _crossing(operator: Operator, flow: Velocity) -> float:
    """∮|u·n| relative to the largest speed and the boundary's size (collective)."""
    domain, speed = operator.domain, flow.largest_speed()
    normal, one = ufl.FacetNormal(domain.mesh), fem.Constant(domain.mesh, 1.0)
    forms = (abs(ufl.dot(flow.expression, normal)) * domain.ds, one * domain.ds)
    crossing, size = (
        domain.comm.allreduce(fem.assemble_scalar(jit.form(form)), MPI.SUM) for form in forms
    )
    return crossing / (speed * size) if speed * size > 0.0 else 0.0


def _flow(operator: Operator, direction: Velocity) -> float:
    """max |v|²/κ where the forms look: infinite where that is not known, and for v with a part
    across walls.
    """
    domain, discretization = operator.domain, operator.discretization
    if _crossing(operator, direction) > CROSSING:
        return math.inf
    is_linear, v = direction.given is None, direction.expression
    degree = discretization.largest_at(is_linear)
    if degree is None:
        return math.inf
    if is_linear and not operator.physics.is_linear:
        points = operator.cell_points()
    else:
        element = basix.ufl.element("Lagrange", domain.mesh.basix_cell(), degree)
        points = compat.interpolation_points(fem.functionspace(domain.mesh, element))
    return largest(domain, ufl.dot(v, v) / operator.diffusivity, points)
