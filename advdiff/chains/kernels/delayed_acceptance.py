"""Delayed acceptance: a kernel moves by a cheap potential first, the exact one has the last word.

A few steps of a kernel that is reversible for exp(−Φ_cheap) make the proposal, accepted with
min(1, exp(Φ(ξ) − Φ(ξ') − Φ_cheap(ξ) + Φ_cheap(ξ'))).  One step of pCN is the algorithm of Christen
and Fox (J. Comput. Graph. Stat. 14, 2005).  Where the cheap kernel has not moved, Φ is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from petsc4py import PETSc

from advdiff.chains.kernel import Info, Kernel, Options, State, Target, probability
from advdiff.chains.kernels.pcn import PCN


@dataclass(frozen=True)
class DelayedAcceptance:
    """``step_size`` is the inner kernel's.

    Args:
        target: the exact potential.
        inner: a kernel for the cheap one.
        steps: how many of its steps make a proposal.

    Two unknowns of N(0, 1), each read as 1 with the standard deviation ½: their mean is 4/5.

    >>> from advdiff.chains.kernels.pcn import PCN
    >>> from advdiff.core.random import Random
    >>> class Target:
    ...     def value(self, xi):
    ...         return 2.0 * (xi - 1.0).norm() ** 2
    >>> class Cheap:
    ...     def value(self, xi):
    ...         return 1.5 * (xi - 0.9).norm() ** 2
    >>> kernel = DelayedAcceptance(Target(), PCN(Cheap()), steps=4)
    >>> mean = PETSc.Vec().createWithArray([0.0, 0.0])
    >>> state = kernel.init(mean.copy())
    >>> for step in range(3000):
    ...     state, info = kernel.step(Random(0, 0, step), state)
    ...     mean += state.xi / 3000
    >>> mean.array.round(1)
    array([0.8, 0.8])
    """

    target: Target
    inner: Kernel
    steps: int = 1
    step_size: float = 0.2

    @property
    def largest(self) -> float:
        return self.inner.largest

    @property
    def ideal(self) -> float:
        return self.inner.ideal

    def init(self, xi: PETSc.Vec) -> State:
        return State(xi, self.target.value(xi))

    def step(self, rng, state):
        inner = replace(self.inner, step_size=self.step_size)
        start = cheap = inner.init(state.xi)
        first, work, diverging = 0.0, 0, False
        for _ in range(self.steps):
            cheap, info = inner.step(rng, cheap)
            first += info.acceptance / self.steps
            work += info.n_steps
            diverging |= info.diverging
        if cheap.xi is state.xi:
            return state, Info(False, first, work, diverging=diverging)
        potential = self.target.value(cheap.xi)
        error = (potential - state.potential) - (cheap.potential - start.potential)
        chance = probability(-error)
        accepted = rng.uniform() < chance
        moved = State(cheap.xi, potential) if accepted else state
        return moved, Info(accepted, first * chance, work, energy_error=error, diverging=diverging)


def make(target: Target, options: Options, cheap: Target | None = None) -> DelayedAcceptance:
    """The kernel that the options ask for, with pCN for the cheap target."""
    if cheap is None:
        raise ValueError("delayed acceptance needs a cheap target")
    return DelayedAcceptance(target, PCN(cheap), options.steps)
