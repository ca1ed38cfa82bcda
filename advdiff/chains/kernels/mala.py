"""∞-MALA: the Langevin equation by Crank–Nicolson in its linear part.

    ξ' = ρ ξ + √(1 − ρ²) (w − ½√h ∇Φ(ξ)),   ρ = (1 − h/4)/(1 + h/4)

(Beskos, Girolami, Lan, Farrell & Stuart, J. Comput. Phys. 335, 2017, §3.1 with K = C).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from petsc4py import PETSc

from advdiff.chains.kernel import Info, Options, State, Target, probability


@dataclass(frozen=True)
class MALA:
    """``step_size`` is √h ≤ 2, where ρ = 0.

    Two unknowns of N(0, 1), each read as 1 with the standard deviation ½: their mean is 4/5.

    >>> from advdiff.core.random import Random
    >>> class Target:
    ...     def value(self, xi):
    ...         return 2.0 * (xi - 1.0).norm() ** 2
    ...     def both(self, xi):
    ...         return self.value(xi), 4.0 * (xi - 1.0)
    >>> kernel = MALA(Target(), step_size=0.8)
    >>> mean = PETSc.Vec().createWithArray([0.0, 0.0])
    >>> state = kernel.init(mean.copy())
    >>> for step in range(2000):
    ...     state, info = kernel.step(Random(0, 0, step), state)
    ...     mean += state.xi / 2000
    >>> mean.array.round(1)
    array([0.8, 0.8])
    """

    target: Target
    step_size: float = 0.2
    largest: float = 2.0
    ideal: float = 0.574

    def init(self, xi):
        return State(xi, *self.target.both(xi))

    def step(self, rng, state):
        root = self.step_size
        rho = (1.0 - root**2 / 4.0) / (1.0 + root**2 / 4.0)
        noise = rng.white(state.xi)
        noise.axpy(-0.5 * root, state.gradient)
        xi = state.xi.copy()
        xi.scale(rho)
        xi.axpy(math.sqrt(1.0 - rho**2), noise)
        potential, gradient = self.target.both(xi)
        if gradient is None:
            return state, Info(False, 0.0, diverging=True)
        there = self._log_density(state, noise)
        proposed = State(xi, potential, gradient)
        back = self._log_density(proposed, self._noise(xi, state.xi, rho))
        chance = probability(state.potential - potential + back - there)
        accepted = rng.uniform() < chance
        return (proposed if accepted else state), Info(accepted, chance)

    @staticmethod
    def _noise(origin: PETSc.Vec, to: PETSc.Vec, rho: float) -> PETSc.Vec:
        """v with to = ρ·origin + √(1 − ρ²) v."""
        noise = to.copy()
        noise.axpy(-rho, origin)
        noise.scale(1.0 / math.sqrt(1.0 - rho**2))
        return noise

    def _log_density(self, origin: State, noise: PETSc.Vec) -> float:
        """Of the proposal from ``origin``, relative to the one with ∇Φ = 0."""
        root, gradient = self.step_size, origin.gradient
        return -0.5 * root * gradient.dot(noise) - root**2 / 8.0 * gradient.dot(gradient)


def make(target: Target, options: Options, cheap: Target | None = None) -> MALA:
    """The kernel that the options ask for; a cheap target is of no use to it."""
    return MALA(target)
