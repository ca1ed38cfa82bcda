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

from advdiff.core.errors import ConvergenceError
from advdiff.domain.fields import interpolate
from advdiff.equation import velocity
from advdiff.equation.operator import Operator


def _on_root(comm, size: int) -> PETSc.Vec:
    return PETSc.Vec().createMPI((size if comm.rank == 0 else 0, size), comm=comm)


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
        self.template = _on_root(operator.domain.comm, len(modes))
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
        self.template = _on_root(self.comm, 1)
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


class InitialState:
    """θ0 = m, every free nodal value."""

    name, control, is_field = "initial", "initial", True

    def __init__(self, state: PETSc.Vec):
        self.state = state
        self.template = state.duplicate()

    def assign(self, m):
        m.copy(self.state)

    def push(self, dm):
        return dm.copy()

    def pull(self, gradient, out):
        gradient.copy(out)
