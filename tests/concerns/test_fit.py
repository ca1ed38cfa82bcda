"""The residual against the noise: what is said, warned of, and where."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from mpi4py import MPI

from advdiff import Problem, tasks
from advdiff.concerns.fit import Fit
from advdiff.config.load import parse
from advdiff.views import info, report
from tests import flows
from tests.sketches import coarse

STD = 0.01


def fit(residual, unknowns: int = 0) -> Fit:
    return Fit(np.asarray(residual, dtype=float), unknowns, "d.csv, row 3", 3)


@pytest.mark.parametrize(
    ("count", "chi_squared", "warned"),
    [
        # upper 0.1 % points of χ² (tables of Abramowitz and Stegun, 26.8)
        (1, 10.82, False),
        (1, 10.84, True),
        (10, 29.58, False),
        (10, 29.60, True),
        (100, 149.4, False),
        (100, 149.5, True),
    ],
)
def test_too_much_is_what_the_tables_say(count, chi_squared, warned):
    found = fit(np.full(count, np.sqrt(chi_squared / count)))
    assert found.chi_squared == pytest.approx(chi_squared)
    assert [c.key for c in found.concerns] == ["misfit"] * warned


@pytest.mark.parametrize(
    ("count", "unknowns", "size", "warned"),
    [(100, 0, 0.4, True), (100, 0, 0.6, False), (100, 99, 0.01, False), (100, 50, 0.2, True)],
)
def test_too_little_counts_what_was_fitted(count, unknowns, size, warned):
    """100 readings of which 99 unknowns may each have taken one say nothing by a small residual."""
    found = fit(np.full(count, size), unknowns)
    assert [c.key for c in found.concerns] == ["misfit"] * warned
    assert not warned or "overstated" in found.concerns[0].message


def test_what_is_not_finite_is_warned_of():
    assert fit([1.0, np.nan]).concerns and fit([1.0, np.inf]).concerns


def experiment(tmp_path, suffix: str, spoiled: int | None) -> Problem:
    """κ from 24 readings with noise, one of which may be −999."""
    truth = flows.problem(8, physics={"diffusivity": 0.05})
    from advdiff.problem.sensors import Sensors

    points = np.array([(x, y) for x in (0.2, 0.4, 0.6, 0.8) for y in (0.3, 0.7)])
    sensors, times = Sensors(truth.operator, points), [0.1, 0.2, 0.4]
    values = np.array([sensors.sample(s) for s in truth.semigroup().trajectory(times)]).ravel()
    values = values + STD * np.random.default_rng(2).standard_normal(len(values))
    if spoiled is not None:
        values[spoiled] = -999.0
    x, y = np.tile(points, (3, 1)).T
    columns = {"x": x, "y": y, "t": np.repeat(times, len(points)), "value": values}
    path = tmp_path / f"data{suffix}"
    if MPI.COMM_WORLD.rank == 0:
        if suffix == ".h5":
            with h5py.File(path, "w", driver=None) as file:
                for name, column in columns.items():
                    file[name] = column
        else:
            rows = [
                ",".join(map(repr, map(float, row))) for row in zip(*columns.values(), strict=True)
            ]
            path.write_text("\n".join(["# a comment", ",".join(columns), *rows]))
    MPI.COMM_WORLD.barrier()
    tables = flows.data(
        8,
        task="invert",
        observations={"file": str(path), "std": STD}
        | ({"missing": []} if suffix == ".csv" else {}),
        unknowns={"diffusivity": True},
        discretization={"mesh_error": False},
    )
    return Problem(parse(tables, tmp_path / "e.toml"))


@pytest.mark.parametrize(
    ("suffix", "row"), [(".csv", 13 + 3), pytest.param(".h5", 13, marks=pytest.mark.serial)]
)
def test_the_worst_row_is_named_everywhere(tmp_path, suffix, row):
    """In the log, the file, ``info`` and the page; a row of CSV is counted from 1, with its header
    and comments."""
    said = []
    problem = experiment(tmp_path, suffix, 13)
    tasks.run(problem, said.append)
    warned = [line for line in said if line.startswith("warning") and "does not explain" in line]
    assert len(warned) == 1 and f"data{suffix}, row {row}, value -999 for" in warned[0]
    assert any(line.startswith("misfit") and f"row {row}" in line for line in said)
    if MPI.COMM_WORLD.rank == 0:
        assert warned[0] in info.lines(tmp_path / "e.h5")
        with coarse():
            assert f"row {row}, value -999" in report.page(tmp_path / "e.h5")
        with h5py.File(tmp_path / "e.h5") as file:
            left = file["observations/values"][:] - file["observations/predicted"][:]
            written = file["estimate"].attrs
            assert written["worst_reading_row"] == row
            assert written["chi_squared"] == pytest.approx(np.sum((left / STD) ** 2))
            assert written["distance_bound"] <= 0.1


def test_noise_explains_itself(tmp_path):
    problem = experiment(tmp_path, ".csv", None)
    tasks.run(problem, lambda line: None)
    assert "misfit" not in problem.concerns
