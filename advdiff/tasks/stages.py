"""How far an inversion is, and where the time of a run went."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from petsc4py import PETSc

from advdiff.config.tables.inversion import OptimizerTable
from advdiff.core import progress
from advdiff.core.progress import Say
from advdiff.inverse.map import Iteration
from advdiff.inverse.stop import Stop


class Descent:
    """Says every iteration of an optimiser, and moves the bar towards its stop.

    Args:
        table: [optimizer], of which it takes the stop.
        bar: the stage of the inversion.
        more: what else a line says, before the seconds.
    """

    def __init__(
        self, say: Say, table: OptimizerTable, bar: Any, more: Callable[[], str] = lambda: ""
    ):
        self._say, self._bar, self._more = say, bar, more
        self._stop = Stop(table.distance_tolerance, table.gradient_tolerance)
        self._first: float | None = None

    def __call__(self, entry: Iteration, _m: Any) -> None:
        """Of one iteration and its m."""
        self._first = first = self._first or entry.gradient_norm or 1.0
        wanted = self._stop.target(first) / first
        progress.descent(self._bar, entry.iteration, entry.gradient_norm / first, wanted)
        self._say(
            f"iteration   {entry.iteration:4d}  objective {entry.objective:12.6g}  misfit "
            f"{entry.misfit:12.6g}  gradient {entry.gradient_norm:9.3e}{self._more()}  "
            f"{entry.seconds:7.1f} s"
        )


class TimeSplit:
    """Seconds on this rank since it was made, in assembly, forward, adjoint and the rest."""

    stages = ("assembly", "forward", "adjoint")

    def __init__(self) -> None:
        self._start, self._began = self._logged(), time.perf_counter()

    def _logged(self) -> dict[str, float]:
        return {n: PETSc.Log.Event(f"advdiff.{n}").getPerfInfo()["time"] for n in self.stages}

    def seconds(self) -> dict[str, float]:
        """Stage → seconds; ``optimiser`` is what none of the others took."""
        split = {n: now - self._start[n] for n, now in self._logged().items()}
        split["optimiser"] = time.perf_counter() - self._began - sum(split.values())
        return split
