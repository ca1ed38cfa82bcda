"""Curvilinear grids as ROMS and NEMO write them."""

from __future__ import annotations

import numpy as np
import pytest

from advdiff.core.ranks import on_root
from tests.config.bad_input import COMM, message
from tests.files.grid_files import read, xarray
from tests.files.layouts.writers import (
    INSIDE,
    bent,
    error,
    linear,
    nemo,
    roms,
    save,
)

# -- ROMS --


@pytest.mark.parametrize("own", [True, False])
def test_roms(tmp_path, own):
    def off(n):
        path = roms(tmp_path / f"{n}.nc", n, own)
        return error(read(path, ["u", "v"], ([0.2] * 2, [0.8] * 2), level=1))

    coarse, fine = off(20), off(80)
    assert fine < 4e-4
    assert coarse / fine > 10  # 16 at second order


def test_roms_as_it_says(tmp_path):
    path = roms(tmp_path / "a.nc", 20)
    said = read(path, ["u", "v"], level=-0.25).said
    assert "on a curvilinear grid (ROMS), turned from its lines to the axes" in said
    assert "key.level: missing" in message(read, path, ["u", "v"])
    for axes in (["lon_u", "lat_u"], ["lon_rho", "lat_rho"]):  # those of v have other names
        text = message(read, path, ["u", "v"], level=1, axes=axes)
        assert "the axes of u in a.nc are in degrees, its values in meter second-1" in text
    metres = read(path, ["u", "v"], level=1, axes=["lon_u", "lat_u"], plane=[0.0, 0.0])
    radius = 6371008.8 * np.pi / 180 / 1e5
    np.testing.assert_allclose(metres(INSIDE * radius), read(path, ["u", "v"], level=1)(INSIDE))
    assert "u in a.nc is on a staggered curvilinear grid (ROMS)" in message(
        read, path, ["u", "v"], level=1, axes=["x_w", "y_w"]
    )
    assert "write 'linear'" in message(read, path, ["u", "v"], level=1, interpolation="cubic")
    text = message(read, path, "u", level=1, velocity=True)
    assert "give both in one table" in text


@pytest.mark.parametrize(("fill", "masks"), [(1e37, ()), (0.0, ("rho", "u", "v")), (0.0, ("rho",))])
def test_the_land_of_roms(tmp_path, fill, masks):
    path = roms(tmp_path / "a.nc", 20, land=True, fill=fill, masks=masks)
    grid = read(path, ["u", "v"], level=1)
    x, y = bent(0.9, 0.9)
    place = np.array([[x], [y], [0.0]])
    assert np.isnan(grid(place)).all()
    assert "has missing values around it: the key land fills them" in grid.why([x, y])
    assert "does not reach there" in grid.why([9.0, 9.0])
    wall = read(path, ["u", "v"], level=1, land="wall")
    assert (wall(place) == 0).all()
    assert "values as land = wall" in wall.said
    away = np.stack([*bent(np.array([0.3, 0.5]), np.array([0.6, 0.2])), [0, 0]])
    np.testing.assert_array_equal(wall(away), grid(away))


# -- NEMO --


@pytest.mark.parametrize(
    ("turned", "names", "plain"),
    [
        (0.4, ("sea_water_x_velocity", "sea_water_y_velocity"), False),
        (0.4, ("eastward_sea_water_velocity", "northward_sea_water_velocity"), True),
        (0.0, ("", ""), False),
    ],
)
def test_nemo(tmp_path, turned, names, plain):
    path = nemo(tmp_path / "a.nc", turned, names, plain=plain)
    grid = read(path, ["u", "v"], ([0.2] * 2, [0.8] * 2))
    assert error(grid, linear) < 1e-12
    assert "on a curvilinear grid (NEMO)" in grid.said
    assert ("turned from its lines" in grid.said) == (not plain and turned > 0)


@pytest.mark.parametrize("start", [0.0, -180.0, 74.0])
def test_a_curvilinear_grid_round_the_globe(tmp_path, start):
    lon, lat = np.meshgrid((start + np.arange(0, 360, 2.0)) % 360, np.arange(-10, 10.5, 2.0))
    content = {
        "u": (("y", "x"), np.sin(np.radians(lon)), {"units": "K"}),
        "nav_lon": (("y", "x"), lon, {"units": "degrees_east"}),
        "nav_lat": (("y", "x"), lat, {"units": "degrees_north"}),
    }
    path = save(tmp_path / "a.nc", content)
    grid = read(path, "u", ([-9, -5], [9, 5]))
    x = np.linspace(-8, 8, 9)
    found = grid(np.stack([x, 0.3 * x, 0 * x]))
    np.testing.assert_allclose(found, np.sin(np.radians(x)), atol=1e-12)
    text = message(read, path, "u", ([0, 20], [9, 25]))
    assert "a.nc covers nav_lon from" in text
    assert "none of the domain" in text


def test_blocks_of_land_without_places(tmp_path):
    """NEMO writes zeros for the coordinates of what no process of it has computed."""
    path = nemo(tmp_path / "a.nc", 0.4, ("sea_water_x_velocity", "sea_water_y_velocity"))

    def empty():
        with xarray.open_dataset(path, decode_cf=False, engine="h5netcdf") as data:
            data = data.load()
        for name, variable in data.variables.items():
            if name.startswith("nav"):
                variable.values[-4:, -4:] = 0
            elif name in ("u", "v"):
                variable.values[:, -5:, -5:] = np.nan
        data.to_netcdf(tmp_path / "b.nc", engine="h5netcdf")

    on_root(COMM, empty)
    assert error(read(tmp_path / "b.nc", ["u", "v"], ([0.2] * 2, [0.8] * 2)), linear) < 1e-12
    z = np.array([0.8 + 0.8j, 0.83 + 1.0j, 1.2 + 1.2j]) - 0.5 - 0.5j
    z = z * np.exp(0.4j) + 0.5 + 0.5j
    wall = read(tmp_path / "b.nc", ["u", "v"], ([0.2] * 2, [1.2] * 2), land="wall")
    found = wall(np.stack([z.real, z.imag, 0 * z.real]))
    assert np.isfinite(found[:, :2]).all()
    assert np.isnan(found[:, 2]).all()


def test_nemo_that_does_not_say_along_what(tmp_path):
    path = nemo(tmp_path / "a.nc", 0.4)
    text = message(read, path, ["u", "v"])
    assert "may count along the lines of their grid" in text
    assert "sea_water_x_velocity" in text
    assert "v and u in a.nc" not in text


@pytest.mark.parametrize(
    ("names", "changes", "text"),
    [
        (["v", "u"], {}, "key.components: v in a.nc is on eta_v and xi_v, where the other"),
        (["u", "v"], {"axes": ["x_rho"]}, "key.axes: 1 names in 2 dimensions"),
        (["u", "v"], {"axes": ["x_rho", "x_rho"]}, "are not 2 different names"),
        (["u", "v"], {"axes": ["y_rho", "x_rho"]}, "y_u in a.nc is y; give ['x_rho', 'y_rho']"),
        (["u", "v"], {"dimensions": ["a", "b"]}, "key.dimensions: is for files that do not name"),
    ],
)
def test_what_does_not_fit(tmp_path, names, changes, text):
    path = roms(tmp_path / "a.nc", 8)
    assert text in message(read, path, names, level=1, **changes)
