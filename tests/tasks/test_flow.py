"""``task = "sample"`` for a flow: chains of its coefficients, and fields made of them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from mpi4py import MPI

from advdiff import Problem, tasks
from advdiff.config.load import parse
from advdiff.core.errors import InputError
from advdiff.problem.unknowns.velocity import nearest
from advdiff.views import plots
from tests import flows, sketches
from tests.inverse.test_inversion import SINE, observations


def problem(tmp_path, name, std=0.02, **changes) -> Problem:
    tables = flows.data(
        6,
        observations={"file": observations(tmp_path, flows.problem(2), std=std)},
        unknowns=SINE,
        prior={"velocity": {"std": 0.2}},
        task="sample",
        output={"file": f"{name}.h5"},
        **changes,
    )
    return Problem(parse(tables, tmp_path / f"{name}.toml"))


TRUTH = {"velocity": {"stream": "0.3*sin(pi*x)*sin(pi*y)/pi + 0.1*sin(2*pi*x)*sin(pi*y)"}}
SAMPLER = {"draws": 6, "warmup": 3, "chains": 2, "steps": 2, "step_size": 0.05}


def test_a_flow_is_sampled_the_same_in_groups(tmp_path):
    """As many groups as chains, and all ranks together: the same up to the solver."""
    files = []
    for name, groups in (("groups", 2), ("together", 1)):
        found = problem(tmp_path, name, sampler=SAMPLER | {"groups": groups}, truth=TRUTH)
        assert tasks.run(found, lambda line: None)
        files.append(tmp_path / f"{name}.h5")
    with h5py.File(files[0]) as one, h5py.File(files[1]) as other:
        for name in ("posterior/velocity_coefficients", "posterior/log_diffusivity"):
            assert one[name].shape[:2] == (2, 6)
            np.testing.assert_allclose(one[name][:], other[name][:], rtol=1e-5, atol=1e-6)
        speed, spread = one["estimate/speed"][:], one["estimate/speed_std"][:]
        assert speed.shape == (len(one["mesh/geometry"]),) and (spread >= 0).all()
        low, high = (one[f"estimate/velocity_{name}"][:] for name in ("05", "95"))
        assert (low <= high).all() and (low < high).any()
        assert one["constant_data/wave"].shape == (4, 2)
        assert np.allclose(one["constant_data/prior_std"], 0.2)
        assert spread.max() > 0 and np.linalg.norm(one["estimate/velocity"][:], axis=1).max() > 0
    MPI.COMM_WORLD.barrier()


def test_the_nearest_flow_in_modes(tmp_path):
    """The coefficients of a flow of the family, beside the given one."""
    found = problem(tmp_path, "nearest", truth=TRUTH)
    part = found.unknowns.parts[0]
    values = nearest(found, part, found.truth["velocity"])
    # CELL is physics.velocity; a coefficient is the root mean square of its mode
    speed = [-0.7 / np.sqrt(2.0), 0.0, 0.1 * np.pi * np.sqrt(5.0) / 2.0, 0.0]
    np.testing.assert_allclose(values, speed, atol=2e-2)


@pytest.mark.serial
def test_pictures_of_a_flow(tmp_path):
    """As users get them; ``test_fields.py`` draws the others."""
    found = problem(tmp_path, "pictures", sampler=SAMPLER, truth=TRUTH)
    assert tasks.run(found, lambda line: None)
    result = tmp_path / "pictures.h5"
    with h5py.File(result) as file:
        assert {"chains", "posterior", "speed"} <= set(plots.contents(file))
    sketches.draw(result, ["traces", "spectrum", "sections"], [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sampler": {"gradient": "first-order"}}, "sampler.gradient: a flow has 'exact' and"),
        ({"sampler": {"kernel": "delayed-acceptance"}}, "sampler.kernel: delayed-acceptance"),
        ({"sampler": {"gradient": "reduced"}}, "sampler.gradient: reduced needs a cheap model"),
        ({"reduced": {}}, "reduced: no sampler takes it"),
    ],
)
def test_what_chains_of_a_flow_do_not_offer(change, words):
    tables = flows.data(6, observations={"file": "x.csv"}, unknowns=SINE, task="sample") | change
    with pytest.raises(InputError, match=words):
        parse(tables)
