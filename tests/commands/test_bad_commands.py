"""The command on bad input: its exit code, one line on stderr, and nothing written.

In this process, on all ranks; and some in processes of their own, one for every way to end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from advdiff.core.ranks import on_root
from tests.command_line import advdiff
from tests.config.bad_input import COMM
from tests.fuzz.files import msh

ROOT = Path(__file__).parents[2]

SMALL = """
task = "{task}"
[domain]
cells = [4, 4]
[physics]
diffusivity = 0.1
initial = "x"
[time]
final = 0.1
outputs = 1
[observations]
file = "obs.csv"
[unknowns]
diffusivity = true
"""

GRIDDED = 'physics.velocity={ file = "obs.csv", components = ["u", "v"] }'
MFN = ("--set", "solver.method=krylov")

FABER = ("--set", "solver.method=faber", "-advdiff_faber_tolerance", "7")
SQUARES = ("--set", "solver.method=faber", "--set", "discretization.degree=2")
PYTHON = ("--set", "petsc.advdiff_resolvent_pc_type=python")
SCRIPT = ("--set", 'domain={ shape = "gmsh", file = "exit.geo" }')
CRASH = ("--set", 'domain={ shape = "gmsh", file = "cut.msh" }')

COMMANDS = {
    "no file": (["run", "none.toml"], 2, "none.toml: No such file"),
    "bad key": (["check", "e.toml", "--set", "physics.diffusivty=1"], 2, "'diffusivity'"),
    "sensor outside": (["run", "invert.toml"], 2, "row 3: the sensor at (2, 0.5)"),
    "too large": (["run", "e.toml", "--set", "domain.cells=[1000000000, 4000]"], 2, "memory"),
    "gridded": (["check", "e.toml", "--set", GRIDDED], 2, "not readable NetCDF or HDF5"),
    "overwrites": (["run", "e.toml", "--output", "e.toml"], 2, "is the experiment file"),
    "PETSc option": (["check", "e.toml", *MFN, "-advdiff_mfn_type", "nonsense"], 2, "nonsense"),
    "PETSc number": (["check", "e.toml", *MFN, "-advdiff_mfn_ncv", "many"], 2, "many"),
    "our option": (["check", "e.toml", *FABER], 2, "-advdiff_faber_tolerance must be in"),
    "TAO": (["check", "fine.toml", "-tao_type", "tron"], 2, "-tao_type tron"),
    "options file": (["check", "e.toml", "-options_file", "none"], 2, "none: no such file"),
    "one dash": (["run", "e.toml", "-output", "x.h5"], 2, "--output"),
    "no such option": (["run", "e.toml", "--outptu", "x.h5"], 2, "did you mean '--output'"),
    "no such command": (["rum", "e.toml"], 2, "did you mean 'run'"),
    "a mass that is not diagonal": (["check", "e.toml", *SQUARES], 2, "solver.method = 'faber'"),
    "it, run": (["run", "e.toml", *SQUARES], 2, "take 'auto'"),
    "no such choice": (["check", "e.toml", "--set", "solver.method=faver"], 2, "mean 'faber'"),
    "code in options": (["run", "e.toml", *PYTHON], 2, "no plain word"),
    "script": (["check", "e.toml", *SCRIPT], 2, "the command Exit"),
    "crash": (["check", "e.toml", *CRASH], 2, "it died of it"),
    "no argument": (["info"], 2, "Missing argument"),
    "resume": (["run", "fine.toml", "--resume"], 2, "no checkpoint"),
    "groups": (["run", "fine.toml", "--groups", "2"], 2, "table [reduced]"),
    "division": (["run", "reduced.toml", "--groups", "7"], 2, "--groups 7"),
    "reduced": (["check", "reduced.toml", "--set", "task=solve"], 2, "task = 'invert'"),
    "reduced field": (["check", "reduced.toml", "--set", "unknowns.initial=true"], 2, "a field"),
    "reduced method": (["check", "reduced.toml", "--set", "reduced.method=exact"], 2, "frechet"),
    "info": (["info", "obs.csv"], 2, "obs.csv: not readable HDF5"),
    "info of no result": (["info", "e.toml"], 2, "e.toml: an experiment file"),
    "plot": (["plot", "none.h5"], 2, "none.h5: no such file"),
    "overflow": (["run", "e.toml", "--set", "physics.diffusivity=1e300"], 1, "mind the sizes"),
}
ALONE = ("no file", "PETSc option", "overflow")
PARALLEL = ("PETSc option", "overflow")


@pytest.fixture
def folder(tmp_path):
    on_root(COMM, lambda: fill(tmp_path))
    return tmp_path


def fill(folder: Path) -> None:
    (folder / "e.toml").write_text(SMALL.format(task="solve"))
    (folder / "invert.toml").write_text(SMALL.format(task="invert"))
    fine = SMALL.format(task="invert").replace("obs.csv", "fine.csv")
    (folder / "fine.toml").write_text(fine)
    (folder / "reduced.toml").write_text(fine + "[reduced]\ndimension = 9\n")
    header = "x,y,t,value,std\n.5,.5,.1,1,1\n"
    (folder / "fine.csv").write_text(header)
    (folder / "obs.csv").write_text(header + "2,.5,.1,1,1\n")
    (folder / "exit.geo").write_text("Exit;")
    (folder / "cut.msh").write_bytes(msh().replace(b"$Nodes\n5", b"$Nodes\n4"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", COMMANDS)
def test_command(folder, name):
    arguments, code, part = COMMANDS[name]
    before = contents(folder)
    answer = advdiff(folder, *arguments)
    assert answer.code == code
    assert "Traceback" not in answer.error
    assert len(answer.lines) == (COMM.rank == 0)
    assert all(part in line for line in answer.lines), answer.lines
    COMM.barrier()
    assert contents(folder) == before


def expect(folder: Path, name: str, *launcher: str) -> None:
    arguments, code, part = COMMANDS[name]
    before = contents(folder)
    done = subprocess.run(
        [*launcher, sys.executable, "-m", "advdiff", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    (line,) = (line for line in done.stderr.splitlines() if "advdiff: " in line)
    assert part in line
    assert contents(folder) == before


@pytest.mark.serial
@pytest.mark.parametrize("name", ALONE)
def test_process(folder, name):
    expect(folder, name)


@pytest.mark.serial
@pytest.mark.skipif(not shutil.which("mpirun"), reason="no mpirun")
@pytest.mark.parametrize("name", PARALLEL)
def test_processes_of_mpirun(folder, name):
    expect(folder, name, "mpirun", "-n", "2")
