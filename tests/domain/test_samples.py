"""Samples: polynomials are reproduced at every point, in an order that no division changes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import basix
import basix.ufl
import numpy as np
import pytest
from dolfinx import fem, mesh
from mpi4py import MPI

from advdiff.domain.mesh import Domain, box, gmsh_file
from advdiff.domain.samples import CellSamples, VertexSamples, subdivision, suited
from advdiff.equation.velocity import Velocity, stream_space
from advdiff.results import store

WORLD = MPI.COMM_WORLD
DIM = {"interval": 1, "triangle": 2, "tetrahedron": 3, "quadrilateral": 2, "hexahedron": 3}
GMSH = {
    "triangle": "",
    "quadrilateral": "Recombine Surface{1};\n",
    "hexahedron": "Recombine Surface{1};\nExtrude {0, 0, 0.5} {Surface{1}; Layers{2}; Recombine;}\n"
    'Physical Volume("water") = {1};\n',
}
CELLS = [*DIM, *(f"gmsh {cell}" for cell in GMSH)]


def domain(kind: str, comm: MPI.Comm, folder: Path) -> Domain:
    """A small mesh of cells of a kind."""
    cell = kind.removeprefix("gmsh ")
    dim = DIM[cell]
    if kind != cell:
        pytest.importorskip("gmsh")
        path = folder / f"{cell}{comm.size}_{WORLD.rank if comm.size < WORLD.size else 0}.geo"
        if comm.rank == 0:
            path.write_text(
                'SetFactory("OpenCASCADE");\nDisk(1) = {0, 0, 0, 1, 0.7};\n'
                f"Mesh.MeshSizeMax = 0.5;\n{GMSH[cell]}"
                + ('Physical Surface("water") = {1};\n' if dim == 2 else "")
            )
        comm.barrier()
        return gmsh_file(comm, path, None, "domain.file")
    upper, cells = [1.0, 2.0, 0.5][:dim], [4, 3, 2][:dim]
    if cell in ("quadrilateral", "hexahedron"):
        make = mesh.create_rectangle if dim == 2 else mesh.create_box
        msh = make(comm, [np.zeros(dim), upper], cells, mesh.CellType[cell])
        return Domain(msh, mesh.meshtags(msh, dim - 1, np.empty(0, np.int32), np.empty(0)), {})
    return box(comm, [0.0] * dim, upper, cells)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return WORLD.bcast(tmp_path_factory.mktemp("samples"))


@pytest.fixture(scope="module")
def shared(folder):
    """Kind → its domain on all ranks, made once: nobody changes it."""
    return cache(lambda kind: domain(kind, WORLD, folder))


@cache
def sampled(it: Domain, degree: int):
    """Samples in cells, or at vertices for degree 0, made once."""
    return CellSamples(it, degree) if degree else VertexSamples(it)


def element(cell: str, family: str, degree: int):
    """lagrange, spectral, dg or legendre."""
    options = {"discontinuous": family in ("dg", "legendre")}
    variants = basix.LagrangeVariant
    options["lagrange_variant"] = {
        "spectral": variants.gll_warped,
        "dg": variants.gll_warped,
        "lagrange": variants.equispaced,
        "legendre": variants.legendre,
    }[family]
    return basix.ufl.element("Lagrange", cell, degree, **options)


def polynomial(degree: int):
    return lambda x: 1 + (x[0] - 0.3) ** degree + 2 * x[1] ** degree - (x[2] + x[0]) ** degree


def whole(samples, values) -> np.ndarray:
    """A vector over samples, all of it on each rank."""
    return np.concatenate(samples.domain.comm.allgather(values.array_r))


def gathered(domain: Domain, rows: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Rows in their order, all of them on each rank; each is owned once."""
    parts = domain.comm.allgather((rows, table))
    rows = np.concatenate([part[0] for part in parts])
    assert np.array_equal(np.sort(rows), np.arange(len(rows)))
    return np.concatenate([part[1] for part in parts])[np.argsort(rows)]


def coordinates(samples) -> np.ndarray:
    """All points, (3, n)."""
    x = gathered(samples.domain, *samples.points())
    assert len(x) == samples.count
    return np.pad(x, ((0, 0), (0, 3 - x.shape[1]))).T


def sizes(x: np.ndarray, cells: np.ndarray, cell: str) -> np.ndarray:
    """Signed sizes; of a quadrilateral or hexahedron that of the parallelepiped at corner 0."""
    dim = DIM[cell]
    ends = [1, 2, 4][:dim] if cell in ("quadrilateral", "hexahedron") else range(1, dim + 1)
    x = x[:dim].T
    edges = np.stack([x[cells[:, i]] - x[cells[:, 0]] for i in ends], axis=1)
    return np.linalg.det(edges)


@pytest.mark.parametrize("kind", CELLS)
def test_polynomials_are_reproduced(kind, shared):
    """Every family and degree, at every point of a lattice coarser or finer than it."""
    it = shared(kind)
    cell = kind.removeprefix("gmsh ")
    highest = 4 if DIM[cell] < 3 else 3
    every = [sampled(it, k) for k in (0, 1, 2, highest)]
    where = [coordinates(samples) for samples in every]
    for family, degrees in (
        ("lagrange", range(1, highest + 1)),
        ("spectral", [6] if DIM[cell] < 3 else [4]),
        ("dg", range(4)),
        ("legendre", range(4)),
    ):
        for degree in degrees:
            space = fem.functionspace(it.mesh, element(cell, family, degree))
            exact = polynomial(degree)
            function = fem.Function(space)
            function.interpolate(exact)
            for samples, x in zip(every, where, strict=True):
                error = np.abs(whole(samples, samples.values(function)) - exact(x)).max()
                assert error < 1e-12, (family, degree, samples.degree, error)


@pytest.mark.parametrize("kind", CELLS)
def test_no_order_depends_on_the_ranks(kind, shared, tmp_path):
    """Points, cells and discontinuous values are those of a mesh that was not divided."""
    found = []
    for comm in (WORLD, MPI.COMM_SELF):
        it = shared(kind) if comm is WORLD else domain(kind, comm, tmp_path)
        space = fem.functionspace(it.mesh, ("DG", 0))
        middle = fem.Function(space)
        middle.interpolate(lambda x: np.sin(3 * x[0]) + x[1] ** 2 - x[2])
        tables = []
        for samples in (sampled(it, 0), sampled(it, 3)):
            values = whole(samples, samples.values(middle))
            cells = gathered(it, *samples.cells())
            tables += [coordinates(samples), cells, values]
        found.append(tables)
    for ours, alone in zip(*found, strict=True):
        assert ours.shape == alone.shape
        if ours.dtype.kind == "f":
            assert np.abs(ours - alone).max() < 1e-13
        else:
            assert np.array_equal(ours, alone)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("degree", [pytest.param(1, marks=pytest.mark.serial), 3])
def test_cells_fill_the_domain(kind, degree, shared):
    """The parts of a lattice are as large as the cells and turn the same way."""
    it = shared(kind)
    coarse, samples = sampled(it, 0), sampled(it, degree)
    parts, count = degree**it.dim, it.mesh.topology.index_map(it.dim).size_global
    cells = gathered(it, *samples.cells())
    assert cells.shape == (count * parts, len(gathered(it, *coarse.cells())[0]))
    assert np.array_equal(
        cells // samples.per_cell, np.arange(count).repeat(parts)[:, None] + 0 * cells
    )
    assert np.array_equal(np.unique(cells), np.arange(samples.count))
    fine = sizes(coordinates(samples), cells, samples.cell).reshape(count, parts)
    whole_cells = sizes(coordinates(coarse), gathered(it, *coarse.cells()), samples.cell)
    assert np.all(fine * whole_cells[:, None] > 0)
    if kind not in ("gmsh quadrilateral", "gmsh hexahedron"):  # theirs are no parallelepipeds
        assert np.allclose(fine, whole_cells[:, None] / parts, rtol=1e-12)


@pytest.mark.parametrize("cell", DIM)
def test_degree_one_is_the_cell_itself(cell):
    corners = 2 ** DIM[cell] if cell in ("quadrilateral", "hexahedron") else DIM[cell] + 1
    assert subdivision(cell, 1).tolist() == [list(range(corners))]


def test_a_jump_is_averaged_by_size_at_vertices_and_seen_in_cells():
    """Intervals of lengths 1, 3, 2 and 1 with the values 4, 8, 5 and 6.5."""
    it = box(WORLD, [0.0], [4.0], [4])
    x = it.mesh.geometry.x
    x[:, 0] = np.array([0.0, 1.0, 4.0, 6.0, 7.0])[np.rint(x[:, 0]).astype(int)]
    step = fem.Function(fem.functionspace(it.mesh, ("DG", 0)))
    step.interpolate(lambda x: np.where(x[0] < 1, 4.0, np.where(x[0] < 4, 8.0, x[0])))
    vertices, cells = VertexSamples(it), CellSamples(it, 1)
    assert np.allclose(whole(vertices, vertices.values(step)), [4, 7, (24 + 10) / 5, 16.5 / 3, 6.5])
    assert np.allclose(whole(cells, cells.values(step)), [4, 4, 8, 8, 5, 5, 6.5, 6.5])


@pytest.mark.parametrize("cell", ["triangle", "quadrilateral"])
def test_velocity_of_a_stream_function(cell, shared):
    """u = (dψ/dy, −dψ/dx), linear here, at both kinds of samples."""
    it = shared(cell)
    psi = fem.Function(stream_space(it))
    psi.interpolate(lambda x: x[0] * x[1] + x[1] ** 2 - 2 * x[0] ** 2)
    for samples in (sampled(it, 0), sampled(it, 2)):
        x = coordinates(samples)
        u, v = (whole(samples, part) for part in Velocity(it, stream=psi).sampled(samples))
        assert np.abs(u - (x[0] + 2 * x[1])).max() < 1e-12
        assert np.abs(v - (4 * x[0] - x[1])).max() < 1e-12


@cache
def interval() -> Domain:
    return box(WORLD, [0.0], [1.0], [4])


@pytest.mark.parametrize(
    ("degree", "jumps", "kind", "count"),
    [(1, False, VertexSamples, 5), (2, False, VertexSamples, 5), (3, False, CellSamples, 16),
     (0, True, CellSamples, 8), (1, True, CellSamples, 8), (2, True, CellSamples, 12)],
)  # fmt: skip
def test_suited(degree, jumps, kind, count):
    samples = suited(interval(), degree, jumps)
    assert type(samples) is kind and samples.count == count == samples.vector().getSize()


@pytest.mark.parametrize("cell", DIM)
def test_the_file_holds_them(cell, shared, tmp_path):
    """Points, cells and fields as the samples have them, from any number of ranks."""
    import h5py

    it = shared(cell)
    samples = sampled(it, 3)
    function = fem.Function(fem.functionspace(it.mesh, ("DG", 1)))
    function.interpolate(polynomial(1))
    path = tmp_path / f"{cell}.h5"
    with store.create(path, samples, {"task": "solve", "experiment": "", "options": "{}"}) as file:
        file.scale("time", [0.0, 1.0])
        file.axis("vertex", samples.count)
        file.axis("dim", it.dim)
        file.mesh()
        file.fields("theta", [samples.values(function)] * 2, 2, "tracer")
    with h5py.File(path) as file:
        x = coordinates(samples)
        assert np.abs(file["mesh/geometry"][:].T - x[: it.dim]).max() < 1e-15
        assert np.array_equal(file["mesh/topology"][:], gathered(it, *samples.cells()))
        assert np.abs(file["theta"][1] - polynomial(1)(x)).max() < 1e-12
        attributes = dict(file["mesh"].attrs)
        assert attributes["cell"] == cell and attributes["samples"] == "cells"
        assert (
            samples.count
            == attributes["points_per_cell"] * it.mesh.topology.index_map(it.dim).size_global
        )
