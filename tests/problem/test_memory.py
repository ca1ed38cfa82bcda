"""What a run will take: counts against those of real spaces, refusals, what is free."""

from __future__ import annotations

import time

import pytest
from mpi4py import MPI
from petsc4py import PETSc

from advdiff import Problem, tasks
from advdiff.config.load import parse
from advdiff.core import memory
from advdiff.core.errors import InputError
from advdiff.equation.discretization import METHODS
from advdiff.problem.memory import TAPE, estimate, require_run
from tests import flows

GIB = 2**30


@pytest.mark.serial
@pytest.mark.parametrize(
    ("cells", "method", "degree", "cell"),
    [
        ([24, 24], "cg", 1, "triangle"),
        ([24, 24], "cg", 3, "triangle"),
        ([24, 24], "cip", 2, "triangle"),
        ([24, 24], "dg", 2, "triangle"),
        ([12, 12], "spectral", 4, "quadrilateral"),
        ([8, 8, 8], "cg", 1, "tetrahedron"),
        ([8, 8, 8], "cg", 2, "tetrahedron"),
        ([4, 4, 4], "spectral", 3, "hexahedron"),
        ([300], "cg", 2, "interval"),
    ],
)
def test_unknowns_and_entries(cells, method, degree, cell):
    """Within half and twice, boundaries included."""
    dim = len(cells)
    domain = {"shape": {1: "interval", 2: "rectangle", 3: "box"}[dim], "cells": cells, "cell": cell}
    physics = {"velocity": None, "initial": 1.0}
    table = {"method": method, "degree": degree}
    problem = flows.problem(domain=domain, physics=physics, discretization=table)
    generator = problem.operator.generator
    entries = generator.stiffness.getInfo(PETSc.Mat.InfoType.GLOBAL_SUM)["nz_used"]
    n, found = METHODS[method].sizes(memory.box(cells, cell), degree)
    assert METHODS[method].has_diagonal_mass(degree) == generator.mass.is_diagonal
    assert 0.5 < n / generator.size < 2
    assert 0.5 < found / entries < 2
    assert memory.box(cells, cell).cells == problem.domain.size.cells


def test_a_plane_of_ten_thousand_million_cells_is_refused_at_once():
    began = time.monotonic()
    problem = Problem(parse(flows.data(100_000)))
    with pytest.raises(InputError) as caught:
        tasks.check(problem)
    text = str(caught.value)
    assert text.startswith("domain.cells = [100000, 100000]") and "\n" not in text
    assert "TB of memory, the machine has" in text and "take fewer cells" in text
    assert time.monotonic() - began < 60  # it built nothing


def test_the_key_to_lower_is_that_of_the_largest_part(monkeypatch):
    monkeypatch.setattr("advdiff.core.memory.machine", lambda comm: 2e6)
    for changes, words in (
        ({"time": {"outputs": 5000}}, "time.outputs"),
        ({"discretization": {"degree": 2, "method": "cg"}}, "factorisation"),
        ({"discretization": {"degree": 8, "method": "spectral"}}, "discretization.degree"),
    ):
        experiment = parse(flows.data(200, **changes))
        size = memory.box([200, 200], "triangle")
        with pytest.raises(InputError, match=words):
            require_run(MPI.COMM_WORLD, experiment, size, "domain.cells = [200, 200]")


def test_gradients_modes_and_bases_count():
    """Each adds what it is for, and nothing to a plain solution."""
    size = memory.box([100, 100], "triangle")
    plain = estimate(parse(flows.data(100)), size, 1)
    assert plain["tape"] == plain["factors"] == plain["modes"] == plain["basis"] == 0
    more = {
        "task": "invert",
        "observations": {"file": "x.csv"},
        "unknowns": {"velocity": {"family": "sine", "modes": [10, 10]}},
    }
    modes = estimate(parse(flows.data(100, **more)), size, 1)
    assert modes["modes"] == pytest.approx(8 * 4 * 10_000 * 100)
    assert modes["tape"] == pytest.approx(8 * 10_000 * TAPE)
    small = parse(flows.data(100, solver={"memory": 1e-3}, **more))
    assert estimate(small, size, 2)["tape"] == pytest.approx(2e-3 * GIB)
    more["unknowns"] = {"velocity": {"family": "stream"}}
    assert estimate(parse(flows.data(100, **more)), size, 1)["factors"] > 0


def write(root, files) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


MEMINFO = {"proc/meminfo": "MemTotal: 99 kB\nMemAvailable:  8388608 kB\n"}


@pytest.mark.serial
@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, 8 * GIB),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/memory.max": "max\n",
                "sys/fs/cgroup/a/b/memory.current": "5\n",
                "sys/fs/cgroup/a/memory.max": f"{4 * GIB}\n",
                "sys/fs/cgroup/a/memory.current": f"{3 * GIB}\n",
                "sys/fs/cgroup/a/memory.stat": f"anon 1\ninactive_file {GIB}\n",
            },
            2 * GIB,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu:/x\n4:memory:/job\n0::/\n",
                "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{3 * GIB}\n",
                "sys/fs/cgroup/memory/job/memory.usage_in_bytes": f"{GIB}\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GIB}\n",
            },
            2 * GIB,
        ),
        (
            {
                "proc/self/cgroup": "0::/full\n",
                "sys/fs/cgroup/full/memory.max": "10\n",
                "sys/fs/cgroup/full/memory.current": "20\n",
            },
            0,
        ),
    ],
    ids=["no group", "version 2", "version 1", "full"],
)
def test_free(tmp_path, files, found):
    """Of the machine, and of every control group above the process."""
    write(tmp_path, MEMINFO | files)
    assert memory.free(tmp_path) == found


def test_ranks_share_a_machine():
    """All ranks together have what one would have alone, give or take what others take."""
    alone = memory.machine(MPI.COMM_SELF)
    assert memory.machine(MPI.COMM_WORLD) == pytest.approx(alone, rel=0.5)
