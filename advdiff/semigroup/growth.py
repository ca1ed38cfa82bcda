"""Whether a solution grows that may not: a check of matrix and engine by what the theory forbids.

Where ⟨Ax, x⟩ ≤ ω‖x‖² for all x, as the equation says, ‖θ(t)‖ ≤ e^{ωt}(‖θ0‖ + t‖f‖) for a load f and
ω ≥ 0.  A matrix whose symmetric part has an eigenvalue above ω has states that break the first,
and what grows by it comes to be one of them.  An engine that is wrong may break the second.
"""

from __future__ import annotations

import math

from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.core.errors import ConvergenceError
from advdiff.semigroup.engine import Solution

ROUNDING = 1e-12
"""Of ‖K‖ in xᵀKx."""
SLACK = 1e-2
"""By how much a norm may exceed its bound, beside the error that an engine may make."""
LARGEST_EXPONENT = 600.0


def require_bounded(
    generator: Generator,
    solution: Solution,
    initial: PETSc.Vec,
    load: PETSc.Vec | None,
    growth: float,
) -> None:
    """Raise where states grow faster than they can (collective; a product and a norm each).

    Args:
        initial, load: θ0 and F that the solution comes from.
        growth: ω; infinite: nothing is known, and nothing checked.

    Raises:
        ConvergenceError: naming the rate.
    """
    if not math.isfinite(growth):
        return
    mass, stiffness = generator.mass, generator.stiffness
    moved, start, source = generator.vector(), mass.norm(initial), 0.0
    if load is not None:
        mass.solve(load, moved)
        source = mass.norm(moved)
    slack = SLACK + 10.0 * float(solution.report.get("tolerance", 0.0))
    rounding = ROUNDING * stiffness.norm(PETSc.NormType.NORM_INFINITY)
    for t, state in zip(solution.times, solution.states, strict=True):
        size = mass.norm(state)
        stiffness.mult(state, moved)
        work = moved.dot(state) - growth * size**2
        if work > rounding * state.dot(state):
            rate = work / size**2
            raise ConvergenceError(
                f"the tracer's L2 norm grows at t = {t:g}, at a rate of {rate:.2g}, where "
                f"the equation allows {growth:g}: the matrix is not that of the equation; refine "
                "the mesh where the diffusivity changes, or take discretization.degree = 1"
            )
        bound = math.exp(min(max(growth, 0.0) * t, LARGEST_EXPONENT)) * (start + t * source)
        if size > (1.0 + slack) * bound:
            raise ConvergenceError(
                f"the tracer's L2 norm at t = {t:g} is {size:.3g}, where the equation allows "
                f"{bound:.3g}; take another solver.method"
            )
    moved.destroy()
