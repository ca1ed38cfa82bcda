"""What the tests of bad input share: a good experiment to spoil, and its one line of complaint."""

from __future__ import annotations

import copy
from pathlib import Path

import h5py
import pytest
from mpi4py import MPI

from advdiff.core.errors import InputError
from advdiff.core.ranks import on_root

COMM = MPI.COMM_WORLD
NAN, INF = float("nan"), float("inf")


def data(changes=(), **more) -> dict:
    """A small experiment with dotted keys changed; None removes a key."""
    base = {
        "task": "solve",
        "domain": {"cells": [4, 4]},
        "physics": {"diffusivity": 0.1, "initial": "x"},
        "time": {"final": 0.1, "outputs": 2},
    }
    for key, value in {**dict(changes), **more}.items():
        *tables, name = key.split(".")
        table = base
        for part in tables:
            table = table.setdefault(part, {})
        if value is None:
            table.pop(name)
        else:
            table[name] = copy.deepcopy(value)
    return base


INVERT = {"task": "invert", "observations.file": "obs.csv", "unknowns.diffusivity": True}
DIRECTION = {"task": "sensitivity", "sensitivity.directions": {"a": {"initial": "x"}}}


def message(function, *arguments, **keywords) -> str:
    """The one line that a call raises, the same on all ranks."""
    with pytest.raises(InputError) as caught:
        function(*arguments, **keywords)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 400
    assert set(COMM.allgather(text)) == {text}
    return text


def write(path: Path, content: str | bytes) -> Path:
    """A file that rank 0 writes."""
    content = content.encode() if isinstance(content, str) else content
    on_root(COMM, lambda: path.write_bytes(content) and None)
    return path


def make_hdf5(path: Path, content: dict, attributes=()) -> None:
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            file[name] = values
        file.attrs.update(dict(attributes))
