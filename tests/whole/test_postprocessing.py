"""``experiments/postprocessing.py`` on small results: each tool reads what the file holds."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import h5py
import numpy as np
import pytest

from advdiff import Problem, tasks
from advdiff.config.load import parse
from advdiff.files import paraview
from tests import flows
from tests.inverse.test_inversion import SINE, observations

pytest.importorskip("xarray")
pytest.importorskip("pandas")
pytestmark = pytest.mark.serial

SCRIPT = Path(__file__).parents[2] / "experiments" / "postprocessing.py"
TRUTH = {"velocity": {"stream": "0.3*sin(pi*x)*sin(pi*y)"}}


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("postprocessing", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(folder: Path, name: str, **changes) -> Path:
    tables = flows.data(
        6,
        observations={"file": observations(folder, flows.problem(2))},
        unknowns=SINE,
        prior={"velocity": {"std": 0.2}},
        truth=TRUTH,
        output={"file": f"{name}.h5"},
        **changes,
    )
    tasks.run(Problem(parse(tables, folder / f"{name}.toml")), lambda line: None)
    return folder / f"{name}.h5"


@pytest.fixture(scope="module")
def inversion(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("inversion")
    return run(folder, "inversion", task="invert", laplace={"samples": 1})


@pytest.fixture(scope="module")
def chains(tmp_path_factory) -> Path:
    sampler = {"draws": 20, "warmup": 5, "chains": 2, "steps": 2, "step_size": 0.05}
    return run(tmp_path_factory.mktemp("chains"), "chains", task="sample", sampler=sampler)


def test_xarray(script, inversion):
    """Named dimensions, coordinates, the values of the nearest vertex."""
    series = script.tracer_at(inversion, (0.5, 0.5))
    assert series.dims == ("time",)
    with h5py.File(inversion) as file:
        np.testing.assert_array_equal(series.time, file["time"])
        middle = np.linalg.norm(file["mesh/geometry"][:] - 0.5, axis=1).argmin()
        np.testing.assert_array_equal(series, file["theta"][:, middle])
        error = script.estimate_error(inversion)
        assert error.dims == ("vertex",)
        difference = file["estimate/velocity"][:] - file["truth/velocity"][:]
        np.testing.assert_allclose(error, np.linalg.norm(difference, axis=1))


def test_pandas(script, inversion):
    table = script.history(inversion)
    assert table.index.name == "iteration"
    with h5py.File(inversion) as file:
        assert set(table.columns) == set(file["history"]) - {"iteration"}
        np.testing.assert_array_equal(table["objective"], file["history/objective"])
    assert list(script.warnings(inversion).columns) == ["key", "message", "value"]


def test_warnings_as_text(script, chains):
    """Forty draws are too few, and the table says so in plain strings."""
    table = script.warnings(chains)
    assert "effective-draws" in set(table["key"])
    assert all(isinstance(text, str) for text in table["message"])


def test_arviz(script, chains):
    pytest.importorskip("arviz")
    found = script.posterior_summary(chains)
    with h5py.File(chains) as file:
        draws = file["posterior/velocity_coefficients"][:]
        kappa = file["posterior/log_diffusivity"][:]
        rhat = file["diagnostics/velocity_coefficients/rhat"][:]
    assert len(found) == draws.shape[-1] + kappa.shape[-1]
    rows = found[found.index.str.startswith("velocity_coefficients")]
    np.testing.assert_allclose(rows["mean"], draws.mean(axis=(0, 1)), rtol=1e-6)
    np.testing.assert_allclose(rows["r_hat"], rhat, rtol=1e-6)


def test_paraview_shows_mean_and_standard_deviation(inversion, chains):
    """At every output time, of a Laplace approximation and of chains, by the file's structure."""
    wanted = {
        inversion: ("theta", "estimate_velocity", "laplace_velocity_std", "laplace_speed_std"),
        chains: ("theta", "estimate_velocity", "estimate_velocity_std", "estimate_speed_std"),
    }
    for result, names in wanted.items():
        with h5py.File(paraview.name(result)) as file, h5py.File(result) as source:
            root, count = file["VTKHDF"], len(source["mesh/geometry"])
            times = len(source["time"])
            assert root["Steps"].attrs["NSteps"] == times
            np.testing.assert_array_equal(root["Steps/Values"], source["time"])
            for name in names:
                values, offsets = root["PointData"][name], root["Steps/PointDataOffsets"][name]
                moving = name == "theta"
                assert len(values) == count * (times if moving else 1)
                np.testing.assert_array_equal(offsets, count * moving * np.arange(times))
                assert np.abs(values[:]).max() > 0
            shown = root["PointData/estimate_velocity"][:, :2]
            np.testing.assert_array_equal(shown, source["estimate/velocity"])


@pytest.mark.skipif(importlib.util.find_spec("vtk") is None, reason="needs VTK")
def test_vtk(script, inversion):
    fields = script.vtk_fields(inversion)
    with h5py.File(inversion) as file:
        np.testing.assert_array_equal(fields["theta"], file["theta"][-1])


def test_the_script_itself(script, inversion, chains, capsys):
    pytest.importorskip("arviz")
    for result in (inversion, chains):
        script.main(result)
    printed = capsys.readouterr().out
    assert "gradient_norm" in printed and "r_hat" in printed
