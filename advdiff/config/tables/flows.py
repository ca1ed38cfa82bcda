"""An unknown velocity: its families of flows, and the prior of their coefficients."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from advdiff.config.given import refuse
from advdiff.config.tables.space import DomainTable
from advdiff.config.types import Count, Finite, Positive, Table, VelocityField, fault
from advdiff.core.errors import InputError

Family = Literal["uniform", "basis", "sine", "fourier", "stream", "nodal"]


class BasisFlow(Table):
    """One flow whose coefficient is unknown, written as a velocity is."""

    field: VelocityField = Field(description="components, ψ, a vorticity or a grid file")
    mean: Finite = Field(0.0, description="of the coefficient")
    std: Positive | None = Field(None, description="of the coefficient; none: prior.velocity.std")
    positive: bool = Field(
        False, description="the coefficient is log-normal, of that mean and that std"
    )

    @model_validator(mode="before")
    @classmethod
    def _written_out(cls, value: Any) -> Any:
        """A velocity alone, or the keys of one beside those of the coefficient."""
        if isinstance(value, list):
            return {"field": value}
        if not isinstance(value, dict) or "field" in value:
            return value
        own = {k: v for k, v in value.items() if k in cls.model_fields}
        field = {k: v for k, v in value.items() if k not in cls.model_fields}
        if set(field) == {"components"}:
            field = field["components"]
        return {"field": field, **own}

    @model_validator(mode="after")
    def _log_normal(self):
        if self.positive and not self.mean > 0:
            raise fault("mean", f"{self.mean:g} of a positive coefficient; give a positive mean")
        return self

    @property
    def control(self) -> str:
        """The part of the velocity that it belongs to."""
        return "stream" if getattr(self.field, "is_planar", False) else "given"


class VelocityUnknown(Table):
    """A family of flows with unknown coefficients, added to physics.velocity."""

    family: Family = Field(
        "sine",
        description="a constant velocity, flows of your own, sine modes, Fourier modes of a "
        "torus, ψ itself (P2), or the velocity itself",
    )
    fields: list[BasisFlow] = Field([], description="basis: flows, each with its coefficient")
    modes: Annotated[list[Count], Field(min_length=2, max_length=2)] = Field(
        [5, 5], description="sine modes along each axis"
    )
    largest: Annotated[float, Field(ge=1, le=64)] = Field(
        8.0, description="fourier: largest |k| of the wave vectors"
    )
    degree: Literal[1, 2] = Field(2, description="nodal: of the velocity's elements")

    @model_validator(mode="after")
    def _used(self):
        of = {"modes": "sine", "largest": "fourier", "degree": "nodal", "fields": "basis"}
        for name, family in of.items():
            if self.family != family:
                refuse(self, [name], f"family = '{family}'")
        if self.family == "basis":
            if not self.fields:
                raise fault("fields", "missing; e.g. fields = [['1', '0'], { stream = 'x*y' }]")
            if len({flow.control for flow in self.fields}) > 1:
                raise fault(
                    "fields",
                    "stream functions beside components; make unknowns.velocity a list of two "
                    "such tables, one for each",
                )
        return self

    @property
    def control(self) -> str:
        """The part of the velocity that it moves."""
        if self.family == "basis":
            return self.fields[0].control
        return "stream" if self.family in ("sine", "stream") else "given"

    @property
    def is_field(self) -> bool:
        """Whether it has a value a node."""
        return self.family in ("stream", "nodal")

    @property
    def is_planar(self) -> bool:
        """Whether it needs two dimensions."""
        return self.family in ("sine", "fourier", "stream")

    def require(self, domain: DomainTable, key: str) -> None:
        """Raise InputError where the family does not suit the domain."""
        closed, shape = sorted(domain.periodic), f"shape = '{domain.shape}'"
        if domain.dim == 1 and self.is_planar:
            raise InputError(
                f"{key}.family = '{self.family}': needs two dimensions, {shape} has 1, where a "
                "flow is one number; write family = 'uniform'"
            )
        if self.family == "sine" and (domain.shape != "rectangle" or closed):
            raise InputError(
                f"{key}.family = 'sine': needs a rectangle with walls, not "
                f"{shape}{f', periodic = {closed}' if closed else ''}; write family = 'stream'"
            )
        if self.family == "fourier" and closed != ["x", "y"]:
            raise InputError(
                f"{key}.family = 'fourier': needs a torus; write domain.periodic = "
                "['x', 'y'], or family = 'stream'"
            )


def _one_or_several(value: Any) -> str:
    return "list" if isinstance(value, list) else "one"


def _numbers(kind: Any) -> Any:
    """One number, or a list of them."""
    return Annotated[
        Annotated[kind, Tag("one")] | Annotated[list[kind], Tag("list")],
        Discriminator(_one_or_several),
    ]


class VelocityPrior(Table):
    """Prior of an unknown velocity, one for all families or a list, one for each."""

    mean: _numbers(Finite) | None = Field(
        None, description="uniform: of what is added to physics.velocity, a number an axis"
    )
    std: _numbers(Positive) = Field(
        1.0, description="of a coefficient, or of ψ; uniform: one number, or one an axis"
    )
    decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0, description="modes: std·|k|^−decay, relative to the first mode"
    )
    spectrum: Literal["power", "kraichnan"] = Field(
        "power", description="fourier: std by decay, or std·√2E(|k|) of a turbulent flow"
    )
    correlation_length: Positive | None = Field(
        None, description="of ψ or u (stream, nodal); none: a quarter of the domain"
    )
    divergence_penalty: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0, description="nodal: γ in ½γ∫(∇·u)²"
    )

    def agree(self, flow: VelocityUnknown, dim: int | None, path: tuple[str, ...]) -> None:
        """Raise a ``fault`` for what the family does not read, or of another length."""
        if flow.family != "uniform":
            refuse(self, ["mean"], "unknowns.velocity.family = 'uniform'", *path)
        for name in ("mean", "std"):
            value = getattr(self, name)
            if not isinstance(value, list):
                if name == "mean" and value is not None and dim not in (None, 1):
                    raise fault((*path, name), f"{value:g}; give a number an axis, {dim} in all")
                continue
            if flow.family != "uniform":
                raise fault((*path, name), "a list; only family = 'uniform' has one number an axis")
            if dim is not None and len(value) != dim:
                raise fault((*path, name), f"{len(value)} numbers; the domain has {dim} axes")
        if flow.family not in ("sine", "fourier"):
            refuse(self, ["decay", "spectrum"], "a velocity of modes", *path)
        if not flow.is_field:
            only = "unknowns.velocity.family = 'stream' or 'nodal'"
            refuse(self, ["correlation_length"], only, *path)
        if flow.family != "nodal":
            only = "unknowns.velocity.family = 'nodal'"
            refuse(self, ["divergence_penalty"], only, *path)
        if self.spectrum != "power":
            refuse(self, ["decay"], "spectrum = 'power'", *path)


VelocityUnknowns = Annotated[
    Annotated[VelocityUnknown, Tag("one")]
    | Annotated[list[VelocityUnknown], Field(min_length=1), Tag("list")],
    Discriminator(_one_or_several),
]
VelocityPriors = Annotated[
    Annotated[VelocityPrior, Tag("one")] | Annotated[list[VelocityPrior], Tag("list")],
    Discriminator(_one_or_several),
]


def several(value: Any) -> list:
    """One table or a list of them, as a list."""
    return list(value) if isinstance(value, list) else [value]
