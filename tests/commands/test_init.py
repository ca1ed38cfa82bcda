"""``advdiff init``: what it writes is valid, says all there is, runs, and replaces nothing."""

from __future__ import annotations

import importlib
import re
import tomllib

import h5py
import pytest

from advdiff import __version__
from advdiff.commands import init
from advdiff.config.load import parse
from advdiff.core.errors import InputError
from tests.command_line import advdiff

pytestmark = pytest.mark.serial


@pytest.mark.parametrize("task", init.TASKS)
def test_the_text_is_valid_and_names_every_key(task):
    text = init.text(task, "mine.toml")
    experiment = parse(tomllib.loads(text))
    assert experiment.task == task
    for name in init.EXAMPLES[task]:
        table = init._model(type(experiment).model_fields[name])
        for key in table.model_fields:
            assert key in text, f"{name}.{key}"


@pytest.mark.parametrize("task", init.TASKS)
def test_defaults_that_are_commented_out_are_the_defaults(task):
    """Without their #, the lines ``# key = value`` change nothing."""
    text = init.text(task, "mine.toml")
    lines = [line[2:] if re.match(r"# \w+ = ", line) else line for line in text.splitlines()]
    assert "\n".join(lines) != text
    as_is = parse(tomllib.loads(text)).model_dump()
    assert parse(tomllib.loads("\n".join(lines))).model_dump() == as_is


QUICK = {"invert": "domain.cells=[8,8]", "sample": "sampler.draws=10"}


@pytest.mark.parametrize("task", init.TASKS)
def test_it_runs_straight_away(task, tmp_path):
    done = advdiff(tmp_path, "init", "mine.toml", "--task", task)
    assert done.code == 0, done.error
    assert advdiff(tmp_path, "check", "mine.toml").out.endswith("ok\n")
    settings = ["--set", QUICK[task]] if task in QUICK else []
    done = advdiff(tmp_path, "run", "mine.toml", *settings)
    assert done.code == 0, done.out + done.error
    with h5py.File(tmp_path / "mine.h5") as file:
        assert file.attrs["task"] == task


def test_nothing_is_replaced(tmp_path):
    (tmp_path / "mine.csv").write_text("my data")
    with pytest.raises(InputError, match=r"mine.csv is there already"):
        init.write(tmp_path / "mine.toml", "invert")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]
    init.write(tmp_path / "mine.toml", "solve")
    with pytest.raises(InputError, match="there already"):
        init.write(tmp_path / "mine.toml", "solve")
    with pytest.raises(InputError, match="ending"):
        init.write(tmp_path / "mine.h5", "solve")
    with pytest.raises(InputError, match="cannot be written"):
        init.write(tmp_path / "none" / "mine.toml", "solve")


def test_a_task_that_is_none(tmp_path):
    done = advdiff(tmp_path, "init", "--task", "inverse")
    assert done.code == 2 and "'invert'" in done.error and not list(tmp_path.iterdir())


def test_version(tmp_path):
    assert advdiff(tmp_path, "--version").out == f"advdiff {__version__}\n"


def test_the_package_is_built_with_this_version(pytestconfig):
    project = tomllib.loads((pytestconfig.rootpath / "pyproject.toml").read_text())
    module, name = project["tool"]["setuptools"]["dynamic"]["version"]["attr"].rsplit(".", 1)
    assert getattr(importlib.import_module(module), name) == __version__
