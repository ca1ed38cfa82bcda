"""The affine family of an operator: K(m) = K_0 + Σ_j (f_j(m) − f_j(m̄)) K_j, and F alike.

The K_j are the operator's own derivatives along each unknown, kept as sparse matrices of one
pattern (``assembled``) or by a few numbers a quadrature point (``points``).  Each group of ranks
keeps its share of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import ufl
from petsc4py import PETSc
from ufl.algorithms import expand_derivatives

from advdiff.core.errors import InputError
from advdiff.equation.discretization.base import derivative, sides
from advdiff.equation.operator import Operator
from advdiff.inverse.unknowns import Unknowns
from advdiff.reduced.affine import Affine
from advdiff.reduced.offline.assembled import Assembled
from advdiff.reduced.offline.groups import Groups
from advdiff.reduced.offline.points import Points, Weights


@dataclass
class Term:
    """K_j and F_j (None where there is no load).

    Attributes:
        data: K_j, in the way of the family's ``frame``.
        sign: −1 where K_jᵀ = −K_j (a closed flow), 1 where K_jᵀ = K_j (diffusion), 0 elsewhere.
    """

    data: PETSc.Mat | Weights
    load: PETSc.Vec | None
    sign: int = 0


class Family:
    """The terms of an operator for its unknowns (collective).

    Args:
        operator: is left assembled at ``m``.
        unknowns: coefficients only.
        m: m̄, where A_0 is assembled.
        groups: who keeps which term.

    Attributes:
        frame: how the terms are kept and multiplied.
        diffusivity: at m̄.
        terms: this group's own, those of ``groups.mine(1 + parameter)``; the first of all is A_0.

    Raises:
        InputError: where a field is unknown, or the forms are not affine in what is.
    """

    def __init__(self, operator: Operator, unknowns: Unknowns, m: PETSc.Vec, groups: Groups):
        fields = [part.name for part in unknowns.parts if part.is_field]
        if fields:
            raise InputError(
                f"reduced: the unknown {fields[0]} is a field; a reduced model needs coefficients, "
                "e.g. unknowns.velocity.family = 'sine'"
            )
        _require_affine(operator, unknowns.controls)
        self.operator, self.unknowns, self.groups = operator, unknowns, groups
        sizes = [part.template.getSize() for part in unknowns.parts]
        self._part = np.repeat(np.arange(len(sizes)), sizes)
        exponential = np.concatenate(
            [
                np.broadcast_to(part.is_exponential, size)
                for part, size in zip(unknowns.parts, sizes, strict=True)
            ]
        )
        diffuses = np.array([p.control == "diffusivity" for p in unknowns.parts])[self._part]
        self.affine = Affine(unknowns.to_numpy(m), exponential, exponential & diffuses)
        unknowns.assign(m)
        operator.assemble()
        self.diffusivity = operator.diffusivity.copy()
        self.has_load = operator.load is not None
        self.frame = Points(operator) if Points.suit(operator) else Assembled(operator)
        self.terms = [self._term(index) for index in groups.mine(1 + self.affine.size)]

    @property
    def count(self) -> int:
        """Number of terms, A_0 among them."""
        return 1 + self.affine.size

    def _term(self, index: int) -> Term:
        frame = self.frame
        if index == 0:
            data, load = frame.reference()
            return Term(data, load, frame.sign(data))
        j = index - 1
        unit = np.zeros(self.affine.size)
        unit[j] = 1.0
        vector = self.unknowns.from_numpy(unit)
        p = int(self._part[j])
        part = self.unknowns.parts[p]
        # one part alone: the others' directions vanish
        data, load = frame.along(part.control, part.push(self.unknowns.extract(vector, p)))
        slope = float(self.affine.slopes(self.affine.reference)[j])
        frame.scale(data, 1.0 / slope)
        if load is not None:
            load.scale(1.0 / slope)
        vector.destroy()
        return Term(data, load, frame.sign(data))


def _require_affine(operator: Operator, names: Sequence[str]) -> None:
    """Raise :class:`InputError` where a derivative of the forms still has an unknown in it."""
    trial, test = ufl.TrialFunction(operator.space), ufl.TestFunction(operator.space)
    facets = operator.facet_form(sides(trial), sides(test), operator.discretization.dS)
    forms = [operator.form(trial, test), facets, operator.load_form(test)]
    unknown = {operator.controls[name] for name in names}
    for form in forms:
        for control in unknown:
            if unknown & set(expand_derivatives(derivative(form, control)).coefficients()):
                method = operator.discretization.method
                raise InputError(
                    f"reduced: with method = '{method}' and these boundary conditions the operator "
                    "is not affine in the unknowns; take 'cg' or 'spectral' without inflow"
                )
