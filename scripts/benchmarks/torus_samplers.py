"""Kernels on the torus posterior, and whether acceptance falls with the number of unknowns.

    scripts/run mpirun -n 2 python scripts/benchmarks/torus_samplers.py [--long] [--cases 0,1,2,3]

The posterior is that of experiments/torus.toml (example 2 of Borggaard, Glatt-Holtz & Krometis,
SIAM/ASA JUQ 2020), on coarser meshes.  pCN with β = 0.2, MALA and HMC of 32 steps, all of them in
the prior's coordinates; the step sizes of MALA and HMC are found once, on the first case, and are
the same on all others: 196, 796 and 1796 unknowns, and another mesh.

Every rank runs a chain of its own.  A chain starts where a short one by HMC from the MAP has ended;
the modes that are new in a larger case start as draws of the prior, of which the data say next to
nothing.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

import advdiff
from advdiff.chains import warmup
from advdiff.chains.coordinates import White
from advdiff.chains.diagnostics import autocorrelation
from advdiff.chains.kernel import Kernel, State
from advdiff.chains.kernels.hmc import HMC
from advdiff.chains.kernels.mala import MALA
from advdiff.chains.kernels.pcn import PCN
from advdiff.core.random import Random

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "torus.toml"
BETA, STEPS, LAG, SEED = 0.2, 32, 30, 1
WORLD = MPI.COMM_WORLD


class Case(NamedTuple):
    """Largest |k| of the unknown modes, cells along a side, degree of the spectral elements."""

    largest: int
    cells: int
    degree: int

    def target(self) -> White:
        """The posterior in white coordinates, on this rank alone."""
        problem = advdiff.load(
            EXPERIMENT,
            [
                f"unknowns.velocity.largest={self.largest}",
                f"domain.cells=[{self.cells},{self.cells}]",
                f"discretization.degree={self.degree}",
            ],
            MPI.COMM_SELF,
        )
        problem.calibrate()
        white = White(problem.objective.potential, problem.prior)
        white.problem = problem
        return white

    @property
    def mesh(self) -> str:
        return f"{self.cells} x {self.cells}, degree {self.degree}"


CASES = Case(8, 4, 6), Case(8, 8, 6), Case(16, 8, 6), Case(24, 8, 6)
FIRST = CASES[0]


class Row(NamedTuple):
    """What a kernel did on a case; means over all ranks' chains."""

    unknowns: int
    largest: int
    cells: int
    degree: int
    draws: int
    step_size: float
    acceptance: float
    error: float
    autocorrelation: float
    jump: float
    milliseconds: float


TITLES = {
    "unknowns": "unknowns",
    "draws": "draws",
    "step_size": "step",
    "acceptance": "acceptance",
    "error": "± of it",
    "autocorrelation": f"lag {LAG}",
    "jump": "jump²/grad",
    "milliseconds": "ms/draw",
}


def adapted(kernel: Kernel, state: State, count: int) -> tuple[Kernel, State]:
    """After ``count`` steps with dual averaging: the kernel with the ranks' mean step size."""
    at = warmup.begin(kernel.step_size, kernel.largest)
    for k in range(count):
        moving = replace(kernel, step_size=at.step_size)
        state, info = moving.step(Random(SEED, WORLD.rank, k + 1), state)
        at = warmup.update(at, info.acceptance, kernel.ideal, kernel.largest)
    size = float(np.exp(WORLD.allreduce(np.log(at.final)) / WORLD.size))
    return replace(kernel, step_size=size), state


def measure(kernel: Kernel, xi: PETSc.Vec, count: int, case: Case) -> Row:
    """A chain on every rank."""
    state = kernel.init(xi)
    chances, potentials, jump, work = [], [], 0.0, 0
    began = time.perf_counter()
    for k in range(count):
        moved, info = kernel.step(Random(SEED + 1, WORLD.rank, k + 1), state)
        way = moved.xi.copy()
        way.axpy(-1.0, state.xi)
        jump, work, state = jump + way.dot(way), work + info.n_steps, moved
        chances.append(info.acceptance)
        potentials.append(state.potential)
    seconds = WORLD.allreduce(time.perf_counter() - began) / WORLD.size
    chances = np.array(WORLD.allgather(chances))
    blocks = [part.mean() for chain in chances for part in np.array_split(chain, 5)]
    potentials = np.array(WORLD.allgather(potentials))
    return Row(
        xi.getSize(),
        *case,
        chances.size,
        kernel.step_size,
        float(chances.mean()),
        float(np.std(blocks, ddof=1) / np.sqrt(len(blocks))),
        autocorrelation(potentials, LAG) if count > 2 * LAG else np.nan,
        WORLD.allreduce(jump) / WORLD.allreduce(work),
        1e3 * seconds / count,
    )


def larger(xi: PETSc.Vec, target: White) -> PETSc.Vec:
    """The same modes (they stand in the order of |k|), and a draw of the prior for the others."""
    new = Random(SEED + 2, WORLD.rank, 0).white(target.prior.mean)
    new.array[: xi.getSize()] = xi.array
    return new


def show(name: str, row: Row) -> None:
    if WORLD.rank == 0:
        mesh = Case(row.largest, row.cells, row.degree).mesh
        cells = "".join(f"{getattr(row, key):12.4g}" for key in TITLES)
        print(f"{name:6s}{f'|k| <= {row.largest}, {mesh}':>28s}{cells}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--long", action="store_true", help="twenty times as many draws")
    parser.add_argument("--cases", default="0,1,2,3", help="by commas, to measure in pieces")
    options = parser.parse_args()
    chosen = [int(k) for k in options.cases.split(",")]
    factor = 20 if options.long else 1
    target = FIRST.target()
    estimate = target.problem.invert()
    begin = HMC(target, 0.05, steps=STEPS)
    # trajectories are long enough to leave the MAP in a few
    hmc, state = adapted(begin, begin.init(target.prior.whiten(estimate.m)), 30)
    mala, _ = adapted(MALA(target, 0.05), State(state.xi, *target.both(state.xi)), 300)
    kernels = {"pCN": PCN(target, BETA), "MALA": mala, "HMC": hmc}
    count = {"pCN": 1500, "MALA": 1000, "HMC": 70}
    few = {"pCN": 800, "MALA": 250, "HMC": 20}
    if WORLD.rank == 0:
        print(" " * 34 + "".join(f"{title:>12s}" for title in TITLES.values()))
    for k in chosen:
        there, number = (CASES[k].target(), few) if k else (target, count)
        xi = larger(state.xi, there) if k else state.xi
        for name, kernel in kernels.items():
            moved = replace(kernel, target=there)
            show(name, measure(moved, xi, factor * number[name], CASES[k]))


if __name__ == "__main__":
    main()
