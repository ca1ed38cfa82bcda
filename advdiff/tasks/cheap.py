"""A reduced model's potential for chains of a flow: cheap, and corrected by the exact accept step.

The basis is made of the full model's states at the maximum a posteriori and at a few points about
it.  The reduced model is dense and small: the group's root evaluates it, so that all its ranks see
the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from petsc4py import PETSc

from advdiff.core.ranks import on_root
from advdiff.inverse.likelihood import Gaussian, Likelihood
from advdiff.inverse.unknowns import Unknowns
from advdiff.problem.problem import Problem
from advdiff.reduced import ReducedModel
from advdiff.reduced.offline.groups import Groups
from advdiff.reduced.offline.reducer import ReducedOptions, Reducer


class ReducedPotential:
    """Φ of a reduced model, with the calls of a ``Potential`` that chains make.

    Args:
        model: the reduced model, the same on all ranks.
        unknowns: of the full one.
        likelihood: of its readings.
    """

    def __init__(self, model: ReducedModel, unknowns: Unknowns, likelihood: Likelihood):
        self.model, self.unknowns, self.likelihood = model, unknowns, likelihood
        self._comm = unknowns.comm.tompi4py()

    def value(self, m: PETSc.Vec) -> float:
        """Φ alone (collective)."""
        values = self.unknowns.to_numpy(m)
        return on_root(
            self._comm, lambda: self.likelihood.value(self.model.linearise(values).predicted)
        )

    def linearise(self, m: PETSc.Vec) -> tuple[float, PETSc.Vec, None]:
        """Φ and ∇Φ (collective)."""
        values = self.unknowns.to_numpy(m)

        def both():
            at = self.model.linearise(values)
            slope = self.likelihood.slope(at.predicted)
            return self.likelihood.value(at.predicted), at.pull(slope)

        value, gradient = on_root(self._comm, both)
        return value, self.unknowns.from_numpy(gradient), None


def reduce(problem: Problem, points: Sequence[PETSc.Vec]) -> ReducedPotential:
    """The potential of a reduced model from the full one's states at these m (collective).

    Raises:
        InputError: where a field is unknown.
    """
    table = problem.experiment.reduced.model_dump(exclude={"compare", "model"})
    # no bound is asked for: the exact model has the last word
    options = replace(ReducedOptions(**table), residuals="none")
    offline = Reducer(problem.model, problem.prior, options, Groups(problem.comm))
    values = [problem.unknowns.to_numpy(m) for m in points]
    offline.enrich([offline.evaluate(m) for m in values])
    readings = problem.readings
    likelihood = Gaussian(readings.values, readings.std)
    return ReducedPotential(offline.reduced, problem.unknowns, likelihood)
