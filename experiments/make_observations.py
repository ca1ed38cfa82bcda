"""Make the noisy measurements of the inversions.

The tracer is computed on a mesh finer than the inversion's, with elements of degree 2, and read by
sensors at the output times; Gaussian noise is added, 1 % of the largest reading where nothing else
is said.

    scripts/run python experiments/make_observations.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from dolfinx import geometry
from mpi4py import MPI

import advdiff
from advdiff import config
from advdiff.observe import Sensors

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


def make(
    experiment: str,
    finer: dict,
    points: np.ndarray,
    target: str,
    seed: int,
    std: float | None = None,
) -> None:
    """Solve the experiment's truth on a finer mesh, read it, add noise and write a CSV."""
    table = config.load(HERE / experiment)
    truth = table.truth
    data = table.model_dump(exclude_none=True)
    data |= {"task": "solve"}
    for key in ("observations", "unknowns", "truth"):
        data.pop(key, None)
    data["domain"] |= finer
    data["discretization"] = {"method": "cg", "degree": 2}
    data["physics"] |= {
        "velocity": truth.model_dump(exclude_none=True)["velocity"],
        "diffusivity": truth.diffusivity,
    }
    data["solver"] = {"tolerance": 1e-9}
    problem = advdiff.Problem(config.parse(data, HERE / experiment))
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


if __name__ == "__main__":
    side = (np.arange(7) + 1) / 8
    grid = np.array([(x, y) for x in side for y in side])
    make("velocity_inversion.toml", {"cells": [128, 128]}, grid, "velocity_inversion.csv", seed=1)

    rows = np.array([(x, y) for x in np.arange(0.1, 2, 0.15) for y in np.arange(0.1, 1, 0.15)])
    make("harbour.toml", {"mesh_size": 0.015}, rows, "harbour.csv", seed=2)

    lattice = np.array([(x, y) for x in np.arange(16) / 16 for y in np.arange(16) / 16])
    fine = {"cells": [128, 128], "cell": "triangle"}
    make("torus.toml", fine, lattice, "torus.csv", seed=3, std=0.125)
