"""``advdiff init``: a commented experiment file to start from, and readings to go with it.

The keys that are set are here; all others come, with their descriptions and defaults, from the
schema, commented out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
from pydantic.fields import FieldInfo

from advdiff.config.load import parse
from advdiff.config.tables.experiment import Experiment
from advdiff.config.types import Table
from advdiff.core.errors import InputError

TASKS = ("solve", "sensitivity", "invert", "sample")
COLUMN = 40
"""Where comments begin."""
NOISE = 0.01
"""Of the example's readings, relative to the largest."""

STREAM = "0.16*sin(pi*x)*sin(pi*y) + 0.05*sin(2*pi*x)*sin(pi*y)"
FORWARD: dict[str, dict[str, Any]] = {
    "domain": {"shape": "rectangle", "cells": [32, 32], "upper": [1.0, 1.0]},
    "physics": {
        "diffusivity": 0.02,
        "velocity": {"stream": STREAM},
        "initial": "exp(-((x-0.3)**2 + (y-0.4)**2)/0.04)",
    },
    "time": {"final": 1.0, "outputs": 5},
    "discretization": {},
    "solver": {},
}
INVERSE: dict[str, dict[str, Any]] = {
    **FORWARD,
    "physics": {"diffusivity": 0.05, "initial": FORWARD["physics"]["initial"]},
    "observations": {"file": ""},
    "unknowns": {"diffusivity": True, "velocity": {"family": "sine", "modes": [3, 3]}},
    "prior": {"velocity": {"std": 0.5, "decay": 2.0}, "diffusivity": {"std": 1.0}},
}
EXAMPLES: dict[str, dict[str, dict[str, Any]]] = {
    "solve": {**FORWARD, "output": {}},
    "sensitivity": {
        **FORWARD,
        "sensitivity": {
            "directions": {
                "eddy": {"velocity": {"stream": "sin(2*pi*x)*sin(2*pi*y)/pi"}},
                "kappa": {"diffusivity": 1.0},
            }
        },
        "output": {},
    },
    "invert": {
        **INVERSE,
        "optimizer": {},
        "laplace": {},
        "truth": {"velocity": {"stream": STREAM}, "diffusivity": 0.02},
        "output": {},
    },
    "sample": {
        **INVERSE,
        "domain": {**FORWARD["domain"], "cells": [24, 24]},
        "sampler": {
            **{"kernel": "hmc", "start": "map", "metric": "laplace"},
            **{"draws": 400, "warmup": 50, "chains": 2, "steps": 1},
        },
        "truth": {"velocity": {"stream": STREAM}, "diffusivity": 0.02},
        "output": {},
    },
}
"""Task → table → the keys that are set."""

REMARKS = {
    "observations": (
        "The file has a line for each reading, under a line with the names of the columns:",
        "x, y (z), t, value and, if they differ, std. Those beside this file are an example,",
        "made of [truth] with noise: put yours in their place.",
    ),
    "truth": ("Remove this table: of your own data you do not know it.",),
    "laplace": ("How sure the estimate is; without this table that is left out.",),
}
"""Table → what to say above its keys."""


def text(task: str, name: str) -> str:
    """The experiment file for a task.

    Args:
        name: of the file, for what is named after it.
    """
    stem = Path(name).stem
    head = [
        f"# advdiff check {name}; advdiff run {name}; advdiff report {stem}.h5",
        "# Keys that are commented out show their defaults. Fields are numbers or expressions in",
        "# x, y, z; units are yours. Paths are relative to this file.",
        _line("task", task, Experiment.model_fields["task"]),
    ]
    tables = EXAMPLES[task]
    for key, values in tables.items():
        if key == "observations":
            values = {"file": f"{stem}.csv"}
        head += _table(key, _model(Experiment.model_fields[key]), values)
    return "\n".join(head) + "\n"


def _table(path: str, model: type[Table], values: dict[str, Any]) -> Iterator[str]:
    """A table's lines: header, keys, tables within."""
    yield ""
    yield _commented(f"[{path}]", " ".join(str(model.__doc__).split()).split(". ")[0].rstrip("."))
    yield from (f"# {line}" for line in REMARKS.get(path, ()))
    inner = []
    for key, info in model.model_fields.items():
        value = values.get(key)
        below = _model(info)
        if value is not None and below is None and isinstance(value, dict) and key == "directions":
            inner += ["", f"[{path}.{key}]", *(f"{k} = {_toml(v)}" for k, v in value.items())]
        elif below is not None and (value is not None or isinstance(info.default, Table)):
            if value is not None:
                inner += _table(f"{path}.{key}", below, value)
        else:
            yield _line(key, value, info)
    yield from inner


def _line(key: str, value: Any, info: FieldInfo) -> str:
    """``key = value  # description``; the default, commented out, where there is no value."""
    says = info.description or ""
    choices = [c for c in _choices(info.annotation) if isinstance(c, str)]
    if choices:
        says = f"{says}: {', '.join(choices)}" if says else ", ".join(choices)
    if value is not None:
        return _commented(f"{key} = {_toml(value)}", says)
    if info.default is None or info.is_required() or info.default in ({}, []):
        return f"# {key}: {says}" if says else f"# {key}"
    return _commented(f"# {key} = {_toml(info.default)}", says)


def _commented(code: str, says: str) -> str:
    return f"{code:{COLUMN - 1}} # {says}" if says else code


def _model(info: FieldInfo) -> type[Table] | None:
    """The table that a key holds, if it holds one and nothing else."""
    options = [info.annotation, *get_args(info.annotation)]
    found = [o for o in options if isinstance(o, type) and issubclass(o, Table)]
    return found[0] if len(found) == 1 and get_origin(info.annotation) is not dict else None


def _choices(annotation: Any) -> tuple:
    """The values of a Literal, also of an optional one."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return next((get_args(a) for a in get_args(annotation) if get_origin(a) is Literal), ())


def _toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def write(path: Path, task: str) -> list[Path]:
    """Write the experiment file and, where the task needs them, readings beside it (one rank).

    Raises:
        InputError: where one of them is there already, or cannot be written.
    """
    made, contents = [path], [text(task, path.name)]
    if "observations" in EXAMPLES[task]:
        made.append(path.with_suffix(".csv"))
    if path.suffix != ".toml":
        raise InputError(f"init: {path} does not end in .toml; give it that ending")
    for target in made:
        if target.exists():
            raise InputError(f"init: {target} is there already; give another name")
    if len(made) > 1:
        contents.append(readings(parse(_parsed(contents[0]), path)))
    try:
        for target, content in zip(made, contents, strict=True):
            with open(target, "x", encoding="utf-8") as file:
                file.write(content)
    except OSError as error:
        raise InputError(f"init: {target} cannot be written ({error.strerror})") from None
    return made


def _parsed(content: str) -> dict:
    import tomllib

    return tomllib.loads(content)


def readings(experiment: Experiment) -> str:
    """A CSV file: the truth of an experiment, on twice as many cells, read at 25 places, and noise.

    This rank alone computes it.
    """
    from mpi4py import MPI

    from advdiff.problem.problem import Problem
    from advdiff.problem.sensors import Sensors

    data = experiment.model_dump(exclude_none=True)
    truth = data.pop("truth")
    for key in ("observations", "unknowns", "prior", "laplace"):
        data.pop(key, None)
    data["task"] = "solve"
    data["domain"]["cells"] = [2 * n for n in data["domain"]["cells"]]
    data["physics"] |= truth
    problem = Problem(parse(data, experiment.path), MPI.COMM_SELF)
    points = np.array([(x, y) for x in np.arange(1, 6) / 6 for y in np.arange(1, 6) / 6])
    sensors, times = Sensors(problem.operator, points), experiment.time.times
    values = np.array([sensors.sample(s) for s in problem.semigroup().trajectory(times)])
    std = NOISE * np.abs(values).max()
    values += std * np.random.default_rng(0).standard_normal(values.shape)
    lines = ["x,y,t,value,std"]
    for time, row in zip(times, values, strict=True):
        for (x, y), value in zip(points, row, strict=True):
            lines.append(f"{x:.6g},{y:.6g},{time:.6g},{value:.6g},{std:.4g}")
    return "\n".join(lines) + "\n"
