"""The house: rooms on floors, imports that only go down, no circles, folders that stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

pytestmark = pytest.mark.serial

ROOT = Path(__file__).parents[2]
FLOORS = (
    ("core", "matexp"),
    ("algebra", "config", "files"),
    ("domain", "inverse", "semigroup"),
    ("chains", "equation"),
    ("sampling", "sensitivity", "views"),
    ("models", "problem"),
    ("concerns", "reduced", "results"),
    ("tasks",),
    ("commands",),
    ("__main__",),
)
"""Rooms, lowest floor first; those of one floor do not know each other."""
MOST_FILES = 12
LONGEST_FILE, LONGEST_FUNCTION = 380, 90


def sources(root: Path) -> dict[str, Path]:
    """Module → file; a package is its ``__init__``."""
    found = {}
    for path in sorted((root / "advdiff").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(tree: ast.Module, known: Mapping[str, object]) -> Iterator[str]:
    """The modules of ``known`` that a module imports, wherever in it that stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import in line {node.lineno}"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            while name and name not in known:
                name = name.rpartition(".")[0]
            if name:
                yield name


def edges(root: Path) -> dict[str, set[str]]:
    """Module → the modules of the project that it imports."""
    known = sources(root)
    return {
        name: set(imported(ast.parse(path.read_text(encoding="utf-8")), known)) - {name}
        for name, path in known.items()
    }


def room(module: str) -> str:
    """What stands behind ``advdiff.``; of the package itself its own name."""
    return module.split(".")[1] if "." in module else module


def breaches(root: Path) -> list[str]:
    """Every import that goes up, sideways into another room, or round in a circle."""
    floor = {name: level for level, names in enumerate(FLOORS) for name in names}
    graph, said = edges(root), []
    for module, targets in graph.items():
        if module == "advdiff":  # it hands out names when they are asked for
            continue
        for target in targets:
            here, there = room(module), room(target)
            if target == "advdiff":
                said.append(f"{module} imports the package itself")
            elif here != there and floor[here] <= floor[there]:
                said.append(f"{module} (floor {floor[here]}) imports {target} ({floor[there]})")
    try:
        TopologicalSorter({name: graph[name] - {"advdiff"} for name in graph}).prepare()
    except CycleError as error:
        said.append("a circle: " + " → ".join(error.args[1]))
    return said


def test_every_room_has_a_floor():
    assert {room(m) for m in sources(ROOT)} - {"advdiff"} == {n for names in FLOORS for n in names}


def test_imports_go_down_and_never_in_a_circle():
    assert not breaches(ROOT)


@pytest.mark.parametrize(
    ("file", "line", "what"),
    [
        ("core/errors.py", "from advdiff.problem import problem", "advdiff.core.errors (floor 0)"),
        ("semigroup/engine.py", "from advdiff.domain import mesh", "imports advdiff.domain.mesh"),
        ("core/errors.py", "from advdiff.core import ranks", "a circle"),
        ("files/result.py", "import advdiff", "the package itself"),
    ],
)
def test_such_an_import_is_found(tmp_path, file, line, what):
    for path in sources(ROOT).values():
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    changed = tmp_path / "advdiff" / file
    changed.write_text(changed.read_text(encoding="utf-8") + f"\n\ndef late():\n    {line}\n")
    assert any(what in breach for breach in breaches(tmp_path))


def test_nothing_lies_loose_at_the_top():
    assert {p.name for p in (ROOT / "advdiff").glob("*.py")} == {"__init__.py", "__main__.py"}


def test_folders_and_files_stay_small():
    for folder in {path.parent for path in sources(ROOT).values()}:
        files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(files) <= MOST_FILES, f"{folder}: {len(files)} files"
    for path in sources(ROOT).values():
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= LONGEST_FILE, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                length = node.end_lineno - node.lineno
                assert length <= LONGEST_FUNCTION, f"{path}: {node.name} has {length} lines"


def test_tests_stand_in_rooms_of_the_same_names():
    rooms = {name for names in FLOORS for name in names} | {"whole", "exact", "fuzz"}
    folders = {p.parent.relative_to(ROOT / "tests") for p in (ROOT / "tests").rglob("test_*.py")}
    assert all(folder.parts and folder.parts[0] in rooms for folder in folders), folders
