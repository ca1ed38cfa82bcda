"""What is estimated: observations, unknowns, prior, optimizer, truth."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from advdiff.config.types import (
    Count,
    FileName,
    NumberOrField,
    Positive,
    Scalar,
    Table,
    TaoType,
    VelocityField,
    fault,
)


class ObservationsTable(Table):
    """The measurements to explain."""

    file: FileName = Field(description=".csv (x, y, …, t, value[, std]) or .h5")
    std: Positive | None = Field(None, description="noise, where the file has no std")


class VelocityUnknown(Table):
    """The unknown part of the velocity, added to physics.velocity."""

    family: Literal["sine", "fourier", "stream", "nodal"] = Field(
        "sine",
        description="sine modes, Fourier modes of a torus, ψ itself (P2), or the velocity itself",
    )
    modes: Annotated[list[Count], Field(min_length=2, max_length=2)] = Field(
        [5, 5], description="sine modes along each axis"
    )
    largest: Annotated[float, Field(ge=1, le=64)] = Field(
        8.0, description="fourier: largest |k| of the wave vectors"
    )
    degree: Literal[1, 2] = Field(2, description="nodal: of the velocity's elements")

    @property
    def control(self) -> str:
        """The part of the velocity that it moves."""
        return "stream" if self.family in ("sine", "stream") else "given"


class UnknownsTable(Table):
    """What to estimate."""

    velocity: VelocityUnknown | None = None
    diffusivity: NumberOrField = Field(
        False, description="κ through its logarithm: one number, or 'field': one a vertex"
    )
    initial: bool = Field(False, description="θ at time 0")

    @property
    def has_field(self) -> bool:
        """Whether one of them has a value a node."""
        nodal = self.velocity is not None and self.velocity.family in ("stream", "nodal")
        return nodal or self.diffusivity == "field" or self.initial


class VelocityPrior(Table):
    """Prior of the unknown velocity."""

    std: Positive = Field(1.0, description="of a coefficient, or of ψ")
    decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0, description="modes: std·|k|^−decay, relative to the first mode"
    )
    spectrum: Literal["power", "kraichnan"] = Field(
        "power", description="fourier: std by decay, or std·√2E(|k|) of a turbulent flow"
    )
    correlation_length: Positive | None = Field(None, description="of ψ or u (stream, nodal)")
    divergence_penalty: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0, description="nodal: γ in ½γ∫(∇·u)²"
    )


class DiffusivityPrior(Table):
    """Prior of log κ; its mean is the logarithm of physics.diffusivity."""

    std: Positive = 1.0
    correlation_length: Positive = Field(0.2, description="of a field")


class InitialPrior(Table):
    """Prior of the initial state; its mean is physics.initial."""

    std: Positive = 1.0
    correlation_length: Positive = 0.2


class PriorTable(Table):
    """Gaussian prior, one part an unknown."""

    velocity: VelocityPrior = VelocityPrior()
    diffusivity: DiffusivityPrior = DiffusivityPrior()
    initial: InitialPrior = InitialPrior()


class OptimizerTable(Table):
    """TAO; every -tao_ option overrides these."""

    type: TaoType = Field(
        "nls", description="a TAO type; nls, ntr, ntl: Gauss-Newton by conjugate gradients"
    )
    distance_tolerance: Positive = Field(
        0.1, description="of the estimate from the optimum, in posterior standard deviations"
    )
    gradient_tolerance: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="instead of it: of the gradient norm, relative to its first value"
    )
    max_iterations: Annotated[int, Field(gt=0, le=1_000_000)] = 300

    @model_validator(mode="after")
    def _one(self):
        default = type(self).model_fields["distance_tolerance"].default
        if self.gradient_tolerance is not None and self.distance_tolerance != default:
            raise fault(
                "gradient_tolerance",
                f"{self.gradient_tolerance:g} beside distance_tolerance = "
                f"{self.distance_tolerance:g}; give one of the two",
            )
        return self


class TruthTable(Table):
    """What made the data, where it is known: only ever compared with."""

    velocity: VelocityField | None = None
    diffusivity: Scalar | None = None
    initial: Scalar | None = None


class LaplaceTable(Table):
    """The posterior as a Gaussian around the estimate."""

    threshold: Positive = Field(
        0.1, description="eigenvalues of the data's Hessian, in units of the prior's, from here on"
    )
    most: Count = Field(300, description="eigenpairs; where there are more, the run says so")
    samples: Annotated[int, Field(ge=0, le=1000)] = Field(4, description="to write")
    probes: Count = Field(
        200, description="random vectors for the pointwise variance that the data leave unknown"
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(0, description="of samples and probes")
