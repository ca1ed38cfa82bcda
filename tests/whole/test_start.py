"""A command loads what it needs: no chains for a solve, no solver for a summary."""

import subprocess
import sys

import pytest

from tests.commands.test_bad_commands import SMALL

pytestmark = pytest.mark.serial

HEAVY = ("scipy.stats", "scipy.special", "scipy.optimize", "matplotlib", "rich", "typer")
ROOMS = ("advdiff.inverse.prior", "advdiff.inverse.map", "advdiff.reduced", "advdiff.matexp")
PROGRAM = """
import sys
from advdiff.commands import cli
sys.argv = ["advdiff", *sys.argv[1:]]
try:
    cli.main()
finally:
    print("loaded", *sys.modules)
"""


def loaded(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_a_solve_and_its_summary(tmp_path):
    (tmp_path / "e.toml").write_text(SMALL.format(task="solve"))
    found = loaded(tmp_path, "run", "e.toml")
    assert "dolfinx" in found
    assert not found & {*HEAVY, *ROOMS}
    found = loaded(tmp_path, "info", "e.h5")
    assert "h5py" in found
    assert not found & {*HEAVY, *ROOMS, "dolfinx", "petsc4py"}
