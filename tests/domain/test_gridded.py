"""Fields on regular grids in files: layout, packing, times, splines; the same on all ranks."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from mpi4py import MPI

from advdiff import tasks
from advdiff.config.load import load as load_experiment
from advdiff.config.load import parse
from advdiff.core.ranks import on_root
from advdiff.domain import gridded
from advdiff.files.finished import open_result
from advdiff.problem.problem import Problem
from tests.config.bad_input import COMM, INVERT, NAN, data, message, write

xarray = pytest.importorskip("xarray")
WIND = Path(__file__).parents[2] / "experiments" / "wind.nc"
X, Y = np.linspace(-0.1, 1.1, 13), np.linspace(1.2, -0.2, 15)  # y falls
LON = {"units": "degrees_east"}
LAT = {"standard_name": "latitude"}
HOURS = {"units": "hours since 2024-01-01", "calendar": "standard"}
PAIR = {"file": "a.nc", "components": ["u", "v"]}
POINTS = np.vstack([np.random.default_rng(3).uniform(0, 1, (2, 40)), np.zeros((1, 40))])


SIDES = ("left", "right", "bottom", "top")


def linear(x, y):
    return 1 + 2 * x - 3 * y + x * y


def cubic(x, y):
    return x**3 - 2 * x * y**2 + y


def make(path: Path, function=linear, engine="h5netcdf", hole=None, times=(0.0, 6.0, 12.0)):
    """u = function, v = −u, growing by 1 a time, in (time, lat, lon)."""

    def save():
        y, x = np.meshgrid(Y, X, indexing="ij")
        u = np.stack([function(x, y) + k for k in range(len(times))])
        if hole is not None:
            u[(slice(None), *hole)] = NAN
        dims = ("time", "lat", "lon")
        xarray.Dataset(
            {"u": (dims, u), "v": (dims, -u), "mask": (("lat",), 0 * Y)},
            {
                "time": ("time", list(times), HOURS),
                "lat": ("lat", Y, LAT),
                "lon": ("lon", X, LON),
            },
        ).to_netcdf(path, engine=engine)

    on_root(COMM, save)
    return path


def read(path, names="u", bounds=((0.0, 0.0), (1.0, 1.0)), dim=2, **options):
    return gridded.read(path, names, bounds, dim, "key", **options)


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])
@pytest.mark.parametrize(
    ("kind", "function"), [("linear", linear), ("cubic", linear), ("cubic", cubic)]
)
def test_exact_for_splines_of_its_degree(tmp_path, engine, kind, function):
    path = make(tmp_path / "a.nc", function, engine)
    wind = read(path, ["u", "v"], time=1, interpolation=kind, scale=2.0)
    u = 2 * (function(*POINTS[:2]) + 1)
    np.testing.assert_allclose(wind(POINTS), [u, -u], atol=1e-12)


def test_linear_is_of_second_order_and_cubic_of_fourth(tmp_path):
    def error(n, kind):
        points = np.linspace(0, 1, n)
        path = tmp_path / f"{n}.nc"
        content = {"u": (("y", "x"), np.sin(3 * points + points[:, None]))}
        coordinates = {"x": ("x", points), "y": ("y", points)}
        on_root(
            COMM, lambda: xarray.Dataset(content, coordinates).to_netcdf(path, engine="h5netcdf")
        )
        u = read(path, interpolation=kind)(x)
        return np.linalg.norm(u - np.sin(3 * x[0] + x[1]))

    x = np.random.default_rng(5).uniform(0, 1, (3, 2000))

    for kind, order in (("linear", 2), ("cubic", 4)):
        rate = np.log2(error(21, kind) / error(41, kind))
        assert order - 0.3 < rate < order + 0.6


def test_packing_is_undone(tmp_path):
    plain, packed = make(tmp_path / "a.nc", hole=(0, 0)), tmp_path / "b.nc"
    packing = {"dtype": "int16", "scale_factor": 1e-3, "add_offset": 2.0, "_FillValue": -32767}

    def pack():
        with xarray.open_dataset(plain, engine="h5netcdf", decode_times=False) as file:
            file.load().to_netcdf(packed, engine="h5netcdf", encoding={"u": packing})
        with h5py.File(packed) as file:
            return file["u"].dtype.kind, int(file["u"][0, 0, 0])

    assert on_root(COMM, pack) == ("i", -32767)
    unpacked = read(packed, bounds=None, time=0)
    np.testing.assert_allclose(unpacked(POINTS), linear(*POINTS[:2]), atol=5.1e-4)
    corner = np.array([[X[0]], [Y[0]], [0.0]])
    assert np.isnan(unpacked(corner)).all()


@pytest.mark.parametrize(
    ("time", "index"),
    [(0, 0), (2, 2), (6.0, 1), (8.9, 1), (9.1, 2), ("2024-01-01T05:00:00", 1)],
)
def test_times(tmp_path, time, index):
    make(tmp_path / "a.nc")
    table = {"file": "a.nc", "name": "u", "time": time}
    changes = {"physics.initial": table}
    problem = Problem(parse(data(changes), tmp_path / "e.toml"))
    field = problem.scalar(problem.experiment.physics.initial, "physics.initial")
    np.testing.assert_allclose(field(POINTS), linear(*POINTS[:2]) + index, atol=1e-12)
    assert f"time[{index}] = {6 * index} hours" in problem.sources["physics.initial"]


def test_a_toml_date(tmp_path):
    make(tmp_path / "a.nc")
    text = (
        'task = "solve"\n[domain]\ncells = [2, 2]\n[time]\nfinal = 1.0\n[physics]\n'
        'diffusivity = 1.0\ninitial = { file = "a.nc", name = "u", time = 2024-01-01T13:00:00+02:00'
        ", scale = 1 }"
    )
    write(tmp_path / "e.toml", text)
    table = load_experiment(tmp_path / "e.toml")
    assert "time[2]" not in Problem(table).sources
    problem = Problem(table)
    _ = problem.initial
    assert "time[2] = 12" in problem.sources["physics.initial"]  # 11 h in UTC
    assert parse(table.model_dump(exclude_none=True), table.path, table.text) == table
    assert "2024-01-01T13:00:00" in table.model_dump_json()


def plain(path: Path, content: dict) -> Path:
    def save():
        with h5py.File(path, "w") as file:
            for name, values in content.items():
                file[name] = values

    on_root(COMM, save)
    return path


@pytest.mark.parametrize("group", ["", "flow/"])
def test_plain_hdf5(tmp_path, group):
    y, x = np.meshgrid(Y, X, indexing="ij")
    content = {"x": X, f"{group}y": Y, f"{group}u": linear(x, y), f"{group}ut": linear(x, y).T}
    path = plain(tmp_path / "a.h5", content)
    for name in ("u", "ut"):  # the lengths tell which axis is which
        np.testing.assert_allclose(read(path, group + name)(POINTS), linear(*POINTS[:2]))


def test_plain_hdf5_with_axes_of_one_length(tmp_path):
    points = np.linspace(0, 1, 9)
    x, y = np.meshgrid(points, points, indexing="ij")
    content = {"x": points, "y": points, "u": linear(x, y), "t": np.arange(3.0)}
    content["w"] = np.stack([linear(x, y) + k for k in range(3)])
    path = plain(tmp_path / "a.h5", content)
    assert "dimensions" in message(read, path)
    right, wrong = (read(path, dimensions=d)(POINTS) for d in (["x", "y"], ["y", "x"]))
    np.testing.assert_allclose(right, linear(*POINTS[:2]))
    np.testing.assert_allclose(wrong, linear(*POINTS[1::-1]))
    later = read(path, "w", dimensions=["t", "x", "y"], time=1.9)
    np.testing.assert_allclose(later(POINTS), linear(*POINTS[:2]) + 2)


@pytest.mark.parametrize("dim", [1, 3])
def test_dimensions(tmp_path, dim):
    names, points = "xyz"[:dim], [np.linspace(0, 1, 5 + k) for k in range(dim)]
    values = sum((k + 1) * c for k, c in enumerate(np.meshgrid(*points, indexing="ij")))
    path = plain(tmp_path / "a.h5", dict(zip(names, points, strict=True)) | {"u": values})
    field = read(path, bounds=None, dim=dim)
    inside = np.random.default_rng(1).uniform(0, 1, (3, 20))
    np.testing.assert_allclose(field(inside), np.arange(1, dim + 1) @ inside[:dim])


def test_only_what_the_domain_needs_is_read_and_missed(tmp_path):
    path = make(tmp_path / "a.nc", hole=(0, slice(None)))  # y = 1.2
    small = ((0.31, 0.33), (0.52, 0.38))
    assert [len(p) for p in read(path, bounds=small, time=0).points] == [4, 2]
    assert np.isfinite(read(path, time=0)(POINTS)).all()
    high = np.array([[0.5, 0.5], [1.1, 1.15], [0, 0]])
    values = read(path, bounds=None, time=0)(high)  # y = 1.1 lies beside the hole, not in it
    np.testing.assert_allclose(values, [linear(0.5, 1.1), NAN])
    text = message(read, path, time=0, interpolation="cubic")
    assert "missing at lon = -0.1, lat = 1.2" in text
    assert "linear" in text


def test_missing_values_in_the_domain_name_their_cell(tmp_path):
    make(tmp_path / "a.nc", hole=(7, 6))  # lat 0.5, lon 0.5
    for velocity in (PAIR | {"time": 0}, [{"file": "a.nc", "name": "u", "time": 1}, "0"]):
        problem = Problem(parse(data({"physics.velocity": velocity}), tmp_path / "e.toml"))
        text = message(tasks.check, problem)
        assert "physics.velocity: not finite at 1 points, first at (0.5, 0.5)" in text
        cell = r"lon (0.4 … 0.5|0.5 … 0.6), lat (0.4 … 0.5|0.5 … 0.6)"  # whose corner it is
        assert re.search(f"missing values in the cell {cell}", text)
        assert "a.nc" in text


def test_components_on_staggered_grids(tmp_path):
    x, y = np.linspace(0, 1, 9), np.linspace(0, 1, 7)
    content = {"xu": x, "yu": y, "xv": x[:-1] + 1 / 16, "yv": y}
    content["u"] = np.tile(y[:, None], (1, 9))
    content["v"] = np.tile(content["xv"], (7, 1))
    path = plain(tmp_path / "a.h5", content)
    text = message(read, path, ["u", "v"], axes=["xu", "yu"])
    assert "key.axes: v in a.h5, shape (7, 8), does not fit xu 9, yu 7" in text
    with_axes = [
        {"file": "a.h5", "name": "u", "axes": ["xu", "yu"]},
        {"file": "a.h5", "name": "v", "axes": ["xv", "yv"]},
    ]
    changes = {"physics.velocity": with_axes, "domain.lower": [0.1, 0.1], "domain.upper": [0.9] * 2}
    changes["physics.inflow"] = dict.fromkeys(SIDES, 0.0)
    lines = tasks.check(Problem(parse(data(changes), tmp_path / "e.toml")))
    assert "read        physics.velocity[1]: v of a.h5" in lines


def test_a_run_with_the_wind_of_the_experiments(tmp_path):
    on_root(COMM, lambda: (tmp_path / "wind.nc").write_bytes(WIND.read_bytes()) and None)
    velocity = {"file": "wind.nc", "components": ["u10", "v10"], "time": 3, "scale": 3.6}
    changes = {
        "physics.velocity": velocity,
        "physics.diffusivity": 500.0,
        "physics.inflow": dict.fromkeys(SIDES, 0.0),
        "physics.source": {"file": "wind.nc", "name": "u10", "time": 0, "scale": 1e-3},
        "domain": {"cells": [8, 6], "lower": [100.0, 100.0], "upper": [1400.0, 900.0]},
    }
    said = []
    problem = Problem(parse(data(changes), tmp_path / "e.toml"))
    assert tasks.run(problem, said.append)
    line = next(line for line in said if "divergence free" in line)
    with open_result(tmp_path / "e.h5") as file:
        attributes, written = dict(file["velocity"].attrs), file["velocity"][:]
        vertices = file["mesh/geometry"][:]
    relative = attributes["relative_divergence"]
    assert line.startswith("warning     the velocity is not divergence free, |div u| = ")
    assert f" = {relative:.2g} |grad u| in L2" in line
    assert 0.02 < relative < 0.5
    wind = read(WIND, ["u10", "v10"], bounds=None, time=3, scale=3.6)
    padded = np.pad(vertices, ((0, 0), (0, 1))).T
    np.testing.assert_allclose(written, wind(padded).T, atol=1e-12)


@pytest.mark.parametrize(
    ("velocity", "divergence"),
    [
        (["y", "x"], None),
        pytest.param(["x", "0"], "1", marks=pytest.mark.serial),
        (["x", "y"], "1.4"),
        pytest.param(["1", "0"], None, marks=pytest.mark.serial),
    ],
)
def test_relative_divergence(tmp_path, velocity, divergence):
    changes = {"physics.velocity": velocity, "physics.inflow": dict.fromkeys(SIDES, 0.0)}
    problem = Problem(parse(data(changes), tmp_path / "e.toml"))
    found = [line.split(" = ")[1].split()[0] for line in tasks.check(problem) if "div u" in line]
    assert found == ([] if divergence is None else [divergence])


def test_a_stream_function_has_no_divergence(tmp_path):
    stream = {"stream": "x*y**2"}
    problem = Problem(parse(data({"physics.velocity": stream}), tmp_path / "e.toml"))
    assert problem.velocity(problem.experiment.physics.velocity, "v").relative_divergence() == 0


def test_a_result_may_not_replace_what_was_read(tmp_path):
    changes = {"physics.initial": {"file": "a.h5", "name": "u"}, "output.file": "a.h5"}
    text = message(parse, data(changes), tmp_path / "e.toml")
    assert "is physics.initial.file; give another name" in text


# -- bad files --

BAD = {
    "no file": ({"file": "none.nc"}, ["velocity.file", "none.nc does not exist", "NetCDF"]),
    "folder": ({"file": "."}, ["velocity.file", "is a folder"]),
    "no variable": ({"components": ["u", "vv"]}, ["a.nc has no variable 'vv'", "mean 'v'"]),
    "no components": ({"components": ["u"]}, ["velocity.components: 1 in 2 dimensions"]),
    "no axis": ({"axes": ["lno", "lat"]}, ["velocity.axes", "no coordinate 'lno'", "'lon'"]),
    "no coordinate": ({"axes": ["lon", "v"]}, ["velocity.axes: v in a.nc has shape (3, 15, 13)"]),
    "wrong axis": (
        {"axes": ["lon", "time"]},
        ["velocity.level: missing; u in a.nc", "also an axis lat"],
    ),
    "constant axis": ({"axes": ["lon", "mask"]}, ["mask in a.nc neither rises nor falls"]),
    "not its axis": (
        {"components": ["mask", "v"], "axes": ["lon", "lat"], "time": None},
        ["velocity.axes: 'lon' is no axis of mask in a.nc, which has (lat)"],
    ),
    "one axis": ({"axes": ["lon"]}, ["velocity.axes: 1 names in 2 dimensions; give 2"]),
    "axis twice": ({"axes": ["lon", "lon"]}, ["velocity.axes: lon, lon are not 2 different"]),
    "dimensions": ({"dimensions": ["lat", "lon"]}, ["2 names", "3 axes"]),
    "no time": ({"time": None}, ["velocity.time: missing", "3 times", "index or a value"]),
    "time index": ({"time": 3}, ["velocity.time = 3: a.nc has 3 times; give 0 to 2"]),
    "time before": ({"time": -1}, ["velocity.time = -1", "give 0 to 2"]),
    "time value": ({"time": 13.0}, ["velocity.time = 13.0", "0 to 12 hours since 2024-01-01"]),
    "date": ({"time": "2024-02-01"}, ["2024-02-01", "2024-01-01T00:00:00 to 2024-01-01T12"]),
    "vector": ({"components": ["mask", "mask"]}, ["velocity.axes: missing", "(lat)"]),
    "truncated": ({"file": "half.nc"}, ["velocity.file", "not readable NetCDF or HDF5"]),
    "truncated classic": ({"file": "half3.nc"}, ["velocity.file", "not readable NetCDF or HDF5"]),
    "text": ({"file": "text.nc"}, ["velocity.file", "not readable NetCDF or HDF5"]),
    "empty": ({"file": "empty.nc"}, ["velocity.file", "not readable NetCDF or HDF5"]),
    "other calendar": (
        {"file": "other.nc", "time": "2024-01-01"},
        ["velocity.time", "units 'fortnights'", "give an index"],
    ),
    "shuffled": ({"file": "shuffled.nc"}, ["lon in shuffled.nc neither rises nor falls"]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Read only, so one for all."""
    tmp_path = COMM.bcast(tmp_path_factory.mktemp("bad"))
    whole = make(tmp_path / "a.nc")
    classic = make(tmp_path / "classic.nc", engine="scipy")

    def spoil():
        for name, path in (("half.nc", whole), ("half3.nc", classic)):
            content = path.read_bytes()
            (tmp_path / name).write_bytes(content[: len(content) // 2])
        (tmp_path / "text.nc").write_text("u, v\n1, 2\n")
        (tmp_path / "empty.nc").write_bytes(b"")
        with xarray.open_dataset(whole, engine="h5netcdf", decode_times=False) as file:
            other = file.load()
        assert other.lon[0] < 0
        later = other.isel(lat=slice(1, None), lon=slice(None))
        later.assign_coords(lon=(("lon",), np.roll(X, 3), LON)).to_netcdf(
            tmp_path / "shuffled.nc", engine="h5netcdf"
        )
        other.time.attrs["units"] = "fortnights"
        other.to_netcdf(tmp_path / "other.nc", engine="h5netcdf")

    on_root(COMM, spoil)
    return tmp_path


@pytest.mark.parametrize(("changes", "parts"), BAD.values(), ids=BAD)
def test_bad_files(folder, changes, parts):
    table = PAIR | {"time": 0} | changes
    changes = {"physics.velocity": {k: v for k, v in table.items() if v is not None}}
    text = message(lambda: tasks.check(Problem(parse(data(changes), folder / "e.toml"))))
    assert text.startswith("physics.velocity")
    for part in parts:
        assert part in text


def test_a_domain_that_sticks_out(tmp_path):
    path = make(tmp_path / "a.nc")
    text = message(read, path, bounds=((0, -0.3), (1, 1)), time=0)
    assert "a.nc covers lat from -0.2 to 1.2, the domain needs -0.3 to 1" in text
    read(path, bounds=((0, -0.2 - 1e-5), (1, 1)), time=0)  # as from single precision
    assert "covers lon from -0.1 to 1.1" in message(read, path, bounds=((0, 0), (9, 1)), time=0)


def test_a_grid_that_is_not_regular(tmp_path):
    x, y = np.meshgrid(np.linspace(0, 1, 5), np.linspace(0, 1, 4))
    content = {"u": (("j", "i"), x), "name": (("j", "i"), np.full((4, 5), "a"))}
    coordinates = {"lon": (("j", "i"), x, LON), "lat": (("j", "i"), y, LAT)}
    path = tmp_path / "a.nc"
    on_root(COMM, lambda: xarray.Dataset(content, coordinates).to_netcdf(path, engine="h5netcdf"))
    text = message(read, path, axes=["j", "i"])
    assert "u in a.nc is on a curvilinear grid, lat and lon of two dimensions" in text
    assert "lon in a.nc has shape (4, 5)" in message(read, path, axes=["lon", "-lat"])
    assert "name in a.nc does not hold numbers" in message(read, path, "name")


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"physics.velocity": PAIR | {"axis": ["x"]}}, ["physics.velocity.axis", "'axes'"]),
        ({"physics.velocity": {"file": "a.nc"}}, ["physics.velocity.components: missing"]),
        ({"physics.velocity": [{"file": "a", "nam": "u"}, 0]}, ["velocity[0].nam:", "'name'"]),
        ({"physics.initial": {"file": "a.nc", "nmae": "u"}}, ["initial.nmae", "'name'"]),
        ({"physics.initial": {"name": "u"}}, ["physics.initial.file: missing"]),
        ({"physics.initial": {"file": "a.nc", "name": 1}}, ["initial.name = 1", "string"]),
        ({"physics.dirichlet": {"left": {"fil": "a"}}}, ["dirichlet.left.fil", "'file'"]),
        ({"physics.velocity": PAIR | {"time": "noon"}}, ["time = 'noon'", "index", "date"]),
        ({"physics.velocity": PAIR | {"time": True}}, ["time = True", "index", "date"]),
        ({"physics.velocity": PAIR | {"scale": NAN}}, ["scale = nan", "finite"]),
        ({"physics.velocity": PAIR | {"interpolation": "best"}}, ["'best'", "'linear' or 'cubic'"]),
        (INVERT | {"physics.diffusivity": {"file": "a", "name": "u"}}, ["diffusivity: a field"]),
    ],
)
def test_bad_tables(tmp_path, changes, parts):
    text = message(parse, data(changes), tmp_path / "e.toml")
    for part in parts:
        assert part in text


def test_a_grid_larger_than_the_memory(tmp_path, monkeypatch):
    path = make(tmp_path / "a.nc")
    monkeypatch.setattr("advdiff.core.memory.machine", lambda comm: 2000.0)
    assert "key.file: a.nc: needs about" in message(read, path, time=0)
    assert read(path, bounds=((0.5, 0.5), (0.6, 0.6)), time=0)(np.full((3, 1), 0.55)).shape == (1,)


def test_the_same_on_all_ranks(tmp_path):
    path = make(tmp_path / "a.nc")
    values = read(path, time=0)(POINTS)
    assert all(np.array_equal(values, other) for other in MPI.COMM_WORLD.allgather(values))
