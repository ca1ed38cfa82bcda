"""What an answer gives to think of: the engine's error, the optimiser, a reduced model, chains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from advdiff.equation.conditions import extremes
from advdiff.equation.discretization import damped
from advdiff.files.concerns import Concern, percent
from advdiff.inverse.stop import UNSEEN, unseen
from advdiff.semigroup.engine import error_estimate

if TYPE_CHECKING:
    from advdiff.inverse.map import Estimate
    from advdiff.problem.problem import Problem

SLACK = 10.0
"""An error estimate may be this much above the tolerance: engines estimate within an order."""
OVERSHOOT = 1e-2
"""Of the width of the data; less is what smooth solutions do on a good mesh."""
MESH = 0.1
"""Relative difference that doubled cells may make; the error itself is some four times less."""
MISFIT = 0.1
"""Error of a negative log likelihood that changes nothing."""


def of_solver(report: Mapping[str, Any]) -> list[Concern]:
    """Of an engine's report."""
    found, error = [], error_estimate(report)
    tolerance = float(report["tolerance"])
    if not error <= SLACK * tolerance:
        found.append(
            Concern(
                "solver-error",
                f"solver {report['method']}: error estimate {error:.1e} above the tolerance "
                f"{report['tolerance']:.1e}; leave out solver.dimension, or shorten time.final",
                error,
            )
        )
    if report.get("notes"):
        found.append(
            Concern(
                "solver-enlarged",
                f"solver {report['method']}: the numerical range was larger than its bounds, and "
                f"was enlarged ({report['notes']}); check with solver.method = 'shift-invert'",
                float(report["largest_norm_ratio"]),
            )
        )
    if "no C compiler" in report.get("backend", ""):
        _, _, why = report["backend"].partition(": ")
        found.append(
            Concern(
                "solver-uncompiled",
                f"solver {report['method']}: {why}; products are PETSc's, and slower: install one, "
                "or name it by CC",
                0.0,
            )
        )
    if "gave up" in report.get("reason", ""):
        found.append(
            Concern(
                "solver-stalled",
                f"solver: {report['reason']}; the result is that of {report['method']}",
                error,
            )
        )
    return found


def of_range(problem: Problem, least: float, largest: float) -> list[Concern]:
    """Of the range that the tracer reached, where the equation keeps it between the least and the
    largest that it starts with or is brought in (collective).
    """
    operator = problem.operator
    if not operator.physics.keeps_bounds():
        return []
    start = problem.samples.values(operator.extend(problem.initial))
    low, high = extremes(operator.physics.conditions)
    low, high = min(low, start.min()[1]), max(high, start.max()[1])
    width = high - low
    excess = max(low - least, largest - high)
    if not excess > OVERSHOOT * width:
        return []
    share = excess / width if width > 0.0 else np.inf
    return [
        Concern(
            "bounds",
            f"the tracer, {least:.3g} … {largest:.3g}, leaves the bounds {low:.3g} … {high:.3g} of "
            f"its data by {percent(share)} of their width: the mesh does not resolve it; refine "
            f"it, or take discretization.method = {damped()}",
            float(share),
        )
    ]


def of_vanishing(largest: float, what: str, remedy: str) -> list[Concern]:
    """Of what is 0 at all output times, by its largest modulus."""
    if largest > 0.0:
        return []
    return [Concern("vanishing", f"{what} is 0 everywhere, at all output times; {remedy}", 0.0)]


def of_mesh(value: float, what: str) -> list[Concern]:
    """Of the difference that cells twice as large make: to θ, or to readings in their noise."""
    limit, unit = {"theta": (MESH, "of the tracer"), "readings": (1.0, "of the noise")}[what]
    if value <= limit:
        return []
    return [
        Concern(
            "mesh-error",
            f"cells twice as large change {what} by {value:.2g} {unit}: the mesh's error is not "
            "small; refine domain.cells or raise discretization.degree",
            value,
        )
    ]


def of_estimate(estimate: Estimate, misfit_error: float) -> list[Concern]:
    """Of an estimate and its misfit's numerical error."""
    found = []
    if not estimate.converged:
        found.append(
            Concern(
                "optimiser-stalled",
                f"the optimiser stopped short: {estimate.message}; go on with --resume and more "
                "optimizer.max_iterations, or tighten solver.tolerance",
                estimate.history[-1].gradient_norm,
            )
        )
    if misfit_error > MISFIT:
        found.append(
            Concern(
                "misfit-error",
                f"the misfit is known to {misfit_error:.2g} only, noise to a half a reading; "
                "tighten solver.tolerance",
                misfit_error,
            )
        )
    return found


def of_unseen(problem: Problem, estimate: Estimate) -> list[Concern]:
    """Of unknowns that no reading depends on, at an estimate (collective): they stand still."""
    unknowns, xi = problem.unknowns, problem.prior.whiten(estimate.m)
    still = [i for i in range(len(unknowns.parts)) if not unknowns.extract(xi, i).norm() > UNSEEN]
    found = unseen(problem.objective, estimate.evaluation, still)
    if not found:
        return []
    return [
        Concern(
            "unseen",
            f"no reading depends on {', '.join(found)}, which the estimate leaves at the prior's "
            "mean; mind where and when there is something to read, or leave it out of unknowns",
            float(len(found)),
        )
    ]


def of_laplace(values: np.ndarray, complete: bool, threshold: float) -> list[Concern]:
    """Of the eigenvalues of a Laplace approximation, and whether those wanted are all there."""
    if complete:
        return []
    least = float(values[-1])
    return [
        Concern(
            "laplace-incomplete",
            f"the Laplace approximation ended at laplace.most = {len(values)} with an eigenvalue "
            f"{least:.2g} above laplace.threshold = {threshold:g}: deviations are too large; raise "
            "laplace.most",
            least,
        )
    ]
