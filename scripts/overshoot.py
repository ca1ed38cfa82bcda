#!/usr/bin/env python3
"""How far each discretisation leaves 0 ≤ θ ≤ 1 when it carries a block with steep edges.

    scripts/run python scripts/overshoot.py [--points 48] [--on cg:1,dg:2] [--peclet 1,100]

A square block (1 inside, 0 outside, edges erf(s/h)) is carried obliquely, u = (1, ½), through half
a period of a periodic unit square.  The mesh has `points` nodes along a side for every degree, so
that κ is the same in all rows of a cell Péclet number |u|h/κ, h = 1/points.

below, above   how far θ_h falls below 0 and rises above 1, at nodes, the most of ten times
at the end     the same at the final time
mass           largest relative change of ∫θ_h
growth         largest ‖θ_h(t)‖ / ‖θ_h(0)‖ − 1 in the inner product of the discretisation; an
               exact solution has none
error          of θ_h in L² at the final time, relative to the exact one
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from dolfinx import fem
from mpi4py import MPI
from scipy.special import erf

from advdiff import Problem
from advdiff.config.load import parse
from advdiff.core.errors import ConvergenceError
from tests.exact.case import Discretization, l2_error

VELOCITY = np.array([1.0, 0.5])
FINAL, OUTPUTS, HALF = 0.5, 10, 0.26
DEFAULT = "cg:1,cg:2,cg:3,cip:1,cip:2,cip:3,dg:0:tensor,dg:1,dg:2,dg:3,spectral:4:tensor"
HEAD = (
    f"{'method':9}{'degree':>6}{'Péclet':>8}{'below':>10}{'above':>10}{'at the end':>18}"
    f"{'mass':>10}{'growth':>11}{'error':>10}{'seconds':>9}"
)


def experiment(on: Discretization, points: int, kappa: float) -> dict:
    cells = round(points / max(1, on.degree))
    edges = "(erf(({0}-0.5+{1})*{2}) - erf(({0}-0.5-{1})*{2}))/2"
    return {
        "task": "solve",
        "domain": {
            "shape": "rectangle",
            "cells": [cells, cells],
            "cell": on.cell(2),
            "periodic": ["x", "y"],
        },
        "discretization": {"method": on.method, "degree": on.degree},
        "physics": {
            "diffusivity": kappa,
            "velocity": VELOCITY.tolist(),
            "initial": "*".join(edges.format(axis, HALF, points) for axis in "xy"),
        },
        "time": {"final": FINAL, "outputs": OUTPUTS},
        "solver": {"tolerance": 1e-8},
    }


def exact(points: int, kappa: float, t: float):
    """The block at time t: a product of sums of error functions over the periods."""
    width = np.sqrt(points**-2 + 4 * kappa * t)

    def along(s):
        shifts = [s - 0.5 + period for period in range(-8, 9)]
        return sum(0.5 * (erf((s + HALF) / width) - erf((s - HALF) / width)) for s in shifts)

    return lambda x: np.prod([along(x[i] - VELOCITY[i] * t) for i in range(2)], axis=0)


class Bounds:
    """Smallest and largest nodal value, and integral, of states of one problem (collective)."""

    def __init__(self, problem: Problem):
        self.problem, mesh = problem, problem.domain.mesh
        degree = problem.experiment.discretization.degree
        self.values = fem.Function(fem.functionspace(mesh, ("DG", degree)))
        self.mass = fem.form(self.values * problem.domain.dx)

    def __call__(self, state) -> tuple[float, float, float]:
        self.values.interpolate(self.problem.operator.extend(state))
        comm, x = self.problem.comm, self.values.x.array
        return (
            comm.allreduce(float(x.min(initial=np.inf)), MPI.MIN),
            comm.allreduce(float(x.max(initial=-np.inf)), MPI.MAX),
            comm.allreduce(fem.assemble_scalar(self.mass), MPI.SUM),
        )


def row(on: Discretization, points: int, peclet: float) -> str:
    """One line of the table (collective)."""
    kappa = float(np.linalg.norm(VELOCITY)) / points / peclet
    start = f"{on.method:9}{on.degree:6}{peclet:8g}"
    begun = time.perf_counter()
    problem = Problem(parse(experiment(on, points, kappa)))
    try:
        states = problem.semigroup().trajectory(problem.experiment.time.times)
    except ConvergenceError as error:
        return f"{start}   {error}"
    bounds, norm = Bounds(problem), problem.operator.mass.norm
    low, high, mass = np.array([bounds(state) for state in (problem.initial, *states)]).T
    growth = max(norm(state) for state in states) / norm(problem.initial) - 1.0
    error = l2_error(problem, states[-1], exact(points, kappa, FINAL), boundary=True)
    below, above = np.maximum(-low[1:], 0.0), np.maximum(high[1:] - 1.0, 0.0)
    end = f"{below[-1]:.1e} {above[-1]:.1e}"
    return (
        f"{start}{below.max():10.1e}{above.max():10.1e}{end:>18}"
        f"{np.abs(mass / mass[0] - 1.0).max():10.0e}{growth:11.1e}{error:10.1e}"
        f"{time.perf_counter() - begun:9.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=48, help="nodes along a side (48)")
    parser.add_argument("--on", default=DEFAULT, help="method:degree[:tensor], by commas")
    parser.add_argument("--peclet", default="0.1,1,10,100", help="cell Péclet numbers, by commas")
    options = parser.parse_args()
    show = print if MPI.COMM_WORLD.rank == 0 else lambda *_, **__: None
    show(HEAD)
    for peclet in map(float, options.peclet.split(",")):
        for text in options.on.split(","):
            method, degree, *rest = text.split(":")
            on = Discretization(method, int(degree), rest == ["tensor"])
            show(row(on, options.points, peclet), flush=True)


if __name__ == "__main__":
    main()
