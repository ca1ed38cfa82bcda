"""Curvilinear grids and meshes as ROMS, NEMO, FVCOM and UGRID write them, of a known flow."""

from __future__ import annotations

import numpy as np
import pytest

from advdiff.core.ranks import on_root
from tests.config.bad_input import COMM, message
from tests.files.grid_files import read, xarray

INSIDE = np.vstack([np.random.default_rng(2).uniform(0.2, 0.8, (2, 300)), np.zeros((1, 300))])
METRES = {"units": "m"}
SPEED = {"units": "m s-1"}


def flow(x, y):
    """A smooth flow with all of its slopes."""
    return np.array([1 + np.sin(2 * x) * np.cos(y), x * y - 0.5 + np.cos(x)])


def linear(x, y):
    return np.array([1 + 2 * x - 3 * y, 0.5 - x + 4 * y])


def save(path, content, coordinates=(), **attributes):
    data = xarray.Dataset(content, dict(coordinates), attributes)
    encoding = {n: {"_FillValue": None} for n, v in data.variables.items() if v.dtype.kind == "f"}
    encoding = {n: e for n, e in encoding.items() if "_FillValue" not in data[n].attrs}
    on_root(COMM, lambda: data.to_netcdf(path, engine="h5netcdf", encoding=encoding))
    return path


def error(grid, truth=flow):
    return np.abs(grid(INSIDE) - truth(*INSIDE[:2])).max()


# -- ROMS --


def bent(i, j):
    """An orthogonal curvilinear map of the unit square to a bit more than it: that of w = z²/9 + z,
    turned by half a radian."""
    z = (i + 1j * j - 0.5 - 0.5j) * 1.7
    w = (z + z * z / 9) * np.exp(0.5j) + 0.5 + 0.5j
    return w.real, w.imag


def directions(i, j):
    """Unit vectors along i and j."""
    z = (i + 1j * j - 0.5 - 0.5j) * 1.7
    along = (1 + 2 * z / 9) * np.exp(0.5j)
    along /= np.abs(along)
    return np.array([along.real, along.imag]), np.array([-along.imag, along.real])


def roms(path, n, own=True, land=False, fill=1e37, masks=("rho", "u", "v")):
    """u at (eta_u, xi_u), v at (eta_v, xi_v), s-levels, a mask, spherical coordinates beside."""
    rho = (np.arange(n) + 0.5) / n
    middle = 0.5 * (rho[1:] + rho[:-1])
    at = {"rho": (rho, rho), "u": (middle, rho), "v": (rho, middle)}
    content, coordinates = {}, {"s_rho": ("s_rho", [-0.75, -0.25], {"long_name": "S-coordinate"})}
    for kind, (i, j) in at.items():
        i, j = np.meshgrid(i, j)
        dims = (f"eta_{kind}", f"xi_{kind}")
        x, y = bent(i, j)
        if own or kind == "rho":
            coordinates[f"x_{kind}"] = (dims, x, {"units": "meter"})
            coordinates[f"y_{kind}"] = (dims, y, {"units": "meter"})
            coordinates[f"lon_{kind}"] = (dims, x / 1e5, {"units": "degree_east"})
            coordinates[f"lat_{kind}"] = (dims, y / 1e5, {"units": "degree_north"})
        mask = np.ones(i.shape)
        if land:
            mask[(i > 0.8) & (j > 0.8)] = 0
        if kind in masks:
            content[f"mask_{kind}"] = (dims, mask, {"flag_values": [0.0, 1.0]})
        if kind != "rho":
            along = directions(i, j)["uv".index(kind)]
            speed = (flow(x, y) * along).sum(axis=0)
            speed[mask == 0] = fill
            values = np.stack([0 * speed, speed]).astype("f4")[None]
            attributes = {"units": "meter second-1", "_FillValue": np.float32(1e37)}
            content[kind] = (("ocean_time", "s_rho", *dims), values, attributes)
    time = {"units": "seconds since 2020-01-01"}
    coordinates["ocean_time"] = ("ocean_time", [0.0], time)
    return save(path, content, coordinates, type="ROMS/TOMS history file")


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


def nemo(path, turned, names=("", ""), n=15, plain=False):
    """A merged file of U and V points with their own coordinates, as XIOS writes them."""
    content = {}
    i, j = np.meshgrid(np.linspace(-0.3, 1.3, n), np.linspace(-0.3, 1.3, n))
    for k, letter in enumerate("UV"):
        half = 0.8 / (n - 1) * np.eye(2)[k]
        z = (i + half[0] - 0.5 + 1j * (j + half[1] - 0.5)) * np.exp(1j * turned) + 0.5 + 0.5j
        lines = np.array([[np.cos(turned), np.sin(turned)], [-np.sin(turned), np.cos(turned)]])
        speed = np.einsum("c,cyx->yx", np.eye(2)[k] if plain else lines[k], linear(z.real, z.imag))
        east, north = f"nav_lon_grid_{letter}", f"nav_lat_grid_{letter}"
        content[east] = (("y", "x"), z.real + 360.0, {"units": "degrees_east"})
        content[north] = (("y", "x"), z.imag, {"units": "degrees_north"})
        attributes = {"units": "degrees s-1", "coordinates": f"{north} {east}"}
        if names[k]:
            attributes["standard_name"] = names[k]
        content["uv"[k]] = (("time_counter", "y", "x"), speed[None], attributes)
    return save(path, content)


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


def test_nemo_that_does_not_say_along_what(tmp_path):
    path = nemo(tmp_path / "a.nc", 0.4)
    text = message(read, path, ["u", "v"])
    assert "may count along the lines of their grid" in text
    assert "sea_water_x_velocity" in text
    assert "v and u in a.nc" not in text


# -- meshes --


def triangulated(n=12):
    """Points and triangles of a crooked mesh round the unit square, and faces of four corners."""
    i, j = np.meshgrid(np.linspace(-0.1, 1.1, n), np.linspace(-0.1, 1.1, n))
    x, y = i + 0.3 / n * np.sin(7 * j), j + 0.3 / n * np.cos(5 * i)
    k = np.arange(n * n).reshape(n, n)
    quads = np.stack([k[:-1, :-1], k[:-1, 1:], k[1:, 1:], k[1:, :-1]], axis=-1).reshape(-1, 4)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return x.ravel(), y.ravel(), triangles, quads


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


def ugrid(path, start, location, transposed=False, kind="quads", u=None, said=True):
    x, y, _, quads = triangulated()
    faces = quads
    if kind == "mixed":  # triangles, filled up
        half = len(quads) // 2
        some = np.concatenate([quads[:half, [0, 1, 2]], quads[:half, [0, 2, 3]]])
        some = np.concatenate([some, np.full((len(some), 1), -1)], axis=1)
        faces = np.concatenate([quads[half:], some])
    edges = np.concatenate([quads[:, [0, 1]], quads[:, [1, 2]]])
    corners = {"node": np.arange(len(x))[:, None], "face": faces, "edge": edges}[location]
    some = corners >= 0
    at = [(c[corners] * some).sum(axis=1) / some.sum(axis=1) for c in (x, y)]
    table = np.where(faces < 0, -1, faces + start).astype("i4")
    index = {"start_index": np.int32(start)} if said else {}
    mesh = {
        "cf_role": "mesh_topology",
        "topology_dimension": np.int32(2),
        "node_coordinates": "mesh2d_node_x mesh2d_node_y",
        "face_node_connectivity": "mesh2d_face_nodes",
        "edge_node_connectivity": "mesh2d_edge_nodes",
        "face_dimension": "mesh2d_nFaces",
        "edge_dimension": "mesh2d_nEdges",
    }
    place = {"node": "mesh2d_nNodes", "face": "mesh2d_nFaces", "edge": "mesh2d_nEdges"}[location]
    value = SPEED | {"mesh": "mesh2d", "location": location, "_FillValue": -999.0}
    dims = ("mesh2d_nFaces", "mesh2d_nMax")
    content = {
        "mesh2d": ((), np.int32(0), mesh),
        "mesh2d_node_x": (
            "mesh2d_nNodes",
            x,
            METRES | {"standard_name": "projection_x_coordinate"},
        ),
        "mesh2d_node_y": (
            "mesh2d_nNodes",
            y,
            METRES | {"standard_name": "projection_y_coordinate"},
        ),
        "mesh2d_face_nodes": (
            dims[::-1] if transposed else dims,
            table.T if transposed else table,
            index | {"_FillValue": np.int32(-1)},
        ),
        "mesh2d_edge_nodes": (("mesh2d_nEdges", "two"), (edges + start).astype("i4"), index),
    }
    for k, name in enumerate(("ucx", "ucy")):
        speed = linear(*at)[k] if u is None else u(*at)[k]
        content[f"mesh2d_{name}"] = (("time", place), speed[None], value)
    return save(path, content, Conventions="CF-1.8 UGRID-1.0 Deltares-0.10")


NAMES = ["mesh2d_ucx", "mesh2d_ucy"]


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


# -- regular grids: ERA5, CMEMS --


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
