"""Units of grid files and their axes, longitudes round the globe, levels, depths."""

from __future__ import annotations

import numpy as np
import pytest

from advdiff import tasks
from advdiff.config.load import parse as parsed
from advdiff.files.grids.units import parse
from advdiff.problem.problem import Problem
from tests.config.bad_input import data, message
from tests.files.grid_files import DEGREES, X, Y, along, at_nodes, field, make, read, xarray

SIDES = ("left", "right", "bottom", "top")

# -- units --


@pytest.mark.parametrize(
    ("texts", "factor", "powers"),
    [
        (["m s-1", "m/s", "m s**-1", "m.s-1", "m*s^-1", "metres per second"], 1, {"m": 1, "s": -1}),
        (["cm s-1", "centimeter/second", "0.01 m/s"], 0.01, {"m": 1, "s": -1}),
        (["km/h", "km hr-1", "kph"], 1 / 3.6, {"m": 1, "s": -1}),
        (["knots", "kt", "nmi h-1"], 1852 / 3600, {"m": 1, "s": -1}),
        (["m2 s-1", "m^2/s", "m**2 s**-1"], 1, {"m": 2, "s": -1}),
        (["hPa", "mbar", "100 N m-2"], 100, {"kg": 1, "m": -1, "s": -2}),
        (["degrees_north", "Degrees_East", "degree"], 1, {"degree": 1}),
        (["radians"], 180 / np.pi, {"degree": 1}),
        (["days"], 86400, {"s": 1}),
    ],
)
def test_spellings(texts, factor, powers):
    for text in texts:
        unit = parse(text)
        assert unit.powers == powers
        assert unit.factor == pytest.approx(factor, rel=1e-14)


@pytest.mark.parametrize(
    "text", ["ms-1", "S", "Mm", "psu", "1", "", "hours since 2000-01-01", "m s -1", None, 3.0]
)
def test_no_units_that_are_known(text):
    assert parse(text) is None


REFUSED = {
    "degrees": (DEGREES, "m s-1", ["axes of u in a.nc are in degrees", "plane ="]),
    "by name": (
        {"x": {"standard_name": "longitude"}, "y": {"standard_name": "latitude"}},
        "m s-1",
        ["axes of u in a.nc are in degrees"],
    ),
    "km": (along("km"), "m s-1", ["axes of u in a.nc are in km", "1000 ×", "units = 'km s-1'"]),
    "cm/s": (along("m"), "cm/s", ["100 ×", "units = 'm s-1'"]),
    "km/s": (along("m"), "km s-1", ["in m, its values in km s-1"]),
    "mixed": (along("m") | {"y": {"units": "km"}}, "m s-1", ["are in m and km", "axis_units"]),
    "no velocity": (along("m"), "K", ["u in a.nc is in K, which is no velocity"]),
    "pressure": (along("m"), "Pa s**-1", ["no velocity"]),
}


@pytest.mark.parametrize(("axes", "units", "parts"), REFUSED.values(), ids=REFUSED)
def test_units_that_do_not_fit(tmp_path, axes, units, parts):
    values = field()
    values[0, 0] = np.nan
    path = make(tmp_path / "a.nc", values, {"units": units}, axes)
    for names, options in ((["u", "v"], {}), ("u", {"velocity": True})):
        text = message(read, path, names, **options)
        assert all(part in text for part in parts), text
        if "no velocity" not in text:
            assert "1 of 63 values there are missing" in text
    assert read(path, scale=3.6, velocity=True).values.shape == (9, 7, 1)  # the user's own factor


@pytest.mark.parametrize(
    ("axes", "units"),
    [
        (along("m"), "m s-1"),
        (along("metres"), "m s**-1"),
        (along("km"), "km/day"),
        (along("km"), "kilometers per hour"),
        (along("nmi"), "knots"),
        (DEGREES, "degrees day-1"),
        (along("m"), ""),
        (along("m"), "furlongs"),
        ({}, "m s-1"),
    ],
)
def test_units_that_fit_or_are_not_known(tmp_path, axes, units):
    path = make(tmp_path / "a.nc", field(), {"units": units}, axes)
    grid = read(path, ["u", "v"])
    np.testing.assert_array_equal(at_nodes(grid), field())
    assert (f"in {units}" in grid.said) == (units not in ("", "furlongs"))


def test_units_are_converted(tmp_path):
    path = make(tmp_path / "a.nc", field(), {"units": "cm s-1"}, along("m"))
    grid = read(path, ["u", "v"], units="km h-1", axis_units="km")
    np.testing.assert_allclose(at_nodes(grid), 0.036 * field(), rtol=1e-14)
    np.testing.assert_allclose(grid.points[0], X / 1000, rtol=1e-14)
    assert grid.said == " from cm s-1 to km h-1 on axes in km, x in km from m, y in km from m"
    assert "in m, its values in km h-1" in message(read, path, ["u", "v"], units="km h-1")
    assert "u in a.nc is in cm s-1" in message(read, path, units="K")
    assert "key.units = 'knot/': not known" in message(read, path, units="knot/")
    assert "key.axis_units = 'K'" in message(read, path, axis_units="K")
    bare = make(tmp_path / "b.nc", field())
    assert "u in b.nc states no units" in message(read, bare, units="m s-1")
    assert "x in b.nc is in no units" in message(read, bare, axis_units="m")


def test_a_diffusivity_counts_squares_of_lengths(tmp_path):
    path = make(tmp_path / "a.nc", field(), {"units": "m2 s-1"}, along("km"))
    assert "units = 'km2 s-1'" in message(read, path)
    np.testing.assert_allclose(at_nodes(read(path, units="km2 h-1")), 3.6e-3 * field())
    free = make(tmp_path / "b.nc", field(), {"units": "kg m-3"}, along("km"))
    np.testing.assert_array_equal(at_nodes(read(free)), field())


def test_one_experiment_has_one_unit_of_time(tmp_path):
    make(tmp_path / "a.nc", field(), {"units": "m s-1"}, along("m"))
    make(tmp_path / "b.nc", 1 + field() ** 2, {"units": "m2 day-1"}, along("m"))
    kappa = {"file": "b.nc", "name": "u"}
    changes = {
        "physics.velocity": {"file": "a.nc", "components": ["u", "v"]},
        "physics.inflow": dict.fromkeys(SIDES, 0.0),
        "physics.diffusivity": kappa,
    }

    def check(changes):
        return tasks.check(Problem(parsed(data(changes), tmp_path / "e.toml")))

    text = message(check, changes)
    assert "b.nc counts time in units of 86400 s, physics.velocity of 1 s" in text
    lines = check(changes | {"physics.diffusivity": kappa | {"units": "m2 s-1"}})
    assert "read        physics.velocity: u, v of a.nc in m s-1 on axes in m" in lines
    assert any(line.endswith("from m2 day-1 to m2 s-1 on axes in m") for line in lines)


def test_a_plane_that_touches_the_globe(tmp_path):
    path = make(tmp_path / "a.nc", field(), {"units": "m s-1"}, DEGREES)
    grid = read(path, ["u", "v"], plane=[2.0, 60.0], axis_units="km", units="km h-1")
    degree = np.pi * 6371.0088 / 180
    np.testing.assert_allclose(grid.points[0], degree * (X - 2) / 2, atol=1e-9)
    np.testing.assert_allclose(grid.points[1], degree * (Y - 60), atol=1e-9)
    worst = abs(np.cos(np.radians(60)) / np.cos(np.radians(0)) - 1)
    assert f"on the plane at [2.0, 60.0], lengths along x off by up to {worst:.1%}" in grid.said
    assert "key.plane" in message(read, path, axes=["y", "x"], plane=[0.0, 0.0])
    plain = make(tmp_path / "b.nc", field(), axes=along("m"))
    assert "x in b.nc is in 'm': remove it" in message(read, plain, plane=[0.0, 0.0])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("northward_wind", "u in a.nc (northward_wind) stands where the one along x"),
        ("westward_wind", "scale = -1.0"),
    ],
)
def test_components_point_along_their_axes(tmp_path, name, text):
    path = make(tmp_path / "a.nc", field(), {"standard_name": name}, DEGREES)
    assert text in message(read, path, ["u", "v"])


# -- axes --


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("last", [359.0, 360.0])
@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_longitudes_are_wrapped(tmp_path, falling, last, interpolation):
    lon, lat = np.arange(0, last + 1), np.linspace(-40, 40, 81)
    values = np.sin(np.radians(lon)) * np.cos(np.radians(lat[:, None]))
    order = slice(None, None, -1 if falling else 1)
    path = make(tmp_path / "a.nc", values[:, order], axes=DEGREES, x=lon[order], y=lat)
    bounds = (np.array([-10.0, -20.0]), np.array([5.0, 20.0]))
    grid = read(path, bounds=bounds, interpolation=interpolation)
    x = np.stack([np.linspace(-10, 5, 61), np.linspace(-20, 20, 61), np.zeros(61)])
    right = np.sin(np.radians(x[0])) * np.cos(np.radians(x[1]))
    np.testing.assert_allclose(grid(x), right, atol=1e-4)
    assert "x wrapped round the globe" in grid.said
    assert len(grid.points[0]) < 40
    region = make(tmp_path / "b.nc", values[:, 300:350], axes=DEGREES, x=lon[300:350], y=lat)
    turned = read(region, bounds=(np.array([-50.0, 0.0]), np.array([-20.0, 5.0])))
    np.testing.assert_allclose(turned.points[0][[0, -1]], [-50, -20])
    text = message(read, region, bounds=(np.array([-50.0, 0.0]), np.array([20.0, 5.0])))
    assert "covers x from -60 to -11, the domain needs -50 to 20" in text


def test_levels_and_members_are_chosen(tmp_path):
    u = field() + 10 * np.arange(3)[:, None, None] + 100 * np.arange(2)[:, None, None, None]
    depth = xarray.DataArray([0.5, 10.0, 30.0], dims="depth", attrs={"units": "m"})
    deep = {"q": (("member", "depth", "y", "x"), u), "d": (("depth", "y", "x"), u[0])}
    path = make(tmp_path / "a.nc", field(), depth=depth, **deep)
    text = message(read, path, "d")
    assert text.startswith("key.level: missing; d in a.nc has also an axis depth of 3")
    for level in (2, 29.0, {"depth": 2}, {"depth": 30.0}):
        grid = read(path, "d", level=level)
        np.testing.assert_array_equal(at_nodes(grid), field() + 20)
        assert grid.source == "d of a.nc at depth[2] = 30 m"
    both = read(path, "q", level={"depth": 10.0, "member": 1})
    np.testing.assert_array_equal(at_nodes(both), field() + 110)
    assert "key.level = 1: q in a.nc has member, depth" in message(read, path, "q", level=1)
    assert "key.level = 31.0: a.nc has levels from 0.5 to 30 m" in message(
        read, path, "d", level=31.0
    )
    assert "key.level = 3: a.nc has 3 levels; give 0 to 2" in message(read, path, "d", level=3)
    assert "no other axis 'dept'" in message(read, path, "d", level={"dept": 1})
    assert "key.level = 0: u in a.nc has no other axis; remove it" in message(read, path, level=0)


def test_an_axis_that_counts_downwards(tmp_path):
    depth = np.linspace(0, 30, 4)
    values = field()[None] + depth[:, None, None]
    below = {"standard_name": "depth", "positive": "down", "units": "m"}
    axes = DEGREES | {"x": {"axis": "X"}, "y": {"axis": "Y"}}
    deep = {"depth": ("depth", depth, below), "q": (("depth", "y", "x"), values)}
    path = make(tmp_path / "a.nc", field(), axes=axes, **deep)
    assert "write axes = ['x', 'y', '-depth']" in message(read, path, "q", dim=3)
    up = read(path, "q", dim=3, axes=["x", "y", "-depth"])
    np.testing.assert_array_equal(up.points[2], -depth[::-1])
    np.testing.assert_array_equal(up.values[0, 0, :, 0], 1 + depth[::-1])
    same = read(path, "q", dim=3, axes=["x", "y", "depth"])
    np.testing.assert_array_equal(same.values[0, 0, :, 0], 1 + depth)
