"""Make the noisy measurements of the inversions.

The tracer is computed on a mesh finer than the inversion's, with elements of degree 2, and read by
sensors at the output times; Gaussian noise is added, 1 % of the largest reading where nothing else
is said.

    scripts/run python experiments/make_observations.py [NAME …]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from dolfinx import geometry
from mpi4py import MPI

import advdiff
from advdiff.config.load import load as load_experiment
from advdiff.config.load import parse
from advdiff.problem.sensors import Sensors

HERE = Path(__file__).parent
NOISE = 0.01


def inside(problem: advdiff.Problem, points: np.ndarray) -> np.ndarray:
    """The points that lie in the mesh, in their order."""
    msh = problem.domain.mesh
    padded = np.pad(points, ((0, 0), (0, 3 - points.shape[1])))
    candidates = geometry.compute_collisions_points(geometry.bb_tree(msh, msh.topology.dim), padded)
    cells = geometry.compute_colliding_cells(msh, candidates, padded)
    here = np.array([len(cells.links(i)) > 0 for i in range(len(points))])
    problem.comm.Allreduce(MPI.IN_PLACE, here, MPI.LOR)
    return points[here]


def make(name: str, finer: dict, points: np.ndarray, seed: int, std: float | None = None) -> None:
    """Solve the truth of ``name.toml`` on a finer mesh, read it, add noise, write ``name.csv``."""
    experiment, target = f"{name}.toml", f"{name}.csv"
    table = load_experiment(HERE / experiment)
    truth = table.truth
    data = table.model_dump(exclude_none=True)
    data |= {"task": "solve"}
    for key in ("observations", "unknowns", "truth"):
        data.pop(key, None)
    data["domain"] |= finer
    method = data["discretization"]["method"]
    data["discretization"] = {"method": "cg" if method == "spectral" else method, "degree": 2}
    data["physics"] |= {
        "velocity": truth.model_dump(exclude_none=True)["velocity"],
        "diffusivity": truth.diffusivity,
    }
    data["solver"] = {"tolerance": 1e-9}
    problem = advdiff.Problem(parse(data, HERE / experiment))
    times = table.time.times
    points = inside(problem, points)
    sensors = Sensors(problem.operator, points)
    values = np.array([sensors.sample(s) for s in problem.semigroup().trajectory(times)])
    std = NOISE * np.abs(values).max() if std is None else std
    values += std * np.random.default_rng(seed).standard_normal(values.shape)
    if problem.comm.rank:
        return
    with open(HERE / target, "w", encoding="utf-8") as file:
        file.write("x,y,t,value,std\n")
        for t, row in zip(times, values, strict=True):
            for (x, y), value in zip(points, row, strict=True):
                file.write(f"{x:.6g},{y:.6g},{t:.6g},{value:.8g},{std:.6g}\n")
    print(f"{target}: {values.size} readings, std {std:.4g}")


def grid(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The points of a grid, row by row in x."""
    return np.array([(a, b) for a in x for b in y])


EXPERIMENTS = {
    "velocity_inversion": ({"cells": [128, 128]}, grid(*[(np.arange(7) + 1) / 8] * 2), 1),
    "harbour": ({"mesh_size": 0.015}, grid(np.arange(0.1, 2, 0.15), np.arange(0.1, 1, 0.15)), 2),
    "channel": (
        {"mesh_size": 0.015},
        grid(np.arange(0.3, 2.0, 0.15), 0.41 * (np.arange(9) + 1) / 10),
        3,
    ),
    "wind": ({"cells": [120, 80]}, grid(np.arange(100, 1500, 130), np.arange(75, 1000, 120)), 4),
    "own_data": ({"cells": [64, 32]}, grid(np.arange(4.0, 40, 8), np.arange(4.0, 20, 6)), 5),
    "torus": ({"cells": [128, 128], "cell": "triangle"}, grid(*[np.arange(16) / 16] * 2), 3, 0.125),
}
"""Name → finer mesh, places of the sensors (those outside the mesh are left out), seed, noise."""

if __name__ == "__main__":
    for name in sys.argv[1:] or EXPERIMENTS:
        make(name, *EXPERIMENTS[name])
