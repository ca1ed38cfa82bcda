"""The tables of an experiment file: their keys, types, defaults, and what must agree.

Every table is a frozen model; a key that no model knows is an error.  Types are strict: ``true`` is
no number, ``"1"`` neither.  A validator that finds fault with a key of its table raises
``ValueError("key|what is wrong; remedy")``; ``config`` puts the table's name before it.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, field_validator, model_validator

from advdiff.errors import InputError
from advdiff.expression import Expression
from advdiff.keytypes import (
    Count,
    ExperimentFile,
    FileName,
    Formula,
    OptionValue,
    Outputs,
    Positive,
    ResultName,
    Scalar,
    StreamVelocity,
    Table,
    TaoType,
    VelocityField,
    VorticityVelocity,
    walk,
)
from advdiff.sampling.schema import SamplerTable


class DomainTable(Table):
    """Where: a built-in shape, or a gmsh file."""

    shape: Literal["interval", "rectangle", "box", "gmsh"] = Field(
        "rectangle", description="built-in shape, or gmsh with a file"
    )
    cells: list[Count] | None = Field(None, description="cells along each axis")
    lower: list[FiniteFloat] | None = Field(None, description="lower corner (0, 0, …)")
    upper: list[FiniteFloat] | None = Field(None, description="upper corner (1, 1, …)")
    file: FileName | None = Field(None, description="gmsh .geo or .msh")
    mesh_size: Positive | None = Field(None, description="largest cell of a .geo mesh")
    degree: Literal[1, 2] = Field(1, description="1: lumped mass; 2: consistent mass")
    open: list[str] = Field([], description="boundary parts an unknown flow may pass")

    @property
    def dim(self) -> int | None:
        """Dimension of a built-in shape."""
        return {"interval": 1, "rectangle": 2, "box": 3}.get(self.shape)

    @model_validator(mode="after")
    def _complete(self):
        if self.shape == "gmsh":
            if self.file is None:
                raise ValueError("file|missing; shape = 'gmsh' needs the name of a .geo or .msh")
            if Path(self.file).suffix not in (".geo", ".msh"):
                raise ValueError(f"file|{self.file!r} is not a .geo or .msh file")
            return self
        for name in ("file", "mesh_size"):
            if getattr(self, name) is not None:
                raise ValueError(f"{name}|only shape = 'gmsh' takes it; remove it")
        if self.cells is None:
            raise ValueError("cells|missing; give the number of cells along each axis")
        for name in ("cells", "lower", "upper"):
            value = getattr(self, name)
            if value is not None and len(value) != self.dim:
                raise ValueError(f"{name}|{len(value)} entries; a {self.shape} needs {self.dim}")
        for axis, (a, b) in enumerate(zip(*self.corners, strict=True)):
            if not 0 < b - a < math.inf:
                raise ValueError(
                    f"upper|{b:g} on axis {axis} is not above the lower corner {a:g}; raise it"
                )
        return self

    @property
    def corners(self) -> tuple[list[float], list[float]]:
        """Lower and upper corner of a built-in shape."""
        return self.lower or [0.0] * self.dim, self.upper or [1.0] * self.dim


class PhysicsTable(Table):
    """∂θ/∂t = ∇·(κ∇θ) − u·∇θ + f."""

    diffusivity: Scalar = Field(description="κ > 0")
    velocity: VelocityField | None = Field(None, description="u; none: no (known) flow")
    initial: Scalar = Field(0.0, description="θ at time 0")
    source: Scalar | None = Field(None, description="f, constant in time")
    dirichlet: dict[str, Scalar] = Field({}, description="boundary part → steady value of θ")

    @field_validator("diffusivity")
    @classmethod
    def _positive(cls, value):
        if isinstance(value, float) and not value > 0:
            raise ValueError("must be positive")
        return value


class TimeTable(Table):
    """When: the final time and the times to put out."""

    final: Positive = Field(description="end of the run")
    outputs: Outputs = Field(10, description="how many, or which")

    @model_validator(mode="after")
    def _ordered(self):
        if not isinstance(self.outputs, list):
            return self
        times = self.times
        if any(not 0 < t <= self.final * (1 + 1e-12) for t in times):
            wrong = next(t for t in times if not 0 < t <= self.final * (1 + 1e-12))
            raise ValueError(
                f"outputs|{wrong:g} is not in 0 < t <= time.final = {self.final:g}; remove it"
            )
        for a, b in pairwise(times):
            if b <= a:
                raise ValueError(f"outputs|{b:g} follows {a:g}; give increasing times")
        return self

    @property
    def times(self) -> list[float]:
        """The output times, increasing, without 0."""
        if isinstance(self.outputs, list):
            return list(self.outputs)
        return [self.final * ((k + 1) / self.outputs) for k in range(self.outputs)]


class SolverTable(Table):
    """How exp(tA) is applied."""

    method: Literal["auto", "faber", "shift-invert", "krylov", "expokit"] = Field(
        "auto", description="engine; krylov and expokit are SLEPc's MFN"
    )
    tolerance: Annotated[float, Field(gt=1e-15, lt=1)] = Field(1e-8, description="relative")
    dimension: Annotated[int, Field(ge=4, le=1000)] | None = Field(
        None, description="Krylov dimension (krylov, expokit, shift-invert)"
    )
    max_restarts: Count = Field(1000, description="of MFN; more is an error")
    memory: Positive = Field(1.0, description="GiB a rank may keep for a gradient (faber)")


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

    method: Literal["recurrence", "quadrature", "augmented"] = Field(
        "recurrence", description="push-forward of the engine, or an independent check of it"
    )
    tolerance: Annotated[float, Field(gt=1e-14, lt=1)] = Field(1e-6, description="relative")
    directions: dict[ResultName, Direction] = Field({}, description="name → direction")


class ObservationsTable(Table):
    """The measurements to explain."""

    file: FileName = Field(description=".csv (x, y, …, t, value[, std]) or .h5")
    std: Positive | None = Field(None, description="noise, where the file has no std")


class VelocityUnknown(Table):
    """The unknown part of the velocity, added to physics.velocity."""

    family: Literal["sine", "stream"] = Field("sine", description="sine modes, or ψ itself (P2)")
    modes: Annotated[list[Count], Field(min_length=2, max_length=2)] = Field(
        [5, 5], description="sine modes along each axis"
    )


class UnknownsTable(Table):
    """What to estimate."""

    velocity: VelocityUnknown | None = None
    diffusivity: bool = Field(False, description="κ, one number, through its logarithm")
    initial: bool = Field(False, description="θ at time 0")


class VelocityPrior(Table):
    """Prior of the unknown velocity."""

    std: Positive = Field(1.0, description="of a coefficient, or of ψ")
    decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0, description="sine: std·|k|^−decay, relative to the first mode"
    )
    correlation_length: Positive | None = Field(None, description="of ψ (family stream)")


class ScalarPrior(Table):
    """Prior of log κ; its mean is the logarithm of physics.diffusivity."""

    std: Positive = 1.0


class InitialPrior(Table):
    """Prior of the initial state; its mean is physics.initial."""

    std: Positive = 1.0
    correlation_length: Positive = 0.2


class PriorTable(Table):
    """Gaussian prior, one part an unknown."""

    velocity: VelocityPrior = VelocityPrior()
    diffusivity: ScalarPrior = ScalarPrior()
    initial: InitialPrior = InitialPrior()


class OptimizerTable(Table):
    """TAO; every -tao_ option overrides these."""

    type: TaoType = Field("lmvm", description="a TAO type that needs no Hessian")
    gradient_tolerance: Annotated[float, Field(gt=0, lt=1)] = Field(
        1e-4, description="of the gradient norm, relative to its first value"
    )
    max_iterations: Annotated[int, Field(gt=0, le=1_000_000)] = 300


class TruthTable(Table):
    """What made the data, where it is known: only ever compared with."""

    velocity: VelocityField | None = None
    diffusivity: Positive | None = None
    initial: Scalar | None = None


def refuse_sampler(sampler: SamplerTable, initial: bool, velocity) -> None:
    """Raise ``ValueError`` for what the chains of a flow do not offer."""
    if sampler.gradient != "exact":
        raise ValueError("sampler.gradient|a flow has its exact one alone; remove it")
    if sampler.kernel == "delayed-acceptance":
        raise ValueError("sampler.kernel|delayed-acceptance needs a cheap model; take another")
    if initial or (velocity is not None and velocity.family == "stream"):
        raise ValueError(
            "unknowns|an unknown field has no place in a file of draws; estimate coefficients, "
            "velocity = { family = 'sine' } or diffusivity = true"
        )


STREAMS = (StreamVelocity, VorticityVelocity, VelocityUnknown)


class Experiment(ExperimentFile):
    """A task on a domain."""

    task: Literal["solve", "sensitivity", "invert", "sample"] = Field(description="what to do")
    domain: DomainTable
    physics: PhysicsTable
    time: TimeTable
    solver: SolverTable = SolverTable()
    sensitivity: SensitivityTable = SensitivityTable()
    observations: ObservationsTable | None = None
    unknowns: UnknownsTable = UnknownsTable()
    prior: PriorTable = PriorTable()
    optimizer: OptimizerTable = OptimizerTable()
    sampler: SamplerTable = SamplerTable()
    truth: TruthTable = TruthTable()
    petsc: dict[str, OptionValue] = Field({}, description="PETSc options")

    @model_validator(mode="after")
    def _task(self):
        if self.task in ("invert", "sample"):
            if self.observations is None:
                raise ValueError(
                    f"observations.file|missing; task = '{self.task}' needs measurements"
                )
            u = self.unknowns
            if u.velocity is None and not u.diffusivity and not u.initial:
                raise ValueError("unknowns|nothing is unknown; e.g. [unknowns] diffusivity = true")
            if u.diffusivity and not isinstance(self.physics.diffusivity, float):
                raise ValueError(
                    "physics.diffusivity|an expression, while unknowns.diffusivity estimates one "
                    "number; give a number as first guess"
                )
        if self.task == "sample":
            refuse_sampler(self.sampler, self.unknowns.initial, self.unknowns.velocity)
        if self.task == "sensitivity" and not self.sensitivity.directions:
            raise ValueError(
                "sensitivity.directions|missing; e.g. "
                "[sensitivity.directions.shear] velocity = ['y', '0']"
            )
        return self

    def inputs(self) -> dict[str, str]:
        """The files that it reads."""
        found = super().inputs()
        if self.domain.file is not None:
            found["domain.file"] = self.domain.file
        if self.observations is not None:
            found["observations.file"] = self.observations.file
        return found

    @model_validator(mode="after")
    def _dimensions(self):
        dim, shape = self.domain.dim, f"shape = '{self.domain.shape}'"
        planar = [(k, v) for k, v in walk(self) if isinstance(v, STREAMS)]
        if planar and dim not in (None, 2):
            raise InputError(
                f"{planar[0][0]}: a stream function needs two dimensions, {shape} has {dim}; "
                "give the components of a velocity, or another shape"
            )
        unknown = self.unknowns.velocity
        if unknown and unknown.family == "sine" and self.domain.shape != "rectangle":
            raise InputError(
                f"unknowns.velocity.family = 'sine': needs a rectangle, not {shape}; "
                "write family = 'stream'"
            )
        for key, value in walk(self):
            if isinstance(value, Formula):
                Expression(value, key, dim or 3)
            elif not (key.endswith(".velocity") and isinstance(value, list) and dim):
                continue
            elif len(value) != dim:
                raise InputError(f"{key}: {len(value)} components; {shape} needs {dim}")
        return self
