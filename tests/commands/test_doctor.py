"""``advdiff doctor``: what is here, what is missing; its exit code says whether a run works."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import dolfinx
import pytest
from slepc4py import SLEPc

from advdiff.commands import doctor
from tests.command_line import advdiff
from tests.core.test_compat import package, python

ROOT = Path(__file__).parents[2]


def test_what_is_here(tmp_path):
    answer = advdiff(tmp_path, "doctor")
    assert answer.code == 0 and answer.error == ""
    if not answer.out:
        return  # rank 0 speaks
    lines = answer.out.splitlines()
    assert 12 <= len(lines) <= 18 and lines[-1] == "ok: a run works"
    said = {line.split()[0]: line for line in lines}
    assert dolfinx.__version__ in said["DOLFINx"]
    assert ".".join(map(str, SLEPc.Sys.getVersion())) in said["SLEPc"]
    assert "float64" in said["PETSc"] and "MUMPS" in said["direct"]
    assert "gcc" in said["compiler"] or "clang" in said["compiler"] or "cc" in said["compiler"]


@pytest.mark.serial
def test_modules_are_those_that_pip_brings():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.split("[<>=]", text)[0].replace("-", "_") for text in project["dependencies"]]
    assert sorted(names) == sorted(doctor.NEEDED)


@pytest.mark.serial
def test_check_without_a_file(tmp_path):
    answer = advdiff(tmp_path, "check")
    assert answer.code == 0 and answer.out.splitlines()[-1] == "ok: a run works"


@pytest.mark.serial
def test_a_dolfinx_that_cannot_be_loaded(tmp_path):
    package(tmp_path, "dolfinx", "raise ImportError('libmpi.so.12: cannot open it')\n")
    done = python(tmp_path, "-m", "advdiff", "doctor", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr == ""
    assert "DOLFINx      none: libmpi.so.12: cannot open it\n" in done.stdout
    assert "for DOLFINx: type" in done.stdout
    assert done.stdout.endswith("no run works here without DOLFINx\n")


@pytest.mark.serial
@pytest.mark.parametrize("command", ["doctor", "run"])
def test_a_python_that_has_nothing(tmp_path, command):
    done = subprocess.run(
        [sys.executable, "-S", "-m", "advdiff", command, "e.toml"],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stderr == ""
    assert "no numpy, scipy, numba, pydantic, click" in done.stdout
    assert "no run works here without MPI, PETSc, SLEPc, DOLFINx, h5py, modules" in done.stdout


@pytest.mark.serial
@pytest.mark.parametrize(("command", "word"), [("no-such-cc", "no C compiler"), ("false", "fails")])
def test_a_compiler_that_does_not(tmp_path, monkeypatch, command, word):
    monkeypatch.setenv("CC", command)
    found = [finding for finding in doctor.findings() if finding.needed]
    assert [finding.name for finding in found] == ["compiler"]
    assert word in found[0].text and "apt-get install gcc" in found[0].remedy
