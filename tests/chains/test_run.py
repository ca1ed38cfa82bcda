"""Chains: the known posterior, warm-up, going on bit for bit, the same on any number of ranks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mpi4py import MPI

from advdiff.chains import warmup
from advdiff.chains.coordinates import White
from advdiff.chains.diagnostics import mcse_mean, rhat
from advdiff.chains.kernels.hmc import HMC
from advdiff.chains.laplace_metric import recentred
from advdiff.chains.run import KERNELS, Draws, Groups, Options, make_kernel, sample
from advdiff.core.errors import ConvergenceError
from advdiff.core.random import Random
from advdiff.inverse.map import minimise
from advdiff.inverse.objective import Objective
from tests.chains import problems
from tests.differences import central
from tests.models import problems as models

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF


def cheap(kernel):
    return problems.linear((1.2, -0.5))[0] if kernel == "delayed-acceptance" else None


@pytest.mark.parametrize("kernel", KERNELS)
def test_mean_and_variance_of_the_known_posterior(kernel):
    """Within five standard errors; each rank runs some of the chains."""
    potential, prior = problems.linear()
    options = Options(kernel, draws=600, warmup=200, chains=4, seed=3, steps=4)
    mine = Groups(WORLD, WORLD.size).chains(options.chains)
    found = sample(potential, prior, options, cheap=cheap(kernel), chains=mine)
    parts = WORLD.allgather({c: np.array(found.draws.get(c, [])) for c in mine})
    draws = np.array([v for _, v in sorted(p for part in parts for p in part.items())])
    assert draws.shape == (4, 600, 3) and rhat(draws).max() < 1.15
    mean, covariance = problems.posterior()
    for power, values, exact in (
        (1, draws, mean),
        (2, (draws - mean) ** 2, np.diag(covariance)),
    ):
        error = mcse_mean(values)
        assert (np.abs(values.mean(axis=(0, 1)) - exact) < 5 * error).all(), power


def test_in_the_coordinates_of_laplace_a_gaussian_is_white():
    """Φ' is constant, its gradient zero, and a draw of noise one of the posterior: to 1e-8."""
    potential, prior = problems.linear()
    estimate = minimise(Objective(potential, prior), prior.mean, gradient_tolerance=1e-12)
    target = recentred(White(potential, prior), potential, prior, estimate.m, 3)
    mean, covariance = problems.posterior()
    zero = prior.mean.duplicate()
    zero.set(0.0)
    np.testing.assert_allclose(target.parameters(zero).array, mean, atol=1e-8)
    value, gradient = target.both(zero)
    columns = []
    for k in range(3):
        eta = prior.unknowns.from_numpy(2.0 * np.eye(3)[k])
        assert target.value(eta) == pytest.approx(value, abs=1e-8)
        assert target.gradient(eta).norm() < 1e-8
        columns.append((target.parameters(eta).array - mean) / 2.0)
    root = np.array(columns).T
    np.testing.assert_allclose(root @ root.T, covariance, atol=1e-8)
    assert gradient.norm() < 1e-8
    _, info = HMC(target, 1.0).step(Random(0, 0, 1), HMC(target).init(zero))
    assert info.acceptance == pytest.approx(1.0, abs=1e-8)


def test_gradients_in_both_coordinates():
    potential, prior = models.rate_matrix(d=3, comm=SELF)
    white = White(potential, prior)
    estimate = minimise(Objective(potential, prior), prior.mean)
    for target in (white, recentred(white, potential, prior, estimate.m, 4)):
        rng = np.random.default_rng(0)
        xi, d = (prior.unknowns.from_numpy(rng.standard_normal(6)) for _ in range(2))
        value, gradient = target.both(xi)
        assert target.value(xi) == pytest.approx(value, rel=1e-13)
        np.testing.assert_array_equal(target.gradient(xi).array, gradient.array)
        assert central(target.value, xi, d, 1e-5) == pytest.approx(gradient.dot(d), rel=1e-6)


def test_dual_averaging_finds_the_acceptance_asked_for():
    """Of a kernel that accepts with exp(−step)."""
    at = warmup.begin(1e-3, math.inf)
    for _ in range(2000):
        at = warmup.update(at, math.exp(-at.step_size), 0.7, math.inf)
    assert math.exp(-at.final) == pytest.approx(0.7, abs=0.02)
    at = warmup.begin(0.5, 1.0)
    for _ in range(200):
        at = warmup.update(at, 1.0, 0.7, 1.0)
    assert at.step_size == at.final == 1.0


def assert_same(one: Draws, other: Draws) -> None:
    assert one.draws.keys() == other.draws.keys()
    for chain in one.draws:
        np.testing.assert_array_equal(one.draws[chain], other.draws[chain])
        np.testing.assert_equal(one.stats[chain], other.stats[chain])


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_chain_goes_on_bit_for_bit(kernel):
    """Interrupted in the warm-up and again among the draws."""
    potential, prior = problems.linear()
    options = Options(kernel, draws=10, warmup=10, chains=1, seed=4, steps=2, thin=2)
    whole = sample(potential, prior, options, cheap=cheap(kernel))
    assert len(whole.draws[0]) == 10

    class Killed(Exception):
        pass

    class Fragile(Draws):
        left = 7

        def record(self, chain, link, m, stats):
            if self.left == 0:
                raise Killed
            self.left -= 1
            super().record(chain, link, m, stats)

    broken = Fragile(options)
    for life in (7, 12, 100):
        broken.left = life
        try:
            sample(potential, prior, options, broken, cheap=cheap(kernel))
        except Killed:
            assert life < 100
    assert_same(whole, broken)


def test_the_same_chain_on_any_number_of_ranks():
    """All ranks together, and this rank alone."""
    options = Options("hmc", draws=15, warmup=10, chains=2, seed=5, steps=3)
    together = sample(*models.rate_matrix(comm=WORLD), options)
    alone = sample(*models.rate_matrix(comm=SELF), options)
    for chain in range(2):
        everywhere = WORLD.bcast(np.array(together.draws[chain]))
        np.testing.assert_array_equal(everywhere, alone.draws[chain])
        np.testing.assert_equal(together.stats[chain], alone.stats[chain])


def test_groups_share_the_chains():
    for count in range(1, WORLD.size + 1):
        groups = Groups(WORLD, count)
        assert groups.comm.size >= WORLD.size // count
        mine = groups.chains(5) if groups.comm.rank == 0 else []
        assert sorted(c for part in WORLD.allgather(mine) for c in part) == list(range(5))
        if groups.comm != WORLD:
            groups.comm.Free()


def test_a_surrogate_moves_the_trajectory_and_not_the_posterior():
    options = Options("hmc", draws=800, warmup=200, chains=1, seed=6, steps=4)
    potential, prior = problems.linear()
    surrogate = problems.linear((1.6, -0.2), matrix=0.9 * problems.MATRIX)[0]
    exact = sample(potential, prior, options)
    found = sample(potential, prior, options, surrogate=surrogate)
    mean, _ = problems.posterior()
    draws = found.array()
    error = mcse_mean(draws)
    assert (np.abs(draws.mean(axis=(0, 1)) - mean) < 5 * error).all()
    assert found.stat("step_size")[0, -1] < exact.stat("step_size")[0, -1]


def test_a_model_that_fails_is_a_rejection_that_is_counted():
    potential, prior = problems.linear()
    linearise, observe = potential.model.linearise, potential.model.observe

    def failing(function):
        def call(m):
            if m.array[0] > 0.5:
                raise ConvergenceError("no")
            return function(m)

        return call

    potential.model.linearise, potential.model.observe = failing(linearise), failing(observe)
    for kernel in ("hmc", "mala", "nuts", "pcn", "random-walk"):
        options = Options(kernel, draws=150, warmup=0, chains=1, step_size=0.5, steps=3)
        found = sample(potential, prior, options)
        assert (found.array()[..., 0] <= 0.5).all()
        assert 0 < found.stat("accepted").sum() < 150
        if kernel in ("hmc", "mala", "nuts"):
            assert found.stat("diverging").sum() > 0

    def never(m):
        raise ConvergenceError("no")

    potential.model.linearise = never
    with pytest.raises(ConvergenceError, match="no start for a chain"):
        sample(potential, prior, Options("hmc"))


def test_the_energy_of_a_trajectory_is_conserved_to_second_order():
    target = problems.white()
    xi = target.prior.unknowns.from_numpy(np.array([0.5, -1.0, 0.3]))
    errors = []
    for size in (0.2, 0.1, 0.05):
        kernel = HMC(target, size, steps=round(1.0 / size), jitter=0.0)
        _, info = kernel.step(Random(0, 0, 1), kernel.init(xi))
        errors.append(abs(info.energy_error))
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.3)
    assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.15)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_table_says_of_a_kernel_what_it_is(kernel):
    able, made = KERNELS[kernel], make_kernel(Options(kernel), problems.white(), problems.white())
    assert able.largest in (None, made.largest)
    state = made.init(problems.linear()[1].mean)
    assert able.follows_gradient == (state.gradient is not None)


def test_unknown_kernels_and_missing_stages_are_refused():
    target = problems.white()
    with pytest.raises(ValueError, match="unknown kernel 'gibbs'"):
        make_kernel(Options("gibbs"), target)
    with pytest.raises(ValueError, match="needs a cheap target"):
        make_kernel(Options("delayed-acceptance"), target)


def test_acceptance_does_not_fall_with_the_dimension():
    """pCN, ∞-MALA and HMC see the same Φ of the first unknowns, however many others there are."""
    found = {}
    for size in (3, 300):
        matrix = np.zeros((2, size))
        matrix[:, :3] = problems.MATRIX
        model = problems.Linear(matrix, SELF)
        prior = problems.independent_prior(model.unknowns, 0.0, 1.0)
        potential = problems.Potential(model, problems.Gaussian(np.zeros(2), problems.NOISE))
        for kernel, step in (("pcn", 0.3), ("mala", 0.5), ("hmc", 0.3), ("random-walk", 0.5)):
            options = Options(kernel, draws=200, warmup=0, chains=1, step_size=step, steps=4)
            chains = sample(potential, prior, options)
            found[kernel, size] = chains.stat("acceptance_rate").mean()
    for kernel in ("pcn", "mala", "hmc"):
        assert abs(found[kernel, 300] - found[kernel, 3]) < 0.1, found
    assert found["random-walk", 300] < 0.1 < found["random-walk", 3]


def test_thinning_keeps_every_other_step():
    potential, prior = problems.linear()
    every = sample(potential, prior, Options("pcn", draws=10, warmup=3, chains=1))
    thinned = sample(potential, prior, Options("pcn", draws=5, warmup=3, chains=1, thin=2))
    np.testing.assert_array_equal(thinned.array(), every.array()[:, 1::2])
