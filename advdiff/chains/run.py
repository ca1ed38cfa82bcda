"""Several chains: where each starts, its warm-up, its draws, and who runs it.

Chains are spread over groups of ranks; each group has a model of its own on its own communicator.
Every step's random numbers are a function of seed, chain and step, so that the draws do not depend
on the groups, and a chain goes on from its last ``Progress`` bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import NamedTuple, Protocol

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.chains import warmup
from advdiff.chains.coordinates import Recentred, White
from advdiff.chains.kernel import Info, Kernel, Options, State, SurrogateTarget, Target
from advdiff.chains.warmup import Adaptation
from advdiff.config.tables.sampler import KERNELS
from advdiff.core.errors import ConvergenceError
from advdiff.core.progress import stage
from advdiff.core.random import Random

TRIES = 20
"""Draws of the prior, each half as large as the last, to find a start where the model works."""


class Progress(NamedTuple):
    """All that a chain needs to go on: steps done, where it is, its step size, its kept seconds."""

    step: int
    state: State
    adaptation: Adaptation
    seconds: float


class Link(NamedTuple):
    """One step of a chain; ``draw`` is None in the warm-up and between kept steps."""

    progress: Progress
    info: Info
    draw: int | None
    step_size: float


class Recorder(Protocol):
    """Where the draws go."""

    def resume(self, chain: int) -> Progress | None:
        """Where the chain was, None at its beginning."""

    def record(
        self, chain: int, link: Link, m: PETSc.Vec | None, stats: dict[str, float] | None
    ) -> None:
        """A step; m, and the numbers of ``STATISTICS``, where it is kept."""


class Groups:
    """Ranks in equal groups, and the chains of each (collective).

    Attributes:
        comm: the ranks of this group.
        index, count: this group, how many there are.
    """

    def __init__(self, world: MPI.Comm, count: int):
        self.world, self.count = world, max(1, min(count, world.size))
        self.index = world.rank * self.count // world.size
        self.comm = world.Split(self.index, world.rank) if self.count > 1 else world

    def chains(self, number: int) -> list[int]:
        """The chains that this group runs."""
        return list(range(self.index, number, self.count))


def make_kernel(options: Options, target: Target, cheap: Target | None = None) -> Kernel:
    """The kernel that the options ask for.

    Args:
        cheap: the first stage of delayed acceptance, by pCN.
    """
    if options.kernel not in KERNELS:
        raise ValueError(f"unknown kernel {options.kernel!r}; choose from {', '.join(KERNELS)}")
    module = import_module(f"advdiff.chains.kernels.{options.kernel.replace('-', '_')}")
    kernel = module.make(target, options, cheap)
    return kernel if options.step_size is None else replace(kernel, step_size=options.step_size)


def start(kernel: Kernel, rng: Random, template: PETSc.Vec, near: PETSc.Vec | None) -> State:
    """A draw of the prior, or of a tenth of it about ``near``, where the model works (collective).

    Raises:
        ConvergenceError: where there is none.
    """
    size = 1.0 if near is None else 0.1
    for _ in range(TRIES):
        xi = rng.white(template)
        xi.scale(size)
        if near is not None:
            xi.axpy(1.0, near)
        state = kernel.init(xi)
        if np.isfinite(state.potential):
            return state
        size /= 2.0
    raise ConvergenceError(
        f"no start for a chain: the model fails at {TRIES} draws of the prior; tighten the prior"
    )


def steps(
    kernel: Kernel, options: Options, chain: int, progress: Progress, labels: np.ndarray | None
) -> Iterator[Link]:
    """A chain from where it is to its end; step 0 is its start (collective)."""
    step, state, adaptation, seconds = progress
    last = options.warmup + options.draws * options.thin
    while step < last:
        began = time.perf_counter()
        step += 1
        warming = step <= options.warmup
        size = kernel.step_size
        if options.warmup:
            size = adaptation.step_size if warming else adaptation.final
        rng = Random(options.seed, chain, step, labels)
        moving = replace(kernel, step_size=size)
        state, info = moving.step(rng, state)
        if warming:
            adaptation = warmup.update(adaptation, info.acceptance, kernel.ideal, kernel.largest)
        else:
            seconds += time.perf_counter() - began
        kept, rest = divmod(step - options.warmup, options.thin)
        draw = kept - 1 if not warming and rest == 0 else None
        yield Link(Progress(step, state, adaptation, seconds), info, draw, size)


def run(
    target: White | Recentred,
    kernel: Kernel,
    template: PETSc.Vec,
    options: Options,
    recorder: Recorder,
    *,
    chains: Sequence[int] | None = None,
    near: PETSc.Vec | None = None,
    labels: np.ndarray | None = None,
) -> None:
    """Run chains one behind the other (collective on the target's ranks).

    Args:
        target: of the kernel, for the parameters of a draw.
        template: a vector with the layout of the white coordinates.
        chains: which; all by default.
        near: where to start; a draw of the prior by default.
        labels: see :class:`~advdiff.core.random.Random`.
    """
    mine = list(range(options.chains) if chains is None else chains)
    each = options.warmup + options.draws * options.thin
    with stage("chains", each * len(mine), "steps") as bar:
        for number, chain in enumerate(mine):
            progress = recorder.resume(chain)
            if progress is None:
                state = start(kernel, Random(options.seed, chain, 0, labels), template, near)
                adaptation = warmup.begin(kernel.step_size, kernel.largest)
                progress = Progress(0, state, adaptation, 0.0)
            for link in steps(kernel, options, chain, progress, labels):
                m = stats = None
                if link.draw is not None:
                    m = target.parameters(link.progress.state.xi)
                    stats = statistics(target, link)
                recorder.record(chain, link, m, stats)
                bar.at(number * each + link.progress.step)
            PETSc.garbage_cleanup(template.comm)


def sample(
    potential,
    prior,
    options: Options,
    recorder: Recorder | None = None,
    *,
    surrogate=None,
    cheap=None,
    **where,
) -> Recorder:
    """Draws of the posterior of a potential and a prior (collective on their ranks).

    Args:
        potential: Φ, a :class:`~advdiff.inverse.likelihood.Potential`.
        recorder: where the draws go; None: to memory, as :class:`Draws`.
        surrogate: a potential whose gradient the trajectories follow.
        cheap: a potential for the first stage of delayed acceptance.
        where: as in :func:`run`.

    Returns:
        The recorder.

    >>> from advdiff.models.coefficients import independent_prior
    >>> from advdiff.models.rate_matrix import RateMatrixModel, Transitions
    >>> model = RateMatrixModel(2, Transitions.collect([0], [1], [1.0], 50))
    >>> prior = independent_prior(model.unknowns, mean=0.0, std=1.0)
    >>> options = Options("pcn", draws=200, warmup=50, chains=2)
    >>> draws = sample(model.potential(), prior, options)
    >>> draws.array().shape, draws.stat("acceptance_rate").shape
    ((2, 200, 2), (2, 200))
    >>> faster, slower = draws.array().mean(axis=(0, 1))  # the rate seen, and the one that is not
    >>> bool(faster > 1.0 and slower < 0.0)
    True
    """
    white = White(potential, prior)
    target = white
    if surrogate is not None:
        target = SurrogateTarget(white, White(surrogate, prior).gradient)
    kernel = make_kernel(options, target, None if cheap is None else White(cheap, prior))
    recorder = Draws(options) if recorder is None else recorder
    where = {"labels": prior.labels, **where}
    run(white, kernel, prior.mean.duplicate(), options, recorder, **where)
    return recorder


STATISTICS = {
    "lp": "log posterior density in white coordinates",
    "potential": "negative log likelihood",
    "acceptance_rate": "probability of the move",
    "accepted": "moved",
    "step_size": "step size",
    "n_steps": "gradients, or potentials of a kernel without",
    "energy": "energy",
    "energy_error": "energy error of the proposal",
    "diverging": "trajectory given up",
    "tree_depth": "doublings of the trajectory",
}
"""Name in ``/sample_stats`` (ArviZ' where it has one) → title."""


def statistics(target: White | Recentred, link: Link) -> dict[str, float]:
    """The numbers of ``STATISTICS`` for one step (collective)."""
    state, info = link.progress.state, link.info
    return {
        "lp": -state.potential - 0.5 * state.xi.dot(state.xi),
        "potential": target.likelihood(state.xi, state.potential),
        "acceptance_rate": info.acceptance,
        "accepted": float(info.accepted),
        "step_size": link.step_size,
        "n_steps": float(info.n_steps),
        "energy": info.energy,
        "energy_error": info.energy_error,
        "diverging": float(info.diverging),
        "tree_depth": float(info.tree_depth),
    }


@dataclass
class Draws:
    """Draws in memory: of each chain, this rank's share of every m, statistics, last progress."""

    options: Options
    draws: dict[int, list[np.ndarray]] = field(default_factory=dict)
    stats: dict[int, list[dict[str, float]]] = field(default_factory=dict)
    progress: dict[int, Progress] = field(default_factory=dict)

    def resume(self, chain: int) -> Progress | None:
        return self.progress.get(chain)

    def record(self, chain, link, m, stats):
        self.progress[chain] = link.progress
        if m is not None:
            self.draws.setdefault(chain, []).append(m.array.copy())
            self.stats.setdefault(chain, []).append(stats)

    def array(self) -> np.ndarray:
        """All draws, (chain, draw, local unknown)."""
        return np.array([self.draws[chain] for chain in sorted(self.draws)])

    def stat(self, name: str) -> np.ndarray:
        """One statistic, (chain, draw)."""
        return np.array([[s[name] for s in self.stats[c]] for c in sorted(self.stats)])
