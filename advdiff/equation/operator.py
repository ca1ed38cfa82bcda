"""The transport operator: forms become M, K and F, their derivatives, and gradients.

    k(θ, φ) = −∫κ∇θ·∇φ − ½∫(φ u·∇θ − θ u·∇φ) + what the facets and the boundary add,
    l(φ) = ∫fφ + the boundary's data.

The forms come from a ``Discretization`` of a ``Physics``.
K and F, their derivatives, and the gradient of any scalar of them come from these forms through
UFL's derivative, so they cannot disagree.

K and F are over states, the free unknowns; held Dirichlet values g enter through F = l + k(g, ·).
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
from advdiff.domain.fields import Field, Uniform
from advdiff.domain.quadrature import points_of
from advdiff.equation.conditions import held
from advdiff.equation.discretization import Discretization
from advdiff.equation.discretization.base import Sides, derivative, ruled, sides
from advdiff.equation.physics import Physics
from advdiff.equation.states import States
from advdiff.semigroup.engine import Change

ASSEMBLY = PETSc.Log.Event("advdiff.assembly")


class Operator:
    """M θ' = K θ + F for one velocity and diffusivity, which may change in place.

    Args:
        discretization: space, forms and mass.
        physics: velocity, diffusion, source and conditions.

    Attributes:
        space: that of θ.
        velocity, diffusivity, source, controls: those of the physics.
        states: the free unknowns: those that K and F are over.

    Units are yours: κ in length² over time, K in what M has over time.

    On eight cells cos πx is an eigenvector of A, with the value -κ·256 sin²(π/16), about -κπ²:

    >>> import advdiff
    >>> from advdiff.config.load import parse
    >>> tables = {"task": "solve", "domain": {"shape": "interval", "cells": [8]}}
    >>> tables |= {"time": {"final": 1.0}, "physics": {"diffusivity": 0.1, "initial": "cos(pi*x)"}}
    >>> problem = advdiff.Problem(parse(tables))
    >>> operator, theta = problem.operator, problem.initial
    >>> slope = theta.duplicate()
    >>> operator.generator.mult(theta, slope)
    >>> round(slope.dot(theta) / theta.dot(theta), 4)
    -0.9743
    """

    def __init__(self, discretization: Discretization, physics: Physics):
        self.discretization, self.physics = discretization, physics
        self.domain, self.degree = discretization.domain, discretization.degree
        self.velocity, self.diffusivity = physics.velocity, physics.diffusivity
        self.source, self.controls = physics.source, physics.controls
        self.space = discretization.space
        strong = {} if discretization.is_discontinuous else held(physics.conditions)
        self.states = States(self.domain, self.space, strong)
        trial, test = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        self._whole = self.form(trial, test) + self.facet_form(
            sides(trial), sides(test), discretization.dS
        )
        self._whole_load = self.load_form(test)
        self._stiffness_form = jit.form(self._whole)
        self._load_form = None if self._whole_load.empty() else jit.form(self._whole_load)
        self._full: PETSc.Mat | None = None
        self._total = fem.Function(self.space)
        self.mass = self._restricted_mass()
        self._constant = self.state(Uniform(1.0), "1")
        self._stiffness: PETSc.Mat | None = None
        self.load: PETSc.Vec | None = None
        self.generator: Generator | None = None

    def form(self, theta, phi) -> ufl.Form:
        """k(θ, φ) on cells and boundary, as UFL; of vectors, the sum over their components."""
        return ruled(self.physics.bilinear(self.discretization, theta, phi))

    def facet_form(self, theta: Sides, phi: Sides, dS: ufl.Measure) -> ufl.Form:
        """k(θ, φ) on facets between cells, as UFL; empty where there is nothing."""
        return self.discretization.facets(theta, phi, self.physics.between, dS)

    def load_form(self, phi) -> ufl.Form:
        """l(φ) as UFL; empty where there is nothing."""
        return ruled(self.physics.load(self.discretization, phi))

    def cell_points(self) -> np.ndarray:
        """Where in the reference cell K and its derivatives look at the controls."""
        form = self.form(ufl.TrialFunction(self.space), ufl.TestFunction(self.space))
        rules = [part.metadata() for part in form.integrals() if part.integral_type() == "cell"]
        return np.concatenate([points_of(self.domain.mesh, rule) for rule in rules])

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

    def _restricted_mass(self) -> Mass:
        mass = self.discretization.mass(self.physics.storage)
        if isinstance(mass, PETSc.Vec):
            return Mass(self.states.rows(mass))
        return Mass(self.states.block(mass))

    # -- states ---------------------------------------------------------------------------------

    def restrict(self, function: fem.Function, out: PETSc.Vec | None = None) -> PETSc.Vec:
        """:meth:`States.restrict`."""
        return self.states.restrict(function, out)

    def extend(
        self, state: PETSc.Vec, out: fem.Function | None = None, *, boundary: bool = True
    ) -> fem.Function:
        """:meth:`States.extend`."""
        return self.states.extend(state, out, boundary=boundary)

    def state(self, field: Field, key: str) -> PETSc.Vec:
        """:meth:`States.state`."""
        return self.states.state(field, key)

    # -- the matrix, its derivative, and the gradient -------------------------------------------

    def assemble(self) -> Generator:
        """K and F for the present controls (collective); also kept in ``generator``, ``load``.

        Raises:
            InputError: if κ is not positive everywhere.
        """
        self.physics.require_positive()
        with ASSEMBLY:
            if self._full is None:
                self._full = fem_petsc.assemble_matrix(self._stiffness_form)
                # new vectors of it are laid out by what the mesh owns, who outlives it so
                self._full.setAttr("mesh", self.domain.mesh)
            else:
                self._full.zeroEntries()
                fem_petsc.assemble_matrix(self._full, self._stiffness_form)
            self._full.assemble()
            self._stiffness = self.states.block(self._full, self._stiffness)
            forms = [] if self._load_form is None else [self._load_form]
            self.load = self._assemble_load(self._full, forms)
            bound = self._bound()
        self.generator = self._generator(bound)
        return self.generator

    def replace(self, csr: tuple[np.ndarray, ...], load: np.ndarray) -> Generator:
        """K and F as somebody else has computed them for the present controls (collective).

        Args:
            csr: the rows of K here.
            load: the entries of F here, where there is an F.
        """
        self.physics.require_positive()
        self._stiffness.setValuesCSR(*csr)
        self._stiffness.assemble()
        if self.load is not None:
            self.load.array[:] = load
        return self._generator(self._bound())

    def _bound(self) -> float:
        return self.discretization.flow_factor * self.physics.peclet_bound()

    def _generator(self, bound: float) -> Generator:
        """K as it stands: one object as long as K is one, so that engines may stay."""
        if self.generator is None or self.generator.stiffness is not self._stiffness:
            points = None  # of nodal values alone
            if self.space.element.basix_element.interpolation_is_identity:
                points = self.space.tabulate_dof_coordinates()[self.states.own, : self.domain.dim]
            self.generator = Generator(
                self._stiffness, self.mass, bound, self.domain.dim, self._constant, points
            )
        self.generator.flow_bound = bound
        return self.generator

    def _assemble_load(self, matrix: PETSc.Mat, forms: Sequence[fem.Form]) -> PETSc.Vec | None:
        """The forms' vectors, and the matrix times the Dirichlet values; None where neither is."""
        if not self.states.is_constrained and self._load_form is None:
            return None
        total = self._total.x.petsc_vec
        with total.localForm() as local:
            local.set(0.0)
        for form in forms:
            fem_petsc.assemble_vector(total, form)
        total.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
        if self.states.is_constrained:
            matrix.multAdd(self.states.boundary.x.petsc_vec, total, total)
        return self.states.rows(total)

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
        return Change(None, self.states.block(self._full_direction), load)
