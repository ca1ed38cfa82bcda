"""How m moves a control of the operator: the coordinates that kinds of unknowns are made of.

* ``Modes``: the control as a sum of given fields;
* ``Nodal``: every nodal value of the control, some of them held;
* ``LogNumber``, ``LogField``: a positive control, eᵐ, one number or a field.

A field has ``space`` and ``rows``, where its numbers stand in that space.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from dolfinx import fem
from petsc4py import PETSc

from advdiff.core.errors import ConvergenceError
from advdiff.domain.fields import interpolate
from advdiff.equation.operator import Operator

LARGEST_LOGARITHM = 700.0


def coefficients(comm, size: int) -> PETSc.Vec:
    """A vector of a few numbers, all on rank 0 (collective)."""
    return PETSc.Vec().createMPI((size if comm.rank == 0 else 0, size), comm=comm)


class Modes:
    """w = w_given + Σ m_i w_i for given fields w_i, w a control.

    Args:
        name: of the part.
        operator: its control is what moves.
        control: which.
        modes: callables w_i.
        waves: wave vectors of the modes, shape (mode, axis), where they have some.
    """

    is_field = is_exponential = False

    def __init__(
        self,
        name: str,
        operator: Operator,
        control: str,
        modes: Sequence[Callable],
        waves: np.ndarray | None = None,
    ):
        self.name, self.control, self.waves = name, control, waves
        self.function = operator.controls[control]
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
    """w = w_given + m, w a control, m unknown at every node but those that are held.

    Args:
        name: of the part.
        operator: its control is what moves.
        control: which.
        held: local nodes where m is 0.
    """

    is_field, is_exponential = True, False

    def __init__(self, name: str, operator: Operator, control: str, held: Sequence[int] = ()):
        self.name, self.control, self.function = name, control, operator.controls[control]
        self.background = self.function.x.petsc_vec.copy()
        self.space = space = self.function.function_space
        index_map, size = space.dofmap.index_map, space.dofmap.index_map_bs
        free = np.setdiff1d(np.arange(index_map.size_local), held) + index_map.local_range[0]
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


class _Log:
    """A control eᵐ.

    Args:
        operator: its control is what moves.
        control: which, positive.
    """

    is_exponential = True

    def __init__(self, operator: Operator, control: str):
        self.name, self.control = f"log_{control}", control
        self.function = operator.controls[control]
        self.space = self.function.function_space
        self._direction = fem.Function(self.space)

    def _require_a_double(self, logarithm: float) -> None:
        if not abs(logarithm) < LARGEST_LOGARITHM:
            raise ConvergenceError(
                f"{self.control} = exp({logarithm:g}) was tried, which is no double; tighten "
                f"prior.{self.control}.std or mend the observations"
            )


class LogNumber(_Log):
    """A control eᵐ, the same everywhere."""

    is_field = False

    def __init__(self, operator: Operator, control: str):
        super().__init__(operator, control)
        self.template = coefficients(operator.domain.comm, 1)

    def assign(self, m):
        logarithm = m.sum()
        self._require_a_double(logarithm)
        self.function.x.petsc_vec.set(np.exp(logarithm))
        self.function.x.scatter_forward()

    def push(self, dm):
        value = self.function.x.petsc_vec.max()[1]
        self._direction.x.petsc_vec.set(value * dm.sum())
        self._direction.x.scatter_forward()
        return self._direction

    def pull(self, gradient, out):
        out.set(self.function.x.petsc_vec.max()[1] * gradient.sum())


class LogField(_Log):
    """A control eᵐ, m unknown at every node."""

    is_field = True

    def __init__(self, operator: Operator, control: str):
        super().__init__(operator, control)
        vector = self.function.x.petsc_vec
        self.template = vector.duplicate()
        self.rows = PETSc.IS().createStride(
            vector.getLocalSize(), vector.getOwnershipRange()[0], 1, comm=operator.domain.comm
        )

    def assign(self, m):
        self._require_a_double(max((m.max()[1], m.min()[1]), key=abs))
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
