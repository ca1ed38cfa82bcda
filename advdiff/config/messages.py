"""What is wrong with an experiment file, in one line: key, value, remedy.

The errors are pydantic's; their keys are found by following their locations through the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import Tag, ValidationError

from advdiff.config.types import STUDIES, Table
from advdiff.core.errors import InputError, nearest, shortened, suggestion

LONGEST_KEY = 60
"""Characters of a part of a key in a message."""

PHRASES = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "finite_number": "must be a finite number",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "too_short": "must have {min_length:g} or more entries",
    "too_long": "must have {max_length:g} or fewer entries",
}
"""What to say for the types of pydantic's errors that can occur."""


def explain(error: ValidationError, experiment: type[Table]) -> str:
    """The first problem, as one line: key, value, remedy."""
    problems = error.errors()
    # A misspelt key is missing under its right name too: speak of the misspelling; and first of
    # the task, which says what the other keys are.
    problem = min(problems, key=lambda p: (p["loc"] != ("task",), p["type"] != "extra_forbidden"))
    kind, value, context = problem["type"], problem["input"], problem.get("ctx", {})
    if isinstance(context.get("error"), InputError):
        return str(context["error"])
    key, annotation = _follow(problem["loc"], experiment)
    if kind == "fault":
        return f"{_dotted(key, *context['key'])}: {context['what']}"
    if kind == "extra_forbidden":
        return f"{key}: unknown key; {_known(problem['loc'], experiment)}"
    if kind == "missing":
        return f"{key}: missing; add it to the experiment file"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"{key} = {shortened(value)}: must be a table; write [{key}] and its keys below"
    if kind == "union_tag_not_found":
        return f"{key}.kind: missing; add it to the experiment file"
    if kind == "union_tag_invalid":
        tag, known = context["tag"], [tag for tag, _ in _alternatives(annotation)]
        return f"{key}.kind = {shortened(tag)}: must be {_one_of(known)}{_meant(tag, known)}"
    message = str(context["error"]) if kind == "value_error" else problem["msg"]
    if isinstance(value, Table | dict):
        return f"{key}: {message}"
    if kind in PHRASES:
        message = PHRASES[kind].format(**context)
    elif kind == "literal_error":
        known = [c for _, t in _alternatives(annotation) for c in get_args(t)]
        message = f"must be {_one_of(known)}"
        if key == "task":
            message += f", or of a study, {_one_of(STUDIES)}"
            known += STUDIES
        message += _meant(value, known)
    return f"{key} = {shortened(value)}: {message}"


def _one_of(choices: Sequence) -> str:
    """``"'a', 'b' or 'c'"``."""
    *others, last = map(repr, choices)
    return f"{', '.join(others)} or {last}" if others else last


def _meant(value: Any, choices: Sequence) -> str:
    """``"; did you mean 'x'?"`` where one of the choices is close."""
    names = [choice for choice in choices if isinstance(choice, str)]
    close = nearest(value, names) if isinstance(value, str) else None
    return f"; did you mean '{close}'?" if close else ""


def _known(location: tuple, experiment: type[Table]) -> str:
    """The remedy for an unknown key: what was meant, here or in another table, or what is known."""
    name = str(location[-1])
    key, _ = _follow(location, experiment)
    _, table = _follow(location[:-1], experiment)
    known = [k for t in _tables(table) for k in _keys(t)]
    elsewhere = [] if nearest(name, known) else _places(name, experiment)
    if elsewhere and key not in elsewhere:  # else of another alternative
        return f"did you mean '{elsewhere[0]}'?"
    return suggestion(name, known)


# -- keys and the types behind them ---------------------------------------------------------------


def _follow(location: tuple, experiment: type[Table]) -> tuple[str, Any]:
    """The dotted key of a location of pydantic's, and the type that is asked for there."""
    key, annotation = "", experiment
    for part in location:
        tagged = {tag: kind for tag, kind in _alternatives(annotation) if tag is not None}
        if part in tagged:  # which of the alternatives: nothing that the user wrote
            annotation = tagged[part]
        else:
            key, annotation = _dotted(key, part), _inside(annotation, part)
    return key, annotation


def _dotted(key: str, *parts: str | int) -> str:
    """A key with more parts of it, each printable and not too long."""
    for part in parts:
        if isinstance(part, int):
            key += f"[{part}]"
        elif part == "[key]":  # pydantic's, of what stands left of the equals sign
            key += " (the name)"
        else:
            plain = len(part) <= LONGEST_KEY and part.isprintable()
            key += ("." if key else "") + (part if plain else shortened(part)[1:-1])
    return key


def _inside(annotation: Any, part: str | int) -> Any:
    """The type of an entry of a list or of a table."""
    for _, kind in _alternatives(annotation):
        if get_origin(kind) in (list, dict):
            return get_args(kind)[-1]
        if _is_table(kind) and part in kind.model_fields:
            return kind.model_fields[part].annotation
    return Any


def _alternatives(annotation: Any) -> list[tuple[str | None, Any]]:
    """The types of a union but None, each with its tag; another type alone, with its own."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        tag = next((m.tag for m in metadata if isinstance(m, Tag)), None)
        return [(tag or own, kind) for own, kind in _alternatives(inner)]
    if get_origin(annotation) in (Union, UnionType):
        return [found for a in get_args(annotation) for found in _alternatives(a)]
    if _is_table(annotation) and "kind" in annotation.model_fields:
        kind = annotation.model_fields["kind"].annotation
        return [(tag, annotation) for tag in get_args(kind)]
    return [] if annotation is NoneType else [(None, annotation)]


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Table)


def _tables(annotation: Any) -> list[type[Table]]:
    return [kind for _, kind in _alternatives(annotation) if _is_table(kind)]


def _keys(table: type[Table]) -> list[str]:
    """Those that a file may have."""
    return [name for name, field in table.model_fields.items() if not field.exclude]


def _places(name: str, table: type[Table], key: str = "") -> list[str]:
    """The dotted keys of this name, those of few parts first."""
    found = []
    for inner in _keys(table):
        if inner == name:
            found.append(key + inner)
        for kind in _tables(table.model_fields[inner].annotation):
            found += _places(name, kind, f"{key}{inner}.")
    return sorted(found, key=lambda place: place.count("."))
