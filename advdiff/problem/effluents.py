"""What sensors read beside the concentration where they are: it depends on the flow and on κ.

What leaves has the flux concentration c_f = c − (n·D∇c)/u_n (Kreft & Zuber, Chem. Eng. Sci. 33,
1978), with n along the flow at a point, and the outer normal on a boundary part; a mixed effluent
is its mean, or that of c, weighted by the outflow max(u·n, 0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc as fem_petsc
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.core import jit
from advdiff.core.errors import InputError
from advdiff.domain.locate import Cells
from advdiff.equation.discretization.base import derivative
from advdiff.equation.operator import Operator

Directions = Mapping[str, fem.Function]
"""Control → its direction."""


class _At:
    """Functions of one space at points of this rank: values and gradients, and the way back."""

    def __init__(self, space: fem.FunctionSpace, cells, reference, inverse):
        self._size = space.dofmap.index_map_bs
        self._dofs = space.dofmap.list[cells]
        dim = reference.shape[1]
        at = reference if len(reference) else np.zeros((1, dim))  # basix ends on none
        table = space.element.basix_element.tabulate(1, at)[:, : len(reference), :, 0]
        self._values = table[0]
        self._slopes = np.einsum("apn,pad->pnd", table[1:], inverse)

    def _entries(self, function: fem.Function) -> np.ndarray:
        return function.x.array.reshape(-1, self._size)[self._dofs]

    def values(self, function: fem.Function) -> np.ndarray:
        """Shape (point, component)."""
        return np.einsum("pn,pnc->pc", self._values, self._entries(function))

    def slopes(self, function: fem.Function) -> np.ndarray:
        """∂/∂x_d of the first component, shape (point, dim)."""
        return np.einsum("pnd,pn->pd", self._slopes, self._entries(function)[..., 0])

    def back_values(self, weights: np.ndarray, out: PETSc.Vec) -> None:
        """Σ weights · values as a dual vector, added; weights (point, component)."""
        self._add(np.einsum("pn,pc->pnc", self._values, weights), out)

    def back_slopes(self, weights: np.ndarray, out: PETSc.Vec) -> None:
        """The same of the gradients; weights (point, dim)."""
        self._add(np.einsum("pnd,pd->pn", self._slopes, weights)[..., None], out)

    def _add(self, entries: np.ndarray, out: PETSc.Vec) -> None:
        with out.localForm() as local:
            np.add.at(local.array_w.reshape(-1, self._size), self._dofs, entries)


def _cleared(vector: PETSc.Vec) -> PETSc.Vec:
    with vector.localForm() as local:
        local.set(0.0)
    return vector


def _collected(vector: PETSc.Vec) -> PETSc.Vec:
    vector.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
    return vector


class Dispersed:
    """−(u·D∇c)/|u|² at points: what the flux concentration is beside c.

    Args:
        operator: whose controls it depends on.
        owned: cells of this rank.
        where: cell, reference coordinates and sensor of this rank's points.
        names: of all sensors, for messages.

    All methods are collective; ``assemble`` comes first, and whenever a control has changed.
    """

    def __init__(self, operator: Operator, owned: Cells, where, names: Sequence[str]):
        cells, reference, self._sensor = where
        self._operator, self._names = operator, names
        inverse = owned.inverse_jacobians(cells, reference)
        spaces = {name: c.function_space for name, c in operator.controls.items()}
        self._maps = {
            name: _At(spaces[name], cells, reference, inverse)
            for name in ("given", "stream", "diffusivity")
            if name in spaces
        }
        self._state = _At(operator.space, cells, reference, inverse)
        self._dual = operator.states.boundary.x.petsc_vec.duplicate()

    def _flow(self, functions: Directions) -> np.ndarray:
        flow = np.zeros((len(self._sensor), self._operator.domain.dim))
        if functions.get("given") is not None and "given" in self._maps:
            flow += self._maps["given"].values(functions["given"])
        if functions.get("stream") is not None and "stream" in self._maps:
            slopes = self._maps["stream"].slopes(functions["stream"])
            flow += np.column_stack([slopes[:, 1], -slopes[:, 0]])
        return flow

    def assemble(self) -> None:
        """For the present controls.

        Raises:
            InputError: naming a sensor where nothing flows.
        """
        controls = self._operator.controls
        self._u = self._flow(controls)
        self._kappa = self._maps["diffusivity"].values(controls["diffusivity"])
        self._square = np.sum(self._u**2, axis=1, keepdims=True)
        still = np.zeros(len(self._names))
        still[self._sensor[self._square[:, 0] == 0.0]] = 1.0
        still = self._operator.domain.comm.allreduce(still)
        if still.any():
            raise InputError(
                f"observations.file: {self._names[int(np.argmax(still))]} reads a flux where the "
                "velocity is 0; give physics.velocity or a prior mean, or remove 'flux'"
            )

    def _summed(self, values: np.ndarray) -> np.ndarray:
        found = np.bincount(self._sensor, values, minlength=len(self._names))
        return self._operator.domain.comm.allreduce(found)

    def read(self, function: fem.Function) -> np.ndarray:
        """Shape (sensor,)."""
        slopes = self._state.slopes(function)
        along = np.sum(self._u * slopes, axis=1)
        return self._summed(-self._kappa[:, 0] * along / self._square[:, 0])

    def spread(self, weights: np.ndarray) -> PETSc.Vec:
        """Its transpose on weights (sensor,), a vector of the whole space."""
        vector = _cleared(self._dual)
        way = self._kappa * self._u / self._square
        self._state.back_slopes(-way * weights[self._sensor, None], vector)
        return _collected(vector)

    def push(self, directions: Directions, function: fem.Function) -> np.ndarray:
        """Its change along directions of the controls, shape (sensor,)."""
        d_u, d_kappa = self._flow(directions), 0.0
        if "diffusivity" in directions:
            d_kappa = self._maps["diffusivity"].values(directions["diffusivity"])
        turned = 2.0 * np.sum(self._u * d_u, axis=1, keepdims=True) / self._square
        way = (d_kappa * self._u + self._kappa * (d_u - turned * self._u)) / self._square
        return self._summed(-np.sum(way * self._state.slopes(function), axis=1))

    def pull(self, table: np.ndarray, functions, gradient: Mapping[str, PETSc.Vec]) -> None:
        """Σ_k table[k]·∂(reading of state k) added to the gradient of every control."""
        slopes = np.zeros_like(self._u)
        for weights, function in zip(table, functions, strict=True):
            slopes += weights[self._sensor, None] * self._state.slopes(function)
        along = np.sum(self._u * slopes, axis=1, keepdims=True) / self._square
        by_u = -self._kappa * (slopes - 2.0 * along * self._u) / self._square
        for name in sorted(set(gradient) & set(self._maps)):
            part = _cleared(self._operator.controls[name].x.petsc_vec.duplicate())
            if name == "stream":
                turned = np.column_stack([-by_u[:, 1], by_u[:, 0]])
                self._maps[name].back_slopes(turned, part)
            else:
                self._maps[name].back_values(-along if name == "diffusivity" else by_u, part)
            gradient[name].axpy(1.0, _collected(part))


class Effluent:
    """The mean over a boundary part, of c or of its flux concentration, weighted by the outflow.

    Args:
        operator: whose controls it depends on.
        tag: of the part.
        is_flux: whether what disperses across the part counts.
        sensor: its number, of ``count``.
        name: for messages.

    Methods as those of :class:`Dispersed`.
    """

    def __init__(self, operator: Operator, tag: int, is_flux: bool, sensor: int, count: int, name):
        self._operator, self._sensor, self._count, self._name = operator, sensor, count, name
        domain, medium = operator.domain, operator.physics.inside
        normal, ds = ufl.FacetNormal(domain.mesh), domain.ds(tag)
        u_n = ufl.dot(medium.velocity, normal)
        out = ufl.max_value(u_n, 0.0)

        def passing(theta):
            whole = out * theta * ds
            if not is_flux:
                return whole
            dispersed = ufl.dot(medium.flux(ufl.grad(theta)), normal)
            return whole - ufl.conditional(ufl.gt(u_n, 0.0), dispersed, 0.0) * ds

        self._state = fem.Function(operator.space)
        self._row_form = jit.form(passing(ufl.TestFunction(operator.space)))
        self._row = self._state.x.petsc_vec.duplicate()
        self._out_form = jit.form(out * ds)
        self._forms = (passing(self._state), out * ds)
        self._directions: dict[str, fem.Function] = {}
        self._compiled: dict[tuple[str, bool], list[fem.Form | None]] = {}

    def assemble(self) -> None:
        """For the present controls.

        Raises:
            InputError: where nothing flows out.
        """
        comm = self._operator.domain.comm
        self._out = comm.allreduce(fem.assemble_scalar(self._out_form), MPI.SUM)
        if not self._out > 0.0:
            raise InputError(
                f"observations.file: {self._name} is weighted by the outflow, and the velocity "
                "nowhere leaves there; give physics.velocity, name another part, or give a place"
            )
        fem_petsc.assemble_vector(_cleared(self._row), self._row_form)
        _collected(self._row).scale(1.0 / self._out)

    def _one(self, value: float) -> np.ndarray:
        found = np.zeros(self._count)
        found[self._sensor] = value
        return found

    def read(self, function: fem.Function) -> np.ndarray:
        return self._one(self._row.dot(function.x.petsc_vec))

    def spread(self, weights: np.ndarray) -> PETSc.Vec:
        vector = self._row.copy()
        vector.scale(weights[self._sensor])
        return vector

    def _derivatives(self, name: str, is_pushed: bool) -> list[fem.Form | None]:
        """Of what passes and of the outflow, along a direction or by test functions."""
        if (name, is_pushed) not in self._compiled:
            control, along = self._operator.controls[name], None
            if is_pushed:
                along = self._directions[name] = fem.Function(control.function_space)
            found = [derivative(form, control, along) for form in self._forms]
            self._compiled[name, is_pushed] = [None if d.empty() else jit.form(d) for d in found]
        return self._compiled[name, is_pushed]

    def push(self, directions: Directions, function: fem.Function) -> np.ndarray:
        self._state.x.array[:] = function.x.array
        value, changes = float(self.read(function)[self._sensor]), np.zeros(2)
        for name, direction in directions.items():
            forms = self._derivatives(name, True)
            direction.x.petsc_vec.copy(self._directions[name].x.petsc_vec)
            self._directions[name].x.scatter_forward()
            changes += [0.0 if form is None else fem.assemble_scalar(form) for form in forms]
        passed, out = self._operator.domain.comm.allreduce(changes)
        return self._one((passed - value * out) / self._out)

    def pull(self, table: np.ndarray, functions, gradient: Mapping[str, PETSc.Vec]) -> None:
        self._state.x.array[:] = 0.0
        for weights, function in zip(table, functions, strict=True):
            self._state.x.array[:] += weights[self._sensor] * function.x.array
        value = float(self.read(self._state)[self._sensor])
        for name, vector in gradient.items():
            for form, factor in zip(self._derivatives(name, False), (1.0, -value), strict=True):
                if form is not None:
                    part = _cleared(vector.duplicate())
                    fem_petsc.assemble_vector(part, form)
                    vector.axpy(factor / self._out, _collected(part))
