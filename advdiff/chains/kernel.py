"""What kernels share: the state of a chain, what a step reports, the target in white coordinates.

With m = m₀ + Lξ and ξ white under the prior, the posterior has the density exp(−Φ(ξ)) with respect
to the standard Gaussian measure; Φ is the negative log likelihood.  Kernels that are well defined
in function space only ever use differences of Φ, its gradient, and Gaussian noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from petsc4py import PETSc

from advdiff.core.random import Random


@dataclass(frozen=True)
class Options:
    """What to run.

    Attributes:
        kernel: of :data:`advdiff.config.tables.sampler.KERNELS`.
        draws, warmup: kept steps, and steps before that adapt the step size.
        chains, seed: how many, and of the random numbers.
        step_size: first guess, or the step itself where ``warmup`` is 0; None: the kernel's.
        steps: of a trajectory (hmc), of the cheap kernel (delayed-acceptance).
        max_depth: of a trajectory's doublings (nuts).
        thin: every so many steps one is kept.
    """

    kernel: str = "hmc"
    draws: int = 1000
    warmup: int = 500
    chains: int = 4
    seed: int = 0
    step_size: float | None = None
    steps: int = 10
    max_depth: int = 8
    thin: int = 1


class State(NamedTuple):
    """Where a chain is; its vectors are never changed in place.

    ``xi``: white coordinates; ``potential``: Φ there; ``gradient``: ∇Φ there, or what stands for
    it, None where the kernel needs none.
    """

    xi: PETSc.Vec
    potential: float
    gradient: PETSc.Vec | None = None


class Info(NamedTuple):
    """What a step has to say.

    ``acceptance``: probability of the move (NUTS: mean over its trajectory); ``energy``: total
    energy of the state moved to, nan where there is none; ``energy_error``: of the proposal;
    ``diverging``: whether it was given up; ``n_steps``: gradients, or potentials of a kernel
    without.
    """

    accepted: bool
    acceptance: float
    n_steps: int = 1
    energy: float = math.nan
    energy_error: float = math.nan
    diverging: bool = False
    tree_depth: int = 0


class Target(Protocol):
    """Φ as a function of white coordinates; all calls collective."""

    def value(self, xi: PETSc.Vec) -> float:
        """Φ(ξ); inf where the model cannot be evaluated."""

    def both(self, xi: PETSc.Vec) -> tuple[float, PETSc.Vec | None]:
        """Φ(ξ) and ∇Φ(ξ); (inf, None) where the model cannot be evaluated."""

    def gradient(self, xi: PETSc.Vec) -> PETSc.Vec | None:
        """∇Φ(ξ) alone."""


class Kernel(Protocol):
    """A Markov kernel that leaves exp(−Φ) · N(0, 1) invariant; a frozen dataclass.

    Attributes:
        step_size: what the warm-up adapts, up to ``largest``.
        ideal: the acceptance to aim at.

    ξ, Φ and the step size have no unit; ``init`` and ``step`` are collective.

    Every kernel is run in the same way, here with Φ = 0, where the posterior is the prior:

    >>> from types import SimpleNamespace
    >>> from advdiff.chains.kernels.pcn import PCN
    >>> kernel = PCN(SimpleNamespace(value=lambda xi: 0.0))
    >>> state = kernel.init(PETSc.Vec().createWithArray([1.0, 0.0]))
    >>> state, info = kernel.step(Random(seed=0, chain=0, step=1), state)
    >>> info.accepted, info.acceptance, state.potential
    (True, 1.0, 0.0)
    """

    step_size: float
    largest: float
    ideal: float

    def init(self, xi: PETSc.Vec) -> State: ...
    def step(self, rng: Random, state: State) -> tuple[State, Info]: ...


class SurrogateTarget:
    """The exact Φ with another gradient: trajectories follow it, the accept step corrects for it.

    Args:
        exact: gives Φ.
        surrogate: gives the gradient (any function of ξ keeps the chain exact).
    """

    def __init__(self, exact: Target, surrogate: Callable[[PETSc.Vec], PETSc.Vec | None]):
        self.value, self.gradient = exact.value, surrogate

    def both(self, xi: PETSc.Vec) -> tuple[float, PETSc.Vec | None]:
        return self.value(xi), self.gradient(xi)


def probability(log_ratio: float) -> float:
    """min(1, e^r), and 0 for nan."""
    if math.isnan(log_ratio):
        return 0.0
    return math.exp(min(0.0, log_ratio))
