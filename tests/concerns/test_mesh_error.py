"""The difference that cells twice as large make: above the true error, and not far above it."""

import h5py
import numpy as np
import pytest
from mpi4py import MPI

from advdiff import Problem, tasks
from advdiff.concerns import mesh_error
from advdiff.config.load import parse
from advdiff.core.ranks import on_root
from advdiff.problem.sensors import Sensors
from advdiff.views import info
from tests import flows

RATE = 0.05 * np.pi**2 * 2
STILL = {"diffusivity": 0.05, "velocity": None, "initial": "cos(pi*x)*cos(pi*y)"}


def still(n, degree=1, **changes):
    """cos πx cos πy decays by exp(−2π²κt)."""
    physics = {k: v for k, v in STILL.items() if v is not None}
    tables = flows.data(n, degree, **changes)
    tables["physics"] = physics
    return Problem(parse(tables))


def true_error(problem, states):
    """Relative, at 200 points, the largest of all times."""
    points = np.random.default_rng(0).uniform(0.01, 0.99, (200, 2))
    sensors = Sensors(problem.operator, points)
    mode = np.cos(np.pi * points).prod(axis=1)
    exact = [np.exp(-RATE * t) * mode for t in problem.experiment.time.times]
    errors = [np.linalg.norm(sensors.sample(y) - e) for y, e in zip(states, exact, strict=True)]
    return max(errors) / np.linalg.norm(exact[0])


@pytest.mark.parametrize("degree", [1, pytest.param(2, marks=pytest.mark.serial)])
def test_it_is_above_the_error_and_falls_with_it(degree):
    found, errors = [], []
    for n in (8, 16):
        problem = still(n, degree)
        states = problem.semigroup().trajectory(problem.experiment.time.times)
        found.append(mesh_error.of_states(problem, states))
        errors.append(true_error(problem, states))
        assert errors[-1] < found[-1]
    assert 2.0**degree < found[0] / found[1] < 2.0 ** (degree + 3)
    assert found[-1] < 10 * 2.0 ** (degree - 1) * errors[-1]


def test_readings(tmp_path):
    """The run says what ``observe`` on both meshes gives."""
    rows = [f"{x},{y},{t},{x * y},0.1" for x in (0.3, 0.6) for y in (0.4, 0.7) for t in (0.2, 0.4)]
    path = tmp_path / "data.csv"
    on_root(MPI.COMM_WORLD, lambda: path.write_text("\n".join(["x,y,t,value,std", *rows])))
    changes = {
        "task": "invert",
        "observations": {"file": str(path)},
        "unknowns": {"diffusivity": True},
        "output": {"file": str(tmp_path / "e.h5")},
    }
    problem = flows.problem(8, **changes)
    said = []
    assert tasks.run(problem, said.append)
    assert any(line.startswith("mesh error") and "readings" in line for line in said)
    with h5py.File(tmp_path / "e.h5") as file:
        value = file["estimate"].attrs["mesh_error_of_readings"]
        kappa = file["estimate/diffusivity"][0]
        predicted = file["observations/predicted"][:]
    coarse = flows.problem(4, **changes)
    m = coarse.unknowns.from_numpy(np.array([np.log(kappa)]))
    expected = np.sqrt(np.mean(((coarse.model.observe(m) - predicted) / 0.1) ** 2))
    assert value == pytest.approx(expected, rel=1e-6)
    assert any("mesh error" in line for line in info.lines(tmp_path / "e.h5"))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"domain": {"cells": [1, 8]}}, "too few"),
        ({"domain": {"shape": "gmsh", "file": "a.geo", "cells": None}}, "mesh_size"),
    ],
)
def test_where_there_is_none(changes, why):
    with pytest.raises(mesh_error.Unknown, match=why):
        mesh_error.coarser(parse(flows.data(8, **changes)))


def test_a_field_belongs_to_its_mesh(tmp_path):
    path = tmp_path / "data.csv"
    on_root(MPI.COMM_WORLD, lambda: path.write_text("x,y,t,value,std\n0.3,0.4,0.2,1.0,0.1\n"))
    problem = flows.problem(
        4,
        task="invert",
        observations={"file": str(path)},
        unknowns={"diffusivity": "field"},
    )
    with pytest.raises(mesh_error.Unknown, match="field"):
        mesh_error.of_readings(problem, problem.unknowns.vector(), np.zeros(1))


@pytest.mark.parametrize("wanted", [True, pytest.param(False, marks=pytest.mark.serial)])
def test_it_can_be_left_out(tmp_path, wanted):
    problem = flows.problem(
        4, discretization={"mesh_error": wanted}, output={"file": str(tmp_path / "s.h5")}
    )
    said = []
    assert tasks.run(problem, said.append)
    assert any(line.startswith("mesh error") for line in said) is wanted
    with h5py.File(tmp_path / "s.h5") as file:
        assert ("mesh_error_of_theta" in file["solver"].attrs) is wanted


def test_a_coarse_mesh_is_warned_of(tmp_path):
    problem = flows.problem(4, output={"file": str(tmp_path / "s.h5")})
    said = []
    assert tasks.run(problem, said.append)
    assert any(line.startswith("warning") and "cells twice as large" in line for line in said)
