"""What a reduced model gains in chains of a flow, where the full model is dear.

    scripts/run mpirun -n 4 python scripts/benchmarks/delayed.py [NAME [KEY=VALUE …]] [--seconds 60]
        [--tolerance 3e-4] [--rows hmc,da-hmc,…]

The posterior is that of experiments/NAME.toml, velocity_inversion (26 unknowns) or torus_posterior,
on any mesh: domain.cells=[128,128].  Every rank runs a chain of its own, from a draw of the Laplace
approximation at the MAP on; all kernels but those named ``prior`` work in its coordinates, and the
reduced model is made at the MAP and four points about it.  Step sizes are found by dual averaging,
the same for all chains.  Then every chain has the same processor time.  "full" are the full model's
evaluations a draw, with or without a gradient, whose times are on the line above the table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mpi4py import MPI
from torus_samplers import adapted

import advdiff
from advdiff.chains import diagnostics
from advdiff.chains.coordinates import White
from advdiff.chains.kernel import Kernel, SurrogateTarget
from advdiff.chains.kernels.delayed_acceptance import DelayedAcceptance
from advdiff.chains.kernels.hmc import HMC
from advdiff.chains.kernels.mala import MALA
from advdiff.chains.kernels.pcn import PCN
from advdiff.chains.laplace_metric import recentred
from advdiff.core.random import Random
from advdiff.inverse.map import minimise
from advdiff.inverse.objective import Objective
from advdiff.tasks.cheap import reduce
from advdiff.tasks.flow import posterior

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
WORLD, SEED, ABOUT, STEPS = MPI.COMM_WORLD, 7, 4, 5


class Case:
    """The posterior on this rank alone: exact and reduced, in both coordinates."""

    def __init__(self, name: str, settings: list[str]):
        problem = advdiff.load(EXPERIMENTS / f"{name}.toml", settings, MPI.COMM_SELF)
        found = posterior(problem)
        potential, self.prior = found.potential, found.prior
        estimate = minimise(Objective(potential, self.prior), self.prior.mean.copy())
        self.white = White(potential, self.prior)
        self.exact = recentred(self.white, potential, self.prior, estimate.m, 100)
        self.here = self.prior.whiten(estimate.m)
        noise = [Random(SEED, 0, k).white(self.here) for k in range(ABOUT)]
        points = [estimate.m, *map(self.exact.parameters, noise)]
        began = time.process_time()
        reduced = reduce(problem, points)
        self.offline = time.process_time() - began
        self.dimension = reduced.model.dimension
        self.cheap_white = White(reduced, self.prior)
        self.cheap = self.exact.over(self.cheap_white)

    def milliseconds(self, action: Callable, count: int = 5) -> float:
        """Of an evaluation at the MAP."""
        began = time.process_time()
        for _ in range(count):
            action(self.here)
        return 1e3 * (time.process_time() - began) / count


ROWS: dict[str, Callable[[Case], Kernel]] = {
    "pcn": lambda case: PCN(case.exact),
    "mala": lambda case: MALA(case.exact),
    "hmc": lambda case: HMC(case.exact, steps=STEPS),
    "hmc-reduced": lambda case: HMC(SurrogateTarget(case.exact, case.cheap.gradient), steps=STEPS),
    "da-pcn-1": lambda case: DelayedAcceptance(case.exact, PCN(case.cheap)),
    "da-pcn-20": lambda case: DelayedAcceptance(case.exact, PCN(case.cheap), 20),
    "da-hmc": lambda case: DelayedAcceptance(case.exact, HMC(case.cheap, steps=STEPS)),
    "pcn-prior": lambda case: PCN(case.white, 0.02),
    "da-pcn-prior-100": lambda case: DelayedAcceptance(
        case.white, PCN(case.cheap_white), 100, 0.02
    ),
}
TITLES = ["draws", "acceptance", "step", "full", "reduced", "ms/draw", "R̂", "ESS/full", "ESS/s"]


def measure(name: str, case: Case, seconds: float, warmup: int) -> list[float]:
    """A chain on every rank."""
    kernel = ROWS[name](case)
    xi = Random(SEED, WORLD.rank + 1, 0).white(case.here)
    if "prior" in name:
        xi = case.prior.whiten(case.exact.parameters(xi))
    kernel, state = adapted(kernel, kernel.init(xi), warmup)
    draws, accepted, targets = [], 0, (case.white, case.cheap_white)
    counts = [target.values + target.gradients for target in targets]
    began = time.process_time()
    while time.process_time() - began < seconds or len(draws) < 8:
        state, info = kernel.step(Random(SEED + 1, WORLD.rank, len(draws)), state)
        accepted += info.accepted
        target = case.white if "prior" in name else case.exact
        draws.append(target.parameters(state.xi).array.copy())
    spent = (time.process_time() - began) / len(draws)
    counts = [
        (target.values + target.gradients - count) / len(draws)
        for target, count in zip(targets, counts, strict=True)
    ]
    size = WORLD.allreduce(len(draws), MPI.MIN)
    every = np.array(WORLD.allgather(np.array(draws[:size])))
    mean = np.array(WORLD.allgather([accepted / len(draws), *counts, spent])).mean(axis=0)
    ess = float(np.median(diagnostics.ess_bulk(every))) / (size * WORLD.size)
    return [
        size * WORLD.size,
        mean[0],
        kernel.step_size,
        mean[1],
        mean[2],
        1e3 * mean[3],
        float(np.max(diagnostics.rhat(every))),
        ess / mean[1],
        ess / mean[3],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", default="velocity_inversion", help="experiment")
    parser.add_argument("settings", nargs="*", help="KEY=VALUE of the experiment")
    parser.add_argument("--seconds", type=float, default=60.0, help="processor time a chain")
    parser.add_argument("--warmup", type=int, default=60, help="steps before")
    parser.add_argument("--tolerance", type=float, default=3e-4, help="of the reduced model")
    parser.add_argument("--rows", default=",".join(ROWS), help="by commas")
    options = parser.parse_args()
    settings = [*options.settings, "task=sample", f"reduced.tolerance={options.tolerance}"]
    case = Case(options.name, [*settings, "sampler.groups=1", "sampler.kernel=delayed-acceptance"])
    exact, cheap = case.white, case.cheap_white
    times = [case.milliseconds(f) for t in (exact, cheap) for f in (t.value, t.both)]
    if WORLD.rank == 0:
        print(
            f"{options.name} {' '.join(options.settings)}: basis {case.dimension}, made in "
            f"{case.offline:.1f} s; ms: full {times[0]:.4g}, with gradient {times[1]:.4g}, "
            f"reduced {times[2]:.4g}, with gradient {times[3]:.4g}\n"
            + " " * 18
            + "".join(f"{title:>12s}" for title in TITLES),
            flush=True,
        )
    for name in options.rows.split(","):
        row = measure(name, case, options.seconds, options.warmup)
        if WORLD.rank == 0:
            print(f"{name:18s}" + "".join(f"{value:12.4g}" for value in row), flush=True)


if __name__ == "__main__":
    main()
