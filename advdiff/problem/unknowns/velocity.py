"""The parts of the parameter vector: what each is, and how it moves the operator.

* ``Modes``: the velocity as a sum of given fields, sine or Fourier modes;
* ``Nodal``: every nodal value of a stream function, or of the velocity itself;
* ``LogDiffusivity``, ``LogDiffusivityField``: κ = eᵐ, one number or a field;
* ``InitialState``: θ at time 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from dolfinx import fem
from petsc4py import PETSc

from advdiff.domain.fields import interpolate
from advdiff.equation import velocity
from advdiff.equation.operator import Operator
from advdiff.problem.unknowns.base import coefficients


class Modes:
    """w = w_given + Σ m_i w_i for given fields w_i, w a control of the velocity.

    Args:
        operator: its control is what moves.
        control: ``stream`` or ``given``.
        modes: callables w_i.
    """

    name, is_field = "velocity", False

    def __init__(self, operator: Operator, control: str, modes: Sequence[Callable]):
        self.control, self.function = control, operator.controls[control]
        self.background = self.function.x.petsc_vec.copy()
        self.template = coefficients(operator.domain.comm, len(modes))
        rows = self.function.x.petsc_vec.getSizes()
        self.basis = PETSc.Mat().createDense(
            (rows, self.template.getSizes()), comm=operator.domain.comm
        )
        space = self.function.function_space
        owned = space.dofmap.index_map.size_local * space.dofmap.index_map_bs
        local = self.basis.getDenseArray()
        for i, mode in enumerate(modes):
            local[:, i] = interpolate(mode, space, f"mode {i}").x.array[:owned]
        self.basis.assemble()
        self._direction = fem.Function(space)

    def assign(self, m):
        self.basis.multAdd(m, self.background, self.function.x.petsc_vec)
        self.function.x.scatter_forward()

    def push(self, dm):
        self.basis.mult(dm, self._direction.x.petsc_vec)
        self._direction.x.scatter_forward()
        return self._direction

    def pull(self, gradient, out):
        self.basis.multTranspose(gradient, out)


class Nodal:
    """w = w_given + m, every nodal value of m unknown except on the walls, where it is 0.

    Args:
        operator: its control is what moves.
        control: ``stream`` or ``given``.
        open_parts: boundary parts that are no walls.
    """

    name, is_field = "velocity", True

    def __init__(self, operator: Operator, control: str, open_parts: Sequence[str]):
        self.control, self.function = control, operator.controls[control]
        self.background = self.function.x.petsc_vec.copy()
        space = self.function.function_space
        walls = velocity.wall_dofs(operator.domain, space, open_parts)
        index_map, size = space.dofmap.index_map, space.dofmap.index_map_bs
        free = np.setdiff1d(np.arange(index_map.size_local), walls) + index_map.local_range[0]
        rows = (free[:, None] * size + np.arange(size)).ravel()
        self.rows = PETSc.IS().createGeneral(rows.astype(PETSc.IntType), comm=operator.domain.comm)
        part = self.background.getSubVector(self.rows)
        self.template = part.duplicate()
        self.background.restoreSubVector(self.rows, part)
        self._direction = fem.Function(space)

    def _place(self, m, vector):
        part = vector.getSubVector(self.rows)
        part.axpy(1.0, m)
        vector.restoreSubVector(self.rows, part)

    def assign(self, m):
        vector = self.function.x.petsc_vec
        self.background.copy(vector)
        self._place(m, vector)
        self.function.x.scatter_forward()

    def push(self, dm):
        self._direction.x.petsc_vec.set(0.0)
        self._place(dm, self._direction.x.petsc_vec)
        self._direction.x.scatter_forward()
        return self._direction

    def pull(self, gradient, out):
        part = gradient.getSubVector(self.rows)
        part.copy(out)
        gradient.restoreSubVector(self.rows, part)
