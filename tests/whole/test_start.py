"""A command loads what it needs: no chains for a solve, no solver for a summary."""

import os
import subprocess
import sys

import dolfinx
import pytest

from advdiff.core import child
from tests.commands.test_bad_commands import SMALL

pytestmark = pytest.mark.serial

UNUSED = ("numba", "pycparser")
"""What DOLFINx would load for helpers that nobody here calls."""
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
    assert not found & {*HEAVY, *ROOMS, *UNUSED}
    found = loaded(tmp_path, "info", "e.h5")
    assert "h5py" in found
    assert not found & {*HEAVY, *ROOMS, "dolfinx", "petsc4py"}


def answer(program, **environment):
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_numba_is_there_for_those_who_ask():
    program = "import advdiff, dolfinx.fem.petsc, sys; print('numba' in sys.modules); import numba"
    assert answer(program + "; print(numba.njit(lambda x: x + 1.0)(1.0))") == ["False", "2.0"]
    program = "import advdiff, dolfinx.utils as utils; print(utils.cffi_utils.__name__)"
    assert dolfinx.__version__ >= "0.10" or answer(program) == ["cffi_utils"]


def test_who_reads_a_result_starts_no_mpi_unless_it_is_a_rank():
    program = "from advdiff.core.ranks import stay_alone; print(stay_alone()); import h5py, sys; "
    program += "mpi = sys.modules.get('mpi4py.MPI'); print(bool(mpi and mpi.Is_initialized()))"
    launched = [name for name in os.environ if name.startswith(child.LAUNCHED)]
    assert not launched, "this test is for one rank"
    assert answer(program) == ["True", "False"]
    program = program.partition("; import h5py")[0]
    for name in ("OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID"):
        assert answer(program, **{name: "2"}) == ["False"]


def test_a_copy_of_the_process_says_how_it_ended():
    program = """
import os, signal, sys
from advdiff.core import child
print(child.may_fork())
for action in (list, lambda: 1 / 0, lambda: os.kill(os.getpid(), signal.SIGSEGV)):
    print(child.fork(action), flush=True)
from mpi4py import MPI
print(child.may_fork())
"""
    assert answer(program, OMP_NUM_THREADS="1") == ["True", "0", "1", "-11", "False"]
