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
from advdiff.core.ranks import agreed
from advdiff.domain.fields import interpolate
from advdiff.equation.operator import Operator

LARGEST_LOGARITHM = 700.0


def coefficients(comm, size: int) -> PETSc.Vec:
    """A vector of a few numbers, all on rank 0 (collective)."""
    return PETSc.Vec().createMPI((size if comm.rank == 0 else 0, size), comm=comm)


class Modes:
    """w = w_given + Σ c_i w_i for given fields w_i, w a control; c_i = m_i, or e^{m_i}.

    Args:
        name: of the part.
        operator: its control is what moves.
        control: which.
        modes: w_i, callables or functions in the control's space.
        waves: wave vectors of the modes, shape (mode, axis), where they have some.
        positive: which of the c_i are e^{m_i}; none if left out.
    """

    is_field = False

    def __init__(
        self,
        name: str,
        operator: Operator,
        control: str,
        modes: Sequence[Callable | fem.Function],
        waves: np.ndarray | None = None,
        positive: Sequence[bool] | None = None,
    ):
        self.name, self.control, self.waves = name, control, waves
        self.function = operator.controls[control]
        self.background = self.function.x.petsc_vec.copy()
        self.template = coefficients(operator.domain.comm, len(modes))
        self.is_exponential = np.zeros(len(modes), bool) if positive is None else np.array(positive)
        rows = self.function.x.petsc_vec.getSizes()
        self.basis = PETSc.Mat().createDense(
            (rows, self.template.getSizes()), comm=operator.domain.comm
        )
        space = self.function.function_space
        owned = space.dofmap.index_map.size_local * space.dofmap.index_map_bs
        local = self.basis.getDenseArray()
        for i, mode in enumerate(modes):
            known = isinstance(mode, fem.Function)
            function = mode if known else interpolate(mode, space, f"mode {i}")
            local[:, i] = function.x.array[:owned]
        self.basis.assemble()
        self._direction = fem.Function(space)
        self._slopes = self.template.duplicate()
        self._slopes.set(1.0)

    def factors(self, m: np.ndarray) -> np.ndarray:
        """c of the numbers m, shape (mode,)."""
        exponential = self.is_exponential[: len(m)]  # none of them but on rank 0
        if exponential.any() and not (np.abs(m[exponential]) < LARGEST_LOGARITHM).all():
            raise ConvergenceError(
                f"a positive coefficient of {self.control} = exp({np.abs(m[exponential]).max():g}) "
                "was tried; tighten its std or mend the observations"
            )
        return np.where(exponential, np.exp(np.where(exponential, m, 0.0)), m)

    def _factors(self, m: PETSc.Vec) -> PETSc.Vec:
        here = m.array_r
        with agreed(self.function.function_space.mesh.comm):
            values = self.factors(here)
        result = m.duplicate()
        result.setArray(values)
        self._slopes.setArray(np.where(self.is_exponential[: len(here)], values, 1.0))
        return result

    def assign(self, m, add=False):
        vector = self.function.x.petsc_vec
        factors = self._factors(m) if self.is_exponential.any() else m
        self.basis.multAdd(factors, vector.copy() if add else self.background, vector)
        self.function.x.scatter_forward()

    def push(self, dm):
        change = dm.duplicate()
        change.pointwiseMult(self._slopes, dm)
        self.basis.mult(change, self._direction.x.petsc_vec)
        self._direction.x.scatter_forward()
        return self._direction

    def pull(self, gradient, out):
        self.basis.multTranspose(gradient, out)
        out.pointwiseMult(out, self._slopes)


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

    def assign(self, m, add=False):
        vector = self.function.x.petsc_vec
        if not add:
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
