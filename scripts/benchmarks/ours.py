"""The project's engines as forward methods and as gradients: from a bare generator each time.

A run includes everything that depends on the matrix or on the times: bounds, ellipse (its cache is
emptied), filter, factorisation.
"""

from __future__ import annotations

import numpy as np
from case import Case

from advdiff.expm import ellipse, rational_filter
from advdiff.expm.choose import choose
from advdiff.expm.faber import FaberEngine, FaberOptions
from advdiff.expm.mfn import MFNEngine, MFNOptions
from advdiff.expm.pattern import PatternCotangent
from advdiff.expm.shift_invert import ShiftInvert, ShiftInvertOptions

ALL_KEPT = 1e18


def engine(method: str, case: Case, tolerance: float, memory: float = ALL_KEPT):
    """A new engine; nothing is remembered from an earlier one."""
    ellipse.search.cache_clear()
    rational_filter._expand.cache_clear()
    if method == "faber":
        return FaberEngine(case.generator, FaberOptions(tolerance=tolerance, memory=memory))
    if method == "shift-invert":
        return ShiftInvert(case.generator, ShiftInvertOptions(tolerance=tolerance))
    return MFNEngine(case.generator, MFNOptions(type=method, tolerance=tolerance))


def forward(method: str, case: Case, final: float, tolerance: float) -> tuple[list, str]:
    """States as arrays, and what was counted."""
    label = ""
    if method == "auto":
        ellipse.search.cache_clear()
        method = choose(case.generator, case.times(final), tolerance).method
        label = f"{method}, "
    solver = engine(method, case, tolerance)
    solution = solver.forward(case.initial, case.times(final))
    states = [state.array_r.copy() for state in solution.states]
    for state in solution.states:
        state.destroy()
    return states, label + _count(solver, solution.report)


def _count(solver, report: dict) -> str:
    if "products" in report:
        return f"{report['products']} products"
    if "solves" in report:
        solver.destroy()
        return f"{report['solves']} solves"
    # MFN counts restarts; each builds a basis of this dimension
    dimension = report["krylov_dimension"]
    dimension = dimension[1] if isinstance(dimension, tuple) else dimension
    return f"{report['restarts'] * dimension} products"


def gradient(
    method: str, case: Case, final: float, tolerance: float, memory: float = ALL_KEPT
) -> tuple[tuple[np.ndarray, np.ndarray], str]:
    """Gradients of seventeen parameters and of all nodal velocities, and what was counted."""
    if method == "auto":
        ellipse.search.cache_clear()
        rational_filter._expand.cache_clear()
        method = choose(case.generator, case.times(final), tolerance, gradient=True).method
    solver = engine(method, case, tolerance, memory)
    solution = solver.forward(case.initial, case.times(final), record=True)
    cotangent = PatternCotangent(case.generator.stiffness)
    pullback = solver.pull(solution, case.residuals(solution.states), cotangent)
    pullback.initial.destroy()
    label = f"{method}, {_count(solver, solution.report)} forward"
    if method == "shift-invert":
        solution.tape.destroy()
    return case.gradient(cotangent), label
