"""Columns: the two numbers of a breakthrough curve, against closed forms and least squares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import least_squares

from advdiff import Problem
from advdiff.concerns import fit
from advdiff.config.load import parse
from advdiff.tasks.estimate import numbers
from advdiff.tasks.laplace import uncertainty
from tests.exact.columns import resident

pytestmark = pytest.mark.serial
DATA = Path(__file__).resolve().parents[3] / "shared/data/sand_column.csv"


def column(file: Path, **observations) -> Problem:
    """A step of tracer into a column, of which two numbers are unknown."""
    return Problem(
        parse(
            {
                "task": "invert",
                "domain": {
                    **{"shape": "interval", "lower": [0.0], "upper": [36.0], "cells": [720]},
                    "open": ["right"],
                },
                "physics": {
                    **{"diffusivity": 0.2, "velocity": ["2.0"], "initial": 0.0},
                    "inflow": {"left": 1.0},
                },
                "time": {"final": 13.0, "outputs": 1},
                "observations": {"file": str(file), **observations},
                "unknowns": {"velocity": {"family": "uniform"}, "diffusivity": True},
                "prior": {"velocity": {"std": 2.0}, "diffusivity": {"std": 2.0}},
            }
        )
    )


def estimated(problem: Problem) -> tuple[np.ndarray, np.ndarray, fit.Fit]:
    """(v, D), their standard deviations, and what is left of the readings."""
    found = problem.invert()
    assert found.converged and problem.model.evaluations <= 20, found.message
    std = uncertainty(problem, lambda line: None, found).std
    said = numbers(problem, found.m, std)
    values, stds = np.transpose([(n.value, s) for n, s in said.values()])
    assert list(said) == ["velocity", "diffusivity"]
    return values, stds, fit.of_predictions(problem, found.evaluation.predicted)


def by_least_squares(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(v, D) and standard deviations for the residual that is left; rows of x, t, value."""
    x, t, value = rows.T
    found = least_squares(lambda q: resident(x, t, *q) - value, [2.4, 0.13], x_scale=[1.0, 0.1])
    variance = found.fun @ found.fun / (len(value) - 2)
    return found.x, np.sqrt(np.diag(np.linalg.inv(found.jac.T @ found.jac)) * variance)


def table(path: Path, rows: np.ndarray, std: str = "") -> Path:
    lines = [",".join(f"{v:.12g}" for v in row) + std for row in rows]
    path.write_text("\n".join(["x,t,value" + (",std" if std else ""), *lines]))
    return path


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Synthetic readings of three sensors, of noise 0.02."""
    x, t = (a.ravel() for a in np.meshgrid([11.0, 17.0, 23.0], np.linspace(0.7, 1.4, 20)))
    t = x * t / 2.5
    noise = 0.02 * np.random.default_rng(5).standard_normal(len(x))
    return np.transpose([x, t, resident(x, t, 2.5, 0.13) + noise])


def test_two_numbers_of_a_column(tmp_path, rows):
    values, stds, left = estimated(column(table(tmp_path / "a.csv", rows), noise="unknown"))
    expected, spread = by_least_squares(rows)
    assert values == pytest.approx(expected, rel=2e-3)
    assert stds == pytest.approx(spread, rel=0.1)
    assert left.concerns == [] and left.estimated[0] == pytest.approx(0.02, rel=0.2)


def test_what_one_diffusivity_does_not_explain_is_said(tmp_path, rows):
    """One sensor reads a tenth too much: the size of the noise takes it in, the sum does not."""
    rows = rows.copy()
    rows[rows[:, 0] == 17.0, 2] += 0.05
    *_, left = estimated(column(table(tmp_path / "a.csv", rows), noise="unknown"))
    (concern,) = left.concerns
    assert concern.key == "one-sided-sensors" and "(17)" in concern.message


@pytest.mark.skipif(not DATA.exists(), reason="real readings, which are not in the repository")
class TestSandColumn:
    """U.S. Salinity Laboratory, research report 137, figure 7-3a."""

    real = np.genfromtxt(DATA, delimiter=",", skip_header=1)[:, :3] if DATA.exists() else None

    def test_all_depths(self, tmp_path):
        (v, D), stds, left = estimated(column(table(tmp_path / "a.csv", self.real, ",0.01")))
        assert v == pytest.approx(2.4996, rel=1e-3)
        assert D == pytest.approx(0.1304, rel=1e-2)  # noqa: SIM300
        assert stds * left.rms == pytest.approx([0.0025, 0.0049], rel=0.1)
        assert [c.key for c in left.concerns] == ["misfit"]

    @pytest.mark.parametrize(
        ("depth", "expected"),
        [(11, (2.4515, 0.1540)), (17, (2.5134, 0.1264)), (23, (2.5064, 0.1102))],
    )
    def test_one_depth_by_itself(self, tmp_path, depth, expected):
        one = self.real[self.real[:, 0] == depth]
        values, _, left = estimated(column(table(tmp_path / "a.csv", one), noise="unknown"))
        assert values == pytest.approx(expected, rel=1e-2)
        assert left.concerns == []
