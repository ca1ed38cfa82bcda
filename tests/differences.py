"""Differences along a direction, for tests of derivatives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from petsc4py import PETSc


def central(
    function: Callable[[PETSc.Vec], float | np.ndarray], m: PETSc.Vec, way: PETSc.Vec, step: float
) -> float | np.ndarray:
    """(f(m + h·way) − f(m − h·way))/2h."""
    ends = []
    for sign in (1, -1):
        moved = m.copy()
        moved.axpy(sign * step, way)
        ends.append(function(moved))
    return (ends[0] - ends[1]) / (2 * step)
