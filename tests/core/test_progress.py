"""Stages: one at a time, measured from within if need be, on terminals and in logs."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest
from mpi4py import MPI

from advdiff.core import progress
from tests.command_line import advdiff

SOLVE = """
task = "solve"
[domain]
cells = [8, 8]
[physics]
diffusivity = 0.1
initial = "x"
[time]
final = 0.5
"""


@pytest.fixture
def lines() -> list[str]:
    """What a log hears."""
    found: list[str] = []
    with progress.shown(progress.Display(found.append)):
        yield found


def test_nobody_looks():
    with progress.stage("solve", 3, "products") as bar:
        bar.at(1)
    assert bar is progress.SILENT
    assert list(progress.counted([5, 6], "things")) == [5, 6]


def test_a_line_a_stage(lines):
    with progress.stage("chains", 20, "steps") as bar:
        bar.at(7)
        with progress.within(3, "products") as inner:
            inner.at(2)
        with progress.stage("solve") as other:
            other.at(2)
        assert inner is progress.SILENT and other is progress.SILENT
        assert bar.count() == "7 of 20 steps"
        bar.at(20)
    assert len(lines) == 1 and re.fullmatch(r"stage       chains, 20 steps, \d\.\d s", lines[0])


def test_engines_count_for_a_stage_without_a_number(lines):
    with progress.stage("solve") as bar:
        for _ in progress.counted("ab", "output times"):
            with progress.within(9, "products") as deeper:
                deeper.at(5)
            assert deeper is progress.SILENT
        assert bar.count() == "2 output times"
        with progress.within(4, "products") as again:
            again.at(1)
        assert bar.count() == "1 of 4 products"
    assert lines[0].startswith("stage       solve, 1 of 4 products, ")


def test_engines_alone_are_no_stage(lines):
    assert list(progress.counted("ab", "output times")) == ["a", "b"]
    assert lines == []


def test_an_exception_leaves_no_line_and_no_stage(lines):
    with pytest.raises(ValueError), progress.stage("solve"):
        raise ValueError
    with progress.stage("write"):
        pass
    assert len(lines) == 1 and lines[0].startswith("stage       write")


def test_what_remains(lines, monkeypatch):
    now = 0.0
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now)
    with progress.stage("chains", 100, "steps") as bar:
        now = 10.0
        bar.at(40)  # resumed: those were done before
        assert bar.remaining is None
        now = 20.0
        bar.at(60)
        assert bar.remaining == pytest.approx(20.0)
        now += progress.LINE_EVERY + 1.0
        bar.at(99)
    assert len(lines) == 2
    assert lines[0].startswith("stage       chains, 99 of 100 steps, 5 min 21 s, about ")


def test_descent_counts_decades(lines):
    with progress.stage("inversion", unit="decades") as bar:
        for iteration, fallen in enumerate((1.0, 1e-2, 3e-2)):
            progress.descent(bar, iteration, fallen, 1e-4)
        assert bar.done == pytest.approx(2.0) and bar.total == pytest.approx(4.0)
    assert "inversion, iteration 2, gradient 3.0e-02 of its first" in lines[0]


@pytest.mark.parametrize(
    "seconds, text",
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (59.96, "1 min 0 s"), (3725.0, "1 h 2 min")],
)
def test_duration(seconds, text):
    assert progress.duration(seconds) == text


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def experiment(tmp_path):
    (tmp_path / "e.toml").write_text(SOLVE)
    return tmp_path / "e.toml"


def command(experiment, *options, ranks: int = 1) -> list[str]:
    launcher = [] if ranks == 1 else ["mpirun", "-n", str(ranks)]
    return [*launcher, sys.executable, "-m", "advdiff", "run", str(experiment), *options]


def log(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(arguments, capture_output=True, text=True, timeout=120)


@pytest.mark.serial
def test_a_log_has_a_line_a_stage(experiment):
    done = advdiff(experiment.parent, "run", experiment.name)
    assert done.code == 0, done.error
    stages = [line.split()[1] for line in done.out.splitlines() if line.startswith("stage")]
    assert stages == ["check,", "solve,", "mesh", "write,"]
    assert "\x1b" not in done.out and "\r" not in done.out


@pytest.mark.serial
def test_quiet_says_nothing_and_log_view_passes_through(experiment):
    assert advdiff(experiment.parent, "run", experiment.name, "--quiet") == (0, "", "")
    assert experiment.with_suffix(".h5").exists()
    done = log(*command(experiment, "--quiet", "-log_view"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "MatMult" in done.stdout and "stage       solve" not in done.stdout
    assert advdiff(experiment.parent, "run", experiment.name, "--quiet", "--verbose").code == 2


def terminal(*arguments) -> str:
    """What a program writes to a terminal of 100 columns."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    child = subprocess.Popen(arguments, stdout=follower, stderr=follower, env=environment)
    os.close(follower)
    found = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # Linux: the other end is closed
            piece = b""
        if not piece:
            break
        found += piece
    os.close(leader)
    assert child.wait(timeout=120) == 0, found
    return found.decode()


@pytest.mark.serial
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_terminal_has_a_bar(experiment, ranks):
    if ranks > 1 and "MPICH" in MPI.Get_library_version():
        pytest.skip("MPICH's mpirun gives its ranks no terminal")
    text = terminal(*command(experiment, ranks=ranks))
    assert "━" in text and "\x1b[2K" in text
    assert re.search(r"stage       solve, \d+ products", text)


@pytest.mark.serial
def test_no_bar_in_a_log_of_mpirun(experiment):
    done = log(*command(experiment, ranks=2))
    assert done.returncode == 0, done.stderr
    assert "stage       solve" in done.stdout and "\x1b" not in done.stdout
