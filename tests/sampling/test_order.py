"""Vectors of unknowns on disk, and chains that go on on other ranks than they were begun on."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from mpi4py import MPI

from advdiff import Problem
from advdiff.sampling import archive
from advdiff.sampling.order import Order, mixed
from tests.results.test_fields import KINDS, Killed, assert_close, problem, sampled

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
KINDS["both"] = {"diffusivity": "field", "velocity": {"family": "nodal", "degree": 1}}


def order(found: Problem) -> Order:
    return Order(found.unknowns.vector(), found.prior.places)


def row(found: Order, vector) -> np.ndarray:
    """All of it, on every rank."""
    return np.concatenate(vector.comm.tompi4py().allgather(found.share(vector)))


@pytest.mark.parametrize("kind", ["both", "initial", "coefficients"])
def test_a_vector_has_one_row_on_any_ranks(tmp_path, kind):
    """Noise goes by labels, rows by places: both the same on this rank alone."""
    together, alone = problem(tmp_path, kind), problem(tmp_path, kind, "alone", SELF)
    orders = order(together), order(alone)
    m = together.prior.white(3, 1)
    rows = [row(orders[0], m), row(orders[1], alone.prior.white(3, 1))]
    np.testing.assert_array_equal(rows[0], rows[1])
    assert len(np.unique(rows[0])) == together.unknowns.size
    back = orders[0].vector(orders[0].share(m))
    np.testing.assert_array_equal(back.array_r, m.array_r)
    checks = {
        found.check([1.0, 2.0], found.share(x), 2 * found.share(x))
        for found, x in zip(orders, (m, orders[1].vector(rows[0])), strict=True)
    }
    assert len(checks) == 1 and 0 < checks.pop() < 2**53


def test_a_check_sum_sees_what_changed():
    values = np.arange(7.0)
    swapped = values[[0, 2, 1, 3, 4, 5, 6]]
    nudged = np.nextafter(values, 8.0 * (values == 3))
    seen = {mixed(v, k) for v in (values, swapped, nudged, -values) for k in (0, 1)}
    assert len(seen) == 8
    parts = mixed(values[:3], 5) + mixed(values[3:], 8)
    assert parts % 2**64 == mixed(values, 5)


@pytest.mark.parametrize(
    ("kind", "first"), [("stream", "together"), ("both", "alone"), ("coefficients", "together")]
)
def test_other_ranks_go_on(tmp_path, monkeypatch, kind, first):
    """Begun together and gone on with by one rank, or the other way round: the same draws, but for
    what other ranks round differently."""
    record, count = archive.Archive.record, 0

    def fragile(self, *arguments):
        nonlocal count
        record(self, *arguments)
        count += 1
        if count == 6:  # the second of its draws
            raise Killed

    def begin(found):
        with monkeypatch.context() as patch:
            patch.setattr(archive.Archive, "record", fragile)
            with pytest.raises(Killed):
                sampled(found)

    def go_on(found):
        sampled(found, resume=True)

    monkeypatch.setattr(archive, "EVERY", 0.0)
    whole = sampled(problem(tmp_path, kind, "whole"))
    comms = (WORLD, SELF) if first == "together" else (SELF, WORLD)
    for work, comm in zip((begin, go_on), comms, strict=True):
        found = problem(tmp_path, kind, "broken", comm)  # its readings are made by all
        if comm is WORLD or WORLD.rank == 0:
            work(found)
        WORLD.barrier()
    broken = tmp_path / "broken.h5"
    assert_close(whole, broken, rtol=1e-6, atol=1e-8)
    with h5py.File(whole) as one, h5py.File(broken) as other:
        np.testing.assert_allclose(other["theta"], one["theta"], rtol=1e-6, atol=1e-8)
    WORLD.barrier()


@pytest.mark.parametrize("kind", ["both", "coefficients"])
def test_the_tracer_at_the_posterior_mean(tmp_path, monkeypatch, kind):
    """``/theta`` is that of the mean of all draws."""
    record, draws = archive.Archive.record, []

    def watched(self, chain, link, m, stats):
        if m is not None:
            draws.append(m.copy())
        record(self, chain, link, m, stats)

    monkeypatch.setattr(archive.Archive, "record", watched)
    found = problem(tmp_path, kind)
    path = sampled(found)
    mean = found.unknowns.vector()
    mean.maxpy(np.full(len(draws), 1.0 / len(draws)), draws)
    assert len(draws) == 12
    found.unknowns.assign(mean)
    found.operator.assemble()
    states = found.semigroup().solve(found.experiment.time.times).states
    with h5py.File(path) as file:
        theta = file["theta"][:]
    assert theta.shape == (len(states), found.samples.count) and np.ptp(theta) > 0.1
    for row, state in zip(theta, states, strict=True):
        values = found.samples.values(found.operator.extend(state, boundary=True))
        mine = slice(*values.getOwnershipRange())
        np.testing.assert_allclose(row[mine], values.array_r, rtol=1e-8, atol=1e-10)
    WORLD.barrier()
