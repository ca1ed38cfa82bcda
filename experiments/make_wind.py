"""Make ``wind.nc``: a synthetic surface wind, packed as weather services pack theirs.

Three days, six hours apart, on a grid of 25 km: a background wind that turns and freshens, and two
lows and a high that drift with it and change in strength.  The wind blows across their isobars by
10 degrees, into lows and out of highs, as friction makes it; so it has a divergence.
Stored as int16 with scale_factor, add_offset and _FillValue, rows from north to south.

    scripts/run python experiments/make_wind.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray

HERE = Path(__file__).parent
X, Y = np.arange(0.0, 1501.0, 25.0), np.arange(1000.0, -1.0, -25.0)  # km; y falls
HOURS = np.arange(0.0, 73.0, 6.0)
INFLOW = np.deg2rad(10.0)
CENTRES = ((450.0, 600.0), (1000.0, 350.0), (1100.0, 800.0))  # km, at hour 0
DRIFT = ((5.0, 1.5), (3.0, 2.0), (2.0, -2.0))  # km/h
RADII = (180.0, 220.0, 160.0)  # km, of the strongest wind
SPEEDS = (14.0, -9.0, 8.0)  # m/s there; positive: a low, counterclockwise
GROWTH = (0.005, -0.003, 0.002)  # 1/h


def wind(hour: float) -> tuple[np.ndarray, np.ndarray]:
    """u10, v10 in m/s on the grid, shape (y, x)."""
    x, y = np.meshgrid(X, Y)
    turn = np.deg2rad(15.0 + 0.5 * hour)
    strength = 6.0 + 0.03 * hour
    u, v = strength * np.cos(turn) + 0 * x, strength * np.sin(turn) + 0 * x
    for (cx, cy), (dx, dy), radius, speed, growth in zip(
        CENTRES, DRIFT, RADII, SPEEDS, GROWTH, strict=True
    ):
        rx, ry = (x - cx - dx * hour) / radius, (y - cy - dy * hour) / radius
        swirl = speed * np.exp(growth * hour) * np.exp(0.5 - 0.5 * (rx**2 + ry**2))
        u += swirl * (-ry * np.cos(INFLOW) - rx * np.sin(INFLOW))
        v += swirl * (rx * np.cos(INFLOW) - ry * np.sin(INFLOW))
    return u, v


def packing(values: np.ndarray) -> dict:
    """An encoding that spreads the range of the values over int16, −32767 being missing."""
    low, high = float(values.min()), float(values.max())
    return {
        "dtype": "int16",
        "scale_factor": (high - low) / 65532,
        "add_offset": 0.5 * (high + low),
        "_FillValue": np.int16(-32767),
        "zlib": True,
        "shuffle": True,
    }


def main() -> None:
    """Write ``wind.nc`` beside this file."""
    u, v = np.stack([wind(hour) for hour in HOURS], axis=1)
    dims, common = ("time", "y", "x"), {"units": "m s-1"}
    data = xarray.Dataset(
        {
            "u10": (dims, u, common | {"standard_name": "eastward_wind", "long_name": "wind, x"}),
            "v10": (dims, v, common | {"standard_name": "northward_wind", "long_name": "wind, y"}),
        },
        {
            "time": ("time", HOURS, {"units": "hours since 2024-01-15", "axis": "T"}),
            "y": ("y", Y, {"units": "km", "standard_name": "projection_y_coordinate", "axis": "Y"}),
            "x": ("x", X, {"units": "km", "standard_name": "projection_x_coordinate", "axis": "X"}),
        },
        {"Conventions": "CF-1.8", "title": "Synthetic wind of experiments/make_wind.py of advdiff"},
    )
    encoding = {"u10": packing(u), "v10": packing(v)}
    path = HERE / "wind.nc"
    data.to_netcdf(path, engine="h5netcdf", encoding=encoding)
    print(
        f"{path.name}: {u.shape}, fastest {np.hypot(u, v).max():.1f} m/s, {path.stat().st_size} B"
    )


if __name__ == "__main__":
    main()
