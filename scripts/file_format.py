"""Writes docs/file_format.md: what may stand in an experiment file, and what results hold.

    scripts/run python scripts/file_format.py

The first from the models that read the file, the second from small results made here.  A test
compares the document with what this writes.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import h5py
from annotated_types import Ge, Gt, Le, Lt
from pydantic import PlainValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from advdiff import tasks
from advdiff.config import types
from advdiff.config.load import parse
from advdiff.config.tables import study as study_schema
from advdiff.config.tables.experiment import Experiment
from advdiff.config.tables.models import ModelExperiment
from advdiff.config.tables.study import Study
from advdiff.config.types import Table
from advdiff.files.result import FORMAT
from advdiff.problem import problem
from advdiff.tasks import study as studies
from advdiff.tasks.model import run

TARGET = Path(__file__).parents[1] / "docs" / "file_format.md"
PLAIN = {
    types._scalar: "number or expression in x, y, z",
    types._wall: "number or 'free'",
    types._outputs: "number of times, or list of times",
    types._moment: "index, value or date",
    types._level: "index or value, or table, name → index or value",
    types._land: "number or 'wall'",
    types._number_or_field: "true, false or 'field'",
    types._option: "string, number or truth value",
    study_schema._counts: "whole number, or one for each of dimensions",
}
NAMES = {bool: "true or false", int: "whole number", float: "number", str: "string"}
NAMES |= {datetime: "date-time"}
SIGNS = {Gt: (">", "gt"), Ge: ("≥", "ge"), Lt: ("<", "lt"), Le: ("≤", "le")}

# -- the experiment file --------------------------------------------------------------------------


def kind(annotation: Any, metadata: tuple | list = ()) -> str:
    """A type in words; tables by their title."""
    for entry in metadata:
        if isinstance(entry, PlainValidator):
            return PLAIN[entry.func]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(inner[0], [*inner[1:], *metadata])
    if origin is Literal:
        return ", ".join(repr(value) for value in inner)
    if origin in (Union, UnionType):
        return " or ".join(kind(part) for part in inner if part is not NoneType)
    if origin is list:
        return f"list of: {kind(*inner)}"
    if origin is dict:
        return f"table, name → {kind(inner[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    return " ".join([NAMES[annotation], *_limits(metadata)])


def _limits(metadata: tuple | list) -> Iterator[str]:
    for entry in metadata:
        if isinstance(entry, FieldInfo):
            yield from _limits(entry.metadata)
        for bound, (sign, name) in SIGNS.items():
            if isinstance(entry, bound) and getattr(entry, name) != 2**31:
                yield f"{sign} {getattr(entry, name):g}"


def tables(model: type[Table]) -> Iterator[type[Table]]:
    """A table and all below it."""
    yield model
    for field in model.model_fields.values():
        yield from _tables_in(field.annotation)


def _tables_in(annotation: Any) -> Iterator[type[Table]]:
    if isinstance(annotation, type) and issubclass(annotation, Table):
        yield from tables(annotation)
    for part in get_args(annotation):
        yield from _tables_in(part)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if value is None or isinstance(value, Table):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else repr(value)}`"


def section(model: type[Table]) -> Iterator[str]:
    """A table of the experiment file as a table of the document."""
    yield f"### {model.__name__}"
    yield ""
    yield f"{(model.__doc__ or '').strip().splitlines()[0]}"
    yield ""
    yield "| key | type | default | |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        words = kind(field.annotation, field.metadata).replace("|", "\\|")
        yield f"| `{name}` | {words} | {_default(field)} | {field.description or ''} |"
    yield ""


# -- the result file ------------------------------------------------------------------------------

READINGS = "x,y,t,value,std\n" + "".join(
    f"{x},{y},{t},{0.3 * x},0.05\n" for x in (0.3, 0.7) for y in (0.4, 0.6) for t in (0.1, 0.2)
)
FLOW = {
    "domain": {"cells": [4, 4]},
    "physics": {
        "diffusivity": 0.1,
        "velocity": {"stream": "sin(pi*x)*sin(pi*y)/pi"},
        "initial": "x",
    },
    "time": {"final": 0.2, "outputs": 2},
}
FITTED = FLOW | {
    "observations": {"file": "readings.csv"},
    "unknowns": {"velocity": {"modes": [2, 2]}, "diffusivity": True},
    "prior": {"velocity": {"std": 0.1}},
    "truth": {"diffusivity": 0.1, "velocity": FLOW["physics"]["velocity"], "initial": "x"},
}
STUDY = {"laws": ["exponential"], "dimensions": [3], "replicates": 1}
FEW = {"draws": 8, "warmup": 2, "chains": 2, "steps": 1, "step_size": 0.01}
SMALL = {
    "solve": FLOW,
    "sensitivity": FLOW
    | {
        "sensitivity": {
            "method": "first-order",
            "compare": True,
            "directions": {"<direction>": {"diffusivity": 1.0}},
        }
    },
    "invert": FITTED | {"laplace": {"samples": 1, "probes": 2}},
    "invert, [reduced]": FITTED | {"reduced": {"dimension": 30, "compare": True, "box": 1.0}},
    "sample": FITTED | {"sampler": FEW},
    "sample, [model]": {
        "model": {"kind": "rate-matrix", "states": 3},
        "observations": {"file": "events.csv"},
        "truth": {"file": "truth.csv"},
        "sampler": FEW,
    },
    "surrogate-error": {"matexp": STUDY | {"times": [0.1, 1.0]}},
    "random-rates": {"matexp": STUDY},
}
EVENTS = "from,to,time\n0,1,0.5\n1,2,0.7\n2,0,0.3\n0,1,0.5\n1,1,0.2\n"
RATES = "from,to,rate\n0,1,1.0\n1,2,0.5\n2,0,2.0\n"


def small_result(name: str, folder: Path) -> Path:
    """The result of a small experiment of a kind."""
    for file, text in (("readings", READINGS), ("events", EVENTS), ("truth", RATES)):
        (folder / f"{file}.csv").write_text(text)
    experiment = parse({"task": name.split(",")[0]} | SMALL[name], folder / "experiment.toml")
    if isinstance(experiment, Study):
        studies.run(experiment, lambda line: None)
    elif isinstance(experiment, ModelExperiment):
        run(experiment, lambda line: None)
    else:
        tasks.run(problem.Problem(experiment), lambda line: None)
    return experiment.output_path


def contents(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """Path, dimensions, type and title of every dataset; attributes of every group."""
    with h5py.File(path) as file:
        yield "/", "", "attributes", ", ".join(sorted(file.attrs))
        found: list[h5py.HLObject] = []
        file.visititems(lambda _, item: found.append(item))
        for item in found:
            if isinstance(item, h5py.Group):
                if names := sorted(item.attrs):
                    yield item.name, "", "attributes", ", ".join(names)
                continue
            dims = ", ".join(axis.label or item.name.rsplit("/", 1)[-1] for axis in item.dims)
            words = "string" if h5py.check_string_dtype(item.dtype) else item.dtype.name
            yield item.name, dims, words, str(item.attrs.get("long_name", ""))


def document() -> str:
    """The whole document."""
    lines = [
        "# The files",
        "",
        "Written by `scripts/file_format.py` from the code; a test compares. Do not edit.",
        "",
        "## The experiment file",
        "",
        "TOML; paths are relative to the file. What is not required has a default or may be left",
        "out. `task` says which of the three kinds of file it is: a flow (`Experiment`), a model",
        "without a mesh (`ModelExperiment`, the one with a table `model`), a study (`Study`).",
        "",
    ]
    seen: list[type[Table]] = []
    for model in (Experiment, ModelExperiment, Study):
        for table in tables(model):
            if table not in seen:
                seen.append(table)
                lines += section(table)
    lines += [
        "## The result file",
        "",
        f"HDF5, format version {FORMAT} (attribute `format_version` of the root; version 1 had it",
        "in `format`, and no `/warnings`; a newer one than the program knows is refused). Every",
        "axis is a dimension scale with a name, so that xarray (h5netcdf) opens it. Below, what",
        "small experiments of each task hold; further unknowns and options add fields of the same",
        "kinds. `complete` is false, and the name another one, until a file is whole. Behind the",
        "end of what HDF5 reads stands a check sum of all but the data (`files/seal.py`), by",
        "which a damaged result is refused; what writes to the file by HDF5 cuts it off.",
        "",
    ]
    for name in SMALL:
        with tempfile.TemporaryDirectory() as folder:
            path = small_result(name, Path(folder))
            lines += [
                f"### task = {name}",
                "",
                "| path | dimensions | type | |",
                "|---|---|---|---|",
            ]
            lines += [f"| `{p}` | {d} | {t} | {title} |" for p, d, t, title in contents(path)]
            lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    text = document()
    if "--print" in sys.argv:
        print(text)
    else:
        TARGET.write_text(text)
