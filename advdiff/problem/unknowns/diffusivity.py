"""Unknown diffusivities: κ = eᵐ, one number or a field."""

from __future__ import annotations

import numpy as np
from dolfinx import fem
from petsc4py import PETSc

from advdiff.core.errors import ConvergenceError
from advdiff.equation.operator import Operator
from advdiff.problem.unknowns.base import coefficients

LARGEST_LOGARITHM = 700.0


def _require_a_double(logarithm: float) -> None:
    if not abs(logarithm) < LARGEST_LOGARITHM:
        raise ConvergenceError(
            f"diffusivity = exp({logarithm:g}) was tried, which is no double; tighten "
            "prior.diffusivity.std or mend the observations"
        )


class LogDiffusivity:
    """κ = eᵐ, one number."""

    name, control, is_field = "log_diffusivity", "diffusivity", False

    def __init__(self, operator: Operator):
        self.comm = operator.domain.comm
        self.function = operator.diffusivity
        self.template = coefficients(self.comm, 1)
        self._direction = fem.Function(self.function.function_space)

    def assign(self, m):
        logarithm = m.sum()
        _require_a_double(logarithm)
        self.function.x.petsc_vec.set(np.exp(logarithm))
        self.function.x.scatter_forward()

    def push(self, dm):
        kappa = self.function.x.petsc_vec.max()[1]
        self._direction.x.petsc_vec.set(kappa * dm.sum())
        self._direction.x.scatter_forward()
        return self._direction

    def pull(self, gradient, out):
        out.set(self.function.x.petsc_vec.max()[1] * gradient.sum())


class LogDiffusivityField:
    """κ = eᵐ at every node."""

    name, control, is_field = "log_diffusivity", "diffusivity", True

    def __init__(self, operator: Operator):
        self.function = operator.diffusivity
        vector = self.function.x.petsc_vec
        self.template = vector.duplicate()
        self.rows = PETSc.IS().createStride(
            vector.getLocalSize(), vector.getOwnershipRange()[0], 1, comm=operator.domain.comm
        )
        self._direction = fem.Function(self.function.function_space)

    def assign(self, m):
        extreme = max((m.max()[1], m.min()[1]), key=abs)
        _require_a_double(extreme)
        vector = self.function.x.petsc_vec
        m.copy(vector)
        vector.exp()
        self.function.x.scatter_forward()

    def push(self, dm):
        self._direction.x.petsc_vec.pointwiseMult(self.function.x.petsc_vec, dm)
        self._direction.x.scatter_forward()
        return self._direction

    def pull(self, gradient, out):
        out.pointwiseMult(self.function.x.petsc_vec, gradient)
