"""Measurements are read as they stand, and sensors are exact where the elements are."""

from functools import cache

import h5py
import numpy as np
import pytest
from dolfinx import fem
from mpi4py import MPI

from advdiff import Problem
from advdiff.config.load import parse
from advdiff.core.ranks import on_root
from advdiff.domain.mesh import box
from advdiff.equation.discretization import make
from advdiff.equation.operator import Operator
from advdiff.equation.physics import Physics
from advdiff.equation.velocity import Velocity
from advdiff.problem.readings import Readings, read
from advdiff.problem.sensors import Sensors
from tests.config.bad_input import message

COMM = MPI.COMM_WORLD

CSV = """\ufeff x , Y ,t,value,std\r
# two sensors, three times\r
0.5,0.25,0.1,1.5,0.1\r
\r
0.25,0.5,0.1,2.5,0.2\r
0.5,0.25,0.3,3.5,0.3\r
0.25,0.5,0.2,-4.5e-1,0.4\r
"""


def check(readings: Readings, rows) -> None:
    assert len(readings) == 4
    np.testing.assert_array_equal(readings.points, [[0.25, 0.5], [0.5, 0.25]])
    np.testing.assert_array_equal(readings.times, [0.1, 0.2, 0.3])
    np.testing.assert_array_equal(readings.sensor, [1, 0, 1, 0])
    np.testing.assert_array_equal(readings.time, [0, 0, 2, 1])
    np.testing.assert_array_equal(readings.values, [1.5, 2.5, 3.5, -0.45])
    np.testing.assert_array_equal(readings.std, [0.1, 0.2, 0.3, 0.4])
    np.testing.assert_array_equal(readings.rows, rows)


def test_csv(tmp_path):
    path = tmp_path / "a.csv"
    on_root(COMM, lambda: path.write_bytes(CSV.encode()) and None)
    check(read(path, 2, 1.0, None), [5, 3])


@pytest.mark.parametrize("group", ["", "observations/"])
def test_hdf5(tmp_path, group):
    path = tmp_path / "a.h5"

    def write():
        with h5py.File(path, "w") as file:
            file[f"{group}x"] = [0.5, 0.25, 0.5, 0.25]
            file[f"{group}y"] = [0.25, 0.5, 0.25, 0.5]
            file[f"{group}t"] = [0.1, 0.1, 0.3, 0.2]
            file[f"{group}value"] = [1.5, 2.5, 3.5, -0.45]
            file[f"{group}std"] = [0.1, 0.2, 0.3, 0.4]

    on_root(COMM, write)
    check(read(path, 2, 1.0, None), [1, 0])


def test_noise_of_the_experiment_serves_where_the_file_has_none(tmp_path):
    path = tmp_path / "a.csv"
    on_root(COMM, lambda: path.write_text("t,x,value\n0,.5,1\n1,.5,2\n") and None)
    readings = read(path, 1, 1.0, 0.25)
    np.testing.assert_array_equal(readings.std, [0.25, 0.25])
    np.testing.assert_array_equal(readings.times, [0.0, 1.0])
    assert readings.points.shape == (1, 1)


def test_rows_of_every_sensor_at_every_time():
    points, times = np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([0.5, 1.0, 1.5])
    found = Readings.from_rows(
        np.tile(points, (3, 1)), np.repeat(times, 2), np.arange(6.0), np.full(6, 0.1)
    )
    np.testing.assert_array_equal(found.points, points)
    np.testing.assert_array_equal(found.times, times)
    np.testing.assert_array_equal(found.sensor, [0, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(found.time, [0, 0, 1, 1, 2, 2])


SHAPES = {1: "interval", 2: "rectangle", 3: "box"}


@cache
def problem(dim: int, degree: int, **dirichlet) -> Problem:
    """One that nobody changes."""
    data = {
        "task": "solve",
        "domain": {"shape": SHAPES[dim], "cells": [5, 4, 3][:dim]},
        "discretization": {"degree": degree},
        "physics": {"diffusivity": 1.0, "dirichlet": dirichlet},
        "time": {"final": 1.0},
    }
    return Problem(parse(data))


def points(dim: int, count: int = 40) -> np.ndarray:
    """Random points, corners of the domain, and mesh vertices; the same on every rank."""
    inside = np.random.default_rng(dim).uniform(size=(count, dim))
    return np.vstack([inside, np.zeros((1, dim)), np.ones((1, dim)), [[0.2, 0.5, 1 / 3][:dim]]])


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("degree", [1, 2])
def test_sensors_are_exact_for_polynomials_of_the_elements_degree(dim, degree):
    operator, where = problem(dim, degree).operator, points(dim)

    def polynomial(x):
        linear = 1.0 + sum((k + 2) * x[k] for k in range(dim))
        return linear if degree == 1 else linear + x[0] ** 2 - 3 * x[0] * x[dim - 1]

    sampled = Sensors(operator, where).sample(operator.state(polynomial, "polynomial"))
    np.testing.assert_allclose(sampled, polynomial(where.T), rtol=1e-12)
    assert set(COMM.allgather(sampled.tobytes())) == {sampled.tobytes()}


ALONE = pytest.mark.serial
"""What shows nothing new about ranks."""


@pytest.mark.parametrize(
    ("method", "degree", "cell", "periodic"),
    [
        ("cg", 3, "triangle", False),
        pytest.param("cg", 3, "triangle", True, marks=ALONE),
        pytest.param("spectral", 4, "quadrilateral", False, marks=ALONE),
        ("spectral", 4, "quadrilateral", True),
        pytest.param("dg", 1, "triangle", False, marks=ALONE),
        ("dg", 1, "triangle", True),
        ("dg", 2, "quadrilateral", False),
        pytest.param("dg", 2, "quadrilateral", True, marks=ALONE),
        ("spectral", 2, "hexahedron", False),
        pytest.param("spectral", 2, "hexahedron", True, marks=ALONE),
    ],
)
def test_sensors_read_every_discretization(method, degree, cell, periodic):
    """Polynomials of the degree exactly, also where sensors lie on the seam of a torus."""
    dim = 3 if cell == "hexahedron" else 2
    axes = "xyz"[:dim] if periodic else ""
    domain = box(COMM, [0.0] * dim, [1.0] * dim, [3] * dim, cell, axes)
    flow, space = Velocity(domain), fem.functionspace(domain.mesh, ("Lagrange", 1))
    kappa = fem.Function(space)
    kappa.x.array[:] = 1.0
    operator = Operator(make(domain, method, degree), Physics(flow, kappa))
    where = np.vstack([points(dim), np.full((1, dim), 1.0), np.full((1, dim), 0.0)])
    if periodic:
        value = operator.state(lambda x: np.cos(2 * np.pi * x[0]), "wave")
        sampled = Sensors(operator, where).sample(value)
        assert np.abs(sampled - np.cos(2 * np.pi * where[:, 0])).max() < 0.4
        if method != "dg":
            assert sampled[-1] == pytest.approx(sampled[-2], rel=1e-12)
        return
    state = operator.state(lambda x: (x[0] - 0.5 * x[dim - 1]) ** degree, "polynomial")
    sampled = Sensors(operator, where).sample(state)
    np.testing.assert_allclose(sampled, (where[:, 0] - 0.5 * where[:, -1]) ** degree, atol=1e-12)


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("dirichlet", [{}, {"left": 1.0, "top": "x"}], ids=["natural", "dirichlet"])
def test_spread_is_the_adjoint_of_sample(degree, dirichlet):
    operator, where = problem(2, degree, **dirichlet).operator, points(2)
    sensors = Sensors(operator, where)
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal(2)
    state = operator.state(lambda x: np.sin(a * x[0] + 7 * x[1]) + b, "state")
    weights = rng.standard_normal(len(where))
    tangent = sensors.sample(state, boundary=False)
    residual = sensors.spread(weights, state.duplicate())
    assert weights @ tangent == pytest.approx(residual.dot(state), rel=1e-12)
    with_boundary = sensors.sample(state)
    assert np.allclose(with_boundary, tangent) == (not dirichlet)


def test_prescribed_values_are_read_at_the_boundary():
    operator = problem(2, 1, left="3 + y").operator
    state = operator.state(lambda x: np.zeros(x.shape[1]), "state")
    sampled = Sensors(operator, np.array([[0.0, 0.5], [0.0, 0.1], [0.5, 0.5]])).sample(state)
    np.testing.assert_allclose(sampled, [3.5, 3.1, 0.0], atol=1e-14)


def test_one_sensor_more_ranks():
    operator = problem(2, 1).operator
    state = operator.state(lambda x: x[0], "state")
    np.testing.assert_allclose(Sensors(operator, np.array([[0.3, 0.9]])).sample(state), [0.3])


MEANINGS = {
    "t_start,t_end": ("0,1", "the start of an average over time"),
}


@pytest.mark.parametrize("header", MEANINGS)
def test_a_reading_that_no_model_predicts_is_refused(tmp_path, header):
    path, (cells, what) = tmp_path / "a.csv", MEANINGS[header]
    on_root(COMM, lambda: path.write_text(f"x,y,value,{header}\n.5,.5,1,{cells}\n") and None)
    text = message(read, path, 2, 1.0, 0.1)
    assert "row 2" in text and what in text and "not read yet" in text


def test_columns_without_an_entry_change_nothing(tmp_path):
    path = tmp_path / "a.csv"
    more = "x2,y2,radius,kind,part,sensor"
    rows = f"x,y,t,value,{more}\n.5,.5,1,1,,,,value,,A\n.5,.5,.5,2,,,,,,A\n"
    on_root(COMM, lambda: path.write_text(rows) and None)
    readings = read(path, 2, 1.0, 0.1)
    np.testing.assert_array_equal(readings.values, [1.0, 2.0])
    assert readings.points.tolist() == [[0.5, 0.5]]
    assert "columns x, y, t, value, x2" in readings.said


def test_texts_in_hdf5_are_no_numbers(tmp_path):
    path = tmp_path / "a.h5"

    def write():
        with h5py.File(path, "w") as file:
            for name in ("x", "y", "t"):
                file[name] = [0.5]
            file["value"] = [b"1_0"]

    on_root(COMM, write)
    assert "'value' holds no numbers" in message(read, path, 2, 1.0, 0.1)
