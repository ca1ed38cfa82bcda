"""The geometries in ``meshes``: kinds of cells, names of parts, and measures, on any ranks."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from dolfinx import fem
from mpi4py import MPI

from advdiff.core import jit
from advdiff.domain import mesh as domain

pytest.importorskip("gmsh")

MESHES = Path(__file__).parents[2] / "meshes"
CHANNEL = 2.2 * 0.41 - np.pi * 0.05**2
CHANNEL_PARTS = {"inflow": 0.41, "outflow": 0.41, "bottom": 2.2, "top": 2.2}
CHANNEL_PARTS["cylinder"] = 0.1 * np.pi
CORNER_PARTS = {"reentrant": 2.0, "outer": 6.0}
EXPECTED = {
    "channel": ("triangle", CHANNEL, CHANNEL_PARTS, (0.1, 0.05, 0.025)),
    "channel_quads": ("quadrilateral", CHANNEL, CHANNEL_PARTS, (0.1, 0.05, 0.025)),
    "lshape": ("triangle", 3.0, CORNER_PARTS, (0.2,)),
    "lshape_quads": ("quadrilateral", 3.0, CORNER_PARTS, (0.2,)),
    "ball": ("tetrahedron", 4 / 3 * np.pi, {"sphere": 4 * np.pi}, (0.4, 0.2, 0.1)),
}


@cache
def read(name: str, size: float | None = None) -> domain.Domain:
    return domain.gmsh_file(MPI.COMM_WORLD, MESHES / f"{name}.geo", size, "domain.file")


def cells(found: domain.Domain) -> int:
    return found.mesh.topology.index_map(found.dim).size_global


def part(found: domain.Domain, name: str) -> float:
    """Length or area of a boundary part."""
    one = jit.form(fem.Constant(found.mesh, 1.0) * found.ds(found.tags[name]))
    return found.comm.allreduce(fem.assemble_scalar(one), MPI.SUM)


def every_boundary_facet_is_named(found: domain.Domain) -> bool:
    one = jit.form(fem.Constant(found.mesh, 1.0) * found.ds)
    boundary = found.comm.allreduce(fem.assemble_scalar(one), MPI.SUM)
    return np.isclose(boundary, sum(part(found, name) for name in found.tags), rtol=1e-12)


@pytest.mark.parametrize("name", EXPECTED)
def test_cells_and_parts(name):
    kind, _, parts, sizes = EXPECTED[name]
    found = read(name, sizes[0])
    assert found.mesh.topology.cell_type.name == kind
    assert set(found.tags) == set(parts)
    assert every_boundary_facet_is_named(found)


ALONE = pytest.mark.serial
"""gmsh makes the mesh on one rank; what it makes of a size needs no others."""


@pytest.mark.parametrize(
    "name",
    [n if n in ("channel_quads", "ball") else pytest.param(n, marks=ALONE) for n in EXPECTED],
)
def test_measures_are_exact_but_for_chords_of_arcs(name):
    """A chord h of a circle of radius 1 misses h³/12 of the area: the whole converges as h²."""
    _, measure, parts, sizes = EXPECTED[name]
    missing = []
    for size in sizes:
        found = read(name, size)
        lengths = [abs(part(found, key) - exact) for key, exact in parts.items()]
        missing.append((abs(found.measure - measure), max(lengths)))
    if name.startswith("lshape"):
        assert np.max(missing) < 1e-12
        return
    missing = np.array(missing)
    assert np.all(missing[0] < (0.04 * measure, 0.03 * max(parts.values())))
    assert np.all(np.log2(missing[-2] / missing[-1]) > 1.6)


@ALONE
@pytest.mark.parametrize("name", EXPECTED)
def test_the_size_is_the_experiments_or_the_files(name):
    size = EXPECTED[name][-1][0]
    fine, coarse = read(name, 0.5 * size), read(name, size)
    assert cells(fine) > 3 * cells(coarse)
    assert cells(coarse) < cells(read(name))


def test_the_channel_is_finer_at_the_cylinder():
    """The smallest edge is about a quarter of the size asked for, at any size."""
    for size in (0.1, 0.05):
        found = read("channel", size)
        mesh = found.mesh
        mesh.topology.create_connectivity(1, 2)
        edges = np.arange(mesh.topology.index_map(1).size_local, dtype=np.int32)
        mesh.topology.create_connectivity(1, 0)
        smallest = mesh.h(1, edges).min() if len(edges) else np.inf
        smallest = found.comm.allreduce(smallest, MPI.MIN)
        assert 0.12 * size < smallest < 0.35 * size
