"""What is conserved is conserved: an engine whose states keep their mean where nothing leaves.

Engines approximate and round, and in the direction of the constants both add up, step by step or
solve by solve, to ε t‖A‖ or to the tolerance.  There the answer is known
(:mod:`advdiff.algebra.constants`):

    ⟨1, y_k⟩ = ⟨1, θ0⟩ + t_k 1ᵀF,      1ᵀ Σ_k e^{t_k Aᵀ} r_k = Σ_k 1ᵀ r_k,

and whatever engine it was, its states are given it by a constant, its dual vectors by a multiple
of M1: the two are transposes of each other.  A derivative along dK has no mean if dK keeps the
constants too, as all do that the equation can make of a box and leave it closed.  Along any other
dK the engine's own stands: its mean is no rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from petsc4py import PETSc

from advdiff.algebra.constants import Constants, constants
from advdiff.semigroup.engine import Change, Cotangent, Engine, Pullback, Solution


class Closed:
    """The ``Engine`` protocol over another engine, whose attributes it has.

    Whether the constants are kept is seen from the matrices at every call, so that K may change.

    Args:
        engine: which does the work.
    """

    def __init__(self, engine: Engine):
        self.engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def forward(
        self,
        initial: PETSc.Vec,
        times: Sequence[float],
        load: PETSc.Vec | None = None,
        *,
        record: bool = False,
    ) -> Solution:
        """See ``Engine``; the report of a closed box has ``drift``, the largest mean that was
        corrected, relative to the largest norm of a state."""
        solution = self.engine.forward(initial, times, load, record=record)
        kept = constants(self.engine.generator)
        if kept is not None:
            self._correct(kept, solution, initial, load)
        return solution

    def transpose(self, residuals: Sequence[PETSc.Vec], times: Sequence[float]) -> PETSc.Vec:
        """See :class:`~advdiff.semigroup.engine.Engine`."""
        total = self.engine.transpose(residuals, times)
        kept = constants(self.engine.generator)
        if kept is not None:
            kept.set_total(total, sum(map(kept.total, residuals)))
        return total

    def push(
        self,
        initial: PETSc.Vec,
        times: Sequence[float],
        change: Change,
        load: PETSc.Vec | None = None,
    ) -> tuple[Solution, list[PETSc.Vec]]:
        """See :class:`~advdiff.semigroup.engine.Engine`."""
        solution, tangents = self.engine.push(initial, times, change, load)
        kept = constants(self.engine.generator)
        if kept is not None:
            self._correct(kept, solution, initial, load)
            if change.stiffness is None or kept.kept_by(change.stiffness):
                kept.set_means(tangents, solution.times, change.initial, change.load)
        return solution, tangents

    def pull(
        self, solution: Solution, residuals: Sequence[PETSc.Vec], cotangent: Cotangent
    ) -> Pullback:
        """See :class:`~advdiff.semigroup.engine.Engine`."""
        pullback = self.engine.pull(solution, residuals, cotangent)
        kept = constants(self.engine.generator)
        if kept is not None:
            sums = list(map(kept.total, residuals))
            kept.set_total(pullback.initial, sum(sums))
            if pullback.load is not None:
                pairs = zip(solution.times, sums, strict=True)
                kept.set_mean(pullback.load, sum(t * s for t, s in pairs) / kept.volume)
        return pullback

    def _correct(
        self, kept: Constants, solution: Solution, initial: PETSc.Vec, load: PETSc.Vec | None
    ) -> None:
        drift = kept.set_means(solution.states, solution.times, initial, load)
        norm = self.engine.generator.mass.norm
        size = max(map(norm, (initial, *solution.states)))
        solution.report["drift"] = drift * kept.volume**0.5 / size if size > 0.0 else 0.0
