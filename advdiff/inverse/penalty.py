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
        unknowns: the parts of m; those that move the ``given`` velocity count.
        weight: γ, in the units of 1/(∇·u)² per volume.
    """

    def __init__(self, unknowns: Unknowns, weight: float):
        self._unknowns = unknowns
        self._parts = [i for i, p in enumerate(unknowns.parts) if p.control == "given"]
        self._flow = unknowns.parts[self._parts[0]].function
        space = self._flow.function_space
        trial, test = ufl.TrialFunction(space), ufl.TestFunction(space)
        form = jit.form(weight * ufl.div(trial) * ufl.div(test) * ufl.dx)
        self._matrix = fem_petsc.assemble_matrix(form)
        self._matrix.assemble()
        self._product = self._matrix.createVecLeft()

    def _pulled(self, field: PETSc.Vec) -> tuple[float, PETSc.Vec]:
        self._matrix.mult(field, self._product)
        value = 0.5 * field.dot(self._product)
        result = self._unknowns.vector()
        for index in self._parts:
            part = self._unknowns.parts[index]
            local = part.template.duplicate()
            part.pull(self._product, local)
            self._unknowns.insert(local, index, result)
            local.destroy()
        return value, result

    def value_and_gradient(self, m: PETSc.Vec) -> tuple[float, PETSc.Vec]:
        """½γ∫(∇·u)² at m, and its gradient; the velocity is left at m."""
        self._unknowns.assign(m)
        return self._pulled(self._flow.x.petsc_vec)

    def hessian(self, dm: PETSc.Vec) -> PETSc.Vec:
        """Its Hessian times dm."""
        return self._pulled(self._unknowns.push(dm)["given"].x.petsc_vec)[1]
