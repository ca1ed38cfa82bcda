"""``plots.draw``: the right pictures of every kind of result, and nothing half-written."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.tri import Triangulation

from advdiff.core.errors import InputError
from advdiff.views import plots
from advdiff.views.plots import canvas, pictures, shapes
from tests import flows, sketches

pytestmark = pytest.mark.serial

DOMAINS = {
    1: ('shape = "interval"\ncells = [20]', "[0.5]"),
    2: ('shape = "rectangle"\ncells = [8, 4]\nupper = [2.0, 1.0]', '["y", "0.2"]'),
    3: ('shape = "box"\ncells = [4, 4, 4]', '["y", "-x", "0"]'),
}

OVERVIEW = {"overview"}


@pytest.fixture(scope="module", params=[1, 2, 3])
def result(request, tmp_path_factory) -> Path:
    """A small sensitivity run."""
    dim = request.param
    path = tmp_path_factory.mktemp(f"dim{dim}") / "run.h5"
    return flows.sensitivity(path, dim, *DOMAINS[dim], outputs=8)


@pytest.fixture
def inversion(result, tmp_path) -> Path:
    """The same with what an inversion adds to the layout, made up."""
    path = Path(shutil.copy(result, tmp_path / "inversion.h5"))
    rng = np.random.default_rng(0)
    with h5py.File(path, "a") as file:
        x, velocity = file["mesh/geometry"][:], file["velocity"][:]
        del file["velocity"], file["rho"]
        file["truth/velocity"], file["estimate/velocity"] = (
            velocity,
            velocity * (1 + 0.1 * x[:, :1]),
        )
        file["truth/initial"], file["estimate/initial"] = x[:, 0], 0.9 * x[:, 0]
        file["estimate"].attrs["velocity_relative_error"] = 0.05
        observed = file.create_group("observations")
        observed["points"], observed["times"] = x[:5], file["time"][:]
        readings = np.indices((5, len(file["time"]))).reshape(2, -1)
        observed["sensor"], observed["time_index"] = readings
        size = readings.shape[1]
        observed["predicted"], observed["std"] = rng.random(size), np.full(size, 0.01)
        observed["values"] = observed["predicted"][:] + 0.01 * rng.standard_normal(size)
        history = file.create_group("history")
        history["iteration"] = np.arange(4)
        for name in ("objective", "misfit", "regularization", "gradient_norm"):
            history[name] = 10.0 ** -np.arange(4)
        history["regularization"][0] = 0.0
    return path


def check(paths: list[Path], names: set[str], folder: Path, dpi: float = canvas.DPI) -> None:
    """These pictures are there and no other file, of a good size, and show something."""
    size = dpi / canvas.DPI
    step = round(5 * size)
    assert {path.name for path in paths} == {f"{name}.png" for name in names}
    assert sorted(folder.iterdir()) == sorted(paths)
    for path in paths:
        image = imread(path)
        assert 900 * size < image.shape[1] < 1700 * size and image.shape[0] < 1700 * size, path
        assert 5_000 * size**2 < path.stat().st_size < 500_000 * size, path
        assert len(np.unique(image[::step, ::step, :3].reshape(-1, 3), axis=0)) > 15, path


def some(path: Path, folder: Path, names: set[str]) -> list[Path]:
    """Draw only these."""
    folder.mkdir()
    with h5py.File(path) as file, canvas.style():
        found = plots.contents(file)
        return [canvas.save(found[n](), folder / f"{n}.png") for n in sorted(names)]


SENSITIVITY = {"tracer", "rho_kappa", "velocity"}


@pytest.mark.parametrize("result", [2], indirect=True)
def test_sensitivity(result):
    check(plots.draw(result), SENSITIVITY, result.with_name("run_pictures"))


@pytest.mark.parametrize("result", [1, 3], indirect=True)
def test_sensitivity_in_other_dimensions(result):
    with sketches.coarse():
        paths = plots.draw(result)
    check(paths, SENSITIVITY, result.with_name("run_pictures"), sketches.DPI)


@pytest.mark.parametrize("result", [2], indirect=True)
def test_inversion(inversion, tmp_path):
    names = {"overview", "tracer", "velocity", "initial", "data", "history"}
    with h5py.File(inversion) as file:
        assert set(plots.contents(file)) == names
    composed = {"overview", "data"}  # of panels that the others show too
    check(some(inversion, tmp_path / "fine", composed), composed, tmp_path / "fine")
    with sketches.coarse():
        paths = some(inversion, tmp_path / "coarse", names - composed)
    check(paths, names - composed, tmp_path / "coarse", sketches.DPI)


@pytest.mark.parametrize("result", [1, 3], indirect=True)
def test_recovery_in_other_dimensions(inversion, tmp_path):
    with sketches.coarse():
        paths = some(inversion, tmp_path / "some", OVERVIEW)
    check(paths, OVERVIEW, tmp_path / "some", sketches.DPI)


@pytest.mark.parametrize("result", [2], indirect=True)
def test_inversion_without_truth(inversion, tmp_path):
    """The truth is mostly unknown; readings may have noise of their own each."""
    with h5py.File(inversion, "a") as file:
        del file["truth"]
        file["observations/std"][:3] = 0.03
        assert "initial" not in plots.contents(file)
    with sketches.coarse():
        paths = some(inversion, tmp_path / "some", OVERVIEW)
    check(paths, OVERVIEW, tmp_path / "some", sketches.DPI)


@pytest.mark.parametrize("result", [1], indirect=True)
def test_in_a_new_folder_and_the_settings_of_others_are_left_alone(result, tmp_path):
    before = dict(matplotlib.rcParams)
    with sketches.coarse():
        paths = plots.draw(result, tmp_path / "a/b")
    check(paths, SENSITIVITY, tmp_path / "a/b", sketches.DPI)
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("result", [1], indirect=True)
def test_bad_input(result, tmp_path):
    """One line that names what is wrong."""
    with pytest.raises(InputError, match="no such file"):
        plots.draw(tmp_path / "missing.h5")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write pictures"):
        plots.draw(result, tmp_path / "file")


def test_a_failed_picture_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(canvas.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        canvas.save(Figure(), tmp_path / "picture.png")
    assert not list(tmp_path.iterdir())


def ring(count: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """An annulus 0.4 < r < 1."""
    radius, angle = np.meshgrid(np.linspace(0.4, 1, 9), np.linspace(0, 2 * np.pi, count + 1)[:-1])
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).reshape(-1, 2)
    cells = Triangulation(*points.T).triangles
    inside = np.hypot(*points[cells].mean(axis=1).T) > 0.395
    return points, cells[inside]


def test_streamlines_do_not_cross_an_island():
    """A uniform flow stops at the hole of an annulus, though it is not told of it."""
    points, cells = ring()
    surface = shapes.Surface(points, cells)
    axes = Figure().subplots()
    surface.streamlines(axes, np.tile([1.0, 0.2], (len(points), 1)))
    (lines,) = axes.collections
    segments = lines.get_segments()
    assert len(segments) > 20
    # Between neighbouring points too: no segment may jump over the hole.
    along = np.linspace(0, 1, 9)[:, None, None]
    for line in segments:
        samples = (1 - along) * line[:-1] + along * line[1:]
        assert np.linalg.norm(samples, axis=-1).min() > 0.39


@pytest.mark.parametrize("level", [0.5, 0.37, 0.25])
def test_section_is_exact(level):
    """A cut through a box of tetrahedra has its area and its linear fields, on vertices or not."""
    from mpi4py import MPI

    from advdiff.domain import mesh

    msh = mesh.box(MPI.COMM_SELF, [0, 0, 0], [2, 1, 1], [4, 3, 4]).mesh
    points, cells = msh.geometry.x, msh.geometry.dofmap
    ends, weights, triangles = shapes.cut(points[:, 2] - level, cells)
    cut = (1 - weights[:, None]) * points[ends[:, 0]] + weights[:, None] * points[ends[:, 1]]
    np.testing.assert_allclose(cut[:, 2], level)
    a, b, c = cut[triangles].transpose(1, 0, 2)[..., :2]
    u, v = b - a, c - a
    area = 0.5 * np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
    assert area.min() > 1e-12
    np.testing.assert_allclose(area.sum(), 2.0)


def grid(counts: list[int], upper: list[float], *, joined: bool) -> tuple[np.ndarray, np.ndarray]:
    """Points and cells, x fastest, of a grid of intervals, quadrilaterals or hexahedra."""
    dim = len(counts)
    bits = np.indices((2,) * dim).reshape(dim, -1)[::-1].T
    lowest = np.indices(counts[::-1]).reshape(dim, -1)[::-1].T
    corners = (lowest[:, None] + bits).reshape(-1, dim)
    cells = np.arange(len(corners)).reshape(-1, 2**dim)
    if joined:
        corners, index = np.unique(corners, axis=0, return_inverse=True)
        cells = index.reshape(cells.shape)
    return corners * np.array(upper) / counts, cells


def area(triangulation: Triangulation) -> float:
    """The sum of the sizes of the triangles."""
    a, b, c = np.stack([triangulation.x, triangulation.y], axis=1)[
        triangulation.triangles
    ].transpose(1, 0, 2)
    u, v = b - a, c - a
    return float(0.5 * np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).sum())


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("layers", [0, 3, 4])
def test_quadrilaterals_and_hexahedra(joined, layers):
    """The whole rectangle is covered, once; the outline is its border, though points are doubled.

    Four layers meet in the plane of the section, three do not.
    """
    counts, upper = [5, 3], [2.0, 1.0]
    points, cells = grid(
        counts + [layers] * (layers > 0), upper + [1.0] * (layers > 0), joined=joined
    )
    shape = shapes.shape(points, cells)
    assert shape.dim == points.shape[1]
    for triangulation in (shape.triangulation, shape._joined):
        np.testing.assert_allclose(area(triangulation), 2.0)
    edges = shape._outline
    np.testing.assert_allclose(np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1).sum(), 6.0)
    x, y = edges.mean(axis=1).T
    assert np.all(np.minimum(np.abs(x * (2 - x)), np.abs(y * (1 - y))) < 1e-12)
    drawn = shape.triangulation
    field = shape.at(points @ np.arange(1.0, 1.0 + points.shape[1]) + 2.0)
    height = 1.5 if layers else 0.0
    np.testing.assert_allclose(field, drawn.x + 2 * drawn.y + 2 + height)
    if not joined:  # each cell keeps its own value
        own = shape.at(np.repeat(np.arange(len(cells)), cells.shape[1]).astype(float))
        corners = own[drawn.triangles]
        assert np.array_equal(corners, corners[:, :1] + 0 * corners)
        assert len(np.unique(own)) == 15


def test_streamlines_cross_cells_with_points_of_their_own():
    points, cells = grid([8, 8], [1.0, 1.0], joined=False)
    axes = Figure().subplots()
    shapes.Surface(points, cells).streamlines(axes, np.tile([1.0, 0.0], (len(points), 1)))
    x = np.concatenate(axes.collections[0].get_segments())[:, 0]
    assert x.min() < 0.1 and x.max() > 0.9


def test_a_curve_shows_jumps():
    """Cells in any order and either direction; two values where they meet."""
    points = np.array([[2.0], [1.0], [0.0], [1.0], [2.0], [3.0]])
    axes = Figure().subplots()
    line = shapes.shape(points, np.array([[0, 1], [2, 3], [5, 4]]))
    line.curve(axes, np.array([5.0, 5.0, 1.0, 2.0, 7.0, 8.0]))
    x, y = axes.lines[0].get_data()
    assert x.tolist() == [0, 1, 1, 2, 2, 3] and y.tolist() == [1, 2, 5, 5, 7, 8]


def test_snapshots_at_equal_steps(tmp_path):
    """Six at most, the last among them, the initial state first where it is known."""
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["time"] = np.arange(1, 11) / 10
        file["theta"] = np.arange(1, 11)[:, None] * np.ones((1, 4))
        source = pictures.Source(file)
        times, values = source.snapshots("theta", "estimate/initial")
        np.testing.assert_allclose(times, [0.2, 0.4, 0.6, 0.8, 1.0])
        np.testing.assert_allclose(values[:, 0], 10 * times)
        file["estimate/initial"] = np.zeros(4)
        times, _ = source.snapshots("theta", "estimate/initial")
        np.testing.assert_allclose(times, [0, 0.2, 0.4, 0.6, 0.8, 1.0])


def test_every_column_has_its_labels():
    """Of five panels in three columns, the third of the first row is the lowest of its own."""
    grid = Figure().subplots(2, 3, sharex=True, sharey=True)
    for axes in grid.flat:
        axes.set(xlabel="x", ylabel="y")
    canvas.label_outer(grid, 5)
    assert [axes.get_xlabel() for axes in grid.flat] == ["", "", "x", "x", "x", "x"]
    assert [axes.get_ylabel() for axes in grid.flat] == ["y", "", "", "y", "", ""]
    assert [axes.get_visible() for axes in grid.flat] == [True] * 5 + [False]
    assert grid[0, 2].xaxis.get_tick_params()["labelbottom"]
