"""The project's engines as forward methods and as gradients: from a bare generator each time.

A run includes everything that depends on the matrix or on the times: bounds, ellipse (its cache is
emptied), filter, factorisation.
"""

from __future__ import annotations

import numpy as np
from case import Case

from advdiff.algebra.pattern import PatternCotangent
from advdiff.semigroup.choose import choose
from advdiff.semigroup.faber import ellipse
from advdiff.semigroup.faber.engine import FaberEngine, FaberOptions
from advdiff.semigroup.mfn.engine import MFNEngine, MFNOptions
from advdiff.semigroup.rational import design
from advdiff.semigroup.rational.engine import ShiftInvert, ShiftInvertOptions

ALL_KEPT = 1e18


def _solver(
    method: str, case: Case, final: float, tolerance: float, memory: float, *, gradient: bool
):
    """A new engine, nothing remembered from an earlier one; and what was chosen."""
    ellipse.search.cache_clear()
    design._expand.cache_clear()
    generator, found, label = case.generator, None, ""
    if method == "auto":
        choice = choose(generator, case.times(final), tolerance, gradient=gradient)
        method, found, label = choice.method, choice.ellipse, f"{choice.method}, "
    if method == "faber":
        options = FaberOptions(tolerance=tolerance, memory=memory)
        return FaberEngine(generator, options, ellipse=found), label
    if method == "shift-invert":
        return ShiftInvert(generator, ShiftInvertOptions(tolerance=tolerance)), label
    return MFNEngine(generator, MFNOptions(type=method, tolerance=tolerance)), label


def forward(method: str, case: Case, final: float, tolerance: float) -> tuple[list, str]:
    """States as arrays, and what was counted."""
    solver, label = _solver(method, case, final, tolerance, ALL_KEPT, gradient=False)
    solution = solver.forward(case.initial, case.times(final))
    states = [state.array_r.copy() for state in solution.states]
    for state in solution.states:
        state.destroy()
    return states, label + _count(solver, solution.report)


def _count(solver, report: dict) -> str:
    if "products" in report:
        return f"{report['products']} products"
    solver.destroy()
    return f"{report['solves']} solves"


def gradient(
    method: str, case: Case, final: float, tolerance: float, memory: float = ALL_KEPT
) -> tuple[tuple[np.ndarray, np.ndarray], str]:
    """Gradients of seventeen parameters and of all nodal velocities, and what was counted."""
    solver, label = _solver(method, case, final, tolerance, memory, gradient=True)
    solution = solver.forward(case.initial, case.times(final), record=True)
    cotangent = PatternCotangent(case.generator.stiffness)
    pullback = solver.pull(solution, case.residuals(solution.states), cotangent)
    pullback.initial.destroy()
    if hasattr(solution.tape, "destroy"):
        solution.tape.destroy()
    return case.gradient(cotangent), label + _count(solver, solution.report) + " forward"
