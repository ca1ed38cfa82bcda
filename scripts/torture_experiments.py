"""Small experiments, one a task: a second or two each."""

from __future__ import annotations

import math
import random
from pathlib import Path

FLOW = """
task = "{task}"
[domain]
cells = [12, 12]
[physics]
diffusivity = 0.02
initial = "exp(-((x-0.3)**2 + (y-0.4)**2)/0.05)"
velocity = {{ stream = "0.1*sin(pi*x)*sin(pi*y)" }}
[time]
final = 0.5
outputs = {outputs}
[output]
file = "out/result.h5"
"""
INVERSION = """
[observations]
file = "flow.csv"
[unknowns]
diffusivity = true
velocity = { family = "sine", modes = [2, 2] }
[prior.velocity]
std = 0.2
"""
SENSITIVITY = """
[sensitivity.directions]
kappa = { diffusivity = "1" }
flow = { velocity = ["y", "0"] }
"""
REDUCED = """
[reduced]
dimension = 80
candidates = 20
box = 1.0
rounds = 2
"""
OPTIMIZER = """
[optimizer]
gradient_tolerance = 1e-6
"""
SAMPLER = """
[sampler]
kernel = "{kernel}"
draws = {draws}
warmup = {warmup}
chains = {chains}
steps = 4
"""
MODEL = """
task = "sample"
[model]
kind = "rate-matrix"
states = 3
[observations]
file = "model.csv"
[output]
file = "out/result.h5"
"""
STUDY = """
task = "surrogate-error"
[matexp]
laws = ["exponential", "cauchy"]
dimensions = [5, 10]
replicates = 40
times = [0.01, 0.1, 1.0]
certified = 2
[output]
file = "out/result.h5"
"""
EXPERIMENTS = {
    "solve": FLOW.format(task="solve", outputs=200),
    "sensitivity": FLOW.format(task="sensitivity", outputs=60) + SENSITIVITY,
    "invert": FLOW.format(task="invert", outputs=4) + INVERSION + OPTIMIZER,
    "reduced": FLOW.format(task="invert", outputs=4) + INVERSION + OPTIMIZER + REDUCED,
    "sample-flow": FLOW.format(task="sample", outputs=2)
    + INVERSION
    + SAMPLER.format(kernel="pcn", draws=60, warmup=20, chains=2),
    "sample-model": MODEL + SAMPLER.format(kernel="hmc", draws=400, warmup=100, chains=4),
    "study": STUDY,
}
RESUMABLE = ("invert", "reduced", "sample-flow", "sample-model")
PICTURED = ("solve", "sensitivity", "invert", "reduced", "sample-flow")
"""Those with a file for ParaView."""
GROUPED = ("reduced",)
"""Those whose ranks may be divided into groups."""
ANSWER = {"reduced": ("theta", "estimate/coefficients")}
"""What a run that was gone on with has in common with one that nothing befell; else everything."""


def write(folder: Path, task: str) -> None:
    """The experiment of a task, ``e.toml``, and its data."""
    rng = random.Random(1)
    (folder / "e.toml").write_text(EXPERIMENTS[task])
    rows = ["x,y,t,value,std"]
    for t in (0.2, 0.5):
        for _ in range(9):
            x, y = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9)
            value = math.exp(-((x - 0.4) ** 2 + (y - 0.5) ** 2) / 0.1) * (1 - t)
            rows.append(f"{x},{y},{t},{value + rng.gauss(0, 0.05)},0.05")
    (folder / "flow.csv").write_text("\n".join(rows) + "\n")
    rows = ["from,to,time,count"]
    for i in range(3):
        for j in range(3):
            rows.append(f"{i},{j},0.5,{3 + 7 * (i == j)}")
    (folder / "model.csv").write_text("\n".join(rows) + "\n")
