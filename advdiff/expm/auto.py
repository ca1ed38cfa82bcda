"""``method = "auto"``: an engine that chooses between the others once it knows what is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from petsc4py import PETSc

from advdiff.expm.choose import Choice, choose
from advdiff.expm.engine import Cotangent, Engine, Pullback, Solution, checked_times
from advdiff.expm.generator import Generator


class AutoEngine:
    """Chooses by :func:`~advdiff.expm.choose.choose` for the times of a call, and delegates.

    A choice is made once for values and once for derivatives; ``Solution.report`` says which engine
    was chosen, why, and the counts that were predicted.

    Args:
        generator: A.
        tolerance: asked of the states.
        make: method, choice → engine.
    """

    name = "auto"

    def __init__(self, generator: Generator, tolerance: float, make: Callable[[Choice], Engine]):
        self.generator, self._tolerance, self._make = generator, tolerance, make
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
        """See :class:`~advdiff.expm.engine.Engine`; ``record`` asks for the cost of a gradient."""
        choice, engine = self._engine(times, gradient=record)
        return self._reported(engine.forward(initial, times, load, record=record), choice)

    def transpose(self, residuals: Sequence[PETSc.Vec], times: Sequence[float]) -> PETSc.Vec:
        """See :class:`~advdiff.expm.engine.Engine`."""
        return self._engine(times, gradient=True)[1].transpose(residuals, times)

    def push(
        self,
        initial: PETSc.Vec,
        times: Sequence[float],
        stiffness: PETSc.Mat | None = None,
        d_initial: PETSc.Vec | None = None,
        load: PETSc.Vec | None = None,
        d_load: PETSc.Vec | None = None,
    ) -> tuple[Solution, list[PETSc.Vec]]:
        """See :class:`~advdiff.expm.engine.Engine`."""
        choice, engine = self._engine(times, gradient=True)
        solution, tangents = engine.push(initial, times, stiffness, d_initial, load, d_load)
        return self._reported(solution, choice), tangents

    def pull(
        self, solution: Solution, residuals: Sequence[PETSc.Vec], cotangent: Cotangent
    ) -> Pullback:
        """See :class:`~advdiff.expm.engine.Engine`."""
        _, engine = self._engine(solution.times, gradient=True)
        return engine.pull(solution, residuals, cotangent)
