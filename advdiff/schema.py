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
    Gridded,
    NumberOrField,
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

AXES = ("x", "y", "z")
CELLS = {1: ("interval",), 2: ("triangle", "quadrilateral"), 3: ("tetrahedron", "hexahedron")}
DEGREES = {"cg": (1, 3), "spectral": (2, 8), "cip": (1, 3), "dg": (0, 3)}
FEWEST = 3
"""Cells along a periodic axis: with two of them, two facets would have the same vertices."""


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
    cell: Literal["interval", "triangle", "quadrilateral", "tetrahedron", "hexahedron"] | None = (
        Field(None, description="kind of cell of a built-in shape (simplices)")
    )
    periodic: list[Literal["x", "y", "z"]] = Field([], description="axes that close on themselves")
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
            for name in ("cell", "periodic"):
                if getattr(self, name):
                    raise ValueError(f"{name}|only built-in shapes take it; remove it")
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
        if self.cell is not None and self.cell not in CELLS[self.dim]:
            raise ValueError(
                f"cell|'{self.cell}': a {self.shape} has {' or '.join(CELLS[self.dim])}"
            )
        for axis in self.periodic:
            if axis not in AXES[: self.dim] or self.periodic.count(axis) > 1:
                raise ValueError(
                    f"periodic|{self.periodic}: a {self.shape} has axes {AXES[: self.dim]}"
                )
            if self.cells[AXES.index(axis)] < FEWEST:
                raise ValueError(
                    f"cells|{self.cells}: a periodic axis needs {FEWEST} cells or more; raise it"
                )
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


class DiscretizationTable(Table):
    """How the equation is discretised in space."""

    method: Literal["cg", "spectral", "cip", "dg"] = Field("cg", description="family of elements")
    degree: Annotated[int, Field(ge=0, le=8)] = Field(1, description="of the polynomials")
    stabilization: Positive | None = Field(None, description="γ of cip (0.1)")

    @model_validator(mode="after")
    def _complete(self):
        low, high = DEGREES[self.method]
        if not low <= self.degree <= high:
            raise ValueError(
                f"degree|{self.degree}: method = '{self.method}' has degrees {low} to {high}"
            )
        if self.stabilization is not None and self.method != "cip":
            raise ValueError("stabilization|only method = 'cip' takes it; remove it")
        return self


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
        for kind in ("inflow", "flux", "robin"):
            for name in getattr(self, kind):
                if name in self.dirichlet:
                    raise ValueError(
                        f"{kind}.{name}|'{name}' has a Dirichlet value too; remove one of them"
                    )
        for name, robin in self.robin.items():
            if isinstance(robin.coefficient, float) and robin.coefficient < 0:
                raise ValueError(
                    f"robin.{name}.coefficient|{robin.coefficient:g} is negative; give α >= 0"
                )
        return self

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

    method: Literal["recurrence", "quadrature", "augmented", "first-order", "asymptotic"] = Field(
        "recurrence",
        description="push-forward of the engine, an independent check of it, or a surrogate",
    )
    tolerance: Annotated[float, Field(gt=1e-14, lt=1)] = Field(1e-6, description="relative")
    compare: bool = Field(False, description="surrogates: ρ itself too, and the error")
    directions: dict[ResultName, Direction] = Field({}, description="name → direction")


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

    type: TaoType = Field("lmvm", description="a TAO type that needs no Hessian")
    gradient_tolerance: Annotated[float, Field(gt=0, lt=1)] = Field(
        1e-4, description="of the gradient norm, relative to its first value"
    )
    max_iterations: Annotated[int, Field(gt=0, le=1_000_000)] = 300


class ReducedTable(Table):
    """Estimate by reduced models, verified and corrected by the full one."""

    dimension: Annotated[int, Field(ge=2, le=5000)] = Field(300, description="largest basis")
    tolerance: Annotated[float, Field(gt=0, lt=1)] = Field(
        3e-3, description="of the compression of snapshots, relative"
    )
    snapshots: Count = Field(40, description="states a trajectory, about")
    krylov: Annotated[int, Field(ge=0, le=1000)] = Field(
        0, description="Krylov vectors a point, forward and adjoint; 0: none"
    )
    residuals: Literal["sketch", "orthonormal"] = Field(
        "sketch", description="how the bound knows residuals; orthonormal: exact, small families"
    )
    sketch: Annotated[int, Field(ge=16, le=10_000)] = Field(64, description="test functions")
    method: str = Field("auto", description="of matexp, spectral (one eigenbasis), or auto")
    radius: Positive = Field(4.0, description="first trust radius, of bound over initial norm")
    corrections: Count = Field(40, description="most corrections by the full model")
    box: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0, description="half width of the greedy choice's box, in prior std; 0: none"
    )
    candidates: Count = Field(64, description="points that the greedy choice looks at")
    batch: Count = Field(4, description="points that it takes at a time")
    rounds: Annotated[int, Field(ge=0, le=10_000)] = 10
    bound: Positive = Field(1e-2, description="at which it stops, relative to the initial norm")
    seed: int = 0
    compare: bool = Field(False, description="run the plain inversion too, and count both")
    model: FileName | None = Field(None, description="write the reduced model here too (HDF5)")

    @field_validator("method")
    @classmethod
    def _known(cls, value):
        from advdiff.reduced.model import check_method

        check_method(value)
        return value


class TruthTable(Table):
    """What made the data, where it is known: only ever compared with."""

    velocity: VelocityField | None = None
    diffusivity: Scalar | None = None
    initial: Scalar | None = None


def refuse_sampler(sampler: SamplerTable, initial: bool, velocity, reduced: bool) -> None:
    """Raise ``ValueError`` for what the chains of a flow do not offer."""
    if sampler.gradient not in ("exact", "reduced"):
        raise ValueError("sampler.gradient|a flow has 'exact' and 'reduced'; take one of them")
    cheap = sampler.gradient == "reduced" or sampler.kernel == "delayed-acceptance"
    if cheap and not reduced:
        key, value = ("kernel", sampler.kernel)
        if sampler.gradient == "reduced":
            key, value = ("gradient", sampler.gradient)
        raise ValueError(f"sampler.{key}|{value} needs a cheap model; add a table [reduced]")
    if reduced and not cheap:
        raise ValueError(
            "reduced|no sampler takes it; remove the table, or write sampler.gradient = 'reduced' "
            "or sampler.kernel = 'delayed-acceptance'"
        )
    if initial or (velocity is not None and velocity.family in ("stream", "nodal")):
        raise ValueError(
            "unknowns|an unknown field has no place in a file of draws; estimate coefficients, "
            "velocity = { family = 'sine' } or diffusivity = true"
        )


STREAMS = (StreamVelocity, VorticityVelocity)


class Experiment(ExperimentFile):
    """A task on a domain."""

    task: Literal["solve", "sensitivity", "invert", "sample"] = Field(description="what to do")
    domain: DomainTable
    discretization: DiscretizationTable = DiscretizationTable()
    physics: PhysicsTable
    time: TimeTable
    solver: SolverTable = SolverTable()
    sensitivity: SensitivityTable = SensitivityTable()
    observations: ObservationsTable | None = None
    unknowns: UnknownsTable = UnknownsTable()
    prior: PriorTable = PriorTable()
    optimizer: OptimizerTable = OptimizerTable()
    reduced: ReducedTable | None = None
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
            if u.diffusivity is True and not isinstance(self.physics.diffusivity, float):
                raise ValueError(
                    "physics.diffusivity|a field, while unknowns.diffusivity estimates one "
                    "number; give a number as first guess, or unknowns.diffusivity = 'field'"
                )
            if u.initial and self.discretization.method == "dg":
                raise ValueError(
                    "unknowns.initial|true: its prior needs a continuous field, which method = "
                    "'dg' has not; take discretization.method = 'cg', 'cip' or 'spectral'"
                )
        if self.reduced is not None:
            velocity = self.unknowns.velocity
            if self.task not in ("invert", "sample"):
                raise ValueError(
                    "reduced|only task = 'invert' and 'sample' take it; remove the table"
                )
            if self.unknowns.initial or (velocity and velocity.family == "stream"):
                raise ValueError(
                    "reduced|an unknown is a field, a reduced model needs coefficients; e.g. "
                    "unknowns.velocity.family = 'sine', unknowns.initial = false"
                )
        if self.task == "sample":
            u = self.unknowns
            refuse_sampler(self.sampler, u.initial, u.velocity, self.reduced is not None)
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
        found |= {f"{k}.file": v.file for k, v in walk(self) if isinstance(v, Gridded)}
        return found

    @model_validator(mode="after")
    def _dimensions(self):
        dim, shape = self.domain.dim, f"shape = '{self.domain.shape}'"
        planar = [(k, v) for k, v in walk(self) if isinstance(v, STREAMS)]
        unknown = self.unknowns.velocity
        if unknown and unknown.family != "nodal":
            planar.append(("unknowns.velocity", unknown))
        if planar and dim not in (None, 2):
            raise InputError(
                f"{planar[0][0]}: a stream function needs two dimensions, {shape} has {dim}; "
                "give the components of a velocity, or another shape"
            )
        closed = sorted(self.domain.periodic)
        if unknown and unknown.family == "sine" and (self.domain.shape != "rectangle" or closed):
            raise InputError(
                "unknowns.velocity.family = 'sine': needs a rectangle with walls, not "
                f"{shape}{f', periodic = {closed}' if closed else ''}; write family = 'stream'"
            )
        if unknown and unknown.family == "fourier" and closed != ["x", "y"]:
            raise InputError(
                "unknowns.velocity.family = 'fourier': needs a torus; write domain.periodic = "
                "['x', 'y'], or family = 'stream'"
            )
        for key, value in walk(self):
            if isinstance(value, Formula):
                Expression(value, key, dim or 3)
            elif not (key.endswith(".velocity") and isinstance(value, list) and dim):
                continue
            elif len(value) != dim:
                raise InputError(f"{key}: {len(value)} components; {shape} needs {dim}")
        return self
