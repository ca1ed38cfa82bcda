"""The transport operator: forms become M, K and F, their derivatives, and gradients.

    k(θ, φ) = −∫κ∇θ·∇φ − ½∫(φ u·∇θ − θ u·∇φ) + what the facets and the boundary add,
    l(φ) = ∫fφ + the boundary's data.

The forms come from a ``Discretization`` and its boundary conditions.
K and F, their derivatives, and the gradient of any scalar of them come from these forms through
UFL's derivative, so they cannot disagree.

Steady Dirichlet values of continuous elements are eliminated: a *state* is a vector over the free
unknowns alone, and the constrained values g enter through F = l + k(g, ·).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc as fem_petsc
from petsc4py import PETSc

from advdiff.algebra.generator import Generator, Mass
from advdiff.core import jit
from advdiff.core.errors import InputError
from advdiff.domain.fields import Field, interpolate
from advdiff.equation.conditions import BoundaryForms, Conditions
from advdiff.equation.discretization import Discretization
from advdiff.equation.discretization.base import Sides, derivative, ruled, sides
from advdiff.equation.velocity import DIVERGENCE, Velocity
from advdiff.semigroup.engine import Change

ASSEMBLY = PETSc.Log.Event("advdiff.assembly")


class Operator:
    """M θ' = K θ + F for one velocity and diffusivity, which may change in place.

    Args:
        discretization: space, forms and mass.
        velocity: u.
        diffusivity: κ, a Lagrange function, positive.
        source: f, or None.
        conditions: on the boundary; none: natural everywhere.

    Attributes:
        space: that of θ.
        controls: the functions that may vary, by name: ``diffusivity``, and ``given`` and
            ``stream`` where the velocity has that part, ``source`` where there is one.
        boundary_forms: the conditions.
        numbering: local unknown of ``space``, ghosts too → its row in K, or −1 where constrained.
    """

    def __init__(
        self,
        discretization: Discretization,
        velocity: Velocity,
        diffusivity: fem.Function,
        source: fem.Function | None = None,
        conditions: Conditions | None = None,
    ):
        self.discretization, self.velocity = discretization, velocity
        self.domain, self.degree = discretization.domain, discretization.degree
        self.diffusivity, self.source = diffusivity, source
        self.space = discretization.space
        self.controls = {"diffusivity": diffusivity}
        for name in ("given", "stream"):
            if getattr(velocity, name) is not None:
                self.controls[name] = getattr(velocity, name)
        if source is not None:
            self.controls["source"] = source
        conditions = Conditions() if conditions is None else conditions
        self.boundary_forms = BoundaryForms(discretization, conditions)
        self._constrain({} if discretization.is_discontinuous else conditions.dirichlet)
        trial, test = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        self._whole = self.form(trial, test) + self.facet_form(
            sides(trial), sides(test), discretization.dS
        )
        self._whole_load = self.load_form(test)
        self._stiffness_form = jit.form(self._whole)
        self._load_form = None if self._whole_load.empty() else jit.form(self._whole_load)
        self._full = fem_petsc.assemble_matrix(self._stiffness_form)
        self._full.assemble()
        self._total = fem.Function(self.space)
        self.mass = self._restricted_mass()
        self._constant = self.state(lambda x: np.ones(x.shape[1]), "1")
        self._peclet_bound = velocity.peclet_bound(diffusivity)
        self._stiffness: PETSc.Mat | None = None
        self.load: PETSc.Vec | None = None
        self.generator: Generator | None = None

    def form(self, theta, phi) -> ufl.Form:
        """k(θ, φ) on cells and boundary, as UFL; of vectors, the sum over their components."""
        u, kappa = self.velocity.expression, self.diffusivity
        cells = self.discretization.cells(theta, phi, u, kappa)
        return ruled(cells + self.boundary_forms.bilinear(theta, phi, u, kappa))

    def facet_form(self, theta: Sides, phi: Sides, dS: ufl.Measure) -> ufl.Form:
        """k(θ, φ) on facets between cells, as UFL; empty where there is nothing."""
        u, kappa = self.velocity.expression, self.diffusivity
        return self.discretization.facets(theta, phi, u, kappa, dS)

    def load_form(self, phi) -> ufl.Form:
        """l(φ) as UFL; empty where there is nothing."""
        form = self.boundary_forms.load(phi, self.velocity.expression, self.diffusivity)
        if self.source is not None:
            form += self.source * phi * self.discretization.dx
        return ruled(form)

    # what only a push needs, made for the first one

    @cached_property
    def _directions(self) -> dict[str, fem.Function]:
        return {n: fem.Function(c.function_space) for n, c in self.controls.items()}

    @cached_property
    def _direction_forms(self) -> dict[str, fem.Form]:
        return self._along(self._whole)

    @cached_property
    def _load_direction_forms(self) -> dict[str, fem.Form]:
        return self._along(self._whole_load)

    @cached_property
    def _full_direction(self) -> PETSc.Mat:
        return self._full.duplicate()

    def _along(self, form: ufl.Form) -> dict[str, fem.Form]:
        """Control → the form's derivative along its direction, where it has one."""
        derivatives = {
            name: derivative(form, control, self._directions[name])
            for name, control in self.controls.items()
        }
        return {name: jit.form(d) for name, d in derivatives.items() if not d.empty()}

    def _constrain(self, dirichlet: Mapping[str, Field]) -> None:
        self.boundary = fem.Function(self.space)
        dofmap = self.space.dofmap
        self._constrained = np.zeros(
            dofmap.index_map.size_local + dofmap.index_map.num_ghosts, dtype=bool
        )
        for name, value in dirichlet.items():
            key = f"physics.dirichlet.{name}"
            facets = self.domain.facets([name], key)
            dofs = fem.locate_dofs_topological(self.space, self.domain.dim - 1, facets)
            self._constrained[dofs] = True
            values = interpolate(value, self.space, key)
            self.boundary.x.array[dofs] = values.x.array[dofs]
        self.boundary.x.scatter_forward()
        owned = self._constrained[: dofmap.index_map.size_local]
        start = dofmap.index_map.local_range[0]
        free = np.flatnonzero(~owned).astype(PETSc.IntType) + start
        comm = self.domain.comm
        self.is_constrained = comm.allreduce(int(owned.sum())) > 0
        number = fem.Function(self.space)
        number.x.array[:] = -1.0
        number.x.array[free - start] = comm.exscan(len(free)) or 0
        number.x.array[free - start] += np.arange(len(free))
        number.x.scatter_forward()
        self.numbering = np.rint(number.x.array).astype(np.int64)
        self.free = PETSc.IS().createGeneral(free, comm=comm)
        if self.free.getSize() == 0:
            raise InputError("physics.dirichlet: every unknown is constrained; nothing is left")

    def _restricted_mass(self) -> Mass:
        mass = self.discretization.mass()
        if isinstance(mass, PETSc.Vec):
            return Mass(self._restrict_vector(mass))
        return Mass(self._restrict_matrix(mass))

    def _restrict_matrix(self, matrix: PETSc.Mat, out: PETSc.Mat | None = None) -> PETSc.Mat:
        if not self.is_constrained:
            return matrix
        return matrix.createSubMatrix(self.free, self.free, submat=out)

    def _restrict_vector(self, vector: PETSc.Vec, out: PETSc.Vec | None = None) -> PETSc.Vec:
        part = vector.getSubVector(self.free)
        out = part.duplicate() if out is None else out
        part.copy(out)
        vector.restoreSubVector(self.free, part)
        return out

    def keeps_bounds(self) -> bool:
        """Whether the equation itself, on any mesh, keeps θ between the least and the largest that
        it starts with or is brought in (collective); each term and condition has its say.
        """
        return (
            self.source is None
            and self.boundary_forms.keeps_bounds()
            and self.velocity.relative_divergence() <= DIVERGENCE
        )

    # -- states ---------------------------------------------------------------------------------

    def restrict(self, function: fem.Function, out: PETSc.Vec | None = None) -> PETSc.Vec:
        """The state (free unknowns) of a function of ``space`` (collective)."""
        return self._restrict_vector(function.x.petsc_vec, out)

    def extend(
        self, state: PETSc.Vec, out: fem.Function | None = None, *, boundary: bool = True
    ) -> fem.Function:
        """The function of a state, with the Dirichlet values, or zero there (collective)."""
        out = fem.Function(self.space) if out is None else out
        vector = out.x.petsc_vec
        if self.is_constrained:
            if boundary:
                self.boundary.x.petsc_vec.copy(vector)
            else:
                vector.set(0.0)
        part = vector.getSubVector(self.free)
        state.copy(part)
        vector.restoreSubVector(self.free, part)
        out.x.scatter_forward()
        return out

    def state(self, field: Field, key: str) -> PETSc.Vec:
        """The state that interpolates a field (collective)."""
        return self.restrict(interpolate(field, self.space, key))

    # -- the matrix, its derivative, and the gradient -------------------------------------------

    def assemble(self) -> Generator:
        """K and F for the present controls (collective); also kept in ``generator``, ``load``.

        Raises:
            InputError: if κ is not positive everywhere.
        """
        smallest = self.diffusivity.x.petsc_vec.min()[1]
        if not smallest > 0.0:
            raise InputError(
                f"physics.diffusivity: {smallest:g} somewhere in the domain; it must be positive"
            )
        with ASSEMBLY:
            self._full.zeroEntries()
            fem_petsc.assemble_matrix(self._full, self._stiffness_form)
            self._full.assemble()
            self._stiffness = self._restrict_matrix(self._full, self._stiffness)
            forms = [] if self._load_form is None else [self._load_form]
            self.load = self._assemble_load(self._full, forms)
            bound = self.discretization.flow_factor * self._peclet_bound()
        self.generator = Generator(
            self._stiffness, self.mass, bound, self.domain.dim, self._constant
        )
        return self.generator

    def _assemble_load(self, matrix: PETSc.Mat, forms: Sequence[fem.Form]) -> PETSc.Vec | None:
        """The forms' vectors, and the matrix times the Dirichlet values; None where neither is."""
        if not self.is_constrained and self._load_form is None:
            return None
        total = self._total.x.petsc_vec
        with total.localForm() as local:
            local.set(0.0)
        for form in forms:
            fem_petsc.assemble_vector(total, form)
        total.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
        if self.is_constrained:
            matrix.multAdd(self.boundary.x.petsc_vec, total, total)
        return self._restrict_vector(total)

    def push(self, directions: Mapping[str, fem.Function]) -> Change:
        """dK and dF along directions of the controls (collective).

        Args:
            directions: control → direction, a function of the control's space.

        Returns:
            dK over the free unknowns (overwritten by the next call; None without a direction), and
            dF (None without Dirichlet values and source); the initial state does not move.
        """
        if not directions:
            return Change()
        with ASSEMBLY:
            self._full_direction.zeroEntries()
            for name, direction in directions.items():
                direction.x.petsc_vec.copy(self._directions[name].x.petsc_vec)
                self._directions[name].x.scatter_forward()
                if name in self._direction_forms:
                    fem_petsc.assemble_matrix(self._full_direction, self._direction_forms[name])
                self._full_direction.assemble()
            forms = [f for n, f in self._load_direction_forms.items() if n in directions]
            load = self._assemble_load(self._full_direction, forms)
        return Change(None, self._restrict_matrix(self._full_direction), load)
