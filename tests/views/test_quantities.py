"""Views ask the file what is in it; files of before it could be asked held three quantities."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from advdiff import Problem, tasks
from advdiff.config.load import parse
from advdiff.views import info, plots
from advdiff.views.quantities import OLD, quantities
from tests import flows
from tests.inverse import cases

pytestmark = pytest.mark.serial


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """An inversion for two fields with a Laplace approximation, and its truth."""
    path = tmp_path_factory.mktemp("quantities")
    tables = flows.data(
        6,
        task="invert",
        observations={"file": cases.readings(path, None)},
        unknowns={"diffusivity": "field", "initial": True},
        prior={"initial": {"std": 0.3}},
        optimizer={"max_iterations": 5},
        laplace={"most": 5, "probes": 2},
        truth={"diffusivity": "0.02 + 0.01*x", "initial": flows.BLOB, "velocity": flows.CELL},
    )
    tasks.run(Problem(parse(tables, path / "run.toml")), lambda line: None)
    return path / "run.h5"


def shown(path):
    with h5py.File(path) as file:
        return list(plots.contents(file)), info.lines(path)


def test_a_file_without_them_is_drawn_as_one_with(result):
    """As version 97809ec wrote it."""
    names, lines = shown(result)
    assert {"velocity", "diffusivity", "initial", "diffusivity_std", "initial_std"} <= set(names)
    assert sum(line.startswith("error  ") for line in lines) == 3
    with h5py.File(result, "a") as file:
        assert quantities(file) == list(OLD)
        assert dict(file["quantities/diffusivity"].attrs)["unknown"]
        file.move("quantities", "kept")
    try:
        assert shown(result) == (names, lines)
    finally:
        with h5py.File(result, "a") as file:
            file.move("kept", "quantities")


def test_another_quantity_is_shown_without_a_word_in_the_views(result):
    """One that the file describes, after the others."""
    with h5py.File(result, "a") as file:
        group = file.create_group("quantities/decay")
        group.attrs.update({"title": "rate of decay", "magnitude": "", "place": 3})
        x = file["mesh/geometry"][:, 0]
        for path in ("estimate/decay", "truth/decay", "laplace/decay_std"):
            file[path] = x + np.arange(len(x))
        file["laplace/prior_decay_std"] = 1.0 + x
        file["estimate"].attrs["decay_relative_error"] = 0.125
    names, lines = shown(result)
    assert "decay" in names and "decay_std" in names
    assert "error       decay 12.50 %" in lines
    with h5py.File(result) as file:
        for name in ("decay", "decay_std"):
            assert plots.contents(file)[name]().axes
