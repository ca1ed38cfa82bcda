"""A kernel to show how one is added: the independence sampler, ξ' ~ N(0, 1) (Tierney 1994)."""

from __future__ import annotations

from dataclasses import dataclass

from advdiff.chains.kernel import Info, Options, State, Target, probability


@dataclass(frozen=True)
class Independence:
    """The proposal is the prior, so that the accept step sees Φ alone; no step size is of use."""

    target: Target
    step_size: float = 1.0
    largest: float = 1.0
    ideal: float = 0.234

    def init(self, xi):
        return State(xi, self.target.value(xi))

    def step(self, rng, state):
        xi = rng.white(state.xi)
        potential = self.target.value(xi)
        chance = probability(state.potential - potential)
        accepted = rng.uniform() < chance
        return (State(xi, potential) if accepted else state), Info(accepted, chance)


def make(target: Target, options: Options, cheap: Target | None = None) -> Independence:
    """The kernel that the options ask for."""
    return Independence(target)
