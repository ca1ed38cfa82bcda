"""``task = "sample"`` for a flow: chains of its coefficients, and fields made of them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from mpi4py import MPI

from advdiff import Problem, config, tasks
from advdiff.errors import InputError
from tests import flows
from tests.test_inversion import SINE, observations


def problem(tmp_path, name, **changes) -> Problem:
    tables = flows.data(
        6,
        observations={"file": observations(tmp_path, flows.problem(2))},
        unknowns=SINE,
        prior={"velocity": {"std": 0.2}},
        task="sample",
        output={"file": f"{name}.h5"},
        **changes,
    )
    return Problem(config.parse(tables, tmp_path / f"{name}.toml"))


SAMPLER = {"draws": 6, "warmup": 3, "chains": 2, "steps": 2, "step_size": 0.05}


def test_a_flow_is_sampled_the_same_in_groups(tmp_path):
    """As many groups as chains, and all ranks together: the same up to the solver."""
    files = []
    for name, groups in (("groups", 2), ("together", 1)):
        found = problem(tmp_path, name, sampler=SAMPLER | {"groups": groups})
        assert tasks.run(found, lambda line: None)
        files.append(tmp_path / f"{name}.h5")
    with h5py.File(files[0]) as one, h5py.File(files[1]) as other:
        for name in ("posterior/velocity_coefficients", "posterior/log_diffusivity"):
            assert one[name].shape[:2] == (2, 6)
            np.testing.assert_allclose(one[name][:], other[name][:], rtol=1e-5, atol=1e-6)
        speed, spread = one["estimate/speed"][:], one["estimate/speed_std"][:]
        assert speed.shape == (len(one["mesh/geometry"]),) and (spread >= 0).all()
        assert spread.max() > 0 and np.linalg.norm(one["estimate/velocity"][:], axis=1).max() > 0
    MPI.COMM_WORLD.barrier()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sampler": {"gradient": "first-order"}}, "sampler.gradient: a flow has its exact one"),
        ({"sampler": {"kernel": "delayed-acceptance"}}, "sampler.kernel: delayed-acceptance"),
        ({"unknowns": {"initial": True}}, "unknowns: an unknown field"),
    ],
)
def test_what_chains_of_a_flow_do_not_offer(change, words):
    tables = flows.data(6, observations={"file": "x.csv"}, unknowns=SINE, task="sample") | change
    with pytest.raises(InputError, match=words):
        config.parse(tables)
