"""Experiment files: small good ones, and edits that spoil them."""

from __future__ import annotations

import copy
import math
from typing import Any, NamedTuple

from hypothesis import strategies as st

from advdiff.config.tables.experiment import Experiment
from advdiff.config.tables.models import ModelExperiment
from advdiff.config.tables.study import Study
from advdiff.config.types import Table
from tests.fuzz import files, values


class Case(NamedTuple):
    """One thing to try.

    Attributes:
        kind: of bad input, for the table of counts.
        command: run, check, info or plot.
        experiment: the tables of ``e.toml``, or its text; None: no such file.
        files: name → content, beside it.
        arguments: further ones of the command line.
    """

    kind: str
    command: str
    experiment: dict | str | None
    files: dict[str, bytes]
    arguments: tuple[str, ...] = ()


SMALL = {
    "task": "solve",
    "domain": {"cells": [3, 3]},
    "physics": {"diffusivity": 0.1, "velocity": {"stream": "x*y*(1-x)*(1-y)"}, "initial": "x"},
    "time": {"final": 0.1, "outputs": 2},
}
INVERT = SMALL | {
    "task": "invert",
    "observations": {"file": "obs.csv"},
    "unknowns": {"diffusivity": True},
    "optimizer": {"max_iterations": 3},
}
SINE = {"velocity": {"family": "sine", "modes": [2, 2]}}
CHAINS = {"draws": 4, "warmup": 2, "chains": 2, "steps": 2}
TORUS = {"cells": [3, 3], "periodic": ["x", "y"]}
WAVE = {"diffusivity": 0.1, "initial": "sin(2*pi*x)"}
PACKET = {"centre": 0.5, "width": 0.1}
BASES: list[tuple[type[Table], dict, tuple[str, ...]]] = [
    (Experiment, SMALL, ()),
    (Experiment, SMALL | {"domain": {"shape": "interval", "cells": [5]}, "physics": WAVE}, ()),
    (Experiment, SMALL | {"domain": {"shape": "box", "cells": [2, 2, 2]}, "physics": WAVE}, ()),
    (Experiment, SMALL | {"domain": TORUS, "physics": WAVE}, ()),
    (Experiment, SMALL | {"domain": {"shape": "gmsh", "file": "mesh.msh"}}, ("mesh.msh",)),
    (
        Experiment,
        SMALL
        | {"physics": WAVE | {"velocity": {"file": "grid.nc", "components": ["u", "v"]}}}
        | {"domain": {"cells": [3, 3], "open": ["left"]}},
        ("grid.nc",),
    ),
    (
        Experiment,
        SMALL
        | {"task": "sensitivity"}
        | {"sensitivity": {"directions": {"a": {"initial": "y"}, "b": {"diffusivity": 1.0}}}},
        (),
    ),
    (Experiment, INVERT, ("obs.csv",)),
    (Experiment, INVERT | {"unknowns": SINE, "laplace": {"probes": 4}}, ("obs.csv",)),
    (Experiment, INVERT | {"unknowns": {"velocity": {"family": "stream"}}}, ("obs.csv",)),
    (Experiment, INVERT | {"unknowns": SINE, "reduced": {"dimension": 9}}, ("obs.csv",)),
    (Experiment, INVERT | {"task": "sample", "sampler": CHAINS}, ("obs.csv",)),
    (
        ModelExperiment,
        {
            "task": "sample",
            "model": {"kind": "rate-matrix", "states": 3},
            "observations": {"file": "jumps.csv"},
            "sampler": CHAINS,
        },
        ("jumps.csv",),
    ),
    (
        ModelExperiment,
        {
            "task": "sample",
            "model": {"kind": "quantum", "nodes": 8, "modes": 3, "packet": PACKET},
            "observations": {"file": "waves.csv"},
            "sampler": CHAINS,
        },
        ("waves.csv",),
    ),
    (
        Study,
        {
            "task": "surrogate-error",
            "matexp": {"dimensions": [3], "replicates": 2, "times": [0.1], "certified": 1},
        },
        (),
    ),
    (Study, {"task": "random-rates", "matexp": {"dimensions": [3], "replicates": 2}}, ()),
]
"""What experiment files are for, with the files that they read."""
PLACES = {kind: list(values.places(kind)) for kind in (Experiment, ModelExperiment, Study)}


@st.composite
def experiments(draw) -> Case:
    """A good experiment with a few keys changed, dropped, misspelt or added."""
    kind, base, needs = draw(st.sampled_from(BASES))
    data = copy.deepcopy(base)
    arguments: list[str] = []
    mild = draw(st.booleans())
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
        edits = (
            ["set", "option"] if mild else ["set"] * 3 + ["any", "drop", "typo", "add", "option"]
        )
        edit = draw(st.sampled_from(edits))
        if edit in ("set", "any", "option"):
            key, field = draw(st.sampled_from(PLACES[kind]))
            fitting = values.of(field.annotation, field.metadata, mild)
            value = draw(values.anything if edit == "any" else fitting)
            if edit == "option":
                arguments += ["--set", f"{'.'.join(key)}={toml(value)}"]
            else:
                _put(data, key, value)
            continue
        table, name = draw(st.sampled_from(list(_entries(data))))
        if name not in table:
            continue
        if edit == "drop":
            del table[name]
        elif edit == "typo":
            table[draw(st.sampled_from([name[:-1], name + "s", name.upper(), " " + name]))] = (
                table.pop(name)
            )
        else:
            table[draw(values.names)] = draw(values.anything)
    command = draw(st.sampled_from(["check", "run"] if mild else ["check"] * 4 + ["run"]))
    return Case("experiment", command, data, {n: files.GOOD[n]() for n in needs}, tuple(arguments))


@st.composite
def tables_of_anything(draw) -> Case:
    """An experiment in which every table is drawn from the schema at once."""
    kind = draw(st.sampled_from(list(PLACES)))
    return Case("experiment", "check", draw(values.table(kind)), {})


@st.composite
def texts(draw) -> Case:
    """Text that is nearly TOML, and bytes that are nearly text."""
    text = toml_file(draw(st.sampled_from(BASES))[1])
    edit = draw(st.sampled_from(["cut", "insert", "repeat", "long", "separator"]))
    where = draw(st.integers(0, len(text)))
    if edit == "cut":
        text = text[:where]
    elif edit == "insert":
        text = text[:where] + draw(values.texts) + text[where:]
    elif edit == "repeat":
        text += text
    elif edit == "long":
        text = "# " + "long " * draw(st.sampled_from([10, 20_000, 3_000_000])) + "\n" + text
    else:
        text = text.replace("\n", draw(st.sampled_from(["\r\n", "\r", "\x85", "\u2028"])))
    return Case("TOML", draw(st.sampled_from(["check", "run"])), text, {"obs.csv": files.csv()})


@st.composite
def commands(draw) -> Case:
    """Command lines."""
    command = draw(st.sampled_from(["run", "check", "info", "plot", "rnu", "chek", "", "-v"]))
    word = st.one_of(
        st.sampled_from(
            [
                *("--set", "--output", "--outptu", "--resume", "--groups", "2", "-1", "e.toml"),
                *("time.final=3", "time.finl=3", "solver.method=faver", "=", "a=b=c", "..=1", ""),
                *("-tao_type", "-advdiff_mfn_type", "-options_file", "--help", "--", "-", "x.h5"),
                *("task=sovle", "domain.cells=[2,2]", "domain.cells=", "physics=1", "a.b.c.d=1"),
                *("output.file=../up.h5", "x.toml", "e.toml/", "."),
            ]
        ),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9),
    )
    arguments = draw(st.lists(word, max_size=4))
    return Case("command", command, SMALL, {}, tuple(arguments))


def _put(data: dict, key: tuple[str, ...], value: Any) -> None:
    for name in key[:-1]:
        if not isinstance(data.get(name), dict):
            data[name] = {}
        data = data[name]
    data[key[-1]] = value


def _entries(table: dict):
    """Every key at any depth, with the table it is in."""
    for name, value in table.items():
        yield table, name
        if isinstance(value, dict):
            yield from _entries(value)


# -- TOML ------------------------------------------------------------------------------------------


def toml_file(data: dict) -> str:
    """The text of an experiment file, a line a top-level key."""
    return "".join(f"{_quoted(name)} = {toml(value)}\n" for name, value in data.items())


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            return _digits(value)
        case float():
            return repr(value) if math.isfinite(value) else str(value)
        case str():
            return _quoted(value)
        case list() | tuple():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            inner = ", ".join(f"{_quoted(k)} = {toml(v)}" for k, v in value.items())
            return f"{{ {inner} }}"
        case _:
            return str(value)


def _digits(value: int) -> str:
    return f"{value:d}" if abs(value) < 10**4000 else "1" + "0" * 4000


def _quoted(text: str) -> str:
    plain = "".join(
        f"\\u{ord(c):04x}" if ord(c) < 32 or c in '"\\' or ord(c) == 127 else c for c in text
    )
    return f'"{plain}"'
