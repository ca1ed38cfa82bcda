"""Chains of unknown fields: what is kept of them, and that they know the posterior."""

from __future__ import annotations

import os

import h5py
import numpy as np
import pytest
from mpi4py import MPI

from advdiff import Problem, tasks
from advdiff.config.load import parse
from advdiff.core.errors import InputError
from advdiff.inverse.laplace import approximate
from advdiff.inverse.map import minimise
from advdiff.results.fields import Averages, potential
from advdiff.sampling import archive
from advdiff.views import plots
from tests import flows
from tests.differences import central
from tests.inverse.test_inversion import observations
from tests.sketches import coarse

KINDS = {
    "stream": {"velocity": {"family": "stream"}},
    "nodal": {"velocity": {"family": "nodal", "degree": 1}},
    "diffusivity": {"diffusivity": "field", "velocity": {"family": "sine", "modes": [2, 2]}},
    "initial": {"initial": True},
    "coefficients": {"diffusivity": True, "velocity": {"family": "sine", "modes": [2, 2]}},
}
SAMPLER = {"draws": 6, "warmup": 2, "chains": 2, "step_size": 0.01, "fields": 3}


def problem(tmp_path, kind, name="run", comm=MPI.COMM_WORLD, **changes) -> Problem:
    sampler = SAMPLER | changes.pop("sampler", {})
    tables = flows.data(
        6,
        observations={"file": observations(tmp_path, flows.problem(2), std=0.05)},
        unknowns=KINDS[kind],
        prior={
            "velocity": {"std": 0.1, "divergence_penalty": 5.0 if kind == "nodal" else 0.0},
            "initial": {"std": 0.3},
        },
        task="sample",
        sampler=sampler,
        truth={"velocity": flows.CELL, "diffusivity": 0.02, "initial": flows.BLOB},
        output={"file": f"{name}.h5"},
        **changes,
    )
    return Problem(parse(tables, tmp_path / f"{name}.toml"), comm)


def sampled(found: Problem, resume: bool = False):
    assert tasks.run(found, lambda line: None, resume=resume)
    return found.experiment.output_path


def assert_close(one, other, **tolerance) -> None:
    names = []
    with h5py.File(one) as a, h5py.File(other) as b:
        a.visititems(lambda name, item: names.append(name) if hasattr(item, "shape") else None)
        wanted = [n for n in names if n.split("/")[0] in ("posterior", "fields", "estimate")]
        assert len(wanted) > 6
        for name in wanted:
            np.testing.assert_allclose(a[name][()], b[name][()], err_msg=name, **tolerance)


@pytest.mark.parametrize(
    ("kind", "field", "averages"),
    [
        ("stream", "velocity", 10),
        ("nodal", "velocity", 20),
        ("diffusivity", "diffusivity", 10),
        ("initial", "initial", 10),
    ],
)
def test_what_is_kept(tmp_path, kind, field, averages):
    """In groups and together; averages of every draw, fields of some, their mean and spread."""
    spread = sampled(problem(tmp_path, kind, "groups", sampler={"groups": 2}))
    assert_close(spread, sampled(problem(tmp_path, kind)), rtol=1e-5, atol=1e-7)
    with h5py.File(spread) as file:
        name = {"diffusivity": "log_diffusivity"}.get(field, field) + "_averages"
        draws = file[f"posterior/{name}"]
        assert draws.shape == (2, 6, averages) and np.ptp(draws[:], axis=1).max() > 0
        assert file[f"constant_data/{name}_waves"].shape == (averages, 2)
        assert list(file["kept"]) == [0, 2, 4]
        kept = file[f"fields/{field}"][:]
        assert kept.shape[:3] == (2, 3, 49) and np.isfinite(kept).all()
        np.testing.assert_allclose(file[f"estimate/{field}"], kept.mean(axis=(0, 1)), atol=1e-12)
        np.testing.assert_allclose(file[f"estimate/{field}_std"], kept.std(axis=(0, 1)), atol=1e-12)
        assert 0 <= file["estimate"].attrs[f"{field}_inside"] <= 1
    MPI.COMM_WORLD.barrier()


def test_the_same_alone(tmp_path):
    """Noise goes by labels: a mesh on one rank and on several."""
    together = sampled(problem(tmp_path, "stream"))
    alone = sampled(problem(tmp_path, "stream", f"alone{MPI.COMM_WORLD.rank}", MPI.COMM_SELF))
    assert_close(together, alone, rtol=1e-5, atol=1e-7)


@pytest.mark.serial
@pytest.mark.parametrize(("kind", "names"), [("stream", ("speed", "sections")), ("initial", ())])
def test_pictures_of_a_field(tmp_path, kind, names):
    """Also where the domain is wide."""
    found = problem(tmp_path, kind, domain={"upper": [2.0, 1.0]} if kind == "stream" else {})
    path = sampled(found)
    with coarse():
        pictures = {path.stem for path in plots.draw(path)}
    assert {"traces", "chains", "posterior", *(names or ("initial",))} <= pictures


def test_averages_of_a_cosine(tmp_path):
    found = problem(tmp_path, "initial")
    averages = Averages(found, found.unknowns.parts[0])
    state = found.operator.state(lambda x: 3.0 + np.cos(np.pi * x[0]), "test")
    values = dict(zip(map(tuple, averages.waves.tolist()), averages(state), strict=True))
    assert values[0, 0] == pytest.approx(3.0, abs=1e-12)
    assert values[1, 0] == pytest.approx(0.5, rel=0.05)
    assert abs(values[0, 1]) < 1e-6 and abs(values[2, 1]) < 1e-6


@pytest.mark.serial
def test_a_gaussian_posterior_of_a_field(tmp_path):
    """The initial state enters linearly: means and spreads of its averages against Laplace's."""
    table = {"draws": 120, "warmup": 0, "step_size": 0.8, "metric": "laplace", "fields": 120}
    found = problem(tmp_path, "initial", sampler=table)
    path = sampled(found)
    objective, prior = found.objective, found.prior
    best = minimise(objective, prior.mean.copy(), gradient_tolerance=1e-10).m
    exact = approximate(objective, best, threshold=1e-6, most=49)
    averages = Averages(found, found.unknowns.parts[0])
    covariance = []
    for k in range(len(averages.waves)):
        unit = averages._values.duplicate()
        unit.setArray(np.eye(len(averages.waves))[k, : unit.getLocalSize()])
        weights = best.duplicate()
        averages._weights.mult(unit, weights)
        covariance.append(exact.covariance(weights).dot(weights))
    mean, std = averages(best), np.sqrt(covariance)
    with h5py.File(path) as file:
        draws = file["posterior/initial_averages"][:].reshape(240, -1)
        assert file["sample_stats/acceptance_rate"][:].mean() > 0.99
        assert file["estimate"].attrs["initial_inside"] > 0.5
    size = 240 / 4  # of the effective draws, at the least
    assert (np.abs(draws.mean(axis=0) - mean) < 4 * std / np.sqrt(size)).all()
    np.testing.assert_allclose(draws.std(axis=0), std, rtol=0.25)
    MPI.COMM_WORLD.barrier()


def test_the_penalty_counts(tmp_path):
    """Value and gradient of Φ with a divergence penalty, by central differences."""
    found = problem(tmp_path, "nodal")
    phi, prior = potential(found), found.prior
    assert phi is not found.objective.potential
    m, way = prior.draw(0, 0), prior.draw(0, 1)
    value, gradient, _ = phi.linearise(m)
    assert value == pytest.approx(phi.value(m), rel=1e-10)
    assert value > found.objective.potential.value(m) + 1e-3
    assert gradient.dot(way) == pytest.approx(central(phi.value, m, way, 1e-4), rel=1e-5)


class Killed(Exception):
    pass


DELAYED = {"sampler": {"kernel": "delayed-acceptance", "metric": "laplace"}, "reduced": {}}
serial = pytest.mark.serial


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("stream", {}),
        pytest.param("diffusivity", {"sampler": {"kernel": "pcn"}}, marks=serial),
        pytest.param("coefficients", {"sampler": {"kernel": "mala"}}, marks=serial),
        pytest.param("coefficients", DELAYED, marks=serial),
    ],
)
def test_a_flow_goes_on_bit_for_bit(tmp_path, monkeypatch, kind, changes):
    """Killed in the warm-up and among the draws; the same bits on one rank.

    On several ranks MUMPS, which factorises the prior, adds in the order in which messages come.
    """
    whole = sampled(problem(tmp_path, kind, "whole", **changes))
    record = archive.Archive.record
    for life in (2, 7):
        left = life

        def fragile(self, *arguments):
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            record(self, *arguments)

        monkeypatch.setattr(archive, "EVERY", 0.0)
        monkeypatch.setattr(archive.Archive, "record", fragile)
        with pytest.raises(Killed):
            sampled(problem(tmp_path, kind, "broken", **changes), resume=life > 2)
    monkeypatch.setattr(archive.Archive, "record", record)
    broken = sampled(problem(tmp_path, kind, "broken", **changes), resume=True)
    exact = MPI.COMM_WORLD.size == 1 and os.environ.get("ADVDIFF_INSIDE") != "sid"
    rounding = 0.0 if exact else 1e-9  # in Debian's sid even one process rounds differently
    assert_close(whole, broken, rtol=rounding, atol=rounding)


def test_a_random_walk_does_not_move_a_field(tmp_path):
    with pytest.raises(InputError, match=r"sampler\.kernel: random-walk does not move"):
        problem(tmp_path, "stream", sampler={"kernel": "random-walk"})
