"""Every key that is accepted changes something in the result or the log, or is refused.

Each key of the schema is set to another value in small runs (``effects.BASES``), one for every
choice that decides which keys mean something.  A key that is added to the schema is tried without a
word here where its type says what it may be.
"""

from __future__ import annotations

import functools
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import h5py
import numpy as np
import pytest

from advdiff import tasks
from advdiff.config.load import parse
from advdiff.config.tables.experiment import Experiment
from advdiff.config.tables.models import ModelExperiment
from advdiff.config.tables.study import Study
from advdiff.config.types import Gridded, Table
from advdiff.core.errors import ConvergenceError, InputError
from advdiff.problem.problem import Problem
from advdiff.tasks import model, study
from tests.command_line import restored
from tests.fuzz.values import places
from tests.whole.effects import ALONG, BASES, FILES, FLOW, at, fields, put, write_grid

pytestmark = pytest.mark.serial
KINDS: tuple[type[Table], ...] = (Experiment, ModelExperiment, Study)
UNTOUCHED = {"experiment", "options", "created_at", "complete", "seal", "seed"}
"""Attributes that repeat what was asked, or when."""
CLOCK = re.compile(r"seconds|_per_second|created")
WALL = re.compile(r"\d[\d.e+-]* s\b")

VALUES: dict[str, tuple] = {
    "domain.cells": ([5, 5],),
    "domain.lower": ([-1.0, 0.0],),
    "domain.upper": ([2.0, 1.0],),
    "domain.file": ("b.geo",),
    "domain.mesh_size": (0.3,),
    "domain.cell": ("quadrilateral",),
    "domain.periodic": (["x"],),
    "domain.open": (["left"],),
    "domain.origin": ([0.5, 0.25],),
    "discretization.stabilization": (1.0,),
    "physics.velocity": (["0", "0"], FLOW),
    "physics.velocity.stream": ("x*y*(1-x)*(1-y)",),
    "physics.velocity.walls": ({"bottom": 0.0, "top": 1.0},),
    "physics.source": ("x",),
    "physics.dirichlet": ({"left": 2.0},),
    "physics.inflow": ({"left": 2.0},),
    "physics.flux": ({"left": 2.0},),
    "physics.robin": (
        {"left": {"coefficient": 2.0}},
        {"left": {"coefficient": 1.0, "exterior": 1.0}},
    ),
    "time.outputs": (3,),
    "output.file": ("other.h5",),
    "solver.method": ("expokit", "shift-invert"),
    "solver.max_restarts": (1,),
    "sensitivity.tolerance": (1e-12,),
    "sensitivity.directions": ({"a": ALONG},),
    "observations.file": ("obs2.csv", "jumps2.csv", "waves2.csv"),
    "observations.std": (0.3,),
    "observations.separator": (";",),
    "observations.decimal": (",",),
    "observations.missing": ([0.5],),
    "observations.origin": ("2020-12-31",),
    "observations.time_format": ("%m/%d/%Y",),
    "observations.columns": ({"t": "day", "value": "b"},),
    "observations.sensors": ("wells2.csv",),
    "observations.snap_distance": (0.1,),
    "unknowns.velocity": ({"modes": [2, 3]},),
    "unknowns.velocity.modes": ([3, 2],),
    "observations.noise": ("unknown", {"kind": "student"}),
    "observations.noise.kind": ("unknown", "student"),
    "unknowns.velocity.fields": ([["y", "0"]], [{"stream": "x*y", "std": 0.1}]),
    "prior.velocity.mean": ([0.3, 0.1],),
    "prior.velocity.std": (0.3,),
    "truth.velocity": (FLOW,),
    "truth.diffusivity": (0.2,),
    "truth.initial": ("x",),
    "truth.file": ("rates2.csv",),
    "unknowns.diffusivity": ("field", True),
    "petsc": ({"tao_type": "cg"},),
    "physics.initial.axes": (["y", "x"],),
    "physics.initial.dimensions": (["t", "z", "x", "y"],),
    "physics.initial.land": (3.0,),
    "physics.initial.level": (1,),
    "physics.initial.missing": ([8.0],),
    "physics.initial.name": ("d",),
    "physics.initial.plane": ([0.0, 0.0],),
    "physics.initial.time": (1,),
    "physics.initial.units": ("g m-3",),
    "physics.initial.axis_units": ("cm",),
    "physics.initial.file": ("grid2.h5",),
    "reduced.model": ("model.h5",),
    "reduced.method": ("spectral",),
    "reduced.bound": (1e3,),
    "reduced.radius": (1e-9,),
    "reduced.corrections": (1,),
    "sampler.groups": (1,),
    "sampler.draws": (8,),
    "sampler.step_size": (0.05,),
    "model.coarse": (4, 8),
    "model.packet": ({"centre": 0.3, "width": 0.1},),
    "matexp.laws": (["cauchy"],),
    "matexp.dimensions": ([4],),
    "matexp.times": ([0.2],),
    "matexp.methods": (["first-order"],),
    "matexp.certified": (1,),
}
"""Key → what it is changed to, where its type does not say."""

NOTHING: dict[str, str] = {
    "output.file": "where the result goes, not what is in it",
    "solver.memory": "how a gradient is stored, not what it is",
    "sampler.groups": "how ranks share the chains, which are the same for any number",
    "task": "what is run: every task is an experiment here",
    "domain.shape": "another shape has other keys, and a flow of other dimensions",
    "model.kind": "another model has other keys",
    "domain.coordinates": "degrees are refused, with what to do",
}
"""Keys that rightly change nothing → why."""
HERE: dict[tuple[str, str], str] = {
    ("solve", "domain.open"): "its flow passes no part of the boundary",
    ("gmsh", "domain.open"): "the same",
    ("plain", "domain.open"): "it has no flow",
    ("number", "observations.snap_distance"): "its sensors lie inside",
}
"""The same, of one experiment."""

ELSEWHERE = {
    "plane": "of axes in degrees: files/test_grid_units.py",
    "dimensions": "of files without names of axes: files/test_grids.py",
    "components": "of a velocity on a grid: files/test_grids.py",
    "separator": "of tables that two of them divide: files/readings/",
    "columns": "of tables with other headers: files/readings/",
    "by": "of noise of unknown size, which needs more readings: inverse/test_noise.py",
}
"""Keys that no experiment here can use → where they are tried."""


def others(key: str, field: Any, now: Any) -> Iterator[Any]:
    """Values that a key might have instead."""
    if key in VALUES:
        yield from (value for value in VALUES[key] if value != now)
        return
    now = field.get_default() if now is None else now
    kinds = _kinds(field.annotation)
    for kind in kinds:
        if get_origin(kind) is Literal:
            yield from (choice for choice in get_args(kind) if choice != now)
            return
    if isinstance(now, bool):
        yield not now
    elif isinstance(now, int | float):
        less = now / 2 if isinstance(now, float) else now - 1
        yield from (value for value in (2 * now, now + 1, less) if value != now)
    elif isinstance(now, str):  # an expression
        yield f"0.5*({now})"
    elif float in kinds:
        yield 0.3
    elif int in kinds:
        yield from (3, 5)
    else:
        pytest.fail(f"{key}: say in VALUES what to change it to")


def _kinds(annotation: Any) -> list[Any]:
    """The types that a type is one of."""
    return [annotation, *(kind for a in get_args(annotation) for kind in _kinds(a))]


def outcome(data: dict, folder: Path) -> tuple:
    """All that a run says and writes, but times; or how it ends."""
    lines: list[str] = []
    try:
        with restored():
            experiment = parse(data, folder / "e.toml")
            if isinstance(experiment, Experiment):
                tasks.run(Problem(experiment), lines.append)
            else:
                room = model if isinstance(experiment, ModelExperiment) else study
                room.run(experiment, lines.append)
    except InputError as error:
        return "refused", str(error)
    except ConvergenceError as error:
        return "failed", str(error)
    found: dict[str, Any] = {}
    with h5py.File(experiment.output_path) as file:
        file.visititems(lambda name, item: found.update(_content(name, item)))
        found |= _content("", file)
    experiment.output_path.unlink()
    lines = [WALL.sub("", line) for line in lines]
    dropped = ("stage", "written", "memory", "iteration")
    return "done", tuple(line for line in lines if not line.startswith(dropped)), found


def _content(name: str, item: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    if CLOCK.search(name):
        return {}
    found = {
        f"{name}@{key}": np.asarray(value).tobytes()
        for key, value in item.attrs.items()
        if key not in UNTOUCHED
        and not key.isupper()
        and not CLOCK.search(key)
        and not (isinstance(value, np.ndarray) and value.dtype.hasobject)
    }
    found |= {
        f"{name}@{k}": v for k, v in item.attrs.items() if isinstance(v, str) and k not in UNTOUCHED
    }
    if isinstance(item, h5py.Dataset):
        found[name] = item.asstr()[()].tolist() if item.dtype.kind == "O" else item[()].tobytes()
    return found


@functools.cache
def tried(name: str) -> dict[str, str]:
    """Key → "changes", "refused: …", or "nothing", of one experiment."""
    data, tables = BASES[name]
    kind = type(parse(data))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for file, content in FILES.items():
            (folder / file).write_text(content)
        write_grid(folder / "grid.h5")
        write_grid(folder / "grid2.h5", 1.0)
        before = outcome(data, folder)
        assert before[0] == ("refused" if name == "outside" else "done"), before
        assert outcome(data, folder) == before, "a run is not repeated exactly"
        return {
            key: _try(data, key, field, before, folder) for key, field in _keys(kind, data, tables)
        }


def _keys(kind: type[Table], data: dict, tables: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """The keys of the tables of an experiment, and of those in them."""
    for parts, field in places(kind):
        key = ".".join(parts)
        inside = any(f"{key}.".startswith(f"{table}.") for table in tables)
        above = at(data, ".".join(parts[:-1]))
        is_table = isinstance(field.get_default(), Table) or (key in tables and _is_table(field))
        one_of_several = parts[-2:-1] == ("velocity",) or len(parts) > 2
        if not inside or is_table or (one_of_several and above is None and parts[0] != "prior"):
            continue
        if isinstance(above, dict | None) and parts[-1] in _names(kind, parts[:-1], above):
            yield key, field


def _is_table(field: Any) -> bool:
    """Whether a key is a table, or none; not one that may be a number, or one of several."""
    kinds = [kind for kind in _kinds(field.annotation) if isinstance(kind, type)]
    return bool(_tables(field.annotation)) and not {float, str, list} & set(kinds)


def _names(kind: type[Table], parts: tuple[str, ...], above: dict | None) -> set[str]:
    """The keys that the table at a place can have, of those it is one of."""
    kinds: list[Any] = [kind]
    for part in parts:
        below = [k.model_fields[part].annotation for k in kinds if part in k.model_fields]
        kinds = [t for annotation in below for t in _tables(annotation)]
    if above:
        kinds = [k for k in kinds if set(above) <= {name for name, _ in fields(k)}]
    return {name for k in kinds for name, _ in fields(k)}


def _tables(annotation: Any) -> list[type[Table]]:
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, Table) else []
    return [t for a in get_args(annotation) for t in _tables(a)]


def _try(data: dict, key: str, field: Any, before: tuple, folder: Path) -> str:
    said = "no other value"
    for value in others(key, field, at(data, key)):
        after = outcome(put(data, key, value), folder)
        if after[0] == "refused":
            said = f"refused: {after[1]}"
        elif after != before:
            return "changes"
        else:
            return "nothing"
    return said


@pytest.mark.parametrize("name", BASES)
def test_what_is_accepted_has_an_effect(name):
    silent = [key for key, said in tried(name).items() if said == "nothing"]
    assert [key for key in silent if key not in NOTHING and (name, key) not in HERE] == []


@pytest.mark.parametrize("name", BASES)
def test_what_is_refused_names_a_key(name):
    tables = {name for kind in KINDS for name, _ in fields(kind)}
    for said in tried(name).values():
        if said.startswith("refused"):
            assert re.split(r"[ .:]+", said)[1] in tables, said


def test_every_key_has_an_effect_somewhere():
    """But those that rightly have none, and those that are tried elsewhere."""
    found = {key for name in BASES for key, said in tried(name).items() if said == "changes"}
    last = {tuple(key.split(".")[-2:]) for key in found}
    grid = {key.rpartition(".")[2] for key in found if key.startswith("physics.initial.")}
    missing = []
    for kind in KINDS:
        for parts, field in places(kind):
            if _is_table(field) or ".".join(parts) in NOTHING or parts[-1] in ELSEWHERE:
                continue
            if tuple(parts[-2:]) not in last and not (_on_grid(parts[-1]) and parts[-1] in grid):
                missing.append(".".join(parts))
    assert missing == []


def _on_grid(name: str) -> bool:
    """Whether a key is one of a field in a file, which is the same wherever a field may stand."""
    return name in Gridded.model_fields or name in ("name", "components")
