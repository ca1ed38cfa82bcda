"""README.md: every command in it runs, and its other blocks are what they say.

In a copy of the experiments, made smaller where they take more than seconds; the commands are those
of the README, word for word.  Those of one kind run once as processes, then in this one.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from advdiff.config.load import load as load_experiment
from advdiff.config.load import parse
from tests.command_line import advdiff
from tests.sketches import coarse

pytestmark = pytest.mark.serial

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

EXEMPT = {"scripts/test": "it runs this"}
"""Commands that are not run → why."""
MORE = {"scripts/run scripts/bench --quick": "--only forward --meshes none"}
"""Commands that would take minutes → what is added to them."""
LAUNCHERS = ("scripts/run advdiff ", "scripts/run mpirun -n 2 advdiff ")
"""What commands begin with that is started once, and left out from then on."""
SMALLER = {
    "velocity_inversion.toml": {
        "cells = [64, 64]": "cells = [10, 10]",
        "outputs = 10": "outputs = 2",
        "modes = [5, 5]": "modes = [2, 2]",
    },
    "own_data.toml": {
        "cells = [32, 16]": "cells = [10, 5]",
        "draws = 500": "draws = 8",
        "warmup = 100": "warmup = 2",
        "chains = 4": "chains = 2",
    },
}
"""Experiment file → what is smaller in the copy."""


def blocks(text: str) -> list[str]:
    """The indented blocks, without their indentation."""
    found, block = [], []
    for before, line in pairwise(["", *text.splitlines(), "end"]):
        if line.startswith("    ") and (block or not before.strip()):
            block.append(line[4:])
        elif block and not line.strip():
            block.append("")
        elif block:
            found.append("\n".join(block).strip())
            block = []
    return found


BLOCKS = blocks(README)
COMMANDS = [
    line
    for block in BLOCKS
    if block.startswith("scripts/")
    for line in block.replace("\\\n", " ").splitlines()
]
PYTHON = [block for block in BLOCKS if block.startswith("import ")]
TOML = [block for block in BLOCKS if block.startswith("task = ")]
DATA = [block for block in BLOCKS if block.startswith("x,y,")]


def test_every_block_is_of_a_known_kind():
    commands = [block for block in BLOCKS if block.startswith("scripts/")]
    assert len(commands) + len(PYTHON) + len(TOML) + len(DATA) == len(BLOCKS)
    assert len(COMMANDS) >= 9 and PYTHON and TOML and DATA
    assert EXEMPT.keys() <= set(COMMANDS) and MORE.keys() <= set(COMMANDS)


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The folder to type the commands in."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "experiments", folder / "experiments", ignore=_results)
    (folder / "scripts").symlink_to(ROOT / "scripts")
    for name, changes in SMALLER.items():
        path = folder / "experiments" / name
        text = path.read_text(encoding="utf-8")
        for old, new in changes.items():
            assert old in text, f"{name} has no {old!r}"
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
    return folder


def _results(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name.endswith((".h5", ".vtkhdf", "_pictures", ".html"))]


def run(folder: Path, command: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def run_here(folder: Path, command: str) -> None:
    with coarse():
        answer = advdiff(folder, *shlex.split(command))
    assert answer.code == 0, f"{command}\n{answer.out}{answer.error}"


def test_every_command_runs(copy):
    """One after the other, for each needs what those before it have made."""
    started = set()
    for command in COMMANDS:
        launcher = next((words for words in LAUNCHERS if command.startswith(words)), None)
        if launcher in started:
            run_here(copy, command.removeprefix(launcher))
        elif command not in EXEMPT:
            run(copy, f"{command} {MORE.get(command, '')}")
            started |= {launcher} - {None}
    assert started == set(LAUNCHERS)
    made = {path.name for path in copy.iterdir()} - {"experiments", "scripts"}
    assert made == {"mine.toml", "mine.csv", "pond.h5", "pond.vtkhdf", "pond.html"}
    pictures = {path.stem for path in (copy / "experiments/velocity_inversion_pictures").iterdir()}
    assert {"overview", "tracer", "history"} <= pictures


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_python_runs(number, copy):
    with contextlib.chdir(copy):
        exec(compile(PYTHON[number], "README.md", "exec"), {})


@pytest.mark.parametrize("text", TOML)
def test_experiment_files_are_valid(text):
    experiment = parse(tomllib.loads(text))
    assert (ROOT / "experiments" / experiment.observations.file).is_file()


def test_the_tables_in_the_document_are_valid():
    """With what every experiment needs beside them."""
    text = (ROOT / "docs/experiment_file.md").read_text(encoding="utf-8")
    found = [block for block in blocks(text) if block.startswith("[domain]")]
    assert found
    for block in found:
        tables = {"task": "solve", "time": {"final": 1.0}, **tomllib.loads(block)}
        tables["physics"] = {"diffusivity": 0.1, **tables["physics"]}
        parse(tables)


def test_data_are_those_of_the_file():
    assert (ROOT / "experiments/own_data.csv").read_text().startswith(DATA[0] + "\n")


@pytest.mark.parametrize("document", ["README.md", "docs/README.md", "experiments/README.md"])
def test_links_and_pictures_are_there(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (ROOT / document).parent.joinpath(target).exists(), target


def test_the_experiments_that_are_described_are_valid():
    """``tests/whole/test_experiments.py`` runs them."""
    text = (ROOT / "experiments/README.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^###? (\w+)$", text, re.MULTILINE))
    files = {path.stem for path in (ROOT / "experiments").glob("*.toml")}
    for name in files & described:
        load_experiment(ROOT / "experiments" / f"{name}.toml")
    for command in blocks(text):
        for word in command.split():
            assert not word.endswith(".toml") or (ROOT / word).is_file(), word
