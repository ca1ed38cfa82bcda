"""Every key that a message names is one that an experiment file can have."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import advdiff
from advdiff.config.tables.experiment import Experiment
from advdiff.config.tables.models import ModelExperiment
from advdiff.config.tables.study import Study
from advdiff.config.types import Table
from tests.fuzz.values import places

pytestmark = pytest.mark.serial
ROOM = Path(advdiff.__file__).parent
KINDS: tuple[type[Table], ...] = (Experiment, ModelExperiment, Study)
KEYS = {".".join(key) for kind in KINDS for key, _ in places(kind)}
TABLES = {key.partition(".")[0] for key in KEYS}
WORDS = {part for key in KEYS for part in key.split(".")}
FREE = "\0"
"""What an f-string fills in."""
OTHERS = {
    "sensitivity.directions.shear": "a name that a user gives",
    "task.description": "rich's, of a stage that is shown",
    "task.fields": "rich's, of a stage that is shown",
}
"""What looks like a key, and is none."""
DOTTED = re.compile(rf"(?<![\w./-])(?:{'|'.join(sorted(TABLES))})(?:\.[a-z_]+)+(?![\w(.]*\()")
REMEDY = re.compile(r"\b(?:raise|lower|set|shorten|remove|mind) (?:the )?([a-z]+(?:[._][a-z]+)+)\b")
"""A key as a remedy speaks of it: of two words, or with its table."""


def texts() -> Iterator[tuple[str, str]]:
    """Place and text of every string that is no docstring."""
    for path in sorted(ROOM.rglob("*.py")):
        tree = ast.parse(path.read_text())
        inner = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                inner.add(node.value)
            if isinstance(node, ast.JoinedStr):
                inner.update(node.values)
        for node in ast.walk(tree):
            if node in inner:
                continue
            if isinstance(node, ast.JoinedStr):
                text = "".join(
                    v.value if isinstance(v, ast.Constant) else FREE for v in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            else:
                continue
            yield f"{path.relative_to(ROOM.parent)}:{node.lineno}", text


def is_key(dotted: str) -> bool:
    return dotted in KEYS or dotted in OTHERS


def test_keys_with_their_table():
    found = [(place, key) for place, text in texts() for key in DOTTED.findall(text)]
    assert len(found) > 100
    assert [f"{place}: {key}" for place, key in found if not is_key(key)] == []


def test_keys_that_a_remedy_speaks_of():
    found = [(place, key) for place, text in texts() for key in REMEDY.findall(text)]
    assert len(found) > 20
    assert [f"{place}: {key}" for place, key in found if not (is_key(key) or key in WORDS)] == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("raise max_dimension or", "max_dimension"),
        ("raise solver.tolerance or", None),
        ("shorten the time span", None),
        ("raise solver.tolerence", "solver.tolerence"),
        ("remove axis_units", None),
    ],
)
def test_what_is_found(text, wrong):
    """A remedy that names what no file can have is seen, others are not."""
    found = [key for key in REMEDY.findall(text) if not (is_key(key) or key in WORDS)]
    assert found == ([wrong] if wrong else [])
