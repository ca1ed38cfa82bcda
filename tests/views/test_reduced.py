"""The picture of an inversion by reduced models, from a small made-up result."""

import h5py
import numpy as np
import pytest
from matplotlib.image import imread

from advdiff.views.plots import canvas, contents
from advdiff.views.plots.reduced import corrections
from tests import sketches

pytestmark = pytest.mark.serial


def result(path, plain: bool, bound: bool):
    """Three full evaluations, hence two corrections."""
    with h5py.File(path, "w") as file:
        file["history/gradient_norm"] = [1.0, 1e-2, 1e-5]
        file["history/solves"] = [1, 2, 3]
        file["reduced/size"] = [40, 55, 60]
        file["reduced/state_error"] = [1e-3, 1e-5]
        file["reduced/objective_error"] = [2e-2, 3e-4]
        if bound:
            file["reduced/bound"] = [1e-1, 2e-3]
        if plain:
            file["reduced/plain_gradient"] = np.geomspace(1.0, 1e-5, 9)
            file["reduced/plain_solves"] = np.arange(1, 10)
    return path


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("bound", [True, False])
def test_errors_and_descent(tmp_path, plain, bound):
    with h5py.File(result(tmp_path / "result.h5", plain, bound)) as file, canvas.style():
        figure = corrections(file)
        left, right = figure.axes
        assert len(left.get_lines()) == 2 + bound and len(right.get_lines()) == 1 + plain
        # the model of each correction is that of the basis before it
        assert [label.get_text() for label in left.get_xticklabels()] == [
            "1\nr = 40",
            "2\nr = 55",
        ]
        assert left.get_lines()[-1].get_ydata() == pytest.approx([2e-2, 3e-4])
        assert right.get_lines()[0].get_ydata() == pytest.approx([1.0, 1e-2, 1e-5])
        if plain and bound:
            path, size = canvas.save(figure, tmp_path / "reduced.png"), 1.0
        else:
            with sketches.coarse():
                path = canvas.save(figure, tmp_path / "reduced.png")
            size = sketches.DPI / canvas.DPI
    image = imread(path)
    assert 900 * size < image.shape[1] < 1700 * size
    assert len(np.unique(image[::5, ::5, :3].reshape(-1, 3), axis=0)) > 15


def test_only_where_there_were_corrections(tmp_path):
    """A first guess that was the optimum leaves nothing to draw."""
    with h5py.File(result(tmp_path / "result.h5", False, False), "a") as file:
        assert "reduced" in contents(file)
        del file["reduced/state_error"]
        assert "reduced" not in contents(file)
