"""What is estimated: unknowns, prior, optimizer, truth."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from advdiff.config.tables.equation import PhysicsTable
from advdiff.config.tables.flows import (
    VelocityPrior,
    VelocityPriors,
    VelocityUnknown,
    VelocityUnknowns,
    several,
)
from advdiff.config.tables.space import DiscretizationTable
from advdiff.config.types import (
    Count,
    NumberOrField,
    Positive,
    Scalar,
    Table,
    TaoType,
    VelocityField,
    fault,
)

EVERY_NODE = "a value at every node"
"""Marks a key of [unknowns] that is a field where it is true."""


class UnknownsTable(Table):
    """What to estimate."""

    velocity: VelocityUnknowns | None = Field(
        None, description="a family of flows, or a list of them"
    )
    diffusivity: NumberOrField = Field(
        False, description="κ through its logarithm: one number, or 'field': one a vertex"
    )
    initial: Annotated[bool, EVERY_NODE] = Field(False, description="θ at time 0")

    @property
    def named(self) -> dict[str, Any]:
        """Those that are unknown, by key."""
        return {name: value for name, value in self if value}

    @property
    def flows(self) -> list[VelocityUnknown]:
        """The families of the velocity; none where it is known."""
        return [] if self.velocity is None else several(self.velocity)

    def is_field(self, name: str) -> bool:
        """Whether one of them has a value a node."""
        value = getattr(self, name)
        if name == "velocity":
            return any(flow.is_field for flow in self.flows)
        everywhere = EVERY_NODE in type(self).model_fields[name].metadata
        return bool(value) and (value == "field" or everywhere)

    @property
    def has_field(self) -> bool:
        """Whether any has."""
        return any(map(self.is_field, self.named))

    def agree(self, physics: PhysicsTable, discretization: DiscretizationTable) -> None:
        """Raise a ``fault`` where one of them does not go with the rest of the file."""
        if not self.named:
            raise fault("unknowns", "nothing is unknown; e.g. [unknowns] diffusivity = true")
        if self.diffusivity is True and not isinstance(physics.diffusivity, float):
            raise fault(
                ("physics", "diffusivity"),
                "a field, while unknowns.diffusivity estimates one "
                "number; give a number as first guess, or unknowns.diffusivity = 'field'",
            )
        if self.initial and not discretization.elements.continuous:
            raise fault(
                ("unknowns", "initial"),
                "true: its prior needs a continuous field, which method = "
                f"'{discretization.method}' has not; take discretization.method = 'cg', "
                "'cip' or 'spectral'",
            )


class DiffusivityPrior(Table):
    """Prior of log κ; its mean is the logarithm of physics.diffusivity."""

    std: Positive = 1.0
    correlation_length: Positive | None = Field(
        None, description="of a field; none: a fifth of the domain"
    )


class InitialPrior(Table):
    """Prior of the initial state; its mean is physics.initial."""

    std: Positive = 1.0
    correlation_length: Positive | None = Field(None, description="none: a fifth of the domain")


class PriorTable(Table):
    """Gaussian prior, one part an unknown."""

    velocity: VelocityPriors = VelocityPrior.model_construct()
    diffusivity: DiffusivityPrior = DiffusivityPrior.model_construct()
    initial: InitialPrior = InitialPrior.model_construct()


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
