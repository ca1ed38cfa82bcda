"""Faults in real runs: a rank that raises, signals, kills, a full disk (scripts/torture: more).

What is to end in a process of its own does; what it is compared with, and goes on to, runs here.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest

from tests.command_line import advdiff

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.serial,
    pytest.mark.skipif(not shutil.which("mpirun"), reason="no mpirun"),
]
LIMIT = 60
EXPERIMENT = """
task = "{task}"
[domain]
cells = [8, 8]
[physics]
diffusivity = 0.05
initial = "x*y"
[time]
final = 0.2
outputs = {outputs}
[observations]
file = "data.csv"
[unknowns]
diffusivity = true
velocity = {{ modes = [2, 2] }}
[optimizer]
gradient_tolerance = 1e-8
"""

STAGES = {
    "read": ("advdiff.problem.problem:read", "InputError", "invert"),
    "mesh": ("advdiff.domain.mesh:Domain.tag", "InputError", "open"),
    "assembly": ("advdiff.equation.operator:Operator.assemble", "RuntimeError", "solve"),
    "objective": ("advdiff.inverse.objective:Objective.evaluate", "ConvergenceError", "invert"),
    "checkpoint": ("advdiff.results.checkpoint:Checkpoint._begin", "InputError", "invert"),
    "chains": ("advdiff.sampling.archive:Archive.record", "InputError", "sample"),
    "write": ("advdiff.results.store:Store.mesh", "InputError", "solve"),
    "paraview": ("advdiff.files.paraview:_steps", "InputError", "solve"),
}
"""Stage → the function that raises, what, and in which experiment."""
CASES = [*((stage, 1) for stage in STAGES if stage != "paraview")]
CASES += [("checkpoint", 0), ("write", 0), ("paraview", 0)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "solve.toml").write_text(EXPERIMENT.format(task="solve", outputs=100))
    (tmp_path / "invert.toml").write_text(EXPERIMENT.format(task="invert", outputs=2))
    sampler = "[sampler]\nkernel = 'pcn'\ndraws = 20\nwarmup = 4\nchains = 2\n"
    (tmp_path / "sample.toml").write_text(EXPERIMENT.format(task="sample", outputs=2) + sampler)
    text = EXPERIMENT.format(task="solve", outputs=2).replace("0.05", "0.05\nflux = { left = 0.1 }")
    (tmp_path / "open.toml").write_text(text)
    rows = [
        f"{x},{y},{t},{x * y + t},0.1" for x in (0.2, 0.7) for y in (0.3, 0.9) for t in (0.1, 0.2)
    ]
    (tmp_path / "data.csv").write_text("\n".join(["x,y,t,value,std", *rows]))
    return tmp_path


def start(folder: Path, *arguments: str, ranks: int = 2, module: str = "advdiff", **more):
    launcher = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    return subprocess.Popen(
        [*launcher, sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def end(process) -> tuple[int, list[str], str]:
    """Exit code, our lines, all of stderr."""
    try:
        _, error = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    return process.returncode, [s for s in error.splitlines() if "advdiff: " in s], error


@pytest.mark.parametrize(("stage", "rank"), CASES)
def test_an_error_of_one_rank_ends_all(folder, stage, rank):
    where, error, experiment = STAGES[stage]
    command = (where, str(rank), error, "run", f"{experiment}.toml")
    code, lines, text = end(start(folder, *command, module="tests.faulty"))
    assert code == {"InputError": 2, "ConvergenceError": 1}.get(error, 3)
    if code == 3:
        assert f"a fault in {where}" in text
    else:
        assert len(lines) == 1, text
        assert f"a fault in {where}" in lines[0]
        assert "Traceback" not in text
    assert stage == "paraview" or not list(folder.glob("*.h5"))
    assert not list(folder.glob(".*.partial"))


def until(process, condition) -> None:
    began = time.monotonic()
    while not condition():
        assert process.poll() is None
        assert time.monotonic() - began < LIMIT
        time.sleep(1e-3)


def answer(path: Path) -> tuple:
    with h5py.File(path, "r") as file:
        assert file.attrs["complete"]
        return tuple(file[n][()].tobytes() for n in ("estimate/coefficients", "history/objective"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_inversion_goes_on(folder, number):
    process = start(folder, "run", "invert.toml", "--output", "cut.h5", ranks=1)
    checkpoint = folder / ".cut.h5.checkpoint"
    until(process, lambda: checkpoint.exists() and checkpoint.stat().st_size > 1000)
    process.send_signal(number)
    code, lines, error = end(process)
    assert "Traceback" not in error
    if number == signal.SIGKILL:
        assert (code, lines) == (-9, [])
    else:
        assert code == 128 + number
        assert lines == [f"advdiff: stopped by {number.name}; go on with --resume"]
    assert not (folder / "cut.h5").exists()
    assert advdiff(folder, "run", "invert.toml", "--output", "cut.h5", "--resume").code == 0
    assert not list(folder.glob(".*"))
    assert advdiff(folder, "run", "invert.toml", "--output", "whole.h5").code == 0
    assert answer(folder / "cut.h5") == answer(folder / "whole.h5")


@pytest.mark.parametrize(
    ("experiment", "function", "size", "ranks"),
    [
        ("solve", "advdiff.files.parallel:open_parallel", 200, 1),
        ("solve", "advdiff.results.store:Store.mesh", 20_000, 2),
        ("solve", "advdiff.tasks.forward:write_solver", 5_000, 1),
        ("solve", "advdiff.files.paraview:write", 5_000, 1),
        ("invert", "advdiff.results.checkpoint:Checkpoint.record", 1_000, 1),
        ("sample", "advdiff.sampling.archive:_diagnose", 1_000, 2),
    ],
)
def test_a_full_disk_is_one_line(folder, experiment, function, size, ranks):
    command = (function, "all", str(size), "run", f"{experiment}.toml")
    code, lines, error = end(start(folder, *command, ranks=ranks, module="tests.faulty"))
    assert (code, len(lines)) == (2, 1), error
    assert f"{experiment}." in lines[0]
    assert "cannot grow (File too large)" in lines[0]
    assert "Traceback" not in error
    left = {p.name for p in folder.iterdir()}
    assert not any(name.endswith((".partial", ".vtkhdf")) for name in left)
    assert ("solve.h5" in left) == ("paraview" in function)


def test_a_write_that_is_lost_where_nothing_can_be_raised(folder):
    """HDF5 writes a block of draws as h5py lets go of the dataset; the run does not go on."""
    command = ("advdiff.sampling.archive:Archive.record", "all", "1000", "run", "sample.toml")
    code, lines, error = end(start(folder, *command, ranks=1, module="tests.faulty"))
    assert (code, len(lines), error.count("\n")) == (2, 1, 1), error
    assert ".sample.h5.chains cannot grow (File too large)" in lines[0]


def children(pid: int) -> list[int]:
    """The processes that one has started, by whichever of its threads."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def ranks(process) -> list[int]:
    """The processes that mpirun has started; MPICH's has one between."""
    found = children(process.pid)
    while any("proxy" in Path(f"/proc/{pid}/comm").read_text() for pid in found):
        found = [child for pid in found for child in children(pid)]
    return found


def test_a_killed_rank_ends_all(folder):
    command = ("advdiff.results.store:Store.mesh", "all", "sleep", "run", "solve.toml")
    process = start(folder, *command, module="tests.faulty")
    until(process, lambda: (folder / ".solve.h5.partial").exists())
    os.kill(ranks(process)[0], signal.SIGKILL)
    assert end(process)[0] in (137, 9)  # as Open MPI's mpirun says it, and MPICH's
    assert not (folder / "solve.h5").exists()


def test_ranks_that_write_in_turn(folder, monkeypatch):
    """A full disk is one line; a rank killed in its turn ends all, and nothing has the name."""
    monkeypatch.setenv("ADVDIFF_HDF5", "turns")
    command = ("advdiff.results.store:Store.mesh", "all", "20000", "run", "solve.toml")
    code, lines, error = end(start(folder, *command, module="tests.faulty"))
    assert (code, len(lines)) == (2, 1), error
    assert ".solve.h5.partial cannot grow (File too large)" in lines[0]
    assert not list(folder.glob("*.h5")) and not list(folder.glob(".*.partial"))
    command = ("advdiff.files.shared:InTurn._write", "1", "sleep", "run", "solve.toml")
    process = start(folder, *command, module="tests.faulty")
    until(process, lambda: (folder / ".solve.h5.partial").exists())
    os.kill(ranks(process)[1], signal.SIGKILL)
    assert end(process)[0] == 137
    assert not (folder / "solve.h5").exists()
