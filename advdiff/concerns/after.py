"""What an answer gives to think of: the engine's error, the optimiser, a reduced model, chains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from advdiff.concerns import Concern, percent
from advdiff.concerns.before import DIVERGENCE

if TYPE_CHECKING:
    from petsc4py import PETSc

    from advdiff.inverse.map import Estimate
    from advdiff.problem import Problem

SLACK = 10.0
"""An error estimate may be this much above the tolerance: engines estimate within an order."""
OVERSHOOT = 1e-2
"""Of the width of the data; less is what smooth solutions do on a good mesh."""
MESH = 0.1
"""Relative difference that doubled cells may make; the error itself is some four times less."""
RHAT = 1.01
EFFECTIVE = 100
"""Effective draws a chain below which quantiles and R̂ itself are noise (Vehtari et al. 2021)."""
BFMI = 0.3
MISFIT = 0.1
"""Error of a negative log likelihood that changes nothing."""


def error_estimate(report: Mapping[str, Any]) -> float:
    """What a solver's report says of the states' error, relative to the initial norm.

    The bound where there is one, else the estimate, else, for actions that are each made to a
    tolerance, the sum of those.
    """
    for name in ("error_bound", "error_estimate"):
        if name in report:
            return float(report[name])
    if "bound" in report:
        return float(report["bound"] + report["rounding"])
    return float(report["tolerance"] * report.get("actions", 1))


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
    if "gave up" in report.get("reason", ""):
        found.append(
            Concern(
                "solver-stalled",
                f"solver: {report['reason']}; the result is that of {report['method']}",
                error,
            )
        )
    return found


def of_states(problem: Problem, states: Sequence[PETSc.Vec]) -> list[Concern]:
    """Of the tracer's bounds: without sources it stays between the least and the largest that it
    starts with or is brought in (collective).
    """
    operator, samples = problem.operator, problem.samples
    if operator.source is not None or problem.conditions.flux:
        return []
    if operator.velocity.relative_divergence() > DIVERGENCE:
        return []
    function = None

    def range_of(state: PETSc.Vec) -> tuple[float, float]:
        nonlocal function
        function = operator.extend(state, function)
        values = samples.values(function)
        return values.min()[1], values.max()[1]

    lows, highs = zip(operator.boundary_forms.extremes(), range_of(problem.initial), strict=True)
    low, high = min(lows), max(highs)
    reached = [range_of(state) for state in states]
    least, largest = min(r[0] for r in reached), max(r[1] for r in reached)
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
            "it, or take discretization.method = 'dg' or 'cip'",
            float(share),
        )
    ]


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


def of_eigenbasis(condition: float, method: str) -> list[Concern]:
    """Of the condition number of the reduced generator's eigenvectors, and the method asked for."""
    from advdiff.reduced.model import CONDITION

    if condition <= CONDITION or method not in ("auto", "spectral"):
        return []
    what = "its gradients lose as many digits" if method == "spectral" else "it was not used"
    return [
        Concern(
            "eigenbasis",
            f"the eigenbasis of the reduced model has a condition number of up to {condition:.0e}: "
            f"{what}; take reduced.method = 'frechet'",
            condition,
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


def of_chains(file: h5py.File) -> list[Concern]:
    """Of a result with draws and their diagnostics (local)."""
    found, chains = [], len(file["chain"])
    groups = file["diagnostics"]
    rhat = {name: float(np.max(groups[name]["rhat"][()])) for name in groups}
    worst = max(rhat, key=lambda name: _or_infinite(rhat[name]))
    if not rhat[worst] <= RHAT:
        found.append(
            Concern(
                "rhat",
                f"R̂ = {rhat[worst]:.3f} of {worst}, above {RHAT}: the chains have not mixed; "
                "raise sampler.draws and sampler.warmup",
                rhat[worst],
            )
        )
    sizes = {
        name: float(min(np.min(groups[name][kind][()]) for kind in ("ess_bulk", "ess_tail")))
        for name in groups
    }
    least = min(sizes, key=lambda name: -_or_infinite(-sizes[name]))
    if not sizes[least] >= EFFECTIVE * chains:
        found.append(
            Concern(
                "effective-draws",
                f"{sizes[least]:.0f} effective draws of {least}, below {EFFECTIVE} a chain: its "
                "quantiles are uncertain; raise sampler.draws",
                sizes[least],
            )
        )
    stats = file["sample_stats"]
    diverging = int(np.nansum(stats["diverging"][:]))
    if diverging:
        found.append(
            Concern(
                "diverging",
                f"{diverging} trajectories were given up: draws may miss where the posterior is "
                "narrow; lower sampler.step_size, or take sampler.metric = 'laplace'",
                diverging,
            )
        )
    if "bfmi" in stats.attrs and not np.min(stats.attrs["bfmi"]) >= BFMI:
        value = float(np.min(stats.attrs["bfmi"]))
        found.append(
            Concern(
                "energy",
                f"E-BFMI {value:.2f}, below {BFMI}: the energy moves too slowly for heavy tails; "
                "raise sampler.draws, or take sampler.metric = 'laplace'",
                value,
            )
        )
    return found


def _or_infinite(value: float) -> float:
    return value if np.isfinite(value) else np.inf
