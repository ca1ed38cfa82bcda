"""The experiment file of a posterior of a model without a mesh; ``[sampler]`` for any model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, FiniteFloat, model_validator

from advdiff.config.types import Count, ExperimentFile, FileName, Positive, Table, fault

GRADIENTS = ("exact", "per-term", "first-order", "asymptotic", "kernel-exact", "reduced")
MOST_DRAWS = 100_000_000
"""Of all chains together."""
Whole = Annotated[int, Field(ge=0, lt=2**31)]


class SamplerTable(Table):
    """Markov chains."""

    kernel: Literal["pcn", "mala", "hmc", "nuts", "random-walk", "delayed-acceptance"] = Field(
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

    @model_validator(mode="after")
    def _agree(self):
        gradient = self.kernel in ("mala", "hmc", "nuts")
        if self.gradient != "exact" and not gradient:
            raise fault("gradient", f"kernel = '{self.kernel}' follows none; remove it")
        if self.draws < 4:
            raise fault("draws", f"{self.draws} is too few for diagnostics; give at least 4")
        if self.chains * self.draws > MOST_DRAWS:
            raise fault(
                "draws",
                f"{self.draws} of {self.chains} chains are more than {MOST_DRAWS} in all; "
                "give fewer, or raise thin",
            )
        if self.metric == "laplace" and self.kernel == "random-walk":
            raise fault("metric", f"kernel = '{self.kernel}' takes the prior's; remove it")
        limit = {"pcn": 1.0, "mala": 2.0, "delayed-acceptance": 1.0}.get(self.kernel)
        if self.step_size is not None and limit is not None and self.step_size > limit:
            raise fault("step_size", f"{self.step_size:g} is above {limit:g}; lower it")
        return self


class RateMatrixTable(Table):
    """A continuous-time Markov chain; unknown: the logarithms of its rates."""

    kind: Literal["rate-matrix"]
    states: Annotated[int, Field(ge=2, le=1000)]


class PacketTable(Table):
    """x(0), a Gaussian wave packet."""

    centre: FiniteFloat
    width: Positive
    momentum: FiniteFloat = 0.0


class QuantumTable(Table):
    """dx/dt = −iHx with H = −½Δ_h + diag(V); unknown: the coefficients of V in waves."""

    kind: Literal["quantum"]
    nodes: Annotated[int, Field(ge=3, le=10_000)]
    length: Positive = Field(1.0, description="of the line")
    boundary: Literal["periodic", "walls"] = "periodic"
    modes: Annotated[int, Field(ge=1, le=10_000)] = Field(11, description="coefficients of V")
    packet: PacketTable
    coarse: Annotated[int, Field(ge=3, le=10_000)] | None = Field(
        None, description="nodes of the cheap model (delayed-acceptance), a divisor of nodes"
    )

    @model_validator(mode="after")
    def _sizes(self):
        if self.modes > self.nodes:
            raise fault("modes", f"{self.modes} on {self.nodes} nodes; give fewer modes")
        if self.coarse is not None and (
            self.boundary != "periodic" or self.nodes % self.coarse or self.coarse < self.modes
        ):
            raise fault(
                "coarse",
                f"{self.coarse}: take a divisor of nodes = {self.nodes}, not below modes, "
                "and boundary = 'periodic'",
            )
        return self


ModelTable = Annotated[RateMatrixTable | QuantumTable, Discriminator("kind")]


class CoefficientPrior(Table):
    """Independent normal coefficients."""

    mean: FiniteFloat = Field(0.0, description="of every log rate; of the constant in V")
    std: Positive = Field(1.0, description="standard deviation")
    decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0, description="quantum: std·(1 + k)^−decay for wave number k"
    )


class DataTable(Table):
    """The data: rate-matrix from, to, time[, count]; quantum time, node, quantity, value[, std]."""

    file: FileName = Field(description=".csv")
    std: Positive | None = Field(None, description="quantum: noise, where the file has no std")


class TruthFile(Table):
    """What made the data, where it is known: only ever compared with."""

    file: FileName | None = Field(None, description=".csv: from, to, rate; or node, V")


class ModelExperiment(ExperimentFile):
    """Draws from the posterior of a model without a mesh."""

    task: Literal["sample"] = Field(description="what to do")
    model: ModelTable
    observations: DataTable
    prior: CoefficientPrior = CoefficientPrior()
    sampler: SamplerTable = SamplerTable()
    truth: TruthFile = TruthFile()

    @model_validator(mode="after")
    def _agree(self):
        kind, sampler = self.model.kind, self.sampler
        if sampler.gradient == "reduced":
            raise fault(("sampler", "gradient"), "'reduced' is for flows; take another")
        if sampler.fields != SamplerTable.model_fields["fields"].default:
            raise fault(("sampler", "fields"), "only flows have fields; remove it")
        if sampler.gradient != "exact" and kind != "rate-matrix":
            raise fault(
                ("sampler", "gradient"), "only kind = 'rate-matrix' has surrogates; remove it"
            )
        if sampler.kernel == "delayed-acceptance" and getattr(self.model, "coarse", None) is None:
            raise fault(
                ("sampler", "kernel"),
                "delayed-acceptance needs a cheap model, model.coarse of a quantum "
                "model; take another kernel",
            )
        if self.prior.decay and kind == "rate-matrix":
            raise fault(("prior", "decay"), "only kind = 'quantum' has waves; remove it")
        return self

    def inputs(self) -> dict[str, str]:
        """The files that it reads."""
        found = super().inputs() | {"observations.file": self.observations.file}
        if self.truth.file is not None:
            found["truth.file"] = self.truth.file
        return found
