"""The norm in which residuals are measured: dual to the energy that diffusion takes away.

    S = ∫κ̄∇θ·∇φ + δ∫θφ,        ‖r‖₋² = ⟨r, S⁻¹r⟩

with the diffusivity κ̄ at the family's reference and a small δ, for constants have no gradient.
A sketch needs random fields g with covariance S⁻¹.  They are S⁻¹b, b = ∫(√κ̄ η·∇φ + √δ η₀φ) with η
white at the quadrature points, which makes the covariance of b the sum that S is.  The signs of η
are a hash of the point's position, the same for any number of ranks.
"""

from __future__ import annotations

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc as fem_petsc
from petsc4py import PETSc

from advdiff.algebra.direct import cholesky
from advdiff.core import jit
from advdiff.core.random import GOLDEN, mix
from advdiff.domain.mesh import Domain
from advdiff.domain.quadrature import Quadrature
from advdiff.equation.operator import Operator

_FINE = 2.0**30  # positions are told apart to this fraction of the domain
INWARDS = 1.0 / 128.0
"""How far a point is moved to the middle of its cell: on a facet there is one for each cell."""


class Energy:
    """S of an operator (collective).

    Args:
        operator: whose states are measured.
        diffusivity: κ̄.
        shift: δ, a rate.
    """

    def __init__(self, operator: Operator, diffusivity: fem.Function, shift: float):
        self._operator = operator
        domain, space = operator.domain, operator.space
        mesh, slots = domain.mesh, 1 + domain.dim
        kappa = diffusivity.function_space.element.basix_element.degree
        rule = {"quadrature_rule": "default", "quadrature_degree": 2 * operator.degree + kappa}
        rule |= operator.discretization.dx.metadata()
        points = Quadrature(mesh, rule, slots)
        dx = points.dx
        theta, phi = ufl.TrialFunction(space), ufl.TestFunction(space)
        energy = diffusivity * ufl.dot(ufl.grad(theta), ufl.grad(phi)) + shift * theta * phi
        full = fem_petsc.assemble_matrix(jit.form(energy * dx))
        full.assemble()
        full = operator.states.block(full)
        self._ksp = cholesky(full, "advdiff_reduced_energy_")
        self._noise = fem.Function(points.space)
        slope = ufl.as_vector([self._noise[1 + i] for i in range(domain.dim)])
        load = ufl.sqrt(diffusivity) * ufl.dot(slope, ufl.grad(phi))
        self._load = jit.form((load + np.sqrt(shift) * self._noise[0] * phi) * dx)
        self._order = points.order
        self._heights = 1.0 / np.sqrt(points.weights)[self._order]
        position = jit.expression(ufl.SpatialCoordinate(mesh), points.places)
        positions = position.eval(mesh, points.cells)
        positions = np.reshape(positions, (len(points.cells), len(points.places), -1))
        inner = positions + INWARDS * (positions.mean(axis=1, keepdims=True) - positions)
        self._places = inner.reshape(-1, inner.shape[2]).T

    def solve(self, load: PETSc.Vec, out: PETSc.Vec) -> None:
        """out = S⁻¹ load (collective)."""
        self._ksp.solve(load, out)

    def random(self, seed: int) -> PETSc.Vec:
        """A state of covariance S⁻¹ (collective)."""
        operator, load = self._operator, fem.Function(self._operator.space)
        values = self._noise.x.array.reshape(-1, len(self._places) + 1)
        for slot in range(values.shape[1]):
            signs = _signs(values.shape[1] * seed + slot, operator.domain, self._places)
            values[self._order, slot] = self._heights * signs
        load.x.array[:] = 0.0
        fem_petsc.assemble_vector(load.x.petsc_vec, self._load)
        load.x.petsc_vec.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
        state = operator.restrict(load)
        result = state.duplicate()
        self.solve(state, result)
        return result


def _signs(seed: int, domain: Domain, places: np.ndarray) -> np.ndarray:
    """±1 at some places, a hash of the position.

    A cell at the seam of a periodic box has coordinates at either end: both hash alike.

    Args:
        places: shape (dim, place).
    """
    lower, upper = domain.bounds
    size = np.array(upper - lower)
    periods = getattr(domain.mesh, "periods", {})

    with np.errstate(over="ignore"):
        first = GOLDEN * np.uint64(seed + 1)
        state = np.full(places.shape[1], first, dtype=np.uint64)
        for axis in range(domain.dim):
            place = np.rint((places[axis] - lower[axis]) / size[axis] * _FINE).astype(np.int64)
            if axis in periods:
                place %= int(_FINE)
            state = mix(state + place.view(np.uint64))
    return 1.0 - 2.0 * (state >> np.uint64(63)).astype(float)
