"""Do the iterations of Newton's method grow with the mesh?

    scripts/run python scripts/benchmarks/newton.py [--types nls,lmvm] [--tolerance 1e-5]

Two inversions, each on three meshes: the harbour's stream function with the diffusivity, and a
field of diffusivity in a cellular flow.  Newton steps, products with the Hessian (iterations of
conjugate gradients), evaluations, and directions that the data see (eigenvalues above 0.1).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from advdiff import Problem
from advdiff.config.load import load as load_experiment
from advdiff.config.load import parse
from advdiff.inverse.laplace import approximate
from advdiff.problem.sensors import Sensors

HARBOUR = Path(__file__).resolve().parents[2] / "experiments/harbour.toml"
SIZES, CELLS = (0.06, 0.03, 0.015), (16, 32, 64)
NOISE = 0.01


def harbour(size: float, settings: list[str]) -> Problem:
    """The experiment, its cells smaller than that."""
    return Problem(load_experiment(HARBOUR, (f"domain.mesh_size={size}", *settings)))


def tables(cells: int) -> dict:
    return {
        "domain": {"shape": "rectangle", "cells": [cells, cells]},
        "physics": {
            "diffusivity": 0.02,
            "velocity": {"stream": "0.15*sin(pi*x)*sin(pi*y)"},
            "initial": "0.5 + 0.5*cos(pi*x)*cos(2*pi*y)",
        },
        "time": {"final": 1.0, "outputs": 5},
    }


def readings(path: Path) -> None:
    """Of a diffusivity with a hole, on 96 × 96 cells, at 64 sensors and 5 times."""
    forward = tables(96) | {"task": "solve"}
    hole = "0.02*(1 - 0.7*exp(-((x-0.6)**2 + (y-0.4)**2)/0.05))"
    forward["physics"] = forward["physics"] | {"diffusivity": hole}
    problem = Problem(parse(forward))
    side = (np.arange(8) + 0.5) / 8
    points = np.array([(x, y) for x in side for y in side])
    sensors, rng = Sensors(problem.operator, points), np.random.default_rng(0)
    rows = ["x,y,t,value,std"]
    times = problem.experiment.time.times
    for t, state in zip(times, problem.semigroup().trajectory(times), strict=True):
        values = sensors.sample(state) + NOISE * rng.standard_normal(len(points))
        rows += [
            f"{x},{y},{t},{v},{NOISE}" for (x, y), v in zip(points.tolist(), values, strict=True)
        ]
    path.write_text("\n".join(rows))


def diffusivity(cells: int, data: Path, optimizer: dict) -> Problem:
    """κ at every vertex."""
    more = {
        "task": "invert",
        "observations": {"file": str(data)},
        "unknowns": {"diffusivity": "field"},
        "prior": {"diffusivity": {"std": 0.5, "correlation_length": 0.5}},
        "optimizer": optimizer,
    }
    return Problem(parse(tables(cells) | more))


def row(name: str, kind: str, problem: Problem) -> None:
    estimate = problem.invert()
    last, seen = estimate.history[-1], ""
    if last.hessian_products:
        found = approximate(problem.objective, estimate.m, most=400).pairs
        seen = f"{len(found.values)} ({found.products})"
    print(
        f"| {name} | {problem.unknowns.size} | {kind} | {last.iteration} | "
        f"{last.hessian_products} | {last.solves} | {last.seconds:.1f} | {seen} |"
        + ("" if estimate.converged else " not converged"),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--types", default="nls,lmvm", help="of TAO, by commas")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="of the gradient")
    options = parser.parse_args()
    print("| problem | unknowns | type | iterations | products | solves | s | seen (products) |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "diffusivity.csv"
        readings(data)
        for kind in options.types.split(","):
            optimizer = {"type": kind, "gradient_tolerance": options.tolerance}
            settings = [f"optimizer.{key}={value}" for key, value in optimizer.items()]
            for size in SIZES:
                row(f"harbour, {size:g}", kind, harbour(size, settings))
            for cells in CELLS:
                row(f"κ field, {cells}²", kind, diffusivity(cells, data, optimizer))


if __name__ == "__main__":
    main()
