"""[laplace] of an inversion: what the run says of it, and ``/laplace`` in the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from petsc4py import PETSc

from advdiff.concerns.after import of_laplace
from advdiff.core import progress
from advdiff.core.progress import Say
from advdiff.inverse.laplace import Laplace, approximate
from advdiff.inverse.map import Estimate
from advdiff.problem.problem import Problem
from advdiff.problem.unknowns.base import Kind, components
from advdiff.results.spread import Directions, Spread, standard_deviations
from advdiff.results.store import Store

SEEN = 1e-3
"""Eigenvalues that are looked at for few numbers: their standard deviations are right to 0.1 %."""
BAND = 1.959963984540054
"""Standard deviations either side of the mean that hold 95 % of a Gaussian."""


FEW = 12
"""Unknown numbers whose standard deviations are said without being asked for."""


class Uncertainty(NamedTuple):
    """What is known of an estimate's uncertainty.

    ``std``: of m, None where it was not looked at; ``write`` puts the rest into a result.
    """

    std: PETSc.Vec | None = None
    write: Callable[[Store], None] = lambda file: None


def uncertainty(problem: Problem, say: Say, estimate: Estimate) -> Uncertainty:
    """[laplace] where a file has it, else the standard deviations of few numbers (collective)."""
    if problem.experiment.laplace is not None:
        return laplace(problem, say, estimate)
    unknowns = problem.unknowns
    if not (unknowns.is_small and unknowns.size <= FEW):
        return Uncertainty()
    with progress.stage("spread"):
        found = approximate(problem.objective, estimate.m, threshold=SEEN, most=FEW)
    variances = np.zeros(unknowns.size)
    for i, unit in enumerate(np.eye(unknowns.size)):
        direction = unknowns.from_numpy(unit)
        variances[i] = found.covariance(direction).dot(direction)
    return Uncertainty(unknowns.from_numpy(np.sqrt(variances)))


def laplace(problem: Problem, say: Say, estimate: Estimate) -> Uncertainty:
    """The Laplace approximation at the estimate (collective)."""
    table = problem.experiment.laplace
    with progress.stage("laplace", unit="directions"):
        found = approximate(
            problem.objective,
            estimate.m,
            threshold=table.threshold,
            most=table.most,
            seed=table.seed,
        )
    pairs, readings = found.pairs, problem.readings
    end = f"below {table.threshold:g}" if pairs.complete else f"at laplace.most = {table.most}"
    largest = f", the largest {pairs.values[0]:.3g}" if len(pairs.values) else ""
    say(
        f"laplace     {len(pairs.values)} of {problem.unknowns.size} directions{largest}, ended "
        f"{end}; {pairs.products} Hessian products"
    )
    for line in problem.concerns.add(of_laplace(pairs.values, pairs.complete, table.threshold)):
        say(line)
    evidence = found.log_evidence(problem.objective.potential.likelihood.log_constant)
    say(f"evidence    log p(data) = {evidence:.6g} for {len(readings)} readings")
    directions = Directions(problem)
    with progress.stage("spread", unit="probes"):
        spread = standard_deviations(found, directions, probes=table.probes, seed=table.seed)
    attributes = {
        "threshold": table.threshold,
        "complete": pairs.complete,
        "hessian_products": pairs.products,
        "log_evidence": evidence,
        "variance": "exact" if spread.exact else f"{table.probes} probes for what is not seen",
    }
    titles = _titles(problem)
    for name, parts in spread.posterior.items():
        shown = f"{_mean_square(parts):.3g} (prior {_mean_square(spread.prior[name]):.3g})"
        say(f"std         {titles[name]} {shown}, root mean square over the points")
    for kind in _shown(problem):
        if kind.key in problem.truth:
            share = _share_inside(problem, kind, spread)
            attributes[f"{kind.key}_inside"] = share
            what = f"{kind.title}'s components" if kind.magnitude else kind.title
            say(f"inside      {100 * share:.1f} % of the true {what} in 95 % bands")

    def write(file: Store) -> None:
        _write(file, problem, found, spread, directions)
        file.attributes(attributes, "laplace")

    return Uncertainty(spread.posterior_m, write)


def _mean_square(parts: list[PETSc.Vec]) -> float:
    return float(np.sqrt(sum(part.dot(part) for part in parts) / parts[0].getSize()))


def _shown(problem: Problem) -> list[Kind]:
    """The unknowns whose samples are shown."""
    return [kind for kind in problem.kinds if kind.is_unknown and kind.shows_samples]


def _titles(problem: Problem) -> dict[str, str]:
    """Name of a field → title."""
    return {name: title for kind in problem.kinds for name, title in kind.titles.items()}


def _share_inside(problem: Problem, kind: Kind, spread: Spread) -> float:
    """The share of the components of a true value within its 95 % bands."""
    truth = [p.copy() for p in components(kind.sampled(problem, problem.truth[kind.key]))]
    mean = components(kind.sampled(problem, kind.present(problem)))
    inside = count = 0
    for true, estimated, std in zip(truth, mean, spread.posterior[kind.key], strict=True):
        true.axpy(-1.0, estimated)
        inside += int((np.abs(true.array_r) <= BAND * std.array_r).sum())
        count += true.getLocalSize()
    return problem.comm.allreduce(inside) / problem.comm.allreduce(count)


def _write(
    file: Store, problem: Problem, found: Laplace, spread: Spread, directions: Directions
) -> None:
    table, unknowns = problem.experiment.laplace, problem.unknowns
    if len(found.pairs.values):
        count = np.arange(1, len(found.pairs.values) + 1)
        file.scale("direction", count, long_name="number of the eigenvalue")
        file.array(
            "laplace/eigenvalues",
            found.pairs.values,
            ("direction",),
            long_name="eigenvalues of the data's Hessian in units of the prior's",
        )
    titles, vectors = _titles(problem), {k.key for k in problem.kinds if k.magnitude}
    for when, stds in (("", spread.posterior), ("prior_", spread.prior)):
        for name, parts in stds.items():
            title = f"{'prior ' if when else 'posterior '}standard deviation of the {titles[name]}"
            value = parts if name in vectors else parts[0]
            file.field(f"laplace/{when}{name}_std", value, title)
    if unknowns.is_small:
        for when, vector in (("", spread.posterior_m), ("prior_", spread.prior_m)):
            values = unknowns.to_numpy(vector)
            path = f"laplace/{when}coefficients_std"
            file.array(path, values, ("coefficient",), long_name="standard deviation")
    _write_samples(file, problem, found, directions, table.samples, table.seed)


def _write_samples(
    file: Store,
    problem: Problem,
    found: Laplace,
    directions: Directions,
    count: int,
    seed: int,
) -> None:
    """``/laplace/samples/<k>``, fields; ``/laplace/coefficients`` (sample, coefficient)."""
    if count == 0:
        return
    unknowns, coefficients = problem.unknowns, []
    for k in range(count):
        m = found.draw(seed, k)
        if unknowns.is_small:
            coefficients.append(unknowns.to_numpy(m))
        m.axpy(-1.0, found.mean)
        moved = directions(m)
        for kind in _shown(problem):
            value = kind.sampled(problem, kind.present(problem))
            for part, more in zip(components(value), moved[kind.key], strict=True):
                part.axpy(1.0, more)
            file.field(f"laplace/samples/{k}", value, f"sample {k} of the {kind.title}")
    if coefficients:
        file.axis("sample", count)
        dims = ("sample", "coefficient")
        file.array("laplace/coefficients", coefficients, dims, long_name="samples")
