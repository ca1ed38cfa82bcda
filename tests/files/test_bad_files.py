"""Bad meshes, measurements, results, checkpoints, and overflows: one line, and nothing is lost."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from advdiff import tasks
from advdiff.config.load import parse
from advdiff.core.errors import ConvergenceError
from advdiff.core.ranks import on_root
from advdiff.files import result
from advdiff.files.finished import FIELDS, open_result
from advdiff.problem import readings
from advdiff.problem.problem import Problem
from advdiff.results.checkpoint import Checkpoint
from advdiff.views import info, plots
from tests.config.bad_input import COMM, DIRECTION, INVERT, NAN, data, make_hdf5, message, write
from tests.fuzz import files as meshes

# -- what only the mesh can tell --

PROBLEMS = [
    ({"physics.diffusivity": "x - 0.5"}, ["physics.diffusivity: -0.5", "positive"]),
    ({"physics.diffusivity": "log(-1)"}, ["physics.diffusivity: not finite at 25 points"]),
    ({"physics.initial": "1/x"}, ["physics.initial: not finite at 5 points", "at (0, 0)"]),
    ({"physics.source": "log(x-2)"}, ["physics.source: not finite"]),
    ({"physics.velocity": ["1/y", "0"]}, ["physics.velocity: not finite", "(0, 0)"]),
    ({"physics.velocity": {"stream": "1e999"}}, ["physics.velocity.stream: not finite"]),
    ({"physics.inflow": {"lft": 0.0}}, ["physics.inflow.lft", "'left'"]),
    ({"physics.velocity": ["1.0", "0.0"]}, ["enters", "'left'", "physics.inflow.left = 0.0"]),
    (
        {"domain.periodic": ["x", "y"], "physics.initial": "x"},
        ["physics.initial", "not periodic", "repeats"],
    ),
    (
        {"domain.periodic": ["x", "y"], "physics.velocity": ["-y", "x"]},
        ["physics.velocity", "not periodic"],
    ),
    (
        {"discretization": {"method": "dg", "degree": 0}, "domain.cell": "triangle"},
        ["discretization.degree = 0", "orthogonal", "domain.cell"],
    ),
    ({"domain.cells": [10**9, 10**9]}, ["domain.cells = [1000000000", "memory", "fewer"]),
    ({"truth.velocity": ["log(-1)", "0"]}, ["truth.velocity: not finite"]),
    (
        DIRECTION | {"sensitivity.directions.a": {"diffusivity": "1/x"}},
        ["sensitivity.directions.a.diffusivity: not finite"],
    ),
    (INVERT | {"observations.file": "none.csv"}, ["observations.file", "none.csv", "give"]),
    ({"output.file": "none/x.h5"}, ["output.file", "none does not exist", "create it"]),
    ({"output.file": "/proc/x.h5"}, ["output.file: /proc/x.h5 cannot be written"]),
    ({"output.file": "n" * 250 + ".h5"}, ["output.file", "cannot be written"]),
]
# What all ranks read in the experiment alike.
ALIKE = [
    (
        {"domain.periodic": ["x"], "physics.dirichlet": {"left": 0.0}},
        ["physics.dirichlet.left", "bottom, top"],
    ),
    (
        {"discretization": {"method": "spectral", "degree": 2}, "domain.cell": "triangle"},
        ["discretization.method = 'spectral'", "quadrilaterals", "domain.cell"],
    ),
    ({"physics.dirichlet": {"lft": 0.0}}, ["physics.dirichlet.lft", "'left'"]),
    ({"physics.velocity": {"walls": {"lft": 0.0}}}, ["physics.velocity.walls", "'left'"]),
    ({"physics.velocity": {"walls": {}}}, ["physics.velocity.walls", "0.0"]),
    ({"domain.open": ["lft"]}, ["domain.open", "'left'"]),
    ({"time.outputs": 100_000, "domain.cells": [10**4, 10**4]}, ["output times", "memory"]),
    ({"domain": {"shape": "gmsh", "file": "none.geo"}}, ["domain.file", "none.geo"]),
    (INVERT | {"unknowns.velocity.modes": [10**5, 10**5]}, ["modes = [100000, 100000]", "memory"]),
    ({"output.file": "."}, ["output.file", "is a folder"]),
    ({"output.file": "x.vtkhdf"}, ["output.file", "x.vtkhdf", ".h5"]),
    ({"output.file": "thesis.txt"}, ["output.file", "thesis.txt exists", "another name"]),
    (
        INVERT | {"reduced": {"model": "thesis.txt"}},
        ["reduced.model", "thesis.txt exists", "another name"],
    ),
]


@pytest.mark.parametrize(
    ("changes", "parts"),
    [*PROBLEMS, *(pytest.param(*case, marks=pytest.mark.serial) for case in ALIKE)],
    ids=[str(changes)[:60] for changes, _ in PROBLEMS + ALIKE],
)
def test_check(tmp_path, changes, parts):
    write(tmp_path / "obs.csv", "x,y,t,value,std\n0.5,0.5,0.1,1,1\n")
    thesis = write(tmp_path / "thesis.txt", "years of work")
    text = message(tasks.check, Problem(parse(data(changes), tmp_path / "e.toml")))
    for part in parts:
        assert part in text
    assert thesis.read_text() == "years of work"


GMSH = {"shape": "gmsh", "file": "a.msh"}
SQUARE_NODES = meshes.SQUARE
SQUARE = """
Point(1) = {0, 0, 0, 0.5}; Point(2) = {1, 0, 0, 0.5};
Point(3) = {1, 1, 0, 0.5}; Point(4) = {0, 1, %s, 0.5};
Line(1) = {1, 2}; Line(2) = {2, 3}; Line(3) = {3, 4}; Line(4) = {4, 1};
Curve Loop(1) = {1, 2, 3, 4};
"""
SURFACE = "Plane Surface(1) = {1};\n"
NAMED = SURFACE + 'Physical Surface("water") = {1};\nPhysical Curve("wall") = {1, 2, 3, 4};\n'
HOLE = """
Point(5) = {0.4, 0.4, 0, 0.3}; Point(6) = {0.6, 0.4, 0, 0.3};
Point(7) = {0.6, 0.6, 0, 0.3}; Point(8) = {0.4, 0.6, 0, 0.3};
Line(5) = {5, 6}; Line(6) = {6, 7}; Line(7) = {7, 8}; Line(8) = {8, 5};
Curve Loop(2) = {5, 6, 7, 8};
Plane Surface(1) = {1, 2};
Physical Surface("water") = {1};
"""
BENT = 'Surface(1) = {1};\nPhysical Surface("water") = {1};\n'
MESHES = {
    "syntax": ("a.geo", "Point(1) = {0, 0\n", ["gmsh cannot read"]),
    "empty": ("a.geo", "", ["no physical group"]),
    "no groups": ("a.geo", SQUARE % 0 + SURFACE, ["no physical group", "Physical Surface"]),
    "no cells": ("a.geo", SQUARE % 0 + 'Physical Surface("a") = {};\n', ["no physical group"]),
    "curved": ("a.geo", SQUARE % 1 + BENT, ["flat"]),
    "garbage": ("a.msh", "not a mesh", ["gmsh cannot read"]),
    "truncated": ("a.msh", "$MeshFormat\n4.1 0 8\n$EndMeshFormat\n$Nodes\n1 3 1", ["a.msh"]),
    "runs": ("a.geo", 'SystemCall "touch canary";', ["command SystemCall", "not run here", "msh"]),
    "runs too": ("a.msh", 'SystemCall "touch canary";', ["does not begin with $MeshFormat"]),
    "writes": ("a.geo", 'Printf ( "; //" ) >> "canary";', ["command Printf", "not run here"]),
    "exits": ("a.geo", "/* */ Exit ;", ["command Exit"]),
    "crashes gmsh": ("a.msh", meshes.msh().replace(b"$Nodes\n5", b"$Nodes\n4"), ["it died of it"]),
    "flat cell": ("a.msh", meshes.msh([*SQUARE_NODES[:4], (0.5, 0)]), ["1, 2, 5 has no size"]),
    "cell twice": ("a.msh", meshes.msh(cells=meshes.CELLS * 2), ["1, 2, 5", "twice", "keep one"]),
    "overlap": (
        "a.msh",
        meshes.msh([*SQUARE_NODES, (0.2, 0.9)], [*meshes.CELLS, (1, 2, 6)]),
        ["2 cells at the side of nodes 1, 2 overlap"],
    ),
    "no such side": ("a.msh", meshes.msh(sides=[(1, 3)]), ["side of nodes 1, 3", "no cell"]),
    "not finite": ("a.msh", meshes.msh([(NAN, 0), *SQUARE_NODES[1:]]), ["no finite number"]),
}


def alone_but(tables: dict, *shown: str) -> list:
    """Rank 0 reads a file and all raise what it found: under mpirun some are as good as all."""
    return [
        pytest.param(*case, id=name, marks=() if name in shown else pytest.mark.serial)
        for name, case in tables.items()
    ]


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    alone_but(MESHES, "syntax", "runs", "crashes gmsh", "flat cell", "overlap"),
)
def test_meshes(tmp_path, name, content, parts):
    pytest.importorskip("gmsh")
    write(tmp_path / name, content)
    changes = {"domain": {"shape": "gmsh", "file": name}}
    text = message(tasks.check, Problem(parse(data(changes), tmp_path / "e.toml")))
    assert text.startswith("domain.file")
    for part in parts:
        assert part in text
    assert on_root(COMM, lambda: not (tmp_path / "canary").exists())


def test_meshes_that_look_odd_but_will_do(tmp_path):
    pytest.importorskip("gmsh")
    apart = [*SQUARE_NODES, (5, 5), (6, 5), (5, 6)]
    for content, vertices in (
        (meshes.msh(cells=[(5, 2, 1), *meshes.CELLS[1:]]), 5),  # turned over
        (meshes.msh(apart, [*meshes.CELLS, (6, 7, 8)]), 8),  # in two pieces
        (meshes.msh([*SQUARE_NODES, (9, 9)]), 5),  # a node of no cell
        (meshes.msh(sides=[*meshes.SIDES, (1, 5)]), 5),  # a part inside
    ):
        write(tmp_path / "a.msh", content)
        problem = Problem(parse(data({"domain": GMSH}), tmp_path / "e.toml"))
        assert problem.domain.num_vertices == vertices
        assert tasks.run(problem, lambda _: None)


@pytest.mark.serial
def test_mesh_names_and_sizes(tmp_path):
    pytest.importorskip("gmsh")
    write(tmp_path / "a.geo", SQUARE % 0 + NAMED)

    def check(changes):
        shape = {"domain": {"shape": "gmsh", "file": "a.geo"}}
        return tasks.check(Problem(parse(data(shape | changes), tmp_path / "e.toml")))

    assert any("wall" in line for line in check({}))
    assert "'wall'" in message(check, {"physics.dirichlet": {"wal": 0.0}})
    assert "3 components" in message(check, {"physics.velocity": ["0", "0", "0"]})
    assert "'z' in 2 dim" in message(check, {"physics.initial": "z"})
    assert "domain.mesh_size = 1e-09" in message(check, {"domain.mesh_size": 1e-9})


def test_sensor_in_a_hole(tmp_path):
    pytest.importorskip("gmsh")
    write(tmp_path / "a.geo", SQUARE % 0 + HOLE)
    write(tmp_path / "obs.csv", "x,y,t,value,std\n0.1,0.1,0.1,1,1\n0.5,0.45,0.1,1,1\n")
    changes = INVERT | {"domain": {"shape": "gmsh", "file": "a.geo"}}
    text = message(tasks.check, Problem(parse(data(changes), tmp_path / "e.toml")))
    assert "row 3" in text
    assert "(0.5, 0.45)" in text
    assert "outside the domain" in text


# -- observations --

TABLES = {
    "empty": ("", ["is empty", "x, y, t, value"]),
    "header only": ("x,y,t,value,std\n", ["no readings", "add rows"]),
    "unknown column": ("x,y,t,valu,std\n", ["'valu'", "'value'"]),
    "missing column": ("x,y,t,std\n1,1,1,1\n", ["no column 'value'"]),
    "column twice": ("x,y,t,value,value\n", ["twice", "remove one"]),
    "no noise": ("x,y,t,value\n.1,.1,.1,1\n", ["observations.std: missing", "give the noise"]),
    "NaN": ("x,y,t,value,std\n.1,.1,.1,1,1\n.1,.1,.1,nan,1\n", ["row 3: value = nan"]),
    "inf": ("x,y,t,value,std\n.1,inf,.1,1,1\n", ["row 2: y = inf"]),
    "no number": ("x,y,t,value,std\n.1,.1,.1,one,1\n", ["row 2: value = 'one'", "number"]),
    "decimal comma": ("x,y,t,value,std\n0,1,0,1,0,1,1,1\n", ["row 2: 8 entries", "5 columns"]),
    "ragged": ("x,y,t,value,std\n.1,.1,.1,1,1\n.1,.1\n", ["row 3: 2 entries"]),
    "after a gap": ("x,y,t,value,std\n\n# note\n.1,.1,-1,1,1\n", ["row 4: t = -1", "before"]),
    "too late": ("x,y,t,value,std\n.1,.1,.2,1,1\n", ["row 2: t = 0.2", "time.final = 0.1"]),
    "all at 0": ("x,y,t,value,std\n.1,.1,0,1,1\n", ["t = 0 in every row", "later"]),
    "std 0": ("x,y,t,value,std\n.1,.1,.1,1,0\n", ["row 2: std = 0", "positive"]),
    "outside": (
        "x,y,t,value,std\n.9,.1,.1,1,1\n3,.1,.1,1,1\n2,.1,.1,1,1\n",
        ["row 3", "(3, 0.1)", "and 1 more"],
    ),
    "semicolons": ("x;y;t;value;std\n.1;.1;.1;1;-1\n", ["row 2: std = -1"]),
    "tabs": ("x\ty\tt\tvalue\n", ["no readings"]),
    "BOM and CRLF": ("\ufeffx,y,t,value,std\r\n.1,.1,.1,1,-1\r\n", ["row 2: std = -1"]),
    "NUL": ("x,y,t,value,std\n.1,.1,.1,1\0,1\n", ["row 2"]),
    "open quote": ('x,y,t,value,std\n"1,.1,.1,1,1\n', ["row 2", "mend the row"]),
    "huge entry": ("x,y,t,value,std\n" + "1" * 200_000, ["row 2"]),
    "z in 2-D": ("x,y,z,t,value,std\n", ["unknown column 'z'"]),
}


@pytest.mark.parametrize(
    ("content", "parts"),
    alone_but(TABLES, "empty", "missing column", "NaN", "too late", "outside", "open quote"),
)
def test_tables(tmp_path, content, parts):
    write(tmp_path / "obs.csv", content)
    text = message(tasks.check, Problem(parse(data(INVERT), tmp_path / "e.toml")))
    assert text.startswith("observations.")
    for part in parts:
        assert part in text


def test_a_name_too_long_for_the_disk(tmp_path):
    for changes in ({"output.file": "n" * 260 + ".h5"}, INVERT | {"observations.file": "n" * 260}):
        text = message(tasks.check, Problem(parse(data(changes), tmp_path / "e.toml")))
        assert text.startswith(("output.file: ", "observations.file: "))


def test_table_that_is_none(tmp_path):
    write(tmp_path / "latin.csv", b"x,y,t,value\n\xe9")
    for name, part in (
        ("none.csv", "not exist"),
        (".", "a folder"),
        ("latin.csv", "row 2: 1 entries"),
    ):
        assert part in message(readings.read, tmp_path / name, 2, 1.0, 1.0)


def columns(**changes) -> dict:
    return {k: np.full(3, 0.1) for k in ("x", "y", "t", "value", "std")} | changes


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (columns(t=np.zeros(2)), ["shapes", "same length"]),
        (columns(t=np.zeros((3, 1))), ["shapes", "one dimension"]),
        (columns(t=0.1), ["shapes", "one dimension"]),
        (columns(t=np.array(["a", "b", "c"], dtype="S1")), ["numbers"]),
        (columns(value=np.array([1.0, 2.0, NAN])), ["row 2: value = nan"]),
        ({"x": np.zeros(3)}, ["no column 'y'"]),
        ({"observations": np.zeros(3)}, ["'observations' is a dataset"]),
        ({}, ["no column 'x'"]),
    ],
)
def test_hdf5(tmp_path, content, parts):
    path = tmp_path / "obs.h5"
    on_root(COMM, lambda: make_hdf5(path, content))
    text = message(readings.read, path, 2, 1.0, None)
    assert text.startswith("observations.file")
    for part in parts:
        assert part in text


def test_hdf5_that_is_none(tmp_path):
    path = tmp_path / "obs.h5"
    on_root(COMM, lambda: make_hdf5(path, columns(x=np.zeros(10_000))))
    half = on_root(COMM, path.read_bytes)[:2000]
    for content in (half, "x,y"):
        text = message(readings.read, write(path, content), 2, 1.0, 1.0)
        assert "not a readable HDF5" in text


# -- results --


def test_results(tmp_path):
    path = tmp_path / "r.h5"
    assert "no such file" in message(info.lines, path)
    assert "a folder" in message(info.lines, tmp_path)
    assert "not readable HDF5" in message(info.lines, write(path, "x,y"))
    content = dict.fromkeys(FIELDS, 0.0)
    ours = {"advdiff_version": "0.1.0", "format_version": result.FORMAT}
    for attributes, left_out, part in (
        ({}, "", "not written by advdiff"),
        (ours | {"complete": False}, "", "not complete"),
        (ours, "", "not complete"),
        (ours | {"complete": True}, "theta", "not complete"),
        (ours | {"complete": True, "format_version": 99}, "", "format version 99"),
        (ours | {"complete": True, "format_version": "new"}, "", "format version new"),
    ):
        kept = {k: v for k, v in content.items() if k != left_out}
        on_root(COMM, lambda k=kept, a=attributes: make_hdf5(path, k, a))
        assert part in message(info.lines, path)
    write(path, on_root(COMM, path.read_bytes)[:1000])
    assert "not readable HDF5" in message(info.lines, path)


def test_results_with_something_else_in_them(tmp_path):
    path = tmp_path / "e.h5"
    tasks.run(Problem(parse(data(), tmp_path / "e.toml")), lambda _: None)
    whole = on_root(COMM, path.read_bytes)

    def spoilt(name: str, value) -> str:
        def spoil():
            path.write_bytes(whole)
            with h5py.File(path, "r+") as file:
                del file[name]
                file[name] = value

        on_root(COMM, spoil)
        return message(info.lines, path)

    assert "not as advdiff writes it" in spoilt("theta", np.zeros(0))
    assert "not as advdiff writes it" in spoilt("theta", "text")
    assert "not as advdiff writes it" in spoilt("mesh/topology", 1.0)
    assert "not as advdiff writes it" in message(lambda: on_root(COMM, lambda: plots.draw(path)))


def test_a_failed_run_leaves_the_last_result_and_no_hang(tmp_path):
    experiment = tmp_path / "e.toml"
    tasks.run(Problem(parse(data(), experiment)), lambda _: None)
    before = on_root(COMM, (tmp_path / "e.h5").read_bytes)
    with pytest.raises(ConvergenceError, match="mind the sizes"):
        tasks.run(Problem(parse(data({"physics.diffusivity": 1e300}), experiment)), print)
    assert on_root(COMM, (tmp_path / "e.h5").read_bytes) == before
    write(tmp_path / ".e.h5.partial", "of a killed run")
    tasks.run(Problem(parse(data({"time.outputs": 3}), experiment)), lambda _: None)
    with open_result(tmp_path / "e.h5") as file:
        assert len(file["time"]) == 3
    names = on_root(COMM, lambda: sorted(p.name for p in tmp_path.iterdir()))
    assert names == ["e.h5", "e.vtkhdf"]


OVERFLOWS = [
    {"physics.initial": "1e300*x"},
    {"physics.velocity": ["1e200", "0"]},
    {"solver.method": "krylov", "time.final": 1.5e308},
    {"solver.method": "expokit", "physics.diffusivity": 1e300},
    INVERT | {"observations.std": 1e-300},
]


@pytest.mark.parametrize("changes", OVERFLOWS, ids=str)
def test_overflow_is_an_error_of_the_run(tmp_path, changes):
    write(tmp_path / "obs.csv", "x,y,t,value\n0.5,0.5,0.1,1\n")
    with pytest.raises(ConvergenceError) as caught:
        tasks.run(Problem(parse(data(changes), tmp_path / "e.toml")), lambda _: None)
    assert "\n" not in str(caught.value)
    assert set(COMM.allgather(str(caught.value))) == {str(caught.value)}


@pytest.mark.parametrize("value", [NAN, 1e4, -1e4])
def test_absurd_parameters(tmp_path, value):
    write(tmp_path / "obs.csv", "x,y,t,value,std\n0.5,0.5,0.1,1,1\n")
    problem = Problem(parse(data(INVERT), tmp_path / "e.toml"))
    with pytest.raises(ConvergenceError, match=r"prior\.diffusivity\.std"):
        problem.misfit(np.array([value]))


# -- checkpoints --


def test_checkpoints(tmp_path):
    write(tmp_path / "obs.csv", "x,y,t,value,std\n0.5,0.5,0.1,1,1\n")

    def checkpoint(changes=()):
        problem = Problem(parse(data(INVERT | dict(changes)), tmp_path / "e.toml"))
        return Checkpoint(problem, problem.experiment.output_path)

    mine = checkpoint()
    assert "no checkpoint" in message(mine.load)
    mine.create()
    checkpoint().load()
    assert "another experiment" in message(checkpoint({"physics.initial": "x**2"}).load)
    assert "another experiment" in message(checkpoint({"unknowns.initial": True}).load)
    whole = on_root(COMM, mine.path.read_bytes)
    for content in (whole[:-4], whole[:5], b"", b"no archive"):
        write(mine.path, content)
        assert "damaged" in message(checkpoint().load)
    mine.remove()
    assert on_root(COMM, lambda: [p.name for p in tmp_path.iterdir()]) == ["obs.csv"]


def test_resume_of_a_task_without_checkpoints(tmp_path):
    problem = Problem(parse(data(), tmp_path / "e.toml"))
    assert "task = 'invert'" in message(tasks.run, problem, print, resume=True)
