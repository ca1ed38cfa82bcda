"""What is solved and when: ``[physics]``, ``[time]``, ``[solver]``, ``[sensitivity]``."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from advdiff.config.given import alternatives, refuse
from advdiff.config.types import (
    Count,
    Outputs,
    Positive,
    ResultName,
    Scalar,
    Table,
    VelocityField,
    fault,
)


class Robin(Table):
    """κ∂θ/∂n = coefficient·(exterior − θ)."""

    coefficient: Scalar = Field(description="α ≥ 0")
    exterior: Scalar = Field(0.0, description="θ outside")


class PhysicsTable(Table):
    """∂θ/∂t = ∇·(κ∇θ) − u·∇θ + f."""

    diffusivity: Scalar = Field(description="κ > 0")
    velocity: VelocityField | None = Field(None, description="u; none: no (known) flow")
    initial: Scalar = Field(0.0, description="θ at time 0")
    source: Scalar | None = Field(None, description="f, constant in time")
    dirichlet: dict[str, Scalar] = Field({}, description="boundary part → steady value of θ")
    inflow: dict[str, Scalar] = Field({}, description="part → θ of what the flow carries in")
    flux: dict[str, Scalar] = Field({}, description="part → κ∂θ/∂n, into the domain")
    robin: dict[str, Robin] = Field({}, description="part → coefficient and exterior value")

    @model_validator(mode="after")
    def _apart(self):
        kinds = [name for name, field in type(self).model_fields.items() if field.default == {}]
        for kind in kinds:
            for name in getattr(self, kind):
                if kind != "dirichlet" and name in self.dirichlet:
                    raise fault(
                        (kind, name), f"'{name}' has a Dirichlet value too; remove one of them"
                    )
        for name, robin in self.robin.items():
            if isinstance(robin.coefficient, float) and robin.coefficient < 0:
                raise fault(
                    ("robin", name, "coefficient"),
                    f"{robin.coefficient:g} is negative; give α >= 0",
                )
        return self

    @field_validator("diffusivity")
    @classmethod
    def _positive(cls, value):
        if isinstance(value, float) and not value > 0:
            raise ValueError("must be positive")
        return value


TimeUnit = Literal["ms", "s", "min", "h", "d", "a"]
"""Years, a, are of 365.2425 days."""


class ClockTable(Table):
    """In which unit times are."""

    unit: TimeUnit | None = Field(None, description="of all times; none: yours")


class TimeTable(ClockTable):
    """When: the final time and the times to put out."""

    final: Positive = Field(description="end of the run")
    outputs: Outputs = Field(10, description="how many, or which")

    @model_validator(mode="after")
    def _ordered(self):
        times = self.times
        if not isinstance(self.outputs, list):
            if times[0] == 0 or any(b <= a for a, b in pairwise(times)):
                raise fault(
                    "final", f"{self.final:g} cannot be divided into {self.outputs} times; raise it"
                )
            return self
        if any(not 0 < t <= self.final * (1 + 1e-12) for t in times):
            wrong = next(t for t in times if not 0 < t <= self.final * (1 + 1e-12))
            raise fault(
                "outputs", f"{wrong:g} is not in 0 < t <= time.final = {self.final:g}; remove it"
            )
        for a, b in pairwise(times):
            if b <= a:
                raise fault("outputs", f"{b:g} follows {a:g}; give increasing times")
        return self

    @property
    def times(self) -> list[float]:
        """The output times, increasing, without 0."""
        if isinstance(self.outputs, list):
            return list(self.outputs)
        return [self.final * ((k + 1) / self.outputs) for k in range(self.outputs)]


FINEST = 1e-13
"""Tolerance of the Faber recurrence."""


class Solver(NamedTuple):
    """What an engine takes of the table.

    Attributes:
        takes: keys that not all have.
        finest: the least tolerance.
        is_krylov: whether it is made of Krylov actions.
    """

    takes: tuple[str, ...] = ()
    finest: float = 0.0
    is_krylov: bool = False


SOLVERS = {
    "auto": Solver(("memory",), FINEST),
    "faber": Solver(("memory",), FINEST),
    "shift-invert": Solver(("dimension",)),
    "krylov": Solver(("dimension", "max_restarts"), is_krylov=True),
    "expokit": Solver(("dimension", "max_restarts"), is_krylov=True),
}
"""``solver.method`` → what it takes."""


class SolverTable(Table):
    """How exp(tA) is applied."""

    method: Literal[tuple(SOLVERS)] = Field(
        "auto", description="engine; krylov and expokit bound their error as they go"
    )
    tolerance: Annotated[float, Field(gt=1e-15, lt=1)] = Field(1e-8, description="relative")
    dimension: Annotated[int, Field(ge=4, le=1000)] | None = Field(
        None, description="Krylov dimension (krylov, expokit, shift-invert)"
    )
    max_restarts: Count = Field(1000, description="sub-steps (krylov, expokit); more is an error")
    memory: Positive = Field(1.0, description="GiB a rank may keep for a gradient (faber)")

    @model_validator(mode="after")
    def _reachable(self):
        finest = SOLVERS[self.method].finest
        if self.tolerance < finest:
            others = alternatives(n for n, kind in SOLVERS.items() if not kind.finest)
            raise fault(
                "tolerance",
                f"{self.tolerance:g} is below {finest:g}, the least of method = "
                f"'{self.method}'; raise it, or take {others}",
            )
        return self


class Direction(Table):
    """One direction to differentiate in: exactly one of the three."""

    velocity: VelocityField | None = None
    diffusivity: Scalar | None = None
    initial: Scalar | None = None

    @model_validator(mode="after")
    def _one(self):
        if sum(v is not None for v in (self.velocity, self.diffusivity, self.initial)) != 1:
            raise ValueError("needs exactly one of velocity, diffusivity, initial; give one")
        return self


class SensitivityTable(Table):
    """ρ = derivative of θ(t) in named directions."""

    method: Literal["recurrence", "quadrature", "augmented", "first-order", "asymptotic"] = Field(
        "recurrence",
        description="push-forward of the engine, an independent check of it, or a surrogate",
    )
    tolerance: Annotated[float, Field(gt=1e-14, lt=1)] = Field(1e-6, description="relative")
    compare: bool = Field(False, description="surrogates: ρ itself too, and the error")
    directions: dict[ResultName, Direction] = Field({}, description="name → direction")

    @model_validator(mode="after")
    def _used(self):
        if self.method not in ("first-order", "asymptotic"):
            refuse(self, ["compare"], "a surrogate, method = 'first-order' or 'asymptotic',")
        return self
