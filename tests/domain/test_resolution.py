"""What a mesh makes of a field that is narrow: its integral, exact, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mpi4py import MPI

from advdiff import Problem, tasks
from advdiff.concerns import before
from advdiff.config.load import parse
from advdiff.core.errors import InputError
from advdiff.domain import mesh
from advdiff.domain.fields import interpolate
from advdiff.domain.resolution import resolution
from advdiff.equation import discretization
from tests import flows

SHAPES = {
    "interval": ([40], None),
    "triangle": ([12, 10], None),
    "quadrilateral": ([12, 10], "quadrilateral"),
    "tetrahedron": ([4, 5, 4], None),
    "hexahedron": ([4, 5, 4], "hexahedron"),
}


def made(field, shape: str, degree: int = 1, comm=MPI.COMM_WORLD, scale: float = 1.0):
    cells, cell = SHAPES[shape]
    upper = [2.0 * scale] + [scale] * (len(cells) - 1)
    domain = mesh.box(comm, [0.0] * len(cells), upper, cells, cell)
    space = discretization.make(domain, "cg", degree).space
    return resolution(field, interpolate(field, space, "f"))


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_integrals_are_those_of_calculus(shape, degree):
    """∫x² = 8/3 on [0, 2] × [0, 1]^(d−1); the interpolant of degree 2 is the same function."""
    found = made(lambda x: x[0] ** 2 - 0.0 * x[1], shape, degree)
    assert found.integral == pytest.approx(8 / 3, rel=3e-3)
    assert found.size == found.integral
    if degree == 2:
        assert found.missed < 1e-13
    else:
        assert 1e-5 < found.missed < 0.05


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("shape", ["interval", "triangle", "quadrilateral"])
def test_what_is_between_the_nodes_is_seen(shape, scale):
    """A Gaussian a thirtieth of a cell wide, and its width √π w."""
    dim = len(SHAPES[shape][0])
    w, c = scale / 300, 0.525 * scale
    found = made(lambda x: np.exp(-((x[:dim] - c) ** 2).sum(0) / w**2), shape, scale=scale)
    assert found.missed == pytest.approx(1.0, abs=1e-6)
    assert all(abs(x - c) < 0.2 * scale for x in found.where)
    if dim == 1:
        assert found.integral == pytest.approx(math.sqrt(math.pi) * w, rel=1e-6)
        assert found.width == pytest.approx(math.sqrt(math.pi) * w, rel=1e-3)
        assert found.cell == pytest.approx(scale / 20)


def test_what_is_on_a_node_is_too_much():
    found = made(lambda x: np.exp(-(((x[0] - 0.5) / 1e-3) ** 2)), "interval")
    assert found.interpolated == pytest.approx(1 / 20, rel=1e-3)  # a hat on two cells
    assert found.missed > 20


def test_nothing_misses_nothing():
    found = made(lambda x: 0.0 * x[0], "triangle")
    assert found.size == found.missed == found.width == 0.0


def test_the_same_on_any_number_of_ranks():
    def field(x):
        return np.exp(-(((x[0] - 0.51) / 0.01) ** 2) - ((x[1] - 0.4) / 0.03) ** 2)

    together, alone = (made(field, "triangle", 1, comm) for comm in (MPI.COMM_WORLD, MPI.COMM_SELF))
    np.testing.assert_allclose(together[:4], alone[:4], rtol=1e-12)
    assert together.cell == pytest.approx(alone.cell)


NARROW = "exp(-((x-0.505)**2 + (y-0.505)**2)/1e-8)"


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("key", ["initial", "source"])
def test_a_release_that_no_node_sees_is_refused(key, degree):
    problem = flows.problem(8, degree, physics={key: NARROW})
    with pytest.raises(
        InputError, match=rf"physics\.{key}: its integral is .* refine domain\.cells"
    ):
        tasks.check(problem)


def test_a_direction_too():
    directions = {"start": {"initial": NARROW}}
    problem = flows.problem(8, task="sensitivity", sensitivity={"directions": directions})
    with pytest.raises(InputError, match=r"sensitivity\.directions\.start\.initial: its integral"):
        tasks.check(problem)


def test_one_that_loses_a_part_is_warned_of():
    """Half a disc's rim falls in every cell that it crosses."""
    problem = flows.problem(8, physics={"initial": "where((x-0.5)**2 + (y-0.5)**2 < 0.04, 1, 0)"})
    _ = problem.initial
    found = [c for c in before.concerns(problem) if c.key == "under-resolved"]
    assert len(found) == 1 and 0.05 < found[0].value < 0.5
    fine = flows.problem(64, physics={"initial": flows.BLOB})
    _ = fine.initial
    assert "under-resolved" not in [c.key for c in before.concerns(fine)]


def test_nothing_divided_by_nothing_is_no_mesh_error(tmp_path):
    """A tracer that is 0 everywhere: no estimate of the mesh's error, and a warning."""
    said = []
    tables = flows.data(8, physics={"initial": 0.0}, solver={"method": "shift-invert"})
    problem = Problem(parse(tables, tmp_path / "e.toml"))
    tasks.run(problem, said.append)
    assert "mesh error  not estimated: the tracer is 0 wherever it is compared" in said
    assert "vanishing" in problem.concerns and "mesh-error" not in problem.concerns
