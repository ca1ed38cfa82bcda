"""Regular grids as CMEMS and ERA5 write them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.config.bad_input import message
from tests.files.grid_files import read
from tests.files.layouts.writers import METRES, save


def test_cmems(tmp_path):
    """Packed integers with land, depths, and valid limits of the packed numbers."""
    lon, lat = np.arange(4.0, 6.01, 0.25), np.arange(52.0, 54.01, 0.25)
    content, scale = {}, 0.0006103701889514923
    for name, word, slope in (("uo", "eastward", 0.1), ("vo", "northward", -0.2)):
        stored = np.round(slope * (lon - 5 + 0 * lat[:, None]) / scale).astype("i2")
        stored[lat > 53.4] = -32767
        attributes = {
            "units": "m s-1",
            "standard_name": f"{word}_sea_water_velocity",
            "scale_factor": scale,
            "add_offset": 0.0,
            "_FillValue": np.int16(-32767),
            "valid_min": np.int16(-4096),
            "valid_max": np.int16(4096),
        }
        dims = ("time", "depth", "latitude", "longitude")
        content[name] = (dims, np.stack([0 * stored, stored])[None], attributes)
    down = {"units": "m", "positive": "down", "standard_name": "depth", "axis": "Z"}
    place = {
        "longitude": ("longitude", lon, {"units": "degrees_east", "axis": "X"}),
        "latitude": ("latitude", lat, {"units": "degrees_north", "axis": "Y"}),
        "depth": ("depth", [0.5, 10.0], down),
        "time": ("time", [0.0], {"units": "hours since 1950-01-01", "axis": "T"}),
    }
    path = save(tmp_path / "a.nc", content, place, Conventions="CF-1.0")
    options = {"plane": [5.0, 53.0], "level": 10.0}
    grid = read(path, ["uo", "vo"], ([-3e4, -3e4], [3e4, 2e4]), **options)
    x = np.array([[-2e4, 1e4], [0, 1e4], [0, 0]])
    degrees = np.degrees(x[0] / 6371008.8) / np.cos(np.radians(53.0))
    np.testing.assert_allclose(grid(x), [0.1 * degrees, -0.2 * degrees], atol=scale)
    assert np.isnan(grid(np.array([[0.0], [5e4], [0]]))).all()
    wall = read(path, ["uo", "vo"], ([-3e4, -3e4], [3e4, 8e4]), land="wall", **options)
    assert (wall(np.array([[1e4], [7e4], [0]])) == 0).all()


@pytest.mark.parametrize("new", [False, True])
def test_era5(tmp_path, new):
    """Packed, north first, round the globe from 0; or of the new store, with valid_time."""
    lon, lat = np.arange(0.0, 360.0, 2.0), np.arange(90.0, -90.5, -2.0)
    value = np.sin(np.radians(lon)) * np.cos(np.radians(lat))[:, None]
    scale = 1 / 30000
    stored = value[None] if new else np.round(value / scale).astype("i2")[None]
    attributes = {"units": "m s**-1", "long_name": "10 metre U wind component"}
    place = {"longitude": ("longitude", lon, {"units": "degrees_east"})}
    place["latitude"] = ("latitude", lat, {"units": "degrees_north"})
    if new:
        time = {"units": "seconds since 1970-01-01", "standard_name": "time"}
        place["valid_time"] = ("valid_time", [0], time)
        place |= {"number": ((), 0), "expver": ("valid_time", ["0001"])}
        attributes |= {"_FillValue": np.nan}
    else:
        place["time"] = ("time", [1000], {"units": "hours since 1900-01-01 00:00:00.0"})
        attributes |= {"scale_factor": scale, "add_offset": 0.0, "_FillValue": np.int16(-32767)}
    dims = ("valid_time" if new else "time", "latitude", "longitude")
    path = save(tmp_path / "a.nc", {"u10": (dims, stored, attributes)}, place)
    grid = read(path, "u10", ([-10, 30], [10, 50]), scale=0.5)
    found = 2 * grid(np.array([[-4.0, 6.0], [40.0, 32.0], [0, 0]]))
    truth = [
        np.sin(np.radians(-4)) * np.cos(np.radians(40)),
        np.sin(np.radians(6)) * np.cos(np.radians(32)),
    ]
    np.testing.assert_allclose(found, truth, atol=2e-5 if not new else 1e-12)


def test_northings_of_single_precision(tmp_path):
    """Half a metre apart from each other at 5e6: the domain sticks out by rounding alone."""
    x, y = 5e5 + 10.0 * np.arange(5), 5e6 + 0.2 + 10.0 * np.arange(7)
    axes = {
        "x": ("x", x.astype("f4"), METRES),
        "y": ("y", y.astype("f4"), METRES),
    }
    content = {"u": (("y", "x"), y[:, None] - 5e6 + 0 * x, {"units": "K"})}
    path = save(tmp_path / "a.nc", content, axes)
    ends = ([x[0], y[0] - 0.2], [x[-1], y[-1] + 0.2])
    grid = read(path, "u", ends)
    corners = np.array([[ends[0][0], ends[1][0]], [ends[0][1], ends[1][1]], [0.0, 0.0]])
    np.testing.assert_allclose(grid(corners), [0.2, 60.2], atol=0.25)
    text = message(read, path, "u", ([x[0], y[0] - 3.0], ends[1]))
    assert "a.nc covers y from 5000000 to 5000060, the domain needs 4999997.2 to" in text
