"""Meshes of FVCOM and UGRID."""

from __future__ import annotations

import numpy as np
import pytest

from advdiff import Problem
from advdiff.config.load import parse
from advdiff.core.ranks import on_root
from tests.config.bad_input import COMM, message
from tests.files.grid_files import read, xarray
from tests.files.layouts.writers import (
    NAMES,
    error,
    linear,
    save,
    triangulated,
    ugrid,
)


@pytest.mark.parametrize("spherical", [False, True])
def test_fvcom(tmp_path, spherical):
    x, y, triangles, _ = triangulated()
    xc, yc = x[triangles].mean(axis=1), y[triangles].mean(axis=1)
    zero, at = (0.0, 1.0) if spherical else (1.0, 0.0)  # it writes those it does not use as zeros
    lon, lat = {"units": "degrees_east"}, {"units": "degrees_north"}
    metres = {"units": "meters"}
    u, v = linear(xc, yc)
    units = {"units": "degrees s-1" if spherical else "meters s-1"}
    u_axes, w_axes = ("time", "siglay", "nele"), ("time", "node")
    content = {
        "nv": (("three", "nele"), triangles.T.astype("i4") + 1, {"long_name": "nodes around"}),
        "u": (u_axes, np.stack([u, 0 * u])[None], units),
        "v": (u_axes, np.stack([v, 0 * v])[None], units),
        "zeta": (w_axes, linear(x, y)[:1], {"units": "K"}),
    }
    coordinates = {
        "x": ("node", zero * x, metres),
        "y": ("node", zero * y, metres),
        "xc": ("nele", zero * xc, metres),
        "yc": ("nele", zero * yc, metres),
        "lon": ("node", at * (x + 360), lon),
        "lat": ("node", at * y, lat),
        "time": ("time", [0.0], {"units": "days since 1858-11-17"}),
    }
    path = save(tmp_path / "a.nc", content, coordinates, source="FVCOM_4.3")
    bounds = ([0.2] * 2, [0.8] * 2)
    grid = read(path, ["u", "v"], bounds, level=0)
    assert error(grid, linear) < 1e-10
    assert "on a mesh (FVCOM)" in grid.said
    assert error(read(path, "zeta", bounds), lambda x, y: linear(x, y)[0]) < 1e-10


@pytest.mark.parametrize("location", ["node", "face", "edge"])
@pytest.mark.parametrize(
    ("start", "transposed", "kind"), [(0, False, "mixed"), (1, False, "quads"), (1, True, "mixed")]
)
def test_ugrid(tmp_path, location, start, transposed, kind):
    path = ugrid(tmp_path / "a.nc", start, location, transposed, kind)
    grid = read(path, NAMES, ([0.2] * 2, [0.8] * 2))
    assert error(grid, linear) < 1e-10
    assert "on a mesh (UGRID)" in grid.said


def test_a_mesh_that_counts_from_another_node(tmp_path):
    path = ugrid(tmp_path / "a.nc", 1, "face", said=False)
    text = message(read, path, NAMES)
    assert "mesh2d_face_nodes in a.nc names nodes 1 to 144 of 144, counted from 0" in text
    assert "mend its attribute start_index" in text


def test_the_land_of_a_mesh(tmp_path):
    def dry(x, y):
        return np.where(x > 0.7, -999.0, linear(x, y))

    path = ugrid(tmp_path / "a.nc", 1, "face", u=dry)
    grid, wall = read(path, NAMES), read(path, NAMES, land="wall")
    wet, land = np.array([[0.4], [0.5], [0]]), np.array([[0.9], [0.5], [0]])
    np.testing.assert_allclose(grid(wet)[:, 0], linear(0.4, 0.5), rtol=1e-10)
    np.testing.assert_array_equal(wall(wet), grid(wet))
    assert np.isnan(grid(land)).all()
    assert (wall(land) == 0).all()


def test_an_experiment_on_a_mesh_with_land(tmp_path):
    def dry(x, y):
        return np.where(x > 0.7, -999.0, linear(x, y))

    ugrid(tmp_path / "a.nc", 1, "face", u=dry)
    sides = ["left", "right", "bottom", "top"]
    tables = {
        "task": "solve",
        "domain": {"shape": "rectangle", "cells": [6, 6], "lower": [0.1, 0.1], "upper": [0.5, 0.5]},
        "time": {"final": 0.1},
        "physics": {
            "diffusivity": 0.1,
            "velocity": {"file": "a.nc", "components": NAMES},
            "inflow": dict.fromkeys(sides, 0.0),
        },
    }
    problem = Problem(parse(tables, tmp_path / "e.toml"))
    given = problem.operator.physics.velocity.given
    x = given.function_space.tabulate_dof_coordinates().T
    np.testing.assert_allclose(given.x.array.reshape(-1, 2).T, linear(*x[:2]), atol=1e-10)
    tables["domain"]["upper"] = [0.9, 0.5]
    text = message(lambda: Problem(parse(tables, tmp_path / "e.toml")).operator)
    assert "physics.velocity: not finite at" in text
    assert "mesh2d_ucy of a.nc at time[0] has missing values around it: the key land" in text


@pytest.mark.parametrize(
    ("variable", "attribute", "value", "text"),
    [
        ("mesh2d", "node_coordinates", np.int32(3), "node_coordinates = '3' of mesh2d in b.nc are"),
        ("mesh2d", "node_coordinates", "mesh2d_node_x", "are not the names of x and y"),
        ("mesh2d", "node_coordinates", "no where", "b.nc has no variable 'no'"),
        ("mesh2d_face_nodes", "start_index", "one", "start_index = 'one' of mesh2d_face_nodes"),
    ],
)
def test_meshes_that_are_none(tmp_path, variable, attribute, value, text):
    path = ugrid(tmp_path / "a.nc", 1, "face")

    def spoil():
        with xarray.open_dataset(path, decode_cf=False, engine="h5netcdf") as data:
            data = data.load()
        data[variable].attrs[attribute] = value
        data.to_netcdf(tmp_path / "b.nc", engine="h5netcdf")

    on_root(COMM, spoil)
    assert text in message(read, tmp_path / "b.nc", NAMES)
