"""What has to be loaded before PETSc is, whoever imports it, and what a compile needs."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from petsc4py import PETSc

from advdiff.core import compat, ranks
from tests.commands.test_bad_commands import SMALL

pytestmark = pytest.mark.serial

ROOT = Path(__file__).parents[2]
SAYS = "print(__name__)\n"
TOO_LATE = "import sys\nif 'petsc4py' in sys.modules: raise ValueError('Not a datatype')\n"
LOADS = "import petsc4py\n"
REFUSES = "raise ImportError('petsc4py would be imported from elsewhere')\n"


def package(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(text)


@pytest.fixture
def wheels(tmp_path):
    """Packages that say that they are loaded, laid out as wheels are."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    package(folder, "h5py", TOO_LATE + SAYS)
    (folder / "h5py.libs").mkdir()
    package(folder, "dolfinx_solver", SAYS)
    package(folder, "petsc4py", SAYS)
    package(folder, "dolfinx", LOADS + SAYS)
    return folder


def python(folder: Path, *arguments: str, cwd: Path = ROOT):
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=cwd, capture_output=True, text=True
    )


def loaded(folder: Path, line: str, *options: str) -> list[str]:
    done = python(folder, *options, "-c", line)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("line", ["import advdiff, dolfinx", "import advdiff.core.ranks, dolfinx"])
def test_hdf5_then_mpi_then_petsc(wheels, line):
    assert loaded(wheels, line) == ["h5py", "dolfinx_solver", "petsc4py", "dolfinx"]


def test_nothing_is_loaded_before_it_is_asked_for(wheels):
    assert loaded(wheels, "import advdiff.matexp") == []


def test_an_hdf5_that_is_petscs_own_is_not_loaded(wheels):
    (wheels / "h5py.libs").rmdir()
    (wheels / "dolfinx_solver/__init__.py").unlink()
    (wheels / "dolfinx_solver").rmdir()
    alone = "-S"  # without what is installed
    assert loaded(wheels, "import advdiff, dolfinx", alone) == ["petsc4py", "dolfinx"]


def test_dolfinx_first_is_one_clear_line(wheels):
    done = python(wheels, "-c", "import dolfinx, advdiff")
    assert done.returncode == 1
    last = done.stderr.strip().split("\n")[-1]
    assert last == "ImportError: h5py: Not a datatype; import advdiff before DOLFINx"


def test_a_second_attempt_is_refused_as_the_first(wheels):
    (wheels / "dolfinx_solver/__init__.py").write_text(REFUSES)
    attempt = "try:\n import dolfinx\nexcept ImportError as error: print(error)\n"
    said = loaded(wheels, f"import advdiff\n{attempt}{attempt}")
    assert said.count("elsewhere") == 2 and "dolfinx" not in said


def test_a_foreign_petsc_is_one_line_of_the_command(wheels, tmp_path):
    (wheels / "dolfinx_solver/__init__.py").write_text(REFUSES)
    (wheels / "h5py/__init__.py").unlink()
    (wheels / "h5py").rmdir()
    (tmp_path / "e.toml").write_text(SMALL.format(task="solve"))
    done = python(wheels, "-m", "advdiff", "check", "e.toml", cwd=tmp_path)
    assert done.returncode == 2
    line = "advdiff: petsc4py would be imported from elsewhere; type advdiff doctor\n"
    assert done.stderr == line


def test_inner_products_do_not_depend_on_where_vectors_lie():
    compat.steady_sums()
    random, n = np.random.default_rng(3), 501
    for _ in range(20):
        together, one = random.standard_normal((6, n)), random.standard_normal(n)
        apart = [np.empty(n + 2 * i)[:n] for i in range(6)]
        for array, row in zip(apart, together, strict=True):
            array[:] = row
        x, y = (
            [PETSc.Vec().createWithArray(row, comm=PETSc.COMM_SELF) for row in rows]
            for rows in (together, apart)
        )
        first = PETSc.Vec().createWithArray(one, comm=PETSc.COMM_SELF)
        assert np.array_equal(first.mDot(x), first.mDot(y))


def test_what_a_compile_lacks(monkeypatch):
    assert compat.compiler_trouble() is None
    monkeypatch.setenv("CC", "no-such-cc -O1")
    assert compat.compiler_trouble().startswith("no C compiler (no-such-cc), by which")
    assert "type   apt-get install gcc" in compat.compiler_trouble()
    monkeypatch.delenv("CC")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: "/nowhere")
    assert compat.compiler_trouble().startswith("no /nowhere/Python.h, by which")


def test_ranks_that_do_not_know_each_other(monkeypatch):
    monkeypatch.setattr(ranks, "find_spec", lambda name: None)
    assert ranks.foreign_launcher() is None
    monkeypatch.setenv("PMI_SIZE", "3")
    assert "has started 3 ranks and each is alone" in ranks.foreign_launcher()
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "1")
    monkeypatch.setattr(ranks, "find_spec", lambda name: name == "dolfinx_solver")
    assert "this mpirun is Open MPI's" in ranks.foreign_launcher()
