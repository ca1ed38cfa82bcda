"""Make the noisy measurements of ``velocity_inversion`` and ``harbour``.

The tracer is computed on a mesh twice as fine as the inversion's, with elements of degree 2, and
read at 49 (or so) sensors and 10 times; 1 % of its largest reading is added as Gaussian noise.

    scripts/run python experiments/make_observations.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import advdiff
from advdiff import config
from advdiff.observe import Sensors

HERE = Path(__file__).parent
NOISE = 0.01


def make(experiment: str, finer: dict, points: np.ndarray, target: str, seed: int) -> None:
    """Solve the experiment's truth on a finer mesh, read it, add noise and write a CSV."""
    table = config.load(HERE / experiment)
    truth = table.truth
    data = table.model_dump(exclude_none=True)
    data |= {"task": "solve"}
    for key in ("observations", "unknowns", "truth"):
        data.pop(key, None)
    data["domain"] |= finer | {"degree": 2}
    data["physics"] |= {
        "velocity": truth.model_dump(exclude_none=True)["velocity"],
        "diffusivity": truth.diffusivity,
    }
    data["solver"] = {"tolerance": 1e-9}
    problem = advdiff.Problem(config.parse(data, HERE / experiment))
    times = table.time.times
    sensors = Sensors(problem.operator, points)
    values = np.array([sensors.sample(s) for s in problem.semigroup().trajectory(times)])
    std = NOISE * np.abs(values).max()
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
