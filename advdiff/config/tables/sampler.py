"""The table [sampler]."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from advdiff.config.given import refuse
from advdiff.config.types import Count, Positive, Table, fault

GRADIENTS = ("exact", "per-term", "first-order", "asymptotic", "kernel-exact", "reduced")


MOST_DRAWS = 100_000_000
"""Of all chains together."""


Whole = Annotated[int, Field(ge=0, lt=2**31)]


class Abilities(NamedTuple):
    """What a Markov kernel takes of the table.

    ``follows_gradient``: of Φ; ``largest``: step size, None: any; ``moves_fields``: it is well
    defined in function space; ``needs_cheap``: a cheap Φ beside the exact one; ``keys``: those that
    not every kernel takes.
    """

    follows_gradient: bool = False
    largest: float | None = None
    moves_fields: bool = True
    needs_cheap: bool = False
    keys: tuple[str, ...] = ()


KERNELS = {
    "pcn": Abilities(largest=1.0),
    "mala": Abilities(follows_gradient=True, largest=2.0),
    "hmc": Abilities(follows_gradient=True, keys=("steps",)),
    "nuts": Abilities(follows_gradient=True, keys=("max_depth",)),
    "random-walk": Abilities(moves_fields=False),
    "delayed-acceptance": Abilities(largest=1.0, needs_cheap=True, keys=("steps",)),
}
"""Name of a kernel, which is that of its module in ``advdiff.chains.kernels`` → what it takes."""


class SamplerTable(Table):
    """Markov chains."""

    kernel: Literal[tuple(KERNELS)] = Field(
        "hmc", description="all but random-walk are well defined in function space"
    )
    draws: Count = Field(1000, description="kept of each chain")
    warmup: Whole = Field(500, description="steps before, which adapt the step size")
    chains: Annotated[int, Field(ge=1, le=10_000)] = 4
    seed: Whole = Field(0, description="of the random numbers")
    step_size: Positive | None = Field(None, description="first guess; the step, if warmup = 0")
    steps: Count = Field(10, description="of a trajectory (hmc), of the first stage (delayed-…)")
    max_depth: Annotated[int, Field(ge=1, le=20)] = Field(8, description="nuts: 2^depth steps")
    thin: Count = Field(1, description="keep one step of so many")
    fields: Count = Field(50, description="flows: draws of each chain whose fields are kept")
    start: Literal["prior", "map"] = Field("prior", description="where chains begin")
    metric: Literal["prior", "laplace"] = Field("prior", description="laplace: at the MAP")
    metric_rank: Count = Field(100, description="laplace: most eigenpairs")
    groups: Count | None = Field(None, description="groups of ranks that share the chains")
    gradient: Literal[GRADIENTS] = Field(
        "exact",
        description="what trajectories follow, the accept step is exact; flows: exact or reduced",
    )

    @property
    def abilities(self) -> Abilities:
        """What the kernel takes."""
        return KERNELS[self.kernel]

    @model_validator(mode="after")
    def _agree(self):
        able = self.abilities
        if self.gradient != "exact" and not able.follows_gradient:
            raise fault("gradient", f"kernel = '{self.kernel}' follows none; remove it")
        if self.draws < 4:
            raise fault("draws", f"{self.draws} is too few for diagnostics; give at least 4")
        if self.chains * self.draws > MOST_DRAWS:
            raise fault(
                "draws",
                f"{self.draws} of {self.chains} chains are more than {MOST_DRAWS} in all; "
                "give fewer, or raise thin",
            )
        if self.metric == "laplace" and not able.moves_fields:
            raise fault("metric", f"kernel = '{self.kernel}' takes the prior's; remove it")
        if None not in (self.step_size, able.largest) and self.step_size > able.largest:
            raise fault("step_size", f"{self.step_size:g} is above {able.largest:g}; lower it")
        for name in ("steps", "max_depth"):
            takers = [kernel for kernel, other in KERNELS.items() if name in other.keys]
            if self.kernel not in takers:
                refuse(self, [name], f"kernel = {' or '.join(map(repr, takers))}")
        if self.metric != "laplace":
            refuse(self, ["metric_rank"], "metric = 'laplace'")
        return self
