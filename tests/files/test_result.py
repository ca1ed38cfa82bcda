"""Result files: whole when closed; those of other versions read, or refused in one clear line."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from advdiff import Problem, tasks
from advdiff.config.load import parse
from advdiff.core.errors import InputError
from advdiff.core.ranks import Alone
from advdiff.files.parallel import SPARE, closing, open_parallel
from advdiff.files.result import FORMAT
from advdiff.views import info, plots
from tests import flows

pytestmark = pytest.mark.serial


@pytest.fixture
def result(tmp_path):
    tasks.run(Problem(parse(flows.data(4), tmp_path / "e.toml")), lambda line: None)
    return tmp_path / "e.h5"


def test_its_version(result):
    with h5py.File(result) as file:
        assert file.attrs["format_version"] == FORMAT == 2


def test_version_1_is_read(result):
    """It had its number elsewhere, and no warnings."""
    with h5py.File(result, "r+") as file:
        del file.attrs["format_version"], file["warnings"]
        file.attrs["format"] = 1
    assert not [line for line in info.lines(result) if line.startswith("warning")]
    assert plots.draw(result, result.parent)


@pytest.mark.parametrize(
    ("version", "remedy"), [(FORMAT + 1, "upgrade"), (0, "run the experiment again")]
)
def test_other_versions_are_refused(result, version, remedy):
    with h5py.File(result, "r+") as file:
        file.attrs["format_version"] = version
    with pytest.raises(InputError) as caught:
        info.lines(result)
    text = str(caught.value)
    assert f"format version {version} of advdiff" in text and remedy in text and "\n" not in text


@pytest.mark.parametrize("count", range(1, 60, 7))
def test_a_closed_file_ends_where_it_says(tmp_path, count):
    """What HDF5 writes as it closes belongs to it."""
    path = tmp_path / "a.h5"
    with closing(open_parallel(path, Alone()), Alone()) as file:
        group = file.create_group("g", track_order=True)
        for k in range(count):
            group.create_dataset(f"{k}", data=np.arange(k)).attrs["about"] = "x" * k
            group[str(k)].dims[0].label = "axis"
    assert path.stat().st_size < SPARE
    with h5py.File(path) as file:
        assert [len(file[f"g/{k}"]) for k in range(count)] == list(range(count))
