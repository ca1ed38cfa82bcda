"""Whole runs: what is in the file, the same from any number of ranks, and resumed after a stop."""

from functools import cache

import h5py
import numpy as np
import pytest
from mpi4py import MPI

from advdiff import Problem, tasks
from advdiff.config.load import parse
from advdiff.core.errors import InputError
from advdiff.domain.samples import CellSamples
from advdiff.inverse.map import Iteration
from advdiff.views import info
from tests import flows
from tests.inverse.test_inversion import SINE, inverse_problem

WORLD = MPI.COMM_WORLD
# Numbers that depend on the clock, the number of ranks or how far round-off carries.
LOOSE = ("seconds", "ranks", "solves", "iteration", "error_estimate")


def quiet(_line: str) -> None:
    pass


def experiment(task: str, folder, comm: MPI.Comm) -> Problem:
    """A small experiment of a task that writes into a folder; COMM_SELF gives each rank its own."""
    name = f"serial{WORLD.rank}.h5" if comm.size == 1 and WORLD.size > 1 else "world.h5"
    output = {"file": str(folder / name)}
    if task == "invert":
        problem = inverse_problem(
            folder,
            SINE,
            output=output,
            optimizer={"gradient_tolerance": 1e-6},
            truth={"velocity": flows.CELL, "diffusivity": 0.02},
        )
        return Problem(problem.experiment, comm)
    changes = {"task": task, "output": output, "domain": {"cells": [7, 5]}}
    changes["solver"] = {"method": "auto"}
    changes["physics"] = {"dirichlet": {"left": "y"}, "source": 0.3}
    if task == "sensitivity":
        changes["sensitivity"] = {
            "directions": {
                "shear": {"velocity": ["y", "0"]},
                "kappa": {"diffusivity": 1.0},
                "start": {"initial": "x*y"},
            }
        }
        changes["physics"]["velocity"] = ["y*(1-y)", "0"]
    return Problem(parse(flows.data(7, **changes)), comm)


def contents(path) -> dict[str, np.ndarray]:
    found = {}
    with h5py.File(path, "r") as file:

        def visit(name, item):
            if isinstance(item, h5py.Dataset):
                found[name] = item[...]
            for key, value in item.attrs.items():
                if isinstance(value, float | np.floating | int | np.integer):
                    found[f"{name}@{key}"] = np.asarray(value)

        file.visititems(visit)
        assert file.attrs["complete"]
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Task → the problem of a run that all ranks have made together, once."""

    def run(task):
        problem = experiment(task, WORLD.bcast(tmp_path_factory.mktemp(task)), WORLD)
        assert tasks.run(problem, quiet)
        return problem

    return cache(run)


@pytest.mark.skipif(WORLD.size == 1, reason="needs several ranks")
@pytest.mark.parametrize("task", ["solve", "sensitivity", "invert"])
def test_the_file_does_not_depend_on_the_ranks(task, ran, tmp_path):
    assert tasks.run(experiment(task, tmp_path, MPI.COMM_SELF), quiet)
    together = ran(task).experiment.output_path
    folders = [str(folder).encode() for folder in (together.parent, tmp_path)]
    world = contents(together)
    alone = contents(tmp_path / f"serial{WORLD.rank}.h5")
    assert world.keys() == alone.keys()
    for name, values in world.items():
        if any(word in name for word in LOOSE) or name.startswith(("solver", "history")):
            continue
        # An optimiser stops where its tolerance lets it; everything else is solved to 1e-10.
        tolerance = 2e-3 if task == "invert" and not name.startswith(("mesh", "obs")) else 1e-7
        if name == "observations/predicted":
            tolerance = 2e-3
        assert values.shape == alone[name].shape, name
        if values.dtype.kind != "f":
            assert _without(folders, values) == _without(folders, alone[name]), name
            continue
        scale = np.abs(values).max(initial=1e-30)
        assert np.abs(values - alone[name]).max(initial=0.0) <= tolerance * scale, name


def _without(folders: list[bytes], values: np.ndarray) -> list:
    """Entries; of texts, without the folders that the files they name lie in."""
    if values.dtype.kind not in "SO":
        return values.tolist()
    texts = [text if isinstance(text, bytes) else str(text).encode() for text in values.ravel()]
    for folder in folders:
        texts = [text.replace(folder, b"") for text in texts]
    return texts


def test_dimensions_are_named(ran):
    problem = ran("sensitivity")
    with h5py.File(problem.experiment.output_path, "r") as file:
        assert [d.label for d in file["theta"].dims] == ["time", "vertex"]
        assert np.allclose(file["theta"].dims[0][0][:], problem.experiment.time.times)
        assert set(file["rho"]) == {"shear", "kappa", "start"}
        for name in ("shear", "kappa", "start"):
            assert file[f"rho/{name}"].attrs["error_estimate"] < 1e-6
        for name in ("units", "long_name"):
            assert name in file["theta"].attrs
        x = file["mesh/geometry"][:]
        left = np.isclose(x[:, 0], 0.0)
        assert np.allclose(file["theta"][-1][left], x[left, 1])
        assert np.all(file["rho/shear"][-1][left] == 0.0)


def test_a_run_sampled_in_cells(tmp_path):
    """The same run on vertices and in cells: the same values at the same places."""
    found = []
    for name in ("vertices", "cells"):
        problem = experiment("solve", tmp_path, WORLD)
        if name == "cells":
            problem.samples = CellSamples(problem.domain, 1)
        tasks.run(problem, quiet)
        WORLD.barrier()
        found.append(contents(problem.experiment.output_path))
        cells = next(line for line in info.lines(problem.experiment.output_path) if "mesh" in line)
        WORLD.barrier()
    assert cells.split(maxsplit=1)[1] == "70 triangle cells, sampled at 3 points each"
    vertices, cells = found
    assert cells["theta"].shape[1] == 3 * len(cells["mesh/topology"]) == 3 * 70
    corners = vertices["mesh/topology"].ravel()
    for name in ("mesh/geometry", "initial"):
        assert np.allclose(cells[name], vertices[name][corners], atol=1e-14), name
    assert np.allclose(cells["theta"], vertices["theta"][:, corners], atol=1e-8)


@pytest.mark.serial
def test_xarray_opens_the_file(ran):
    xarray = pytest.importorskip("xarray")
    problem = ran("solve")
    with xarray.open_dataset(problem.experiment.output_path, engine="h5netcdf") as data:
        assert data["theta"].dims == ("time", "vertex")
        assert np.allclose(data["time"], problem.experiment.time.times)


class Stop(Exception):
    """Stands for a kill."""


def test_a_stopped_inversion_resumes_to_the_same_answer(tmp_path, monkeypatch):
    def make(name):
        tables = {"output": {"file": str(tmp_path / name)}, "optimizer": {"max_iterations": 60}}
        return inverse_problem(tmp_path, SINE, **tables)

    whole = make("whole.h5")
    assert tasks.run(whole, quiet)

    def killed(line: str) -> None:
        if line.startswith("iteration      3"):
            raise Stop

    cut = make("cut.h5")
    with pytest.raises(Stop):
        tasks.run(cut, killed)
    assert not (tmp_path / "cut.h5").exists()
    assert tasks.run(make("cut.h5"), quiet, resume=True)
    a, b = (contents(tmp_path / name)["estimate/coefficients"] for name in ("whole.h5", "cut.h5"))
    assert np.allclose(a, b, rtol=1e-6)  # bit for bit: test_checkpoint.py
    assert not list(tmp_path.glob(".*checkpoint*"))


def test_history_is_complete(ran):
    with h5py.File(ran("invert").experiment.output_path, "r") as file:
        history = {name: file[f"history/{name}"][:] for name in Iteration.__dataclass_fields__}
        total = history["misfit"] + history["regularization"]
        assert np.allclose(total, history["objective"], rtol=1e-12)
        assert np.all(np.diff(history["objective"]) <= 1e-12 * history["objective"][0])
        assert file["estimate"].attrs["converged"]
        for stage in ("assembly", "forward", "adjoint", "optimiser"):
            assert file["solver"].attrs[f"seconds_{stage}"] >= 0


@pytest.mark.serial
@pytest.mark.parametrize("name", ["e.vtkhdf", ".e.h5.checkpoint", ".e.h5.partial"])
def test_a_folder_in_the_way_is_met_before_the_work(tmp_path, name):
    (tmp_path / name).mkdir()
    problem = Problem(parse(flows.data(8), tmp_path / "e.toml"))
    with pytest.raises(InputError, match=rf"output\.file: .*{name} is a folder, where"):
        tasks.check(problem)
