"""Where the time of a run went."""

from __future__ import annotations

import time

from petsc4py import PETSc


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
