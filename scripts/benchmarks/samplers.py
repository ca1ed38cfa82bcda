"""Effective draws a second for rate matrices: which gradient should a trajectory follow?

    scripts/run mpirun -n 4 python scripts/benchmarks/samplers.py [--dimensions 5,15,44]
        [--regimes short,long] [--samplers exact,…] [--seconds 20] [--output samplers.h5]

One posterior for each d and regime: 568 transitions of a chain with Exp(1) rates, looked at at
irregular times, short or long beside the time between two events; log-normal priors.  HMC along the
exact aggregated gradient, the exact gradient term by term, and three surrogates, all with the exact
accept step; and a random walk.  Gradients are held against finite differences before.

Four chains, shared among the ranks.  All samplers start from the same four states, the ends of four
chains of exact HMC, and have the same metric, the prior's.  All step sizes of HMC are found by dual
averaging for the same acceptance, 0.8 (random walk: 0.23), on all four chains, and all trajectories
are a quarter turn, of 16 steps at most: half a turn, which the mean squared jump is for, takes what
the data do not know from ξ to −ξ and back, and its spread is never learned.  Then every chain has
the same processor time.  Term by term the trajectories are the exact ones, which a step of each
chain confirms: its row has the exact one's draws, and the time that they would have taken.

Rows are marked where R̂ > 1.01 for some rate; "s needed" is the processor time of all chains in
which it would not, as R̂² − 1 falls like 1/draws (where chains have not met, more).

Results are added to the output, so that it can be run piece by piece.  The long version:
--seconds 600 --warmup 1000.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from mpi4py import MPI

from advdiff.chains import diagnostics, warmup
from advdiff.chains.coordinates import White
from advdiff.chains.kernel import Kernel, State
from advdiff.chains.kernels.hmc import HMC
from advdiff.chains.kernels.random_walk import RandomWalk
from advdiff.chains.run import Options, Progress, start, steps
from advdiff.core.random import Random
from advdiff.core.ranks import on_root
from advdiff.files import result
from advdiff.files.finished import open_result
from advdiff.matexp.rates.laws import random_rate_matrix
from advdiff.models.coefficients import independent_prior
from advdiff.models.rate_matrix import GRADIENTS, RateMatrixModel, Transitions

SAMPLERS = (*GRADIENTS, "random-walk")
REGIMES = {"short": (0.01, 0.1), "long": (0.1, 2.0)}
"""Times between looks, in units of the mean time between two events, log-uniform."""
CHAINS, TRANSITIONS, LEAST = 4, 568, 8
PILOT, LONGEST = 40, 16
SIZES = 5, 15, 44
TRUSTED = 1.01
WORLD = MPI.COMM_WORLD
MINE = range(WORLD.rank, CHAINS, WORLD.size)
"""The chains of this rank."""


def problem(d: int, regime: str, gradient: str, seed: int):
    """Model, prior: the same data for every gradient."""
    rng = np.random.default_rng([seed, d, list(REGIMES).index(regime)])
    Q = random_rate_matrix(rng, d) / (d - 1)
    times = np.exp(rng.uniform(*np.log(REGIMES[regime]), TRANSITIONS))
    model = RateMatrixModel(d, Transitions.simulate(rng, Q, times), MPI.COMM_SELF, gradient)
    return model, independent_prior(model.unknowns, -np.log(d - 1), 1.0)


def check_gradients(d: int, regime: str, seed: int) -> dict[str, float]:
    """Relative difference of every gradient along a direction from a central difference."""
    found, h = {}, 1e-5
    for gradient in GRADIENTS:
        model, prior = problem(d, regime, gradient, seed)
        white = White(model.potential(), prior)
        xi, way = (Random(seed, 99, k).white(prior.mean) for k in (0, 1))
        ends = []
        for sign in (1, -1):
            moved = xi.copy()
            moved.axpy(sign * h, way)
            ends.append(white.value(moved))
        slope = (ends[0] - ends[1]) / (2 * h)
        found[gradient] = abs(white.gradient(xi).dot(way) / slope - 1.0)
    return found


@dataclass
class Run:
    """Four chains of one sampler: draws (chain, draw, rate), on rank 0; processor seconds, what
    they took."""

    draws: np.ndarray | None
    potential: np.ndarray | None
    first: dict[int, np.ndarray]
    seconds: float
    acceptance: float
    kernel: Kernel
    gradient_seconds: float


class Case:
    """One posterior, and where all samplers begin."""

    def __init__(self, d: int, regime: str, options: argparse.Namespace):
        self.d, self.regime, self.options = d, regime, options
        self.prior = problem(d, regime, "exact", options.seed)[1]
        exact, found = HMC(self.target("exact"), steps=8), {}
        for chain in MINE:
            state = start(exact, Random(options.seed, chain, 0), self.prior.mean, None)
            found[chain] = self.adapt(exact, state, chain, options.warmup)[1].xi.array.copy()
        everybody = {k: v for part in WORLD.allgather(found) for k, v in part.items()}
        self.starts = [self.prior.unknowns.from_numpy(everybody[k]) for k in range(CHAINS)]
        self.found: dict[str, Run] = {}

    def target(self, gradient: str) -> White:
        """With the exact Φ: the predictions do not depend on what stands for their gradient."""
        model, prior = problem(self.d, self.regime, gradient, self.options.seed)
        return White(model.potential(), prior)

    def adapt(self, kernel: Kernel, state: State, chain: int, count: int) -> tuple[Kernel, State]:
        """The kernel with its step size, and where it came to."""
        chosen = Options(draws=0, warmup=count, chains=CHAINS, seed=self.options.seed + 1)
        progress = Progress(0, state, warmup.begin(kernel.step_size, kernel.largest), 0.0)
        for link in steps(kernel, chosen, chain, progress, None):
            progress = link.progress
        return replace(kernel, step_size=progress.adaptation.final), progress.state

    def tune(self, name: str) -> Kernel:
        """With the step for the acceptance that the kernel aims at, and a quarter turn long."""
        if name == "random-walk":
            return self.together(RandomWalk(self.target("exact"), 0.3 / self.d), 10 * PILOT)
        kernel = self.together(HMC(self.target(name), steps=4), PILOT)
        steps = round(0.5 * np.pi / kernel.step_size)
        return self.together(replace(kernel, steps=min(max(steps, 1), LONGEST)), PILOT)

    def together(self, kernel: Kernel, count: int) -> Kernel:
        """The kernel with the mean of the steps that suit the chains."""
        found = [self.adapt(kernel, kernel.init(self.starts[k]), k, count)[0] for k in MINE]
        logs = WORLD.allreduce(sum(np.log(each.step_size) for each in found))
        return replace(kernel, step_size=float(np.exp(logs / CHAINS)))

    def run(self, name: str) -> Run:
        """Every chain for its share of the processor time."""
        if name == "per-term":
            return self.slow(self.found["exact"])
        kernel = self.tune(name)
        draws, potentials, chances, seconds, work = {}, {}, [], 0.0, 0
        for chain in MINE:
            state, mine, phi, spent = kernel.init(self.starts[chain]), [], [], 0.0
            while spent < self.options.seconds or len(mine) < LEAST:
                began = time.process_time()
                state, info = kernel.step(Random(self.options.seed + 3, chain, len(mine)), state)
                spent += time.process_time() - began
                mine.append(self.prior.color(state.xi).array.copy())
                phi.append(state.potential)
                chances.append(info.acceptance)
                work += info.n_steps
            draws[chain], potentials[chain] = np.array(mine), np.array(phi)
            seconds += spent
        count = WORLD.allreduce(min(map(len, draws.values())), MPI.MIN)
        total = WORLD.allreduce(sum(map(len, draws.values())))
        seconds = WORLD.allreduce(seconds)
        self.found[name] = Run(
            gathered({k: v[:count] for k, v in draws.items()}),
            gathered({k: v[:count] for k, v in potentials.items()}),
            {k: v[0] for k, v in draws.items()},
            seconds * count * CHAINS / total,
            WORLD.allreduce(sum(chances)) / WORLD.allreduce(len(chances)),
            kernel,
            seconds / WORLD.allreduce(work),
        )
        return self.found[name]

    def slow(self, exact: Run) -> Run:
        """The same draws, term by term: a step of each chain is made, the rest is reckoned.

        Raises:
            SystemExit: where the steps differ.
        """
        kernel = replace(exact.kernel, target=self.target("per-term"))
        spent, work = 0.0, 0
        for chain in MINE:
            state = kernel.init(self.starts[chain])
            began = time.process_time()
            state, info = kernel.step(Random(self.options.seed + 3, chain, 0), state)
            spent, work = spent + time.process_time() - began, work + info.n_steps
            if not np.allclose(self.prior.color(state.xi).array, exact.first[chain]):
                raise SystemExit("term by term the chain is another one")
        unit = WORLD.allreduce(spent) / WORLD.allreduce(work)
        factor = unit / exact.gradient_seconds
        return replace(exact, seconds=exact.seconds * factor, gradient_seconds=unit)


def gathered(mine: dict[int, np.ndarray]) -> np.ndarray | None:
    """Chain by chain, on rank 0."""
    parts = WORLD.gather(mine)
    if parts is None:
        return None
    found = {k: v for part in parts for k, v in part.items()}
    return np.array([found[chain] for chain in range(CHAINS)])


COLUMNS = {
    "draws": "draws",
    "acceptance": "acceptance",
    "steps": "steps",
    "step_size": "step",
    "gradient_ms": "ms/gradient",
    "rhat": "R̂ max",
    "ess_min": "ESS/s min",
    "ess_median": "ESS/s median",
    "ess_potential": "ESS/s Φ",
    "seconds_needed": "s needed",
}


def row(found: Run) -> dict[str, float]:
    bulk, rhat = diagnostics.ess_bulk(found.draws), float(np.max(diagnostics.rhat(found.draws)))
    return {
        "draws": found.draws.shape[0] * found.draws.shape[1],
        "acceptance": found.acceptance,
        "steps": getattr(found.kernel, "steps", 1),
        "step_size": found.kernel.step_size,
        "gradient_ms": 1e3 * found.gradient_seconds,
        "rhat": rhat,
        "ess_min": float(np.min(bulk)) / found.seconds,
        "ess_median": float(np.median(bulk)) / found.seconds,
        "ess_potential": float(diagnostics.ess_bulk(found.potential)) / found.seconds,
        "seconds_needed": found.seconds * (rhat**2 - 1.0) / (TRUSTED**2 - 1.0),
    }


def earlier(path: Path, seed: int) -> np.ndarray:
    """The table of an earlier piece, nan where nothing was measured."""
    shape = len(REGIMES), len(SIZES), len(SAMPLERS)
    table = np.full((*shape, len(COLUMNS)), np.nan)
    if path.is_file():
        with open_result(path) as file:
            if file.attrs["seed"] != seed:
                raise SystemExit(f"{path} is of another seed; name another file")
            for k, column in enumerate(COLUMNS):
                table[..., k] = file[f"samplers/{column}"][:]
    return table


def save(table: np.ndarray, options: argparse.Namespace) -> None:
    """What there is so far."""
    attributes = {"task": "compare-samplers", "seed": options.seed, "options": str(vars(options))}
    with result.create(options.output, MPI.COMM_SELF, attributes) as file:
        file.scale("d", SIZES, long_name="number of states")
        file.scale("sampler", SAMPLERS, long_name="gradient of the trajectory")
        file.scale("regime", list(REGIMES), long_name="times between looks")
        for k, (column, title) in enumerate(COLUMNS.items()):
            axes = ("regime", "d", "sampler")
            file.array(f"samplers/{column}", table[..., k], axes, long_name=title)


def say(line: str) -> None:
    if WORLD.rank == 0:
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dimensions", default="5,15,44", help="numbers of states, by commas")
    parser.add_argument("--regimes", default="short,long", help="of times, by commas")
    parser.add_argument("--samplers", default=",".join(SAMPLERS), help="per-term needs exact")
    parser.add_argument("--seconds", type=float, default=20.0, help="processor time a chain")
    parser.add_argument("--warmup", type=int, default=200, help="steps of exact HMC before")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("samplers.h5"))
    options = parser.parse_args()
    table = on_root(WORLD, lambda: earlier(options.output, options.seed))
    chosen = product(options.regimes.split(","), map(int, options.dimensions.split(",")))
    for regime, d in chosen:
        errors = check_gradients(d, regime, options.seed)
        say(f"\nd = {d}: {d * (d - 1)} rates, {TRANSITIONS} transitions in {regime} times")
        say(
            "  slopes, relative to central differences: "
            + ", ".join(f"{name} {error:.0e}" for name, error in errors.items())
        )
        if max(errors["exact"], errors["per-term"]) > 1e-5:
            raise SystemExit("an exact gradient is wrong")
        say("  " + "sampler".ljust(14) + "".join(v.rjust(13) for v in COLUMNS.values()))
        case = Case(d, regime, options)
        for name in options.samplers.split(","):
            k = SAMPLERS.index(name)
            values = on_root(WORLD, partial(row, case.run(name)))
            table[list(REGIMES).index(regime), SIZES.index(d), k] = list(values.values())
            cells = "".join(f"{v:13.4g}" for v in values.values())
            say(f"{'*' if values['rhat'] > TRUSTED else ' '} {name:14s}{cells}")
            on_root(WORLD, lambda: save(table, options))
    say(f"\nwritten {options.output}; picture: advdiff plot {options.output}")


if __name__ == "__main__":
    main()
