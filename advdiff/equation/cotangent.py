"""From a sparse cotangent of K to the gradient of every control.

An engine hands over Ḡ = Σ λθᵀ on the pattern of K (:mod:`advdiff.algebra.pattern`) and dΦ/dF.  For
a scalar Φ of K and F,

    dΦ = Σ_ab Ḡ_ab dK_ab + (dΦ/dF)·dF = Σ_cells Σ_ab Ḡ_ab dk_ab(cell) + …,

and dk_ab is UFL's derivative of the one form k(θ, φ).  Its two arguments become functions that are
discontinuous between cells, one pair for each node a of a cell: φ_a the a-th basis function of
every cell at once, θ_a the a-th row of every cell's block of Ḡ.  Then Σ_a k(θ_a, φ_a), through the
same form and the same assembler as K, once a gradient, gives ∂Φ/∂control for every control, however
many parameters stand behind it.

Where k has terms on the facets between cells, θ_a continues across the facet into the neighbour
with the entries that couple node a to the neighbour's nodes.  A cell has several neighbours, so
the facets are coloured: of one colour, a cell has one facet at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc as fem_petsc
from petsc4py import PETSc

from advdiff.algebra.pattern import PatternCotangent
from advdiff.core import jit
from advdiff.equation.blocks import Blocks
from advdiff.equation.discretization.base import derivative, one_sided, sides
from advdiff.equation.operator import ASSEMBLY

if TYPE_CHECKING:
    from advdiff.equation.operator import Operator


class OperatorCotangent:
    """Receives Ḡ from an engine, and turns it into gradients of the named controls.

    Args:
        operator: assembled; its pattern is that of Ḡ.
        names: controls to differentiate with respect to (``diffusivity``, ``given``, ``stream``,
            ``source``).

    The derivative of Φ = θᵀKθ = -κ∫|∇θ|² with respect to the nodal values of κ, whose sum is Φ/κ:

    >>> import numpy as np
    >>> import advdiff
    >>> from advdiff.config.load import parse
    >>> tables = {"task": "solve", "domain": {"shape": "interval", "cells": [8]}}
    >>> tables |= {"time": {"final": 1.0}, "physics": {"diffusivity": 0.1, "initial": "x"}}
    >>> problem = advdiff.Problem(parse(tables))
    >>> cotangent = OperatorCotangent(problem.operator, ["diffusivity"])
    >>> cotangent.add([problem.initial], [problem.initial])
    >>> gradient = cotangent.pull(None)["diffusivity"]
    >>> gradient.getSize(), round(gradient.sum(), 12)
    (9, -1.0)
    """

    def __init__(self, operator: Operator, names: Sequence[str]):
        self._operator = operator
        self._names = [name for name in names if name != "source"]
        self.pattern = PatternCotangent(operator.generator.stiffness) if self._names else None
        self.gradient: dict[str, PETSc.Vec] = {
            name: operator.controls[name].x.petsc_vec.duplicate() for name in names
        }
        self._dual = fem.Function(operator.space)
        self._load_forms = self._gradients(operator.load_form(self._dual), names)
        if not self._names:
            return
        self._blocks = Blocks(operator)
        value = operator.form(self._blocks.rows, self._blocks.basis)
        self._cell_forms = self._gradients(value, self._names)
        self._facet_forms = [self._gradients(self._across(dS), self._names) for dS in self._dS()]

    def _dS(self) -> list[ufl.Measure]:
        dS = self._operator.discretization.dS
        return [dS.reconstruct(subdomain_data=tags)(1) for tags in self._blocks.colours]

    def _across(self, dS: ufl.Measure) -> ufl.Form:
        """Σ_a k(θ_a, φ_a) on facets, with a on either side of each."""
        rows, basis, across = self._blocks.rows, self._blocks.basis, self._blocks.across
        form = self._operator.facet_form
        plus = form(sides(rows, across), one_sided(basis, "+"), dS)
        return plus + form(sides(across, rows), one_sided(basis, "-"), dS)

    def _gradients(self, value: ufl.Form, names: Sequence[str]) -> dict[str, fem.Form]:
        found = {name: derivative(value, self._operator.controls[name]) for name in names}
        return {name: jit.form(form) for name, form in found.items() if not form.empty()}

    def clear(self) -> None:
        """Ḡ = 0 and all gradients 0."""
        if self.pattern is not None:
            self.pattern.clear()

    @property
    def entries(self) -> np.ndarray | None:
        """Those of Ḡ, None where no control moves K."""
        return None if self.pattern is None else self.pattern.entries

    def add(
        self, left: Sequence[PETSc.Vec], right: Sequence[PETSc.Vec], weight: float = 1.0
    ) -> None:
        """Ḡ += weight · Σ_j left[j] right[j]ᵀ (collective)."""
        if self.pattern is not None:
            self.pattern.add(left, right, weight)

    def pull(self, load: PETSc.Vec | None) -> dict[str, PETSc.Vec]:
        """∂Φ/∂(nodal values) of every named control, dual vectors (collective).

        Args:
            load: ∂Φ/∂F, a vector over the free unknowns; None where F is absent.
        """
        operator = self._operator
        with ASSEMBLY:
            for vector in self.gradient.values():
                with vector.localForm() as local:
                    local.set(0.0)
            if load is None:
                self._dual.x.array[:] = 0.0
            else:
                operator.extend(load, self._dual, boundary=False)
                self._assemble(self._load_forms)
            if self._names:
                self._pull_pattern()
            for vector in self.gradient.values():
                vector.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
        return self.gradient

    def _pull_pattern(self) -> None:
        matrix = self.pattern.matrix()
        blocks = self._blocks
        entries = blocks.entries(matrix, self._dual)
        for first in range(0, blocks.nodes, blocks.width):
            blocks.fill(first, entries)
            self._assemble(self._cell_forms)
            for colour, forms in enumerate(self._facet_forms):
                blocks.fill_across(first, colour, entries)
                self._assemble(forms)
        matrix.destroy()

    def _assemble(self, forms: dict[str, fem.Form]) -> None:
        for name, form in forms.items():
            fem_petsc.assemble_vector(self.gradient[name], form)
