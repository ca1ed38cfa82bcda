"""Bad keys, values and expressions: one line that names the key, the value and the remedy.

All in process, on every number of ranks.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advdiff.config.expression import FUNCTIONS, Expression
from advdiff.config.load import load as load_experiment
from advdiff.config.load import parse
from advdiff.core.errors import InputError
from tests.config.bad_input import DIRECTION, INF, INVERT, NAN, data, message, write

# -- keys and values --

REDUCED = INVERT | {"reduced": {}}

KEYS = [
    ({"tsk": 1}, ["tsk", "'task'"]),
    ({"domain.cels": [4, 4]}, ["domain.cels", "'cells'"]),
    ({"physics.diffusivty": 1.0}, ["physics.diffusivty", "'diffusivity'"]),
    ({"physics.velocity": {"stream": "x", "strem": 1}}, ["physics.velocity.strem", "'stream'"]),
    ({"physics.velocity": {"stream": "x", "vorticity": 1.0}}, ["velocity.vorticity", "known: st"]),
    ({"physics.velocity": {"walls": {}, "vortcity": 1}}, ["vortcity", "'vorticity'"]),
    (
        DIRECTION | {"sensitivity.directions.velocity": {"velocit": ["0", "0"]}},
        ["sensitivity.directions.velocity.velocit", "'velocity'"],
    ),
    ({"tolerance": 1.0}, ["tolerance: unknown key", "'solver.tolerance'"]),
    ({"domain.diffusivity": 1.0}, ["domain.diffusivity: unknown", "'physics.diffusivity'"]),
    ({"SOLVER.method": "faber"}, ["SOLVER: unknown", "'solver'"]),
    ({"n" * 300: 1}, ["nnn...nnn", "n: unknown key"]),
    ({"a\nb": 1}, ["a\\nb: unknown key"]),
    ({"physics.robin": {"a\nb": {"coefficient": -1.0}}}, ["robin.a\\nb.coefficient: -1"]),
    ({"prior.velocity.sdt": 1.0}, ["prior.velocity.sdt", "'std'"]),
    ({"task": None}, ["task: missing"]),
    ({"task": "slove"}, ["task = 'slove'", "'solve'"]),
    ({"domain": None}, ["domain: missing"]),
    ({"domain": 3}, ["domain = 3", "[domain]"]),
    ({"physics.diffusivity": None}, ["physics.diffusivity: missing", "add it"]),
    ({"time.final": None}, ["time.final: missing"]),
    ({"petsc.tao_a": [1]}, ["petsc.tao_a = [1]"]),
    ({"petsc.ksp_view": True}, ["petsc.ksp_view", "advdiff_", "command line"]),
    ({"petsc.tao_monitor": "ascii:/tmp/x"}, ["petsc.tao_monitor", "true or false"]),
    ({"petsc.tao_type": "python"}, ["petsc.tao_type", "'python'", "command line"]),
    ({"petsc.tao_ls_type": "a:/b"}, ["petsc.tao_ls_type", "'a:/b'"]),
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
    ({"domain.origin": [1.0]}, ["domain.origin: 1 entries", "rectangle needs 2"]),
    (
        {"domain.coordinates": "lonlat", "domain.lower": [8.0, 53.0], "domain.upper": [9.0, 54.0]},
        ["domain.coordinates: 'lonlat'", "pyproj", "UTM zone 32N: EPSG:32632", "plane ="],
    ),
    (
        {
            "domain.coordinates": "lonlat",
            "domain.lower": [289.0, -31],
            "domain.upper": [290.0, -30],
        },
        ["UTM zone 19S: EPSG:32719"],
    ),
    ({"domain.shape": "rectangel"}, ["domain.shape = 'rectangel'", "'rectangle'"]),
    ({"domain.shape": "gmsh"}, ["domain.file: missing"]),
    ({"domain.shape": "gmsh", "domain.file": "a.vtu"}, ["domain.file", "'a.vtu'", ".geo"]),
    ({"domain.mesh_size": 0.1}, ["domain.mesh_size", "remove it"]),
    ({"domain.cell": "hexahedron"}, ["domain.cell", "'hexahedron'", "triangle or quadrilateral"]),
    ({"domain.cell": "square"}, ["domain.cell = 'square'"]),
    ({"domain.periodic": ["z"]}, ["domain.periodic", "['z']", "axes"]),
    ({"domain.periodic": ["x", "x"]}, ["domain.periodic", "axes"]),
    ({"domain.periodic": ["x"], "domain.cells": [2, 4]}, ["domain.cells: [2, 4]", "3 cells"]),
    (
        {"domain": {"shape": "gmsh", "file": "a.geo", "periodic": ["x"]}},
        ["domain.periodic", "built-in", "remove it"],
    ),
    ({"discretization.degree": 4}, ["discretization.degree", "4", "1 to 3"]),
    ({"discretization.method": "fem"}, ["discretization.method = 'fem'"]),
    ({"discretization": {"method": "spectral"}}, ["discretization.degree: 1", "2 to 8"]),
    ({"discretization": {"stabilization": 0.1}}, ["discretization.stabilization", "cip"]),
    (
        {"physics.dirichlet": {"left": 0.0}, "physics.inflow": {"left": 1.0}},
        ["physics.inflow.left", "Dirichlet", "remove"],
    ),
    (
        {"physics.robin": {"left": {"coefficient": -1.0}}},
        ["physics.robin.left.coefficient", "-1", "negative"],
    ),
    ({"physics.robin": {"left": 1.0}}, ["physics.robin.left"]),
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
    ({"solver.tolerance": 2e-15}, ["solver.tolerance: 2e-15", "'auto'", "raise it"]),
    ({"time.final": 5e-324}, ["time.final: 4.94066e-324", "2 times", "raise it"]),
    ({"solver.tolerance": -1e-8}, ["solver.tolerance = -1e-08"]),
    ({"solver.method": "crylov"}, ["solver.method = 'crylov'", "did you mean 'krylov'?"]),
    ({"solver.method": "faver"}, ["solver.method = 'faver'", "did you mean 'faber'?"]),
    ({"solver.dimension": 10**9}, ["solver.dimension", "at most 1000"]),
    ({"solver.max_restarts": 10**12}, ["solver.max_restarts"]),
    ({"output.file": ""}, ["output.file = ''"]),
    ({"output.file": "a\0b"}, ["output.file"]),
    ({"output.file": "experiment.toml"}, ["output.file", "experiment file", "another name"]),
    (INVERT | {"output.file": "obs.csv"}, ["output.file", "observations.file"]),
    (REDUCED | {"reduced.model": "obs.csv"}, ["reduced.model", "observations.file", "another"]),
    (REDUCED | {"reduced.model": "experiment.toml"}, ["reduced.model", "the experiment file"]),
    (REDUCED | {"reduced.model": "./experiment.h5"}, ["reduced.model", "output.file", "another"]),
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
    (
        INVERT | {"unknowns.velocity": {"family": "fourier"}},
        ["'fourier'", "torus", "domain.periodic"],
    ),
    (
        INVERT | {"unknowns.velocity": {}, "domain.periodic": ["x"]},
        ["'sine'", "walls", "periodic = ['x']"],
    ),
    (
        INVERT | {"unknowns.initial": True, "discretization": {"method": "dg"}},
        ["unknowns.initial", "continuous", "'cg'"],
    ),
    (INVERT | {"unknowns.velocity": True}, ["unknowns.velocity = True", "table"]),
    (INVERT | {"unknowns.diffusivity": 1}, ["unknowns.diffusivity = 1", "true, false"]),
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
    text = message(parse, data(changes))
    for part in parts:
        assert part in text


def test_the_experiment_that_the_cases_start_from_is_good():
    for changes in ({}, DIRECTION, INVERT):
        assert parse(data(changes)).task == changes.get("task", "solve")


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
    text = message(load_experiment, write(tmp_path / "e.toml", content))
    for part in parts:
        assert part in text


def test_experiment_file_that_is_none(tmp_path):
    assert "No such file" in message(load_experiment, tmp_path / "none.toml")
    assert "directory" in message(load_experiment, tmp_path)


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
    text = message(load_experiment, tmp_path / "e.toml", (setting,))
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


@pytest.mark.serial
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
