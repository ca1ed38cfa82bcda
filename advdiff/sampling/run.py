"""``advdiff run`` for ``task = "sample"``: a posterior, its chains, one result."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.chains.coordinates import Recentred, White
from advdiff.chains.kernel import SurrogateTarget
from advdiff.chains.laplace_metric import recentred
from advdiff.chains.run import Groups, Options, make_kernel
from advdiff.chains.run import run as run_chains
from advdiff.config.tables.sampler import SamplerTable
from advdiff.core import memory, progress, stopping
from advdiff.core.progress import Say
from advdiff.core.random import Random
from advdiff.core.ranks import agreed, on_root
from advdiff.inverse.map import minimise
from advdiff.inverse.objective import Objective
from advdiff.sampling.archive import Archive
from advdiff.sampling.layout import Layout
from advdiff.sampling.order import Order

ABOUT, NEAR = 4, 0.1
"""Points beside the MAP that a reduced model is made from, and their distance from it in standard
deviations of the prior; in Laplace coordinates it is 1."""
PATIENCE = 1.0
"""Seconds that a group which fails gives the others to fail as well."""


def options(table: SamplerTable) -> Options:
    """[sampler] as the chains take it."""
    return Options(**{f.name: getattr(table, f.name) for f in fields(Options)})


def sample(
    posterior: Any,
    table: SamplerTable,
    groups: Groups,
    layout: Layout,
    path,
    say: Say,
    *,
    resume: bool = False,
) -> None:
    """Chains of a posterior into a file (collective).

    Args:
        posterior: has ``potential``, ``prior``, ``surrogate``, ``cheap``, on the group's ranks;
            ``reduce``, where there is one, makes a cheap potential from a few points m.
    """
    chosen, prior = options(table), posterior.prior
    on_root(groups.world, lambda: _require_memory(layout, chosen))
    about = _about(posterior, table, groups, say)
    kernel = make_kernel(chosen, *_cheaper(posterior, about, table, chosen, say))
    template = prior.mean.duplicate()
    archive = Archive(path, groups, chosen, layout, Order(template, prior.places), resume=resume)
    began = time.perf_counter()
    with stopping.resumable(archive.partial), agreed(groups.world, PATIENCE):
        run_chains(
            about.target,
            kernel,
            template,
            chosen,
            archive,
            chains=groups.chains(chosen.chains),
            near=about.near,
            labels=prior.labels,
        )
    known = list(layout.concerns)
    with stopping.resumable(archive.partial):
        archive.finish()
    seconds = time.perf_counter() - began
    say(
        f"sampled     {chosen.chains} chains on {groups.count} group(s) of ranks in {seconds:.1f} s"
    )
    for concern in on_root(groups.world, lambda: list(layout.concerns)):
        if concern not in known:
            say(concern.line)


@dataclass(frozen=True)
class _About:
    """The coordinates that chains move in, and the MAP where something needs it.

    Attributes:
        target: the posterior in white coordinates, or those of its Laplace approximation.
        best: the MAP's m, or None.
        near: the same in the coordinates of ``target``, or None.
    """

    target: White | Recentred
    best: PETSc.Vec | None = None
    near: PETSc.Vec | None = None


def _about(posterior: Any, table: SamplerTable, groups: Groups, say: Say) -> _About:
    """Find the MAP and the metric where they are wanted (collective)."""
    prior, potential = posterior.prior, posterior.potential
    white, laplace = White(potential, prior), table.metric == "laplace"
    if table.start != "map" and not laplace and getattr(posterior, "reduce", None) is None:
        return _About(white)
    with agreed(groups.world, PATIENCE), progress.stage("map", unit="iterations"):
        estimate = minimise(Objective(potential, prior), prior.mean.copy())
    say(f"map         {estimate.message}")
    if not laplace:
        return _About(white, estimate.m, prior.whiten(estimate.m))
    target = recentred(white, potential, prior, estimate.m, table.metric_rank)
    origin = prior.mean.duplicate()
    origin.set(0.0)
    strongest = max(target.values, default=0.0)
    say(f"metric      {len(target.vectors)} eigenpairs, the largest {strongest:.3g}")
    return _About(target, estimate.m, origin)


def _cheaper(
    posterior: Any, about: _About, table: SamplerTable, chosen: Options, say: Say
) -> tuple[White | Recentred | SurrogateTarget, White | Recentred | None]:
    """What proposals are made with: the target, by a surrogate's gradient where there is one, and
    the cheap target of delayed acceptance, or None (collective).
    """
    surrogate, cheap = posterior.surrogate, posterior.cheap
    reduce = getattr(posterior, "reduce", None)
    if reduce is not None:
        found = reduce(_points(about, chosen, 1.0 if table.metric == "laplace" else NEAR))
        say(f"reduced     basis {found.model.dimension} from {1 + ABOUT} points about the MAP")
        if table.gradient == "reduced":
            surrogate = found
        else:
            cheap = found
    target, prior = about.target, posterior.prior
    moving = target
    if surrogate is not None:
        moving = SurrogateTarget(target, _like(target, White(surrogate, prior)).gradient)
    return moving, None if cheap is None else _like(target, White(cheap, prior))


def _points(about: _About, chosen: Options, distance: float) -> list[PETSc.Vec]:
    """The MAP and ``ABOUT`` random m at a distance from it (collective)."""
    points = [about.best]
    for k in range(ABOUT):
        xi = Random(chosen.seed, chosen.chains, k).white(about.near)
        xi.scale(distance)
        xi.axpy(1.0, about.near)
        points.append(about.target.parameters(xi))
    return points


def _require_memory(layout: Layout, chosen: Options) -> None:
    """Raise InputError where the diagnostics could not hold the draws (local)."""
    numbers = sum(float(np.prod(list(v.dims.values()))) for v in layout.variables.values())
    size = 24.0 * numbers * chosen.chains * chosen.draws
    what = f"sampler.draws = {chosen.draws} of {chosen.chains} chains"
    memory.require(MPI.COMM_SELF, size, what, "lower it, or raise sampler.thin instead")


def _like(target: White | Recentred, other: White) -> White | Recentred:
    """Another target in the coordinates of the first."""
    return other if isinstance(target, White) else target.over(other)
