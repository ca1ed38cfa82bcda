"""docs/file_format.md is what the code says now."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("file_format", ROOT / "scripts/file_format.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.serial
def test_the_document_is_up_to_date(script):
    """Where it is not: scripts/run python scripts/file_format.py"""
    assert script.TARGET.read_text().splitlines() == script.document().splitlines()


def test_every_key_is_described(script):
    """All tables of a flow's file, each once, with every key of the model."""
    text = "\n".join(
        line for table in script.tables(script.Experiment) for line in script.section(table)
    )
    for key in ("cells", "diffusivity", "outputs", "tolerance", "threshold", "draws"):
        assert f"| `{key}` |" in text
    assert "`path`" not in text
