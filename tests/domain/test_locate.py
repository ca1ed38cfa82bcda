"""Points are found in their cells in any unit and from any origin, and near walls where asked."""

from __future__ import annotations

import numpy as np
import pytest

from advdiff import Problem
from advdiff.config.load import parse
from advdiff.core.ranks import on_root
from advdiff.problem.sensors import Sensors
from tests.config.bad_input import message
from tests.units import (
    COMM,
    DISCRETISATIONS,
    ONE,
    UPPER,
    Units,
    open_flow,
    placed,
    reference,
    same,
    sampled,
)

FAR = Units(length=100.0, origin=5e4)
"""A domain of 100 m in coordinates such as UTM's: places are known to 1e-9 m, cells to 1e-10."""


@pytest.mark.parametrize("which", [0, 3, 8])
def test_far_origins(which):
    theta = reference(2, which)[0]
    problem = Problem(parse(open_flow(FAR, 2, *DISCRETISATIONS[which])))
    same(sampled(FAR, problem), theta)


@pytest.mark.parametrize("origin", [0.0, 5e4, -5e6 / 3])
def test_points_on_sides_of_cells_and_walls_are_found_in_large_coordinates(origin):
    units, cells = Units(length=100.0, origin=origin), np.array([60, 35])
    tables = open_flow(units, 2, *DISCRETISATIONS[0], domain={"cells": cells.tolist()})
    problem = Problem(parse(tables))
    rng = np.random.default_rng(0)
    first = rng.integers(0, cells, size=(3000, 2))
    way = np.array([[1, 0], [0, 1], [1, 1]])[np.arange(3000) % 3]
    first[1::3, 0] = np.resize([0, 13, 60], 1000)  # on the walls too
    first[::3, 1] = np.resize([0, 7, 35], 1000)
    ends = [placed(units, (first + k * way) / cells * UPPER[:2]) for k in (0, 1)]
    share = rng.uniform(size=(3000, 1))
    where = (1 - share) * ends[0] + share * ends[1]
    where = np.nextafter(where, rng.choice([-np.inf, np.inf], size=where.shape))
    state = problem.operator.state(lambda x: 3 * x[0] - x[1], "plane")
    values = Sensors(problem.operator, where).sample(state)
    size = np.abs(where).max()
    np.testing.assert_allclose(values, 3 * where[:, 0] - where[:, 1], rtol=0, atol=1e-13 * size)


@pytest.mark.parametrize("width", [1e-30, 40e-9, 1e-6, 1e6, 1e30])
@pytest.mark.parametrize("cell", ["triangle", "quadrilateral"])
def test_sensors_are_in_their_own_cells_at_any_width(width, cell):
    units = Units(length=width)
    tables = open_flow(units, 2, {"method": "dg", "degree": 1}, "faber")
    tables["domain"] |= {"cell": cell, "cells": [20, 10]}
    operator = Problem(parse(tables)).operator
    at = np.random.default_rng(0).uniform(0, UPPER[:2], (200, 2))
    state = operator.state(lambda x: (x[0] - 2 * x[1]) / width, "plane")
    found = Sensors(operator, placed(units, at)).sample(state)
    np.testing.assert_allclose(found, at @ [1, -2], atol=1e-12)


def round_domain(folder, corners: int, units: Units) -> Problem:
    """A polygon of triangles around the origin, of radius 1."""
    pytest.importorskip("gmsh")
    angle = 2 * np.pi * np.arange(corners) / corners
    at = units.length * np.vstack([[0.0, 0.0], np.stack([np.cos(angle), np.sin(angle)], axis=1)])
    lines = ["$MeshFormat", "2.2 0 8", "$EndMeshFormat", "$PhysicalNames", "1", '2 9 "water"']
    lines += ["$EndPhysicalNames", "$Nodes", str(len(at))]
    lines += [f"{i} {x!r} {y!r} 0" for i, (x, y) in enumerate(at.tolist(), 1)]
    lines += ["$EndNodes", "$Elements", str(corners)]
    lines += [f"{i + 1} 2 2 9 9 1 {i + 2} {(i + 1) % corners + 2}" for i in range(corners)]
    path = folder / "round.msh"
    on_root(COMM, lambda: path.write_text("\n".join([*lines, "$EndElements", ""])) and None)
    tables = open_flow(units, 2, {"degree": 1}, "faber")
    tables["domain"] = {"shape": "gmsh", "file": str(path)}
    tables["physics"] = {"diffusivity": units.length**2 / units.time}
    return Problem(parse(tables))


@pytest.mark.parametrize("units", [ONE, Units(length=1e-6), Units(length=1e6)], ids=str)
def test_a_sensor_outside_a_polygon_is_read_at_its_wall(tmp_path, units):
    operator = round_domain(tmp_path, 24, units).operator
    middle = np.pi / 24  # of a side, whose distance from the origin is cos(middle)
    gap = 1 - np.cos(middle)
    way = np.array([[np.cos(middle), np.sin(middle)]])
    state = operator.state(lambda x: x[0] / units.length, "x")
    sensors = Sensors(operator, units.length * way, snap_distance=1.01 * gap * units.length)
    same(sensors.sample(state), np.cos(middle) * way[:, 0])
    for distance in (0.0, 0.99 * gap * units.length):
        text = message(Sensors, operator, units.length * way, [7], distance)
        assert "row 7" in text
        assert "observations.snap_distance" in text
        assert f"{gap * units.length:.2g} outside" in text
