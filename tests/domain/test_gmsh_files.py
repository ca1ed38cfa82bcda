"""Files that gmsh writes and others read: divided meshes, groups inside, names twice."""

from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI

from advdiff import tasks
from advdiff.config.load import parse
from advdiff.core.ranks import on_root
from advdiff.domain.mesh import Domain, gmsh_file
from advdiff.problem.problem import Problem
from tests.config.bad_input import data, message

pytest.importorskip("gmsh")
COMM = MPI.COMM_WORLD
SHAPE = {"domain": {"shape": "gmsh", "file": "a.msh"}}


def made(folder: Path, groups=(), *, surfaces=(1, 2), parts: int = 0, **options) -> Path:
    """The unit square in two halves, curve 2 between them, in triangles (collective).

    Args:
        groups: (name, curves) each.
        surfaces: in the physical group of cells.
        parts: into how many it is divided.
        options: of gmsh's table Mesh.
    """

    def write() -> None:
        import gmsh

        gmsh.initialize()
        try:
            gmsh.option.setNumber("General.Terminal", 0)
            for name, value in options.items():
                gmsh.option.setNumber(f"Mesh.{name}", value)
            geo, model = gmsh.model.geo, gmsh.model
            bottom = [geo.addPoint(x, 0, 0, 0.3) for x in (0, 0.5, 1)]
            top = [geo.addPoint(x, 1, 0, 0.3) for x in (0, 0.5, 1)]
            up = [geo.addLine(a, b) for a, b in zip(bottom, top, strict=True)]
            low = [geo.addLine(bottom[i], bottom[i + 1]) for i in (0, 1)]
            high = [geo.addLine(top[i], top[i + 1]) for i in (0, 1)]
            for i in (0, 1):
                loop = geo.addCurveLoop([low[i], up[i + 1], -high[i], -up[i]])
                geo.addPlaneSurface([loop])
            geo.synchronize()
            if surfaces:
                model.addPhysicalGroup(2, list(surfaces), name="water")
            for name, curves in groups:
                model.addPhysicalGroup(1, list(curves), name=name)
            model.mesh.generate(2)
            if parts:
                model.mesh.partition(parts)
            gmsh.write(str(folder / "a.msh"))
        finally:
            gmsh.finalize()

    on_root(COMM, write)
    return folder / "a.msh"


def read(path: Path) -> Domain:
    return gmsh_file(COMM, path, None, "domain.file")


def complaint(folder: Path, changes) -> str:
    return message(tasks.check, Problem(parse(data(SHAPE | changes), folder / "e.toml")))


CONDITIONS = {
    "dirichlet": {"physics.dirichlet": {"middle": 1.0}},
    "inflow": {"physics.inflow": {"middle": 1.0}},
    "flux": {"physics.flux": {"middle": 1.0}},
    "robin": {"physics.robin": {"middle": {"coefficient": 1.0}}},
    "open": {"domain.open": ["middle"]},
    "walls": {"physics.velocity": {"walls": {"left": 0.0, "middle": 1.0}}},
}


@pytest.mark.parametrize("kind", CONDITIONS)
def test_nothing_holds_on_sides_between_two_cells(tmp_path, kind):
    made(tmp_path, [("left", [1]), ("middle", [2])])
    changes = CONDITIONS[kind]
    if kind == "open":
        changes = {"domain": SHAPE["domain"] | {"open": ["middle"]}}
    text = complaint(tmp_path, changes)
    assert text.startswith("domain.open" if kind == "open" else "physics.")
    assert kind in text
    assert "4 sides of the physical group 'middle' lie inside" in text
    assert "name a group of boundary sides" in text


def test_a_group_that_lies_partly_inside(tmp_path):
    made(tmp_path, [("mixed", [2, 3])])
    assert "4 sides" in complaint(tmp_path, {"physics.flux": {"mixed": 1.0}})


def test_a_group_between_a_mesh_and_what_is_left_out_is_boundary(tmp_path):
    domain = read(made(tmp_path, [("middle", [2])], surfaces=[1]))
    assert domain.inside == {}
    assert domain.tag("middle", "physics.flux.middle") == domain.tags["middle"]


@pytest.mark.parametrize("options", [{}, {"MshFileVersion": 2.2}, {"PartitionCreateGhostCells": 1}])
def test_a_divided_mesh_is_read_whole(tmp_path, options):
    walls = [("wall", [1, 3])]
    whole = read(made(tmp_path, walls))
    vertices, measure = whole.num_vertices, whole.measure
    divided = read(made(tmp_path, walls, parts=3, **options))
    assert divided.num_vertices == vertices
    assert set(divided.tags) == {"wall"}
    np.testing.assert_allclose(divided.measure, measure, rtol=1e-12)


def test_a_part_of_a_divided_mesh_is_none(tmp_path):
    made(tmp_path, parts=3, PartitionSplitMeshFiles=1)
    on_root(COMM, lambda: (tmp_path / "a_2.msh").rename(tmp_path / "a.msh") and None)
    text = complaint(tmp_path, {})
    assert "1 of the 3 parts of a divided mesh; give the whole" in text


def test_a_name_for_two_groups(tmp_path):
    path = made(tmp_path, [("wall", [1]), ("wal2", [3])])
    on_root(
        COMM, lambda: path.write_bytes(path.read_bytes().replace(b'"wal2"', b'"wall"')) and None
    )
    text = complaint(tmp_path, {"physics.flux": {"wall": 1.0}})
    assert "the physical groups 2 and 3 are both called 'wall'" in text


@pytest.mark.parametrize("version", [2.2, 4.1])
def test_groups_on_curves_alone(tmp_path, version):
    made(tmp_path, [("wall", [1, 3, 4, 5, 6, 7])], surfaces=(), MshFileVersion=version)
    assert "Physical Surface" in complaint(tmp_path, {})


@pytest.mark.parametrize("kind", ["open", "flux", "dirichlet"])
def test_a_misspelt_part_is_named_before_anything_is_built(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(Problem, "operator", property(lambda _: pytest.fail("built")))
    made(tmp_path, [("outlet", [3])])
    changes = {f"physics.{kind}": {"outlt": 1.0}}
    if kind == "open":
        changes = {"domain": SHAPE["domain"] | {"open": ["outlt"]}}
    assert f"{kind}: no boundary part" in complaint(tmp_path, changes).replace(".outlt", "")
    assert "did you mean 'outlet'?" in complaint(tmp_path, changes)
