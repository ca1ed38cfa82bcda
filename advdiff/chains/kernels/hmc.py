"""Hamiltonian Monte Carlo in function space, with a fixed number of jittered steps.

The metric is the prior's, or the Laplace approximation's where the target is in its coordinates
(``coordinates.Recentred``).  With a ``SurrogateTarget`` the trajectory follows another gradient:
the splitting is reversible and keeps volume for any function in place of ∇Φ, so that the accept
step with the exact Φ keeps the chain exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from advdiff.chains.kernel import Info, Options, State, Target, probability
from advdiff.chains.kernels.trajectory import Point, energy, leap


@dataclass(frozen=True)
class HMC:
    """``step_size`` is the angle of one rotation.

    Args:
        steps: of a trajectory.
        jitter: the angle is drawn from ``step_size``·[1 − jitter, 1 + jitter].

    Two unknowns of N(0, 1), each read as 1 with the standard deviation ½: their mean is 4/5.

    >>> from petsc4py import PETSc
    >>> from advdiff.core.random import Random
    >>> class Target:
    ...     def value(self, xi):
    ...         return 2.0 * (xi - 1.0).norm() ** 2
    ...     def both(self, xi):
    ...         return self.value(xi), 4.0 * (xi - 1.0)
    ...     def gradient(self, xi):
    ...         return 4.0 * (xi - 1.0)
    >>> kernel = HMC(Target(), step_size=0.3, steps=5)
    >>> mean = PETSc.Vec().createWithArray([0.0, 0.0])
    >>> state = kernel.init(mean.copy())
    >>> for step in range(1000):
    ...     state, info = kernel.step(Random(0, 0, step), state)
    ...     mean += state.xi / 1000
    >>> mean.array.round(1)
    array([0.8, 0.8])
    """

    target: Target
    step_size: float = 0.1
    steps: int = 10
    jitter: float = 0.2
    largest: float = 0.5 * math.pi
    ideal: float = 0.8

    def init(self, xi):
        return State(xi, *self.target.both(xi))

    def step(self, rng, state):
        velocity = rng.white(state.xi)
        angle = self.step_size * (1.0 + self.jitter * (2.0 * rng.uniform() - 1.0))
        before = energy(state, velocity)
        point: Point | None = Point(state, velocity, 0.0)
        for i in range(self.steps):
            point = leap(self.target, point, angle, value=i == self.steps - 1)
            if point is None:
                return state, Info(False, 0.0, i + 1, before, math.inf, diverging=True)
        error = point.error(state)
        chance = probability(-error)
        accepted = rng.uniform() < chance
        moved = point.state if accepted else state
        after = before + error if accepted else before
        return moved, Info(accepted, chance, self.steps, after, error, not error < LIMIT)


LIMIT = 1000.0
"""An energy error above which a trajectory counts as diverging."""


def make(target: Target, options: Options, cheap: Target | None = None) -> HMC:
    """The kernel that the options ask for; a cheap target is of no use to it."""
    return HMC(target, steps=options.steps)
