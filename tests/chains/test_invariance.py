"""Every kernel keeps the posterior: an exact rank test, which broken kernels fail.

With m drawn from the prior and data from m, m is a draw of the posterior.  A chain through m, with
m at a random place of it and the rest made by a reversible kernel in both directions, has m's rank
uniformly distributed among its states, however slowly it mixes (Gandy & Scott, arXiv:2001.06465;
simulation-based calibration without a burn-in).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import chisquare

from advdiff.chains.kernel import Info, SurrogateTarget
from advdiff.chains.kernels.delayed_acceptance import DelayedAcceptance
from advdiff.chains.kernels.hmc import HMC
from advdiff.chains.kernels.mala import MALA
from advdiff.chains.kernels.nuts import NUTS
from advdiff.chains.kernels.pcn import PCN
from advdiff.chains.kernels.random_walk import RandomWalk
from advdiff.core.random import Random
from tests.chains import problems

REPLICATES, BLOCK, STATES, BINS = 200, 50, 12, 6


def wrong(values):
    """A target of other data and another matrix: the gradient or the first stage of a surrogate."""
    return problems.white(np.asarray(values) + 1.0, matrix=0.7 * problems.MATRIX)


KERNELS = {
    "random walk": lambda target, values: RandomWalk(target, 0.4),
    "pcn": lambda target, values: PCN(target, 0.5),
    "mala": lambda target, values: MALA(target, 0.6),
    "hmc": lambda target, values: HMC(target, 0.3, steps=4),
    "nuts": lambda target, values: NUTS(target, 0.3, max_depth=4),
    "surrogate hmc": lambda target, values: HMC(
        SurrogateTarget(target, wrong(values).gradient), 0.3, steps=4
    ),
    "surrogate mala": lambda target, values: MALA(
        SurrogateTarget(target, wrong(values).gradient), 0.6
    ),
    "delayed acceptance": lambda target, values: DelayedAcceptance(
        target, PCN(wrong(values)), steps=3, step_size=0.5
    ),
    "delayed acceptance by hmc": lambda target, values: DelayedAcceptance(
        target, HMC(wrong(values), steps=3), steps=2, step_size=0.3
    ),
}


class AlwaysYes:
    """A kernel without its accept step."""

    def __init__(self, kernel):
        self.kernel, self.init = kernel, kernel.init

    def step(self, rng, state):
        class Eager(type(rng)):
            def uniform(self):
                return 0.0

        eager = Eager(0, 0, 0)
        eager.__dict__.update(rng.__dict__)
        return self.kernel.step(eager, state)


class MirroredMALA(MALA):
    """With the proposal's densities the wrong way round."""

    def _log_density(self, origin, noise):
        return -super()._log_density(origin, noise)


class DriftingWalk(RandomWalk):
    """A random walk with a preferred direction, which its accept step does not know of."""

    def step(self, rng, state):
        xi = rng.white(state.xi)
        xi.shift(0.3)
        xi.aypx(self.step_size, state.xi)
        potential = self.target.value(xi)
        change = potential - state.potential + 0.5 * (xi.dot(xi) - state.xi.dot(state.xi))
        accepted = rng.uniform() < np.exp(min(0.0, -change))
        return (self.init(xi) if accepted else state), Info(accepted, 0.0)


class ForgetfulDelay(DelayedAcceptance):
    """Its second stage judges by Φ alone, as if the first had not judged already."""

    def step(self, rng, state):
        inner = replace(self.inner, step_size=self.step_size)
        cheap = inner.init(state.xi)
        for _ in range(self.steps):
            cheap, _ = inner.step(rng, cheap)
        potential = self.target.value(cheap.xi)
        accepted = rng.uniform() < np.exp(min(0.0, state.potential - potential))
        return (self.init(cheap.xi) if accepted else state), Info(accepted, 0.0)


@dataclass(frozen=True)
class DeceivedMALA(MALA):
    """Moves by a surrogate, and reckons its proposal's densities with the exact gradient."""

    exact: object = None

    def _log_density(self, origin, noise):
        true = origin._replace(gradient=self.exact.gradient(origin.xi))
        return super()._log_density(true, noise)


class EqualNUTS(NUTS):
    """Takes every point of its trajectory for as likely as the others."""

    def _build(self, rng, end, depth, forward, start):
        tree = super()._build(rng, end, depth, forward, start)
        return tree if depth or tree.stopped else tree._replace(weight=0.0)


BROKEN = {
    "pcn without its accept step": lambda t, v: AlwaysYes(PCN(t, 0.5)),
    "hmc without its accept step": lambda t, v: AlwaysYes(HMC(t, 1.2, steps=3)),
    "mala with its densities exchanged": lambda t, v: MirroredMALA(t, 0.9),
    "a drifting random walk": lambda t, v: DriftingWalk(t, 0.4),
    "nuts with equal weights": lambda t, v: EqualNUTS(t, 0.78, max_depth=3),
    "surrogate hmc judged by the surrogate": lambda t, v: HMC(wrong(v), 0.3, steps=4),
    "surrogate mala with the exact densities": lambda t, v: DeceivedMALA(
        SurrogateTarget(t, wrong(v).gradient), 0.6, exact=t
    ),
    "delayed acceptance without its second stage": lambda t, v: DelayedAcceptance(
        wrong(v), PCN(wrong(v)), steps=3, step_size=0.5
    ),
    "delayed acceptance that judges twice": lambda t, v: ForgetfulDelay(
        t, PCN(wrong(v)), steps=3, step_size=0.5
    ),
}


def ranks(make, replicates: Iterable[int], seed: int = 1) -> np.ndarray:
    """Of the truth among the states of a chain through it, (replicate, quantity)."""
    found = []
    for replicate in replicates:
        rng = np.random.default_rng([seed, replicate])
        xi = rng.standard_normal(problems.SIZE)
        m = problems.MEAN + problems.STD * xi
        values = problems.MATRIX @ m + problems.NOISE * rng.standard_normal(2)
        target = problems.white(values)
        kernel, unknowns = make(target, values), target.prior.unknowns
        first = kernel.init(unknowns.from_numpy(xi))
        place, states, step = int(rng.integers(STATES)), [first], 0
        for length in (place, STATES - 1 - place):
            state = first
            for _ in range(length):
                step += 1
                state, _ = kernel.step(Random(seed, replicate, step), state)
                states.append(state)
        seen = np.array([[*s.xi.array, s.potential] for s in states])
        # states that a rejection repeats are put in order at random
        below = (seen[1:] < seen[0]).sum(axis=0) + rng.integers(
            (seen[1:] == seen[0]).sum(axis=0) + 1
        )
        found.append(below)
    return np.array(found)


def p_value(found: np.ndarray) -> float:
    """Of uniform ranks: the smallest over the quantities, times their number."""
    values = [
        chisquare(np.bincount(column * BINS // STATES, minlength=BINS)).pvalue for column in found.T
    ]
    return min(1.0, len(values) * min(values))


@pytest.mark.serial
def test_every_kernel_keeps_the_posterior():
    found = {name: p_value(ranks(make, range(REPLICATES))) for name, make in KERNELS.items()}
    assert all(p > 1e-3 for p in found.values()), found


@pytest.mark.serial
@pytest.mark.parametrize("name", BROKEN)
def test_broken_kernels_fail(name):
    """By far: with as many replicates as it takes, twice those of the whole kernels at most."""
    found = ranks(BROKEN[name], range(BLOCK))
    while (p := p_value(found)) >= 1e-5:
        assert len(found) < 2 * REPLICATES, p
        more = range(len(found), len(found) + BLOCK)
        found = np.concatenate([found, ranks(BROKEN[name], more)])


@pytest.mark.parametrize("backward", [False, True])
def test_a_trajectory_comes_back(backward):
    """The splitting is reversible for any function in place of the gradient, whatever the angle."""
    from advdiff.chains.kernels.trajectory import Point, leap

    target = SurrogateTarget(problems.white(), lambda xi: _swirl(xi))
    state = HMC(target).init(_xi())
    velocity, angle = Random(0, 0, 1).white(state.xi), -0.4 if backward else 0.4
    point = Point(state, velocity, 0.0)
    for _ in range(5):
        point = leap(target, point, angle, value=True)
    for _ in range(5):
        point = leap(target, point, -angle, value=True)
    np.testing.assert_allclose(point.state.xi.array, state.xi.array, atol=1e-12)
    np.testing.assert_allclose(point.velocity.array, velocity.array, atol=1e-12)
    assert abs(point.error(state)) < 1e-12


def _xi():
    return problems.white().prior.unknowns.from_numpy(np.array([0.3, -0.2, 1.1]))


def _swirl(xi):
    result = xi.duplicate()
    result.setArray(np.roll(np.sin(xi.array), 1))
    return result
