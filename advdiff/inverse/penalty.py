"""½γ∫(∇·u)²: what holds a nodal velocity close to one without sources."""

from __future__ import annotations

import ufl
from dolfinx.fem import petsc as fem_petsc
from petsc4py import PETSc

from advdiff.core import jit
from advdiff.inverse.unknowns import Unknowns


class DivergencePenalty:
    """The penalty as a function of m (all calls collective).

    Args:
        unknowns: the parts of m.
        index: which part moves the ``given`` velocity.
        weight: γ, in the units of 1/(∇·u)² per volume.
    """

    def __init__(self, unknowns: Unknowns, index: int, weight: float):
        self._unknowns, self._index = unknowns, index
        self._part = unknowns.parts[index]
        space = self._part.function.function_space
        trial, test = ufl.TrialFunction(space), ufl.TestFunction(space)
        form = jit.form(weight * ufl.div(trial) * ufl.div(test) * ufl.dx)
        self._matrix = fem_petsc.assemble_matrix(form)
        self._matrix.assemble()
        self._product = self._matrix.createVecLeft()

    def _pulled(self, field: PETSc.Vec) -> tuple[float, PETSc.Vec]:
        self._matrix.mult(field, self._product)
        value = 0.5 * field.dot(self._product)
        local = self._part.template.duplicate()
        self._part.pull(self._product, local)
        result = self._unknowns.vector()
        self._unknowns.insert(local, self._index, result)
        local.destroy()
        return value, result

    def value_and_gradient(self, m: PETSc.Vec) -> tuple[float, PETSc.Vec]:
        """½γ∫(∇·u)² at m, and its gradient; the velocity is left at m."""
        self._part.assign(self._unknowns.extract(m, self._index))
        return self._pulled(self._part.function.x.petsc_vec)

    def hessian(self, dm: PETSc.Vec) -> PETSc.Vec:
        """Its Hessian times dm."""
        moved = self._part.push(self._unknowns.extract(dm, self._index))
        return self._pulled(moved.x.petsc_vec)[1]
