"""Damaged HDF5 files: refused in one line, where the library itself would go round for ever."""

from __future__ import annotations

import os
import warnings

import h5py
import numpy as np
import pytest

from advdiff import Problem, tasks
from advdiff.config.load import parse
from advdiff.core.errors import InputError
from advdiff.files import hdf5
from advdiff.files.parallel import check_writable
from advdiff.views import info
from tests import flows

pytestmark = pytest.mark.serial
HEAP, LENGTH = b"GCOL", 24
"""HDF5's name for where it keeps texts, and where the length of the first stands behind it."""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(3.0)
        file["x"].make_scale("x")
        file["text"] = np.array(["a", "é"], dtype=h5py.string_dtype())
        file["packed"] = np.zeros((40, 40))
        file.create_dataset("chunks", (40, 40), chunks=(7, 7), compression="gzip")
        file.attrs["about"] = "a text"
    return path


def spoil(path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(HEAP) + LENGTH] = 255
    path.write_bytes(content)


def test_a_sound_file_is_read(small):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with hdf5.read(small) as file:
            assert file.attrs["about"] == "a text" and list(file["x"]) == [0, 1, 2]


def test_what_can_be_raised_is_raised_here(tmp_path):
    (tmp_path / "no.h5").write_bytes(b"no HDF5")
    for name in ("no.h5", "missing.h5"):
        with pytest.raises(OSError, match="Unable to synchronously open file"):
            hdf5.read(tmp_path / name)


def test_a_file_without_end(small, monkeypatch):
    monkeypatch.setattr(hdf5, "PATIENCE", 1)
    spoil(small)
    with pytest.raises(OSError, match="HDF5 comes to no end in 1 s"):
        hdf5.read(small)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("import os; os.abort()", "HDF5 dies of it, signal 6"),
        ("import nothing_of_that_name", "no process of its own can look at it: ModuleNotFound"),
    ],
)
def test_what_ends_the_child_is_named(small, tmp_path, monkeypatch, script, error):
    other = tmp_path / "other.py"
    other.write_text(script)
    monkeypatch.setattr(hdf5, "SCRIPT", other)
    with pytest.raises(OSError, match=error):
        hdf5.read(small)


def test_nothing_is_forked(small, monkeypatch):
    """A process with MPI and its threads must not."""
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    hdf5.read(small).close()


def test_a_file_is_looked_at_once_and_again_where_it_changes(small, monkeypatch):
    started = []
    start = hdf5._start
    monkeypatch.setattr(hdf5, "_start", lambda path: started.append(path) or start(path))
    hdf5.expect(small)
    hdf5.read(small).close()
    hdf5.read(small).close()
    assert started == [small]
    monkeypatch.setattr(hdf5, "PATIENCE", 1)
    spoil(small)
    with pytest.raises(OSError, match="damaged"):
        hdf5.read(small)
    assert started == [small, small]


def test_a_result_with_a_wrong_byte(tmp_path, monkeypatch):
    tasks.run(Problem(parse(flows.data(4), tmp_path / "e.toml")), lambda line: None)
    path = tmp_path / "e.h5"
    check_writable(path)
    assert info.lines(path)
    monkeypatch.setattr(hdf5, "PATIENCE", 1)
    spoil(path)
    with pytest.raises(InputError) as caught:
        info.lines(path)
    text = str(caught.value)
    assert "damaged: HDF5" in text and "\n" not in text  # comes to no end, or dies of it
    with pytest.raises(InputError, match="is no result of advdiff"):
        check_writable(path)
