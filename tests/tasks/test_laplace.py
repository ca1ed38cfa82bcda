"""``[laplace]`` in an experiment: what is written, what ParaView and the pictures find of it."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from advdiff import tasks
from advdiff.core.errors import InputError
from advdiff.views import info, plots
from tests import sketches
from tests.inverse import cases

OPTIMIZER = {"type": "nls", "gradient_tolerance": 1e-5}


def run(tmp_path, family, **more):
    output = {"file": str(tmp_path / f"{family}.h5")}
    laplace = {"threshold": 0.05, "samples": 2, "probes": 30}
    problem = cases.problem(
        tmp_path, family, optimizer=OPTIMIZER, laplace=laplace, output=output, **more
    )
    said = []
    assert tasks.run(problem, said.append)
    return problem.experiment.output_path, "\n".join(said)


@pytest.mark.parametrize("family", ["sine", pytest.param("stream", marks=pytest.mark.serial)])
def test_result(tmp_path, family):
    path, said = run(tmp_path, family)
    assert "evidence    log p(data)" in said and "ended below 0.05" in said
    with h5py.File(path, "r") as file:
        group = file["laplace"]
        values = group["eigenvalues"][:]
        assert (np.diff(values) <= 0).all() and values[-1] > 0.05 == group.attrs["threshold"]
        assert group.attrs["complete"] and np.isfinite(group.attrs["log_evidence"])
        speed, before = group["speed_std"][:], group["prior_speed_std"][:]
        assert (speed <= before * (1 + 1e-9)).all() and 0 < speed.max() < before.max()
        assert group["velocity_std"].shape == group["samples/1"].shape == (len(speed), 2)
        moved = group["samples/0"][:] - file["estimate/velocity"][:]
        # within six standard deviations, point by point
        assert (np.abs(moved) <= 6 * group["prior_velocity_std"][:] + 1e-9).all()
        assert np.abs(moved).max() > 0
        assert ("coefficients" in group) == (family == "sine")
        assert group.attrs["variance"].startswith("exact" if family == "sine" else "30 probes")
        if family == "sine":
            assert group["coefficients"].shape == (2, 5)
            assert (group["coefficients_std"][:] < group["prior_coefficients_std"][:]).all()
        assert file["history/hessian_products"][-1] > 0
    with h5py.File(path.with_suffix(".vtkhdf"), "r") as view:
        assert {"laplace_speed_std", "laplace_samples_0"} <= set(view["VTKHDF/PointData"])
    assert any(line.startswith("laplace ") for line in info.lines(path))


@pytest.mark.serial
def test_pictures(tmp_path):
    path, _ = run(tmp_path, "stream")
    sketches.draw(path, ["samples"], ["eigenvalues", "speed_std"])
    with h5py.File(path) as file:
        assert "diffusivity_std" not in plots.contents(file)  # one number


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "solve"}, "laplace: only task = 'invert'"),
        ({"reduced": {}}, "laplace: only task = 'invert' without"),
        ({"laplace": {"threshold": 0.0}}, "laplace.threshold"),
        ({"laplace": {"rank": 3}}, "laplace.rank: unknown key"),
    ],
)
def test_bad_input(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        cases.problem(tmp_path, "sine", **({"laplace": {}} | change))
