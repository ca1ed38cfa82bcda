"""``advdiff readings`` says what was understood, of a table or of that of an experiment."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.command_line import advdiff

pytestmark = pytest.mark.serial

CSV = "well;Depth [cm];Time [min];C\nA;11;0;0,5\nA;11;30;0,75\nA;11;60;\nB;17;60;<0,25\n"
EXPERIMENT = """
task = "invert"
domain = { shape = "interval", cells = [8], upper = [30.0] }
physics = { diffusivity = 1.0 }
time = { final = 2.0, unit = "h" }
observations = { file = "a.csv", std = 0.1 }
unknowns = { diffusivity = true }
"""

STUDY = """
task = "random-rates"
matexp = { dimensions = [4], laws = ["cauchy"], replicates = 1 }
"""


def write(folder) -> None:
    (folder / "a.csv").write_text(CSV)
    (folder / "e.toml").write_text(EXPERIMENT)


def test_a_table(tmp_path):
    write(tmp_path)
    said = advdiff(tmp_path, "readings", "a.csv")
    assert (said.code, said.error) == (0, "")
    assert said.out.splitlines() == [
        "read        a.csv: semicolons, decimal comma; columns sensor from 'well', x [cm] from "
        "'Depth [cm]', t [min] from 'Time [min]', value from 'C'; 1 missing; 1 below a limit of "
        "detection",
        "readings    3 from 2 sensors at 3 times, 1 missing",
        "x           11 … 17 cm",
        "t           0 … 60 min",
        "value       0.25 … 0.75",
        "std         not given",
        "censored    1 known as a bound only",
        "sensors",
        "  A (11)      2  0.5 … 0.75             ▁" + 19 * " " + "█",
        "  B (17)      1  0.25                   " + 39 * " " + "▁",
    ]


def test_of_an_experiment(tmp_path):
    write(tmp_path)
    said = advdiff(tmp_path, "readings", "e.toml").out
    assert "t from min to h" in said
    assert "t           0 … 1 h" in said
    assert "std         0.1, observations.std" in said
    more = ("--set", "observations.columns.value=Depth [cm]")
    assert "no column 'x'" in advdiff(tmp_path, "readings", "e.toml", *more).error


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        (["observations.decimal=;"], ["observations.decimal = ';'", "'.' or ','"]),
        (["observations.separator=ab"], ["observations.separator = 'ab'", "one sign"]),
        (["observations.missing=true"], ["observations.missing = True", "a list"]),
        (["observations.origin=never"], ["observations.origin = 'never'", "2021-08-25T14:03:00"]),
        (["observations.time_format=%d"], ["observations.origin: missing"]),
        (["observations.columns.c=C"], ["observations.columns.c"]),
        (["time.unit=hour"], ["time.unit = 'hour'", "'h'"]),
        (["time.final=2"], ["time.final: unknown key"]),
        (["observations.file=none.h5", "observations.decimal=."], ["only a .csv file takes it"]),
    ],
)
def test_keys_are_refused_as_in_a_run(tmp_path, settings, parts):
    write(tmp_path)
    arguments = [text for setting in settings for text in ("--set", setting)]
    said = advdiff(tmp_path, "readings", "a.csv", *arguments)
    assert said.code == 2
    assert len(said.lines) == 1
    for part in parts:
        assert part in said.error


def test_what_a_run_refuses_it_refuses(tmp_path):
    (tmp_path / "a.csv").write_text("x,t,value\n1,1,1_0\n")
    said = advdiff(tmp_path, "readings", "a.csv")
    assert (said.code, said.out) == (2, "")
    assert "a.csv, row 2: value = '1_0' is no number" in said.error
    (tmp_path / "m.toml").write_text(STUDY)
    assert "no readings" in advdiff(tmp_path, "readings", "m.toml").error
    assert "does not exist" in advdiff(tmp_path, "readings", "n" * 400 + ".csv").error
    assert "does not exist" in advdiff(tmp_path, "readings", "none.csv").error


def test_neither_solver_nor_terminal_is_needed(tmp_path):
    """In a process of its own: no PETSc, no pandas without dates, and no block characters."""
    write(tmp_path)
    script = (
        "import sys; sys.argv = ['advdiff', 'readings', 'a.csv']\n"
        "from advdiff.commands import cli\n"
        "try: cli.main()\n"
        "finally: print(sorted({'petsc4py', 'dolfinx', 'pandas', 'scipy'} & set(sys.modules)))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert run.stderr == ""
    assert run.stdout.splitlines()[-1] == "[]"
    assert f"0.5 ? 0.75             _{19 * ' '}#" in run.stdout
