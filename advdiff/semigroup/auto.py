"""``method = "auto"``: an engine that chooses between the others once it knows what is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.semigroup.choose import Choice, choose
from advdiff.semigroup.engine import (
    Change,
    Cotangent,
    Engine,
    EngineOptions,
    Pullback,
    Solution,
    checked_times,
)


@dataclass(frozen=True)
class AutoOptions(EngineOptions):
    """What the choice goes by: the tolerance of the states."""

    tolerance: float = 1e-8


class AutoEngine:
    """Chooses by :func:`~advdiff.semigroup.choose.choose` for the times of a call, and delegates.

    A choice is made once for values and once for derivatives; ``Solution.report`` says which engine
    was chosen, why, and the counts that were predicted.

    Args:
        generator: A.
        options: see :class:`AutoOptions`.
        make: method, choice → engine.
    """

    name = "auto"
    names, Options = (name,), AutoOptions
    needs_diagonal_mass, factorises, has_exact_gradients = False, False, True

    def __init__(
        self, generator: Generator, options: AutoOptions, make: Callable[[Choice], Engine]
    ):
        self.generator, self._tolerance, self._make = generator, options.tolerance, make
        self._chosen: dict[tuple, tuple[Choice, Engine]] = {}

    def _engine(self, times: Sequence[float], *, gradient: bool) -> tuple[Choice, Engine]:
        times = checked_times(times)
        key = (times, gradient)
        if key not in self._chosen:
            choice = choose(self.generator, times, self._tolerance, gradient=gradient)
            self._chosen[key] = (choice, self._make(choice))
        return self._chosen[key]

    @staticmethod
    def _reported(solution: Solution, choice: Choice) -> Solution:
        predicted = {f"predicted_{name}": value for name, value in choice.predicted.items()}
        solution.report |= {"reason": choice.reason, **predicted}
        return solution

    def forward(
        self,
        initial: PETSc.Vec,
        times: Sequence[float],
        load: PETSc.Vec | None = None,
        *,
        record: bool = False,
    ) -> Solution:
        """See ``Engine``; ``record`` asks for the cost of a gradient."""
        choice, engine = self._engine(times, gradient=record)
        return self._reported(engine.forward(initial, times, load, record=record), choice)

    def transpose(self, residuals: Sequence[PETSc.Vec], times: Sequence[float]) -> PETSc.Vec:
        """See :class:`~advdiff.semigroup.engine.Engine`."""
        return self._engine(times, gradient=True)[1].transpose(residuals, times)

    def push(
        self,
        initial: PETSc.Vec,
        times: Sequence[float],
        change: Change,
        load: PETSc.Vec | None = None,
    ) -> tuple[Solution, list[PETSc.Vec]]:
        """See :class:`~advdiff.semigroup.engine.Engine`."""
        choice, engine = self._engine(times, gradient=True)
        solution, tangents = engine.push(initial, times, change, load)
        return self._reported(solution, choice), tangents

    def pull(
        self, solution: Solution, residuals: Sequence[PETSc.Vec], cotangent: Cotangent
    ) -> Pullback:
        """See :class:`~advdiff.semigroup.engine.Engine`."""
        _, engine = self._engine(solution.times, gradient=True)
        return engine.pull(solution, residuals, cotangent)
