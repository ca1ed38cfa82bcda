"""Preconditioned Crank–Nicolson: ξ' = √(1 − β²) ξ + β w (Cotter, Roberts, Stuart & White, 2013)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from advdiff.chains.kernel import Info, Options, State, Target, probability


@dataclass(frozen=True)
class PCN:
    """``step_size`` is β ≤ 1; the proposal keeps the prior, the accept step sees Φ alone.

    Two unknowns of N(0, 1), each read as 1 with the standard deviation ½: their mean is 4/5.

    >>> from petsc4py import PETSc
    >>> from advdiff.core.random import Random
    >>> class Target:
    ...     def value(self, xi):
    ...         return 2.0 * (xi - 1.0).norm() ** 2
    >>> kernel = PCN(Target(), step_size=0.5)
    >>> mean = PETSc.Vec().createWithArray([0.0, 0.0])
    >>> state = kernel.init(mean.copy())
    >>> for step in range(4000):
    ...     state, info = kernel.step(Random(0, 0, step), state)
    ...     mean += state.xi / 4000
    >>> mean.array.round(1)
    array([0.8, 0.8])
    """

    target: Target
    step_size: float = 0.2
    largest: float = 1.0
    ideal: float = 0.234

    def init(self, xi):
        return State(xi, self.target.value(xi))

    def step(self, rng, state):
        xi = rng.white(state.xi)
        xi.scale(self.step_size)
        xi.axpy(math.sqrt(1.0 - self.step_size**2), state.xi)
        potential = self.target.value(xi)
        chance = probability(state.potential - potential)
        accepted = rng.uniform() < chance
        return (State(xi, potential) if accepted else state), Info(accepted, chance)


def make(target: Target, options: Options, cheap: Target | None = None) -> PCN:
    """The kernel that the options ask for; a cheap target is of no use to it."""
    return PCN(target)
