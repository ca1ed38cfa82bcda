"""The experiment file: reading it, and errors that name the key.

The file is TOML.  Paths in it are relative to the file itself.  Its tables are in ``schema``.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

from mpi4py import MPI
from pydantic import ValidationError

from advdiff.errors import InputError, nearest, on_root, shortened, suggestion
from advdiff.keytypes import StreamVelocity, Table, VelocityField, VorticityVelocity
from advdiff.sampling.schema import ModelExperiment
from advdiff.schema import Experiment
from advdiff.study import TASKS

if TYPE_CHECKING:
    from advdiff.study.schema import Study

__all__ = ["Experiment", "StreamVelocity", "VelocityField", "VorticityVelocity", "load", "parse"]

LARGEST = 10_000_000
"""Bytes of an experiment file."""
LONGEST_KEY = 60
"""Characters of a key in a message."""


def load(
    path: str | Path, overrides: tuple[str, ...] = (), comm=MPI.COMM_WORLD
) -> Experiment | ModelExperiment | Study:
    """Read and validate an experiment file (collective: rank 0 reads).

    Args:
        path: the TOML file.
        overrides: ``key.sub=value`` settings that replace what the file says.

    Raises:
        InputError: on every rank, naming the key, its value and the remedy.
    """
    path = Path(path)

    def read() -> str:
        try:
            with open(path, "rb") as file:
                content = file.read(LARGEST + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{path}: {reason}; give the name of an experiment file") from None
        if len(content) > LARGEST:
            raise InputError(f"{path}: larger than {LARGEST} bytes; give an experiment file (TOML)")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InputError(
                f"{path}: not UTF-8 text; give an experiment file, which is TOML text"
            ) from None

    text = on_root(comm, read)
    try:
        data = tomllib.loads(text.replace("\r\n", "\n"))
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not valid TOML: {reason}; mend it") from None
    for setting in overrides:
        _override(data, setting)
    return parse(data, path, text)


def parse(
    data: dict[str, Any], path: Path = Path("experiment.toml"), text: str = ""
) -> Experiment | ModelExperiment | Study:
    """Validate the tables of an experiment.

    Raises:
        InputError: naming the key, its value and the remedy.
    """
    for name in ("path", "text"):
        if name in data:
            raise InputError(f"{name}: unknown key; remove it")
    kind = _kind(data)
    try:
        return kind(**data, path=Path(path), text=text)
    except ValidationError as error:
        raise InputError(_explain(error, kind)) from None


def _kind(data: dict[str, Any]) -> type[Experiment | ModelExperiment | Study]:
    """What sort of experiment these tables are of; the room of studies is loaded for a study."""
    if "model" in data:
        return ModelExperiment
    if data.get("task") in TASKS:
        from advdiff.study.schema import Study

        return Study
    return Experiment


def _override(data: dict[str, Any], setting: str) -> None:
    key, separator, value = setting.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not separator or not all(parts):
        raise InputError(
            f"--set {shortened(setting)}: not of the form key.sub=value; "
            "write e.g. --set time.final=2.0"
        )
    try:
        parsed = tomllib.loads(f"value = {value}")
        parsed = parsed["value"] if len(parsed) == 1 else value.strip()
    except (ValueError, RecursionError):
        parsed = value.strip()
    table = data
    for i, part in enumerate(parts[:-1]):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise InputError(
                f"--set {shortened(setting)}: {'.'.join(parts[: i + 1])} is not a table; "
                "give a key of the experiment file"
            )
    table[parts[-1]] = parsed


# -- what is wrong, in one line -------------------------------------------------------------------

PHRASES = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "finite_number": "must be a finite number",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have {max_length} or fewer entries",
}
"""What to say for the types of pydantic's errors that can occur."""


def _explain(error: ValidationError, experiment: type[Table]) -> str:
    """The first problem, as one line: key, value, remedy."""
    problems = error.errors()
    # A misspelt key is missing under its right name too: speak of the misspelling; and first of
    # the task, which says what the other keys are.
    problem = min(problems, key=lambda p: (p["loc"] != ("task",), p["type"] != "extra_forbidden"))
    kind, value = problem["type"], problem["input"]
    message = problem["msg"].removeprefix("Value error, ")
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return str(cause)
    location = _location(problem["loc"])
    key = _key(location)
    if kind == "value_error" and "|" in message:
        inner, _, message = message.partition("|")
        return f"{key}.{inner}: {message}" if key else f"{inner}: {message}"
    if kind == "extra_forbidden":
        *table, name = location
        known = _known_keys(table, experiment)
        elsewhere = [] if nearest(str(name), known) else _places(str(name), experiment)
        if key in elsewhere:  # of another alternative
            elsewhere = []
        remedy = f"did you mean '{elsewhere[0]}'?" if elsewhere else suggestion(str(name), known)
        return f"{key}: unknown key; {remedy}"
    if kind == "missing":
        return f"{key}: missing; add it to the experiment file"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"{key} = {shortened(value)}: must be a table; write [{key}] and its keys below"
    if kind == "union_tag_not_found":
        return f"{key}.kind: missing; add it to the experiment file"
    if kind == "union_tag_invalid":
        tag, known = problem["ctx"]["tag"], problem["ctx"]["expected_tags"].replace(", ", " or ")
        return f"{key}.kind = {shortened(tag)}: must be {known}{_meant(tag, known)}"
    if isinstance(value, Table | dict):
        return f"{key}: {message}"
    bounds = {k: v for k, v in problem.get("ctx", {}).items() if isinstance(v, int | float)}
    phrase = message
    if kind in PHRASES:
        phrase = PHRASES[kind].format(**{k: f"{v:g}" for k, v in bounds.items()})
    if kind == "literal_error":
        phrase = f"must be {problem['ctx']['expected']}"
        if key == "task":
            phrase += ", or of a study, " + " or ".join(map(repr, TASKS))
        phrase += _meant(value, phrase)
    return f"{key} = {shortened(value)}: {phrase}"


def _meant(value: Any, choices: str) -> str:
    """``"; did you mean 'x'?"`` where one of the quoted choices is close."""
    close = nearest(value, re.findall("'([^']+)'", choices)) if isinstance(value, str) else None
    return f"; did you mean '{close}'?" if close else ""


def _location(found: tuple) -> tuple:
    """A location in which also the kind of model, as an alternative, is in parentheses."""
    if found[:1] == ("model",) and len(found) > 1:
        return "model", f"({str(found[1]).replace('-', '')})", *found[2:]
    return found


def _key(location: tuple) -> str:
    """The dotted key of a location; pydantic's names of alternatives are in parentheses."""
    key = ""
    for part in location:
        if isinstance(part, int):
            key += f"[{part}]"
        elif part == "[key]":
            key += " (the name)"
        elif not part.startswith("("):
            part = part if len(part) <= LONGEST_KEY else shortened(part)[1:-1]
            key += f".{part}" if key else part
    return key


def _known_keys(location: list, experiment: type[Table]) -> list[str]:
    """Keys of the table at a location."""
    kind: Any = experiment
    for part in location:
        members = _members(kind)
        tables = [t for t in members if isinstance(t, type) and issubclass(t, Table)]
        if isinstance(part, str) and part.startswith("("):
            name = part.strip("()")
            kind = next((t for t in members if t.__name__.lower().startswith(name)), None)
        elif get_origin(kind) in (dict, list):
            kind = get_args(kind)[-1]
        else:
            kind = next(t.model_fields[part].annotation for t in tables if part in t.model_fields)
    tables = [t for t in _members(kind) if isinstance(t, type) and issubclass(t, Table)]
    return [k for t in tables for k in t.model_fields if k not in ("path", "text")]


def _places(name: str, table: type[Table], key: str = "") -> list[str]:
    """The dotted keys of this name, those of few parts first."""
    found = []
    for inner, field in table.model_fields.items():
        if key + inner not in ("path", "text"):
            if inner == name:
                found.append(key + inner)
            for kind in _members(field.annotation):
                if isinstance(kind, type) and issubclass(kind, Table):
                    found += _places(name, kind, f"{key}{inner}.")
    return sorted(found, key=lambda place: place.count("."))


def _members(annotation: Any) -> list:
    """The alternatives of a type; of a list or dict, itself."""
    if isinstance(annotation, type) or get_origin(annotation) in (list, dict):
        return [annotation]
    return [t for a in get_args(annotation) for t in _members(a)]
