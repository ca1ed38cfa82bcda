"""What grid files mean: missing values and packing by CF, marks, layouts and formats."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from advdiff.core.ranks import on_root
from advdiff.files.grids import fills, kinds
from advdiff.files.grids.packing import FILL
from tests.config.bad_input import COMM, message
from tests.files.grid_files import X, Y, at_nodes, field, make, read, xarray

ENGINES = pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])


# -- missing and packed --

PACKED = {
    "fill": ("i2", {"_FillValue": np.int16(-5)}),
    "missing": ("i2", {"missing_value": np.int16(7)}),
    "both": ("i2", {"_FillValue": np.int16(-5), "missing_value": np.int16(-5)}),
    "packed": ("i2", {"scale_factor": 0.01, "add_offset": 3.0, "_FillValue": np.int16(-5)}),
    "packed float": ("i2", {"scale_factor": np.float32(0.5), "_FillValue": np.int16(-5)}),
    "bytes": ("i1", {"scale_factor": 0.5, "_FillValue": np.int8(-5)}),
    "unsigned": (
        "i1",
        {"_Unsigned": "true", "_FillValue": np.int8(-5), "scale_factor": 0.5, "add_offset": 1.0},
    ),
    "single": ("f4", {"_FillValue": np.float32(-5)}),
    "double": ("f8", {"missing_value": -5.0, "scale_factor": 3.0}),
    "NaN": ("f8", {"_FillValue": np.nan}),
}


@ENGINES
@pytest.mark.parametrize(("kind", "attributes"), PACKED.values(), ids=PACKED)
def test_decoded_as_by_xarray(tmp_path, engine, kind, attributes):
    stored = np.arange(-20, 43).reshape(7, 9).astype(kind)
    path = make(tmp_path / "a.nc", stored, attributes, engine=engine)

    def decoded():
        with xarray.open_dataset(path, engine=engine, mask_and_scale=True) as file:
            return file["u"].values.astype(float)

    right = on_root(COMM, decoded)
    assert np.isnan(right).sum() == (0 if np.isnan(attributes.get("_FillValue", 0)) else 1)
    np.testing.assert_allclose(at_nodes(read(path, missing=[])), right, rtol=1e-6)


@ENGINES
@pytest.mark.parametrize(
    "limits",
    [
        {"valid_min": np.int16(-10), "valid_max": np.int16(20)},
        {"valid_range": np.array([-10, 20], "i2")},
        {"valid_range": np.array([-0.10, 0.20]) + 3},  # of the wider type of scale_factor: unpacked
        {"valid_min": np.int32(-10), "valid_range": np.array([-15, 20], "i2")},
    ],
)
def test_valid_limits_are_of_the_packed_numbers(tmp_path, engine, limits):
    stored = np.arange(-20, 43).reshape(7, 9).astype("i2")
    attributes = {"scale_factor": 0.01, "add_offset": 3.0} | limits
    found = at_nodes(read(make(tmp_path / "a.nc", stored, attributes, engine=engine)))
    right = np.where((stored >= -10) & (stored <= 20), 3 + 0.01 * stored, np.nan)
    np.testing.assert_allclose(found, right, rtol=1e-12)


def test_limits_of_single_precision_and_without_sign(tmp_path):
    values = np.full((7, 9), np.float32(0.1))
    values[0, 0] = 0.2
    single = at_nodes(read(make(tmp_path / "a.nc", values, {"valid_max": 0.1})))
    assert np.flatnonzero(np.isnan(single)).tolist() == [0]
    stored = np.arange(195, 258).clip(0, 255).astype("u1").view("i1").reshape(7, 9)
    attributes = {"_Unsigned": "true", "valid_range": np.array([0, -6], "i1")}  # 0 to 250
    found = at_nodes(read(make(tmp_path / "b.nc", stored, attributes)))
    assert np.nanmax(found) == 250
    assert np.isnan(found).sum() == 7


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "i4", "i8", "u2", "u4", "f4", "f8"])
def test_the_own_fill_of_netcdf(tmp_path, kind):
    fill = {  # netcdf.h
        "i1": -127,
        "u1": 255,
        "i2": -32767,
        "i4": -2147483647,
        "i8": -9223372036854775806,
        "u2": 65535,
        "u4": 4294967295,
        "f4": 9.9692099683868690e36,
        "f8": 9.9692099683868690e36,
    }[kind]
    assert fill == FILL[kind]
    stored = np.ones((7, 9), kind)
    stored[2, 3] = fill
    path = make(tmp_path / "a.nc", stored, {"scale_factor": 0.01})
    assert np.argwhere(np.isnan(at_nodes(read(path)))).tolist() == [[2, 3]]
    assert np.isfinite(at_nodes(read(path, missing=[]))).all()


def test_packed_axes_are_unpacked(tmp_path):
    axes = {"x": {"scale_factor": 0.5, "add_offset": -1.0}}
    path = make(tmp_path / "a.nc", field(), axes=axes, x=np.arange(9, dtype="i2"))
    np.testing.assert_allclose(read(path).points[0], np.arange(9) / 2 - 1)


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"scale_factor": "é"}, "key: u in a.nc: its scale_factor = 'é' is no number"),
        ({"valid_range": 3.0}, "its valid_range = "),
        ({"valid_min": "low"}, "its valid_min = 'low' is no number"),
        ({"scale_factor": 0.0}, "scale_factor = 0, add_offset = 0 unpack no number"),
        ({"flag_values": np.array([1, 2])}, "u in a.nc holds flags"),
    ],
)
def test_attributes_that_will_not_do(tmp_path, attributes, text):
    assert text in message(read, make(tmp_path / "a.nc", field(), attributes))


# -- marks that are not declared --


@pytest.mark.parametrize(
    "mark", [-9999.0, 9999.0, -999.0, 327.67, -327.68, 1e20, 1e35, -32768.0, 3.4e38, -9999.9]
)
def test_a_speed_that_no_flow_has(tmp_path, mark):
    values = np.full((7, 9), 1.5, "f4")
    values[2:4, 3] = mark
    path = make(tmp_path / "a.nc", values)
    text = message(read, path, ["u", "v"])
    assert text.startswith("key: u in a.nc is ")
    assert "at x = 1.5, y = 1 and 1 more points" in text
    assert "write missing = [" in text
    declared = read(path, ["u", "v"], missing=[mark])
    assert np.isnan(declared.values[..., 0]).sum() == 2
    assert np.isfinite(read(path, ["u", "v"], missing=[]).values).all()


@pytest.mark.parametrize(
    "values",
    [
        np.geomspace(1e-12, 1e3, 63),
        np.where(np.arange(63) == 5, 0.999, 0.0),
        np.where(np.arange(63) < 30, 0.0, 32.767),
        np.where(np.arange(63) == 5, 12345.0, 1e-3),  # a jet
        np.linspace(0, 9999, 63),
        np.where(np.arange(63) == 5, 299792458.0, 0.0),
    ],
)
def test_data_that_are_let_be(values):
    assert fills.undeclared(values) is None


def test_a_mark_in_any_packing():
    stored = np.append(np.arange(50), -32768)
    values = 0.0137 * stored + 2.0
    assert fills.undeclared(values) is None
    assert fills.undeclared(values, 0.0137, 2.0) == values[-1]


def test_a_release_may_be_of_any_size(tmp_path):
    values = np.where(field() > 0, 1e12, 0.0)
    path = make(tmp_path / "a.nc", values)
    assert read(path).values.max() == 1e12
    assert "-9999" in message(read, make(tmp_path / "b.nc", np.where(field() > 0, -9999, 1.0)))


def test_land(tmp_path):
    values = field()
    values[0, 0] = np.nan
    other = (("y", "x"), field())
    path = make(tmp_path / "a.nc", values, w=other)
    wall = read(path, ["u", "w"], land="wall", scale=2.0)
    assert wall.values[0, 0].tolist() == [0.0, 0.0]
    assert "1 of 63 points as land = wall" in wall.said
    number = read(path, ["u", "w"], land=5.0, scale=2.0)
    assert number.values[0, 0].tolist() == [5.0, 2 * field()[0, 0]]
    cubic = read(path, land=0.0, interpolation="cubic")
    assert np.isfinite(cubic(np.array([[0.1], [0.1], [0.0]]))).all()
    assert "key.land = 'wall': for a velocity" in message(read, path, land="wall")


# -- layouts and formats --


def write_nemo(path, counts=False):
    """Dimensions x and y without coordinates, as NEMO writes them, or with their counts."""
    lon, lat = X + 0.1 * Y[:, None], Y[:, None] + 0.1 * X
    content = {name: (("y", "x"), field()) for name in "uv"}
    content["nav_lon"] = (("y", "x"), lon, {"units": "degrees_east"})
    content["nav_lat"] = (("y", "x"), lat, {"units": "degrees_north"})
    if counts:
        content |= {"x": np.arange(9), "y": np.arange(7)}
    on_root(COMM, lambda: xarray.Dataset(content).to_netcdf(path, engine="h5netcdf"))
    return path


@pytest.mark.parametrize("counts", [False, True])
def test_dimensions_are_no_coordinates(tmp_path, counts):
    path = write_nemo(tmp_path / "a.nc", counts)
    grid = read(path, scale=2.0)
    assert "on a curvilinear grid (NEMO)" in grid.said
    at = np.array([[X[3] + 0.1 * Y[2]], [Y[2] + 0.1 * X[3]], [0.0]])
    np.testing.assert_allclose(grid(at), 2 * field()[2, 3])
    if counts:
        assert read(path, axes=["x", "y"]).points[0].tolist() == list(range(9))
    else:
        text = message(read, path, axes=["x", "y"])
        assert "on a curvilinear grid (NEMO), nav_lat and nav_lon of two dimensions" in text
        assert "which is read in two dimensions, by coordinates of its own" in text


@ENGINES
def test_dimensions_without_any_coordinates(tmp_path, engine):
    path = tmp_path / "a.nc"
    content = xarray.Dataset({"u": (("y", "x"), field()), "w": (("time", "y", "x"), field()[None])})
    on_root(COMM, lambda: content.to_netcdf(path, engine=engine))
    text = message(read, path)
    assert "u in a.nc has the dimensions (y, x), and no coordinates along y, x; add var" in text
    assert "x is a dimension of u in a.nc without coordinates" in message(
        read, path, axes=["x", "y"]
    )


LAYOUTS = {
    "UGRID": (("nMesh2_face",), {"Mesh2": ((), 0, {"cf_role": "mesh_topology"})}),
    "ROMS": (("eta_u", "xi_u"), {}),
    "FVCOM": (("siglay", "nele"), {}),
    "WRF": (("south_north", "west_east_stag"), {}),
    "MPAS": (("nCells",), {}),
    "compress = lat lon": (("land",), {"land": ("land", [1, 5], {"compress": "lat lon"})}),
}


@pytest.mark.parametrize(("dims", "more"), LAYOUTS.values(), ids=LAYOUTS)
def test_layouts_are_named(tmp_path, dims, more):
    path = tmp_path / "a.nc"
    content = {"u": (dims, np.ones((2,) * len(dims)))} | more
    on_root(COMM, lambda: xarray.Dataset(content).to_netcdf(path, engine="h5netcdf"))
    text = message(read, path)
    name = next(name for name, (d, _) in LAYOUTS.items() if d == dims)
    assert name in text
    read_otherwise = name in ("UGRID", "FVCOM", "ROMS")
    assert ("which is read in two dimensions, by coordinates" in text) == read_otherwise
    assert ("which is not read; interpolate" in text) != read_otherwise


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"CDF\x05" + bytes(40), ["CDF-5", "netCDF4", "nccopy -k nc4 a.nc new.nc"]),
        (b"GRIB" + bytes(40), ["GRIB", "cdo -f nc4 copy a.nc new.nc"]),
        (b"\x0e\x03\x13\x01" + bytes(40), ["HDF4"]),
    ],
)
def test_formats_are_named(tmp_path, monkeypatch, content, parts):
    monkeypatch.setattr(kinds, "find_spec", lambda name: None)
    path = tmp_path / "a.nc"
    on_root(COMM, lambda: path.write_bytes(content) and None)
    text = message(read, path)
    assert all(part in text for part in parts)
    assert "write it again" not in text


@pytest.mark.skipif(bool(h5py.h5z.filter_avail(32015)), reason="this HDF5 knows zstd")
def test_a_compression_that_is_not_there_is_named(tmp_path):
    path = make(tmp_path / "a.nc", field())

    def compress():
        with h5py.File(path, "a") as file:
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_chunk((7, 9))
            plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)
            space = h5py.h5s.create_simple((7, 9))
            h5py.h5d.create(file.id, b"z", h5py.h5t.NATIVE_DOUBLE, space, plist)

    on_root(COMM, compress)
    text = message(read, path, "z")
    assert "compressed by zstd" in text
    assert "hdf5plugin, or write nccopy -F none a.nc new.nc" in text
    np.testing.assert_array_equal(at_nodes(read(path)), field())
