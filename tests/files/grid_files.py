"""Small grid files, as the tests of their conventions make them."""

from __future__ import annotations

import numpy as np
import pytest

from advdiff.core.ranks import on_root
from advdiff.domain import gridded
from tests.config.bad_input import COMM

xarray = pytest.importorskip("xarray")
X, Y = np.linspace(0, 4, 9), np.linspace(0, 3, 7)
DEGREES = {"x": {"units": "degrees_east"}, "y": {"units": "degrees_north"}}


def along(units: str) -> dict:
    """Both axes in the same units."""
    return {"x": {"units": units}, "y": {"units": units}}


def field():
    """1 + 2x − 3y + xy on the grid, which a linear spline gives back."""
    return 1 + 2 * X - 3 * Y[:, None] + X * Y[:, None]


def make(path, values, attributes=(), axes=None, engine="h5netcdf", x=X, y=Y, **more):
    """u = v = values in (y, x) as they are, no fill and no packing but in the attributes."""
    axes = {"x": {}, "y": {}} | (axes or {})

    def save():
        content = {name: (("y", "x"), np.asarray(values), dict(attributes)) for name in "uv"}
        places = {"x": ("x", x, axes["x"]), "y": ("y", y, axes["y"])}
        dataset = xarray.Dataset(content | more, places)
        plain = {name: {"_FillValue": None} for name in dataset.variables}
        dataset.to_netcdf(
            path,
            engine=engine,
            encoding={
                name: value
                for name, value in plain.items()
                if "_FillValue" not in dataset[name].attrs
            },
        )

    on_root(COMM, save)
    return path


def read(path, names="u", bounds=None, dim=2, **options):
    return gridded.read(path, names, bounds, dim, "key", **options)


def at_nodes(grid):
    """(y, x)."""
    return grid.values[..., 0].T
