"""Files as ROMS, NEMO, FVCOM and UGRID write them, of known flows."""

from __future__ import annotations

import numpy as np

from advdiff.core.ranks import on_root
from tests.config.bad_input import COMM
from tests.files.grid_files import xarray

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


NAMES = ["mesh2d_ucx", "mesh2d_ucy"]


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


def triangulated(n=12):
    """Points and triangles of a crooked mesh round the unit square, and faces of four corners."""
    i, j = np.meshgrid(np.linspace(-0.1, 1.1, n), np.linspace(-0.1, 1.1, n))
    x, y = i + 0.3 / n * np.sin(7 * j), j + 0.3 / n * np.cos(5 * i)
    k = np.arange(n * n).reshape(n, n)
    quads = np.stack([k[:-1, :-1], k[:-1, 1:], k[1:, 1:], k[1:, :-1]], axis=-1).reshape(-1, 4)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return x.ravel(), y.ravel(), triangles, quads


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
