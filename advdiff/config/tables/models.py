"""The experiment file of a posterior of a model without a mesh; ``[sampler]`` for any model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, FiniteFloat, model_validator

from advdiff.config.given import refuse
from advdiff.config.tables.sampler import SamplerTable
from advdiff.config.types import ExperimentFile, FileName, Positive, Table, fault


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
    prior: CoefficientPrior = CoefficientPrior.model_construct()
    sampler: SamplerTable = SamplerTable.model_construct()
    truth: TruthFile = TruthFile.model_construct()

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
        if sampler.abilities.needs_cheap and getattr(self.model, "coarse", None) is None:
            raise fault(
                ("sampler", "kernel"),
                f"{sampler.kernel} needs a cheap model, model.coarse of a quantum "
                "model; take another kernel",
            )
        if kind == "rate-matrix":
            refuse(self.prior, ["decay"], "kind = 'quantum'", "prior")
            refuse(self.observations, ["std"], "kind = 'quantum'", "observations")
        elif sampler.kernel != "delayed-acceptance":
            refuse(self.model, ["coarse"], "sampler.kernel = 'delayed-acceptance'", "model")
        return self

    def inputs(self) -> dict[str, str]:
        """The files that it reads."""
        found = super().inputs() | {"observations.file": self.observations.file}
        if self.truth.file is not None:
            found["truth.file"] = self.truth.file
        return found
