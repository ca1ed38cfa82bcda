"""Damaged HDF5 files: refused in one line, where the library itself would go round for ever."""

from __future__ import annotations

import os
import warnings

import h5py
import numpy as np
import pytest

from advdiff import Problem, tasks
from advdiff.config.load import parse
from advdiff.core import child
from advdiff.core.errors import InputError
from advdiff.files import hdf5, seal
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
    started, start = [], child.start
    monkeypatch.setattr(child, "start", lambda *args: started.append(args[1]) or start(*args))
    hdf5.read(small).close()
    hdf5.read(small).close()
    assert started == [str(small)]
    monkeypatch.setattr(hdf5, "PATIENCE", 1)
    spoil(small)
    with pytest.raises(OSError, match="damaged"):
        hdf5.read(small)
    assert started == [str(small)] * 2


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
    assert "damaged: not as it was written" in text and "\n" not in text
    with pytest.raises(InputError, match="is no result of advdiff"):
        check_writable(path)


def everything(path) -> bytes:
    """All that h5py reads in a file."""
    found = []
    with hdf5.read(path) as file:
        items = [file]
        file.visititems(lambda _, item: items.append(item))
        for item in items:
            found += [item.name, repr(sorted((k, repr(v)) for k, v in item.attrs.items()))]
            if isinstance(item, h5py.Dataset):
                found += [
                    repr(np.asarray(item[()]).tolist()),
                    repr([len(axis) for axis in item.dims]),
                ]
    return "\n".join(found).encode()


def test_a_seal(small, monkeypatch):
    whole, content = everything(small), small.read_bytes()
    with h5py.File(small) as file:
        data = {at for start, size in seal.extents(file) for at in range(start, start + size)}
    assert not seal.is_whole(small)
    seal.close(small)
    sealed = small.read_bytes()
    assert sealed.startswith(content) and seal.is_whole(small)
    hdf5._sound.clear()
    monkeypatch.setattr(child, "start", lambda *args: pytest.fail("a sealed file needs no child"))
    assert everything(small) == whole
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(sealed), 400):
        wrong = bytearray(sealed)
        wrong[at] ^= 1 << rng.integers(8)
        small.write_bytes(wrong)
        if at >= len(sealed) - len(seal.MAGIC):
            assert seal.is_whole(small) is None
            continue
        assert seal.is_whole(small) == (at in data), at
        if at not in data:
            with pytest.raises(OSError, match="damaged: not as it was written"):
                hdf5.read(small)
    for cut in (0, 1, 30, len(content), len(sealed) - 1):
        small.write_bytes(sealed[:cut])
        assert not seal.is_whole(small)


def test_who_writes_to_a_sealed_file_breaks_it(small):
    seal.close(small)
    with h5py.File(small, "r+") as file:
        file["x"][0] = 7.0
        file.attrs["more"] = 1
    assert seal.is_whole(small) is None
    with hdf5.read(small) as file:
        assert file["x"][0] == 7.0 and file.attrs["more"] == 1
