"""Unknown positive quantities, by their logarithms: one number, or a field."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from dolfinx import fem

from advdiff.problem.unknowns.base import Kind, Number, Taken
from advdiff.problem.unknowns.parts import LogField, LogNumber


class Positive(Kind):
    """A control of the operator that is log-normal, ``true`` or ``"field"`` in ``[unknowns]``.

    The prior's mean is the logarithm of ``[physics]``; a field's has a correlation length.

    Attributes:
        key: of the control too, and in ``[physics]``.
        degree: of the elements of a field.
    """

    degree: ClassVar[int] = 1

    @property
    def controls(self):
        return {self.key: self.degree if self.table == "field" else None} if self.table else {}

    def taken(self, size, states):
        return Taken(nodes=size.nodes) if self.table == "field" else Taken()

    def parts(self, problem):
        return [(LogField if self.table == "field" else LogNumber)(problem.operator, self.key)]

    def prior(self, problem, part):
        from advdiff.inverse.matern import Matern
        from advdiff.inverse.prior import Independent

        mean = part.template.duplicate()
        if part.is_field:
            part.function.x.petsc_vec.copy(mean)
            mean.log()
            length = self.law.correlation_length or 0.2 * problem.domain.extent
            return Matern(part.space, part.rows, self.law.std, length), mean
        mean.set(math.log(getattr(self.experiment.physics, self.key)))
        std = part.template.duplicate()
        std.set(self.law.std)
        return Independent(std), mean

    def is_there(self, problem):
        return self.key in problem.operator.controls

    def present(self, problem) -> fem.Function:
        return problem.operator.controls[self.key]

    def sampled(self, problem, value):
        return problem.samples.values(value)

    def difference(self, problem, value, truth):
        norm = problem.domain.norm
        return norm(value - truth) / norm(truth)

    def recovery(self, problem, truth):
        return super().recovery(problem, truth) if self.is_unknown else None

    def numbers(self, problem, coefficients):
        if self.table is not True:
            return {}
        value = self.present(problem).x.petsc_vec.max()[1]
        return {self.title: Number(value, f"log_{self.key}", slope=value)}

    def true_coefficients(self, problem, part, truth):
        value = getattr(self.experiment.truth, self.key)
        return np.log([value]) if isinstance(value, float) else None
