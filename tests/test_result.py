"""Results of other versions are read, or refused in one clear line."""

from __future__ import annotations

import h5py
import pytest

from advdiff import Problem, config, plots, summary, tasks
from advdiff.errors import InputError
from advdiff.result import FORMAT
from tests import flows

pytestmark = pytest.mark.serial


@pytest.fixture
def result(tmp_path):
    tasks.run(Problem(config.parse(flows.data(4), tmp_path / "e.toml")), lambda line: None)
    return tmp_path / "e.h5"


def test_its_version(result):
    with h5py.File(result) as file:
        assert file.attrs["format_version"] == FORMAT == 2


def test_version_1_is_read(result):
    """It had its number elsewhere, and no warnings."""
    with h5py.File(result, "r+") as file:
        del file.attrs["format_version"], file["warnings"]
        file.attrs["format"] = 1
    assert not [line for line in summary.lines(result) if line.startswith("warning")]
    assert plots.draw(result, result.parent)


@pytest.mark.parametrize(
    ("version", "remedy"), [(FORMAT + 1, "upgrade"), (0, "run the experiment again")]
)
def test_other_versions_are_refused(result, version, remedy):
    with h5py.File(result, "r+") as file:
        file.attrs["format_version"] = version
    with pytest.raises(InputError) as caught:
        summary.lines(result)
    text = str(caught.value)
    assert f"format version {version} of advdiff" in text and remedy in text and "\n" not in text
