"""Bad input gets one line that names the key, the value and the remedy, before any heavy work.

Most of it in process, on every number of ranks; the exit codes of the real command at the end.
"""

import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpi4py import MPI

from advdiff import config, observe, store, summary, tasks
from advdiff.checkpoint import Checkpoint
from advdiff.errors import ConvergenceError, InputError, on_root
from advdiff.expression import FUNCTIONS, Expression
from advdiff.problem import Problem

ROOT = Path(__file__).parents[1]
COMM = MPI.COMM_WORLD
NAN, INF = float("nan"), float("inf")


def data(changes=(), **more) -> dict:
    """A small experiment with dotted keys changed; None removes a key."""
    base = {
        "task": "solve",
        "domain": {"cells": [4, 4]},
        "physics": {"diffusivity": 0.1, "initial": "x"},
        "time": {"final": 0.1, "outputs": 2},
    }
    for key, value in {**dict(changes), **more}.items():
        *tables, name = key.split(".")
        table = base
        for part in tables:
            table = table.setdefault(part, {})
        if value is None:
            table.pop(name)
        else:
            table[name] = copy.deepcopy(value)
    return base


INVERT = {"task": "invert", "observations.file": "obs.csv", "unknowns.diffusivity": True}
DIRECTION = {"task": "sensitivity", "sensitivity.directions": {"a": {"initial": "x"}}}


def message(function, *arguments, **keywords) -> str:
    """The one line that a call raises, the same on all ranks."""
    with pytest.raises(InputError) as caught:
        function(*arguments, **keywords)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 400
    assert set(COMM.allgather(text)) == {text}
    return text


def write(path: Path, content: str | bytes) -> Path:
    """A file that rank 0 writes."""
    content = content.encode() if isinstance(content, str) else content
    on_root(COMM, lambda: path.write_bytes(content) and None)
    return path


# -- keys and values --

KEYS = [
    ({"tsk": 1}, ["tsk", "'task'"]),
    ({"domain.cels": [4, 4]}, ["domain.cels", "'cells'"]),
    ({"physics.diffusivty": 1.0}, ["physics.diffusivty", "'diffusivity'"]),
    ({"physics.velocity": {"stream": "x", "strem": 1}}, ["physics.velocity.strem", "'stream'"]),
    ({"physics.velocity": {"walls": {}, "vortcity": 1}}, ["vortcity", "'vorticity'"]),
    (
        DIRECTION | {"sensitivity.directions.velocity": {"velocit": ["0", "0"]}},
        ["sensitivity.directions.velocity.velocit", "'velocity'"],
    ),
    ({"prior.velocity.sdt": 1.0}, ["prior.velocity.sdt", "'std'"]),
    ({"task": None}, ["task: missing"]),
    ({"task": "slove"}, ["task = 'slove'", "'solve'"]),
    ({"domain": None}, ["domain: missing"]),
    ({"domain": 3}, ["domain = 3", "[domain]"]),
    ({"physics.diffusivity": None}, ["physics.diffusivity: missing", "add it"]),
    ({"time.final": None}, ["time.final: missing"]),
    ({"petsc.a": [1]}, ["petsc.a = [1]"]),
    ({"path": "x"}, ["path: unknown key"]),
    # domain
    ({"domain.cells": None}, ["domain.cells: missing"]),
    ({"domain.cells": [4]}, ["domain.cells", "needs 2"]),
    ({"domain.cells": [0, 4]}, ["domain.cells[0] = 0"]),
    ({"domain.cells": [4, -1]}, ["domain.cells[1] = -1"]),
    ({"domain.cells": [4.5, 4]}, ["domain.cells[0] = 4.5", "whole number"]),
    ({"domain.cells": "4"}, ["domain.cells = '4'", "list"]),
    ({"domain.cells": [10**30, 1]}, ["domain.cells[0] = 1000"]),
    ({"domain.lower": [1.0, 0.0]}, ["domain.upper: 1", "lower corner 1", "raise it"]),
    ({"domain.upper": [NAN, 1.0]}, ["domain.upper[0] = nan"]),
    ({"domain.upper": [1e308, 1.0], "domain.lower": [-1e308, 0.0]}, ["domain.upper"]),
    ({"domain.shape": "rectangel"}, ["domain.shape = 'rectangel'", "'rectangle'"]),
    ({"domain.shape": "gmsh"}, ["domain.file: missing"]),
    ({"domain.shape": "gmsh", "domain.file": "a.vtu"}, ["domain.file", "'a.vtu'", ".geo"]),
    ({"domain.mesh_size": 0.1}, ["domain.mesh_size", "remove it"]),
    ({"domain.degree": 3}, ["domain.degree = 3", "1 or 2"]),
    # physics
    ({"physics.diffusivity": -1}, ["physics.diffusivity = -1", "positive"]),
    ({"physics.diffusivity": 0.0}, ["physics.diffusivity = 0.0", "positive"]),
    ({"physics.diffusivity": NAN}, ["physics.diffusivity = nan", "finite"]),
    ({"physics.diffusivity": INF}, ["physics.diffusivity = inf", "finite"]),
    ({"physics.diffusivity": 10**400}, ["physics.diffusivity = 1000", "finite"]),
    ({"physics.diffusivity": True}, ["physics.diffusivity = True", "number"]),
    ({"physics.diffusivity": [1.0]}, ["physics.diffusivity = [1.0]", "number"]),
    ({"physics.velocity": "y"}, ["physics.velocity = 'y'", "list of components"]),
    ({"physics.velocity": {"strem": "y"}}, ["physics.velocity", "stream"]),
    ({"physics.velocity": {"vorticity": 1.0}}, ["physics.velocity.walls: missing"]),
    ({"physics.velocity": {"walls": {"left": "fre"}}}, ["walls.left = 'fre'", "'free'"]),
    ({"physics.velocity": ["y"]}, ["physics.velocity: 1 components", "needs 2"]),
    ({"physics.velocity": ["y", "0", "0"]}, ["physics.velocity: 3 components", "needs 2"]),
    ({"physics.velocity": ["y", True]}, ["physics.velocity[1] = True"]),
    ({"physics.velocity": ["y", "w"]}, ["physics.velocity[1] = 'w'", "unknown name 'w'"]),
    ({"truth.velocity": ["y"]}, ["truth.velocity: 1 components"]),
    ({"truth.initial": "q"}, ["truth.initial = 'q'"]),
    ({"physics.dirichlet": {"left": True}}, ["physics.dirichlet.left = True"]),
    (
        {"domain.shape": "box", "domain.cells": [2, 2, 2], "physics.velocity": {"stream": "x"}},
        ["physics.velocity", "'box' has 3", "components"],
    ),
    (
        {"domain.shape": "interval", "domain.cells": [2], "physics.velocity": ["1", "0"]},
        ["physics.velocity: 2 components", "needs 1"],
    ),
    (
        {"domain.shape": "interval", "domain.cells": [2], "physics.initial": "y"},
        ["physics.initial = 'y'", "1 dimension", "write it in x"],
    ),
    # time, solver, output
    ({"time.final": 0}, ["time.final = 0", "greater than 0"]),
    ({"time.final": -1.0}, ["time.final = -1.0"]),
    ({"time.final": INF}, ["time.final = inf"]),
    ({"time.final": "1"}, ["time.final = '1'", "must be a number"]),
    ({"time.outputs": []}, ["time.outputs = []"]),
    ({"time.outputs": 0}, ["time.outputs = 0"]),
    ({"time.outputs": True}, ["time.outputs = True"]),
    ({"time.outputs": 10**9}, ["time.outputs = 1000000000"]),
    ({"time.outputs": [0.05, 0.02]}, ["time.outputs: 0.02 follows 0.05", "increasing"]),
    ({"time.outputs": [0.05, 2.0]}, ["time.outputs: 2 is not in", "time.final = 0.1"]),
    ({"time.outputs": [0.05, NAN]}, ["time.outputs", "nan"]),
    ({"solver.tolerance": 0}, ["solver.tolerance = 0", "greater than 1e-15"]),
    ({"solver.tolerance": -1e-8}, ["solver.tolerance = -1e-08"]),
    ({"solver.method": "crylov"}, ["solver.method = 'crylov'", "'krylov'"]),
    ({"solver.dimension": 10**9}, ["solver.dimension", "at most 1000"]),
    ({"solver.max_restarts": 10**12}, ["solver.max_restarts"]),
    ({"output.file": ""}, ["output.file = ''"]),
    ({"output.file": "a\0b"}, ["output.file"]),
    ({"output.file": "experiment.toml"}, ["output.file", "experiment file", "another name"]),
    (INVERT | {"output.file": "obs.csv"}, ["output.file", "observations.file"]),
    # sensitivity and inversion
    ({"task": "sensitivity"}, ["sensitivity.directions: missing"]),
    (DIRECTION | {"sensitivity.directions.a": {}}, ["sensitivity.directions.a", "exactly one"]),
    (DIRECTION | {"sensitivity.directions.a/b": {"initial": "x"}}, ["a/b", "another", "name"][::2]),
    (DIRECTION | {"sensitivity.directions.a": {"velocity": ["y"]}}, ["directions.a.velocity: 1"]),
    ({"task": "invert"}, ["observations.file: missing"]),
    ({"task": "invert", "observations.file": "a.csv"}, ["unknowns", "diffusivity = true"]),
    (INVERT | {"observations.std": 0.0}, ["observations.std = 0.0"]),
    (INVERT | {"physics.diffusivity": "1+x"}, ["physics.diffusivity", "number as first guess"]),
    (INVERT | {"unknowns.velocity": {"modes": [5]}}, ["unknowns.velocity.modes = [5]", "have 2"]),
    (INVERT | {"unknowns.velocity": {"modes": [0, 5]}}, ["unknowns.velocity.modes[0] = 0"]),
    (INVERT | {"unknowns.velocity": True}, ["unknowns.velocity = True", "table"]),
    (INVERT | {"unknowns.diffusivity": 1}, ["unknowns.diffusivity = 1", "true or false"]),
    (INVERT | {"optimizer.type": "newton"}, ["optimizer.type = 'newton'", "'lmvm'"]),
    (INVERT | {"prior.diffusivity.std": -1.0}, ["prior.diffusivity.std = -1.0"]),
    (
        INVERT
        | {"domain.shape": "box", "domain.cells": [2, 2, 2], "unknowns.velocity.family": "stream"},
        ["unknowns.velocity", "two dimensions"],
    ),
    (
        INVERT | {"domain": {"shape": "gmsh", "file": "a.geo"}, "unknowns.velocity": {}},
        ["unknowns.velocity.family = 'sine'", "'stream'"],
    ),
]


@pytest.mark.parametrize(("changes", "parts"), KEYS, ids=[str(c)[:60] for c, _ in KEYS])
def test_keys(changes, parts):
    text = message(config.parse, data(changes))
    for part in parts:
        assert part in text


def test_the_experiment_that_the_cases_start_from_is_good():
    for changes in ({}, DIRECTION, INVERT):
        assert config.parse(data(changes)).task == changes.get("task", "solve")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"\x89HDF\r\n\x1a\n\xff\xfe\x00", ["not UTF-8"]),
        (b"task = 'solve", ["not valid TOML", "end of document"]),
        (b"task = 1\ntask = 2", ["not valid TOML"]),
        (b"a = " + b"[" * 5000, ["not valid TOML"]),
        (b"a = " + b"9" * 5000, ["not valid TOML"]),
        (b"", ["task: missing"]),
        (b"\xef\xbb\xbftask = 'slove'\r\n", ["task = 'slove'"]),
        (b"#" * 10_000_001, ["larger than"]),
    ],
    ids=["binary", "unclosed", "twice", "nested", "digits", "empty", "BOM", "huge"],
)
def test_experiment_files(tmp_path, content, parts):
    text = message(config.load, write(tmp_path / "e.toml", content))
    for part in parts:
        assert part in text


def test_experiment_file_that_is_none(tmp_path):
    assert "No such file" in message(config.load, tmp_path / "none.toml")
    assert "directory" in message(config.load, tmp_path)


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("time.final", ["--set 'time.final'", "key.sub=value"]),
        ("=3", ["--set", "key.sub=value"]),
        ("time..final=3", ["--set", "key.sub=value"]),
        ("task.final=3", ["--set", "task is not a table"]),
        ("time.finl=3", ["time.finl", "'final'"]),
        ("time.final=soon", ["time.final = 'soon'"]),
        ("domain.cells=[4,", ["domain.cells = '[4,'"]),
        ("physics.diffusivity=nan", ["physics.diffusivity = nan"]),
    ],
)
def test_settings(tmp_path, setting, parts):
    write(
        tmp_path / "e.toml",
        "task = 'solve'\ntime.final = 1\ndomain.cells = [4, 4]\nphysics.diffusivity = 1",
    )
    text = message(config.load, tmp_path / "e.toml", (setting,))
    for part in parts:
        assert part in text


# -- expressions --

EXPRESSIONS = [
    ("", "invalid syntax"),
    ("x +", "invalid syntax"),
    ("(x", "never closed"),
    ("sinn(x)", "did you mean 'sin'"),
    ("__import__('os').system('true')", "dot"),
    ("__import__('os')", "unknown function '__import__'"),
    ("x.__class__", "dot"),
    ("np.sin(x)", "'sin'"),
    ("x^2", "**"),
    ("0 < x < 1", "0 < x and x < 1"),
    ("1 if x else 0", "where"),
    ("x == 1", "<="),
    ("lambda: x", "lambda"),
    ("[x]", "list"),
    ("(y := x)", "namedexpr"),
    ("x[0]", "subscript"),
    ("'x'", "constant"),
    ("1j", "constant"),
    ("True", "constant"),
    ("...", "not arithmetic"),
    ("sin", "without arguments"),
    ("sin(x, y)", "it takes 1"),
    ("sin(x=1)", "not arithmetic"),
    ("sin(*x)", "not arithmetic"),
    ("t", "unknown name 't'"),
    ("9" * 400, "1e308"),
    ("x" * 5000, "4000"),
    ("-" * 3000 + "x", "deep"),
    ("(" * 1900 + "x" + ")" * 1900, "parentheses"),
    ("+".join(["x"] * 1000), "nested deeper"),
    ("x\0", "null"),
    ("\ud800", "not an expression"),
    ("x; y", "invalid syntax"),
]


@pytest.mark.parametrize(("text", "part"), EXPRESSIONS, ids=[ascii(t)[:30] for t, _ in EXPRESSIONS])
def test_expressions(text, part):
    found = message(Expression, text, "physics.initial", 2)
    assert found.startswith("physics.initial")
    assert part in found


def test_powers_are_of_doubles():
    assert Expression("9**9**9")(np.zeros((3, 1))) == INF


WORDS = [
    *FUNCTIONS,
    *"xyz()+-*/<>,.=^[]'",
    "**",
    "e",
    "pi",
    "1",
    "1e9",
    " and ",
    " not ",
    "__",
    ":",
]


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=25).map("".join)))
@settings(max_examples=400, deadline=None)
def test_fuzzed_expressions_raise_nothing_else(text):
    try:
        expression = Expression(text, "key", 2)
    except InputError as error:
        assert "\n" not in str(error)
        assert str(error).startswith("key")
    else:
        assert expression(np.ones((3, 2))).shape == (2,)


# -- what only the mesh can tell --

PROBLEMS = [
    ({"physics.diffusivity": "x - 0.5"}, ["physics.diffusivity: -0.5", "positive"]),
    ({"physics.diffusivity": "log(-1)"}, ["physics.diffusivity: not finite at 25 points"]),
    ({"physics.initial": "1/x"}, ["physics.initial: not finite at 5 points", "at (0, 0)"]),
    ({"physics.source": "log(x-2)"}, ["physics.source: not finite"]),
    ({"physics.velocity": ["1/y", "0"]}, ["physics.velocity: not finite", "(0, 0)"]),
    ({"physics.velocity": {"stream": "1e999"}}, ["physics.velocity.stream: not finite"]),
    ({"physics.dirichlet": {"lft": 0.0}}, ["physics.dirichlet.lft", "'left'"]),
    ({"physics.velocity": {"walls": {"lft": 0.0}}}, ["physics.velocity.walls", "'left'"]),
    ({"physics.velocity": {"walls": {}}}, ["physics.velocity.walls", "0.0"]),
    ({"domain.open": ["lft"]}, ["domain.open", "'left'"]),
    ({"domain.cells": [10**9, 10**9]}, ["domain.cells = [1000000000", "memory", "fewer"]),
    ({"time.outputs": 100_000, "domain.cells": [10**4, 10**4]}, ["output times", "memory"]),
    ({"truth.velocity": ["log(-1)", "0"]}, ["truth.velocity: not finite"]),
    (
        DIRECTION | {"sensitivity.directions.a": {"diffusivity": "1/x"}},
        ["sensitivity.directions.a.diffusivity: not finite"],
    ),
    ({"domain": {"shape": "gmsh", "file": "none.geo"}}, ["domain.file", "none.geo"]),
    (INVERT | {"unknowns.velocity.modes": [10**5, 10**5]}, ["modes = [100000, 100000]", "memory"]),
    (INVERT | {"observations.file": "none.csv"}, ["observations.file", "none.csv", "give"]),
    ({"output.file": "none/x.h5"}, ["output.file", "none does not exist", "create it"]),
    ({"output.file": "."}, ["output.file", "is a folder"]),
    ({"output.file": "/proc/x.h5"}, ["output.file: /proc/x.h5 cannot be written"]),
    ({"output.file": "x.xdmf"}, ["output.file", "x.xdmf", ".h5"]),
    ({"output.file": "n" * 250 + ".h5"}, ["output.file", "cannot be written"]),
    ({"output.file": "thesis.txt"}, ["output.file", "thesis.txt exists", "another name"]),
]


@pytest.mark.parametrize(("changes", "parts"), PROBLEMS, ids=[str(c)[:60] for c, _ in PROBLEMS])
def test_check(tmp_path, changes, parts):
    write(tmp_path / "obs.csv", "x,y,t,value,std\n0.5,0.5,0.1,1,1\n")
    thesis = write(tmp_path / "thesis.txt", "years of work")
    text = message(tasks.check, Problem(config.parse(data(changes), tmp_path / "e.toml")))
    for part in parts:
        assert part in text
    assert thesis.read_text() == "years of work"


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
}


@pytest.mark.parametrize(("name", "content", "parts"), MESHES.values(), ids=MESHES)
def test_meshes(tmp_path, name, content, parts):
    pytest.importorskip("gmsh")
    write(tmp_path / name, content)
    changes = {"domain": {"shape": "gmsh", "file": name}}
    text = message(tasks.check, Problem(config.parse(data(changes), tmp_path / "e.toml")))
    assert text.startswith("domain.file")
    for part in parts:
        assert part in text


def test_mesh_names_and_sizes(tmp_path):
    pytest.importorskip("gmsh")
    write(tmp_path / "a.geo", SQUARE % 0 + NAMED)

    def check(changes):
        shape = {"domain": {"shape": "gmsh", "file": "a.geo"}}
        return tasks.check(Problem(config.parse(data(shape | changes), tmp_path / "e.toml")))

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
    text = message(tasks.check, Problem(config.parse(data(changes), tmp_path / "e.toml")))
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
    "semicolons": ("x;y;t;value;std\n.1;.1;.1;1;1\n", ["semicolons", "commas"]),
    "tabs": ("x\ty\tt\tvalue\n", ["tabs", "commas"]),
    "BOM and CRLF": ("\ufeffx,y,t,value,std\r\n.1,.1,.1,1,-1\r\n", ["row 2: std = -1"]),
    "NUL": ("x,y,t,value,std\n.1,.1,.1,1\0,1\n", ["row 2"]),
    "open quote": ('x,y,t,value,std\n"1,.1,.1,1,1\n', ["row 2", "mend the row"]),
    "huge entry": ("x,y,t,value,std\n" + "1" * 200_000, ["row 2"]),
    "z in 2-D": ("x,y,z,t,value,std\n", ["unknown column 'z'"]),
}


@pytest.mark.parametrize(("content", "parts"), TABLES.values(), ids=TABLES)
def test_tables(tmp_path, content, parts):
    write(tmp_path / "obs.csv", content)
    text = message(tasks.check, Problem(config.parse(data(INVERT), tmp_path / "e.toml")))
    assert text.startswith("observations.")
    for part in parts:
        assert part in text


def test_table_that_is_none(tmp_path):
    write(tmp_path / "latin.csv", b"x,y,t,value\n\xe9")
    for name, part in (("none.csv", "not exist"), (".", "a folder"), ("latin.csv", "UTF-8")):
        assert part in message(observe.read, tmp_path / name, 2, 1.0, 1.0)


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
    text = message(observe.read, path, 2, 1.0, None)
    assert text.startswith("observations.file")
    for part in parts:
        assert part in text


def make_hdf5(path: Path, content: dict, attributes=()) -> None:
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            file[name] = values
        file.attrs.update(dict(attributes))


def test_hdf5_that_is_none(tmp_path):
    path = tmp_path / "obs.h5"
    on_root(COMM, lambda: make_hdf5(path, columns(x=np.zeros(10_000))))
    half = on_root(COMM, path.read_bytes)[:2000]
    for content in (half, "x,y"):
        text = message(observe.read, write(path, content), 2, 1.0, 1.0)
        assert "not a readable HDF5" in text


# -- results --


def test_results(tmp_path):
    path = tmp_path / "r.h5"
    assert "no such file" in message(summary.lines, path)
    assert "a folder" in message(summary.lines, tmp_path)
    assert "not readable HDF5" in message(summary.lines, write(path, "x,y"))
    content = dict.fromkeys(store.REQUIRED, 0.0)
    ours = {"advdiff_version": "0.1.0", "format": store.FORMAT}
    for attributes, left_out, part in (
        ({}, "", "not written by advdiff"),
        (ours | {"complete": False}, "", "not complete"),
        (ours, "", "not complete"),
        (ours | {"complete": True}, "theta", "not complete"),
        (ours | {"complete": True, "format": 99}, "", "format 99"),
        (ours | {"complete": True, "format": "new"}, "", "format new"),
    ):
        kept = {k: v for k, v in content.items() if k != left_out}
        on_root(COMM, lambda k=kept, a=attributes: make_hdf5(path, k, a))
        assert part in message(summary.lines, path)
    write(path, on_root(COMM, path.read_bytes)[:1000])
    assert "not readable HDF5" in message(summary.lines, path)


def test_a_failed_run_leaves_the_last_result_and_no_hang(tmp_path):
    experiment = tmp_path / "e.toml"
    tasks.run(Problem(config.parse(data(), experiment)), lambda _: None)
    before = on_root(COMM, (tmp_path / "e.h5").read_bytes)
    with pytest.raises(ConvergenceError, match="mind the sizes"):
        tasks.run(Problem(config.parse(data({"physics.diffusivity": 1e300}), experiment)), print)
    assert on_root(COMM, (tmp_path / "e.h5").read_bytes) == before
    write(tmp_path / ".e.h5.partial", "of a killed run")
    tasks.run(Problem(config.parse(data({"time.outputs": 3}), experiment)), lambda _: None)
    with store.open_result(tmp_path / "e.h5") as file:
        assert len(file["time"]) == 3
    names = on_root(COMM, lambda: sorted(p.name for p in tmp_path.iterdir()))
    assert names == ["e.h5", "e.vtkhdf"]


OVERFLOWS = [
    {"physics.initial": "1e300*x"},
    {"physics.velocity": ["1e200", "0"]},
    {"time.final": 1.5e308},
    {"solver.method": "expokit", "physics.diffusivity": 1e300},
    INVERT | {"observations.std": 1e-300},
]


@pytest.mark.parametrize("changes", OVERFLOWS, ids=str)
def test_overflow_is_an_error_of_the_run(tmp_path, changes):
    write(tmp_path / "obs.csv", "x,y,t,value\n0.5,0.5,0.1,1\n")
    with pytest.raises(ConvergenceError) as caught:
        tasks.run(Problem(config.parse(data(changes), tmp_path / "e.toml")), lambda _: None)
    assert "\n" not in str(caught.value)
    assert set(COMM.allgather(str(caught.value))) == {str(caught.value)}


@pytest.mark.parametrize("value", [NAN, 1e4, -1e4])
def test_absurd_parameters(tmp_path, value):
    write(tmp_path / "obs.csv", "x,y,t,value,std\n0.5,0.5,0.1,1,1\n")
    problem = Problem(config.parse(data(INVERT), tmp_path / "e.toml"))
    with pytest.raises(ConvergenceError, match=r"prior\.diffusivity\.std"):
        problem.misfit(np.array([value]))


# -- checkpoints --


def test_checkpoints(tmp_path):
    write(tmp_path / "obs.csv", "x,y,t,value,std\n0.5,0.5,0.1,1,1\n")

    def checkpoint(changes=()):
        problem = Problem(config.parse(data(INVERT | dict(changes)), tmp_path / "e.toml"))
        return Checkpoint(problem, problem.experiment.output_path)

    mine = checkpoint()
    assert "no checkpoint" in message(mine.load)
    m = mine.problem.unknowns.from_numpy(np.array([0.25]))
    mine.save(m, 3.0)
    loaded, reference = mine.load()
    assert (mine.problem.unknowns.to_numpy(loaded), reference) == (0.25, 3.0)
    assert "another experiment" in message(checkpoint({"physics.initial": "x**2"}).load)
    assert "another experiment" in message(checkpoint({"unknowns.initial": True}).load)
    whole = on_root(COMM, mine.path.read_bytes)
    for content in (whole[:-40], whole[:5], b"", b"no archive"):
        write(mine.path, content)
        assert "damaged" in message(mine.load)
    mine.remove()
    assert on_root(COMM, lambda: [p.name for p in tmp_path.iterdir()]) == ["obs.csv"]


def test_resume_of_a_task_without_checkpoints(tmp_path):
    problem = Problem(config.parse(data(), tmp_path / "e.toml"))
    assert "task = 'invert'" in message(tasks.run, problem, print, resume=True)


# -- the command --

SMALL = """
task = "{task}"
[domain]
cells = [4, 4]
[physics]
diffusivity = 0.1
initial = "x"
[time]
final = 0.1
outputs = 1
[observations]
file = "obs.csv"
[unknowns]
diffusivity = true
"""

COMMANDS = {
    "no file": (["run", "none.toml"], 2, "none.toml: No such file"),
    "bad key": (["check", "e.toml", "--set", "physics.diffusivty=1"], 2, "'diffusivity'"),
    "sensor outside": (["run", "invert.toml"], 2, "row 3: the sensor at (2, 0.5)"),
    "too large": (["run", "e.toml", "--set", "domain.cells=[1000000000, 4000]"], 2, "memory"),
    "overwrites": (["run", "e.toml", "--output", "e.toml"], 2, "is the experiment file"),
    "PETSc option": (["check", "e.toml", "-advdiff_mfn_type", "nonsense"], 2, "nonsense"),
    "PETSc number": (["check", "e.toml", "-advdiff_mfn_ncv", "many"], 2, "many"),
    "TAO": (["check", "fine.toml", "-tao_type", "nls"], 2, "-tao_type nls"),
    "options file": (["check", "e.toml", "-options_file", "none"], 2, "none: no such file"),
    "one dash": (["run", "e.toml", "-output", "x.h5"], 2, "--output"),
    "no such option": (["run", "e.toml", "--outptu", "x.h5"], 2, "--output"),
    "no such command": (["rum", "e.toml"], 2, "rum"),
    "no argument": (["info"], 2, "Missing argument"),
    "resume": (["run", "fine.toml", "--resume"], 2, "no checkpoint"),
    "info": (["info", "obs.csv"], 2, "obs.csv: not readable HDF5"),
    "plot": (["plot", "none.h5"], 2, "none.h5: no such file"),
    "overflow": (["run", "e.toml", "--set", "physics.diffusivity=1e300"], 1, "mind the sizes"),
}
PARALLEL = ("bad key", "sensor outside", "PETSc option", "plot", "overflow")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "e.toml").write_text(SMALL.format(task="solve"))
    (tmp_path / "invert.toml").write_text(SMALL.format(task="invert"))
    fine = SMALL.format(task="invert").replace("obs.csv", "fine.csv")
    (tmp_path / "fine.toml").write_text(fine)
    header = "x,y,t,value,std\n.5,.5,.1,1,1\n"
    (tmp_path / "fine.csv").write_text(header)
    (tmp_path / "obs.csv").write_text(header + "2,.5,.1,1,1\n")
    return tmp_path


def command(folder: Path, arguments: list[str], launcher=()) -> tuple[int, list[str]]:
    """The exit code, and the lines of ours on stderr."""
    done = subprocess.run(
        [*launcher, sys.executable, "-m", "advdiff", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, [line for line in done.stderr.splitlines() if "advdiff: " in line]


def expect(folder: Path, name: str, launcher=()) -> None:
    arguments, code, part = COMMANDS[name]
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    found, lines = command(folder, arguments, launcher)
    assert found == code
    assert len(lines) == 1
    assert part in lines[0]
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


@pytest.mark.serial
@pytest.mark.parametrize("name", COMMANDS)
def test_command(folder, name):
    expect(folder, name)


@pytest.mark.serial
@pytest.mark.skipif(not shutil.which("mpirun"), reason="no mpirun")
@pytest.mark.parametrize("name", PARALLEL)
def test_command_under_mpirun(folder, name):
    expect(folder, name, ("mpirun", "-n", "2"))
