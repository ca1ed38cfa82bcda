"""The experiment file: its schema, its defaults, and errors that name the key.

The file is TOML.  Paths in it are relative to the file itself.  Every table is a frozen model
below; a key that no model knows is an error, with the nearest known key as a suggestion.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import tomllib
from mpi4py import MPI
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from advdiff.errors import InputError, on_root, suggestion

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Scalar = FiniteFloat | str
"""A number, or an expression in x, y, z."""


class Table(BaseModel):
    """A table of the experiment file."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class DomainTable(Table):
    """Where: a built-in shape, or a gmsh file."""

    shape: Literal["interval", "rectangle", "box", "gmsh"] = Field(
        "rectangle", description="built-in shape, or gmsh with a file"
    )
    cells: list[PositiveInt] | None = Field(None, description="cells along each axis")
    lower: list[FiniteFloat] | None = Field(None, description="lower corner (0, 0, …)")
    upper: list[FiniteFloat] | None = Field(None, description="upper corner (1, 1, …)")
    file: str | None = Field(None, description="gmsh .geo or .msh")
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
                raise ValueError(
                    f"{name}|{value} has not {self.dim} entries, as a {self.shape} has"
                )
        for axis, (a, b) in enumerate(zip(*self.corners, strict=True)):
            if not a < b:
                raise ValueError(f"upper|{b:g} on axis {axis} is not above the lower corner {a:g}")
        return self

    @property
    def corners(self) -> tuple[list[float], list[float]]:
        """Lower and upper corner of a built-in shape."""
        return self.lower or [0.0] * self.dim, self.upper or [1.0] * self.dim


class StreamVelocity(Table):
    """u = (∂ψ/∂y, −∂ψ/∂x) of a stream function."""

    stream: Scalar = Field(description="ψ")


class VorticityVelocity(Table):
    """The flow of a vorticity between walls on which the stream function is constant."""

    vorticity: Scalar = Field(0.0, description="ω in −Δψ = ω")
    walls: dict[str, FiniteFloat | Literal["free"]] = Field(
        description="boundary part → ψ there, or 'free': an island without circulation"
    )


VelocityField = list[Scalar] | StreamVelocity | VorticityVelocity


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
    outputs: PositiveInt | list[FiniteFloat] = Field(10, description="how many, or which")

    @model_validator(mode="after")
    def _ordered(self):
        times = self.times
        if any(not 0 < t <= self.final * (1 + 1e-12) for t in times):
            raise ValueError(
                f"outputs|{self.outputs} leaves the range 0 < t <= final = {self.final}"
            )
        if any(b <= a for a, b in pairwise(times)):
            raise ValueError(f"outputs|{self.outputs} does not increase")
        return self

    @property
    def times(self) -> list[float]:
        """The output times, increasing, without 0."""
        if isinstance(self.outputs, list):
            return list(self.outputs)
        return [self.final * (k + 1) / self.outputs for k in range(self.outputs)]


class SolverTable(Table):
    """How exp(tA) is applied."""

    method: Literal["krylov", "expokit"] = Field("krylov", description="type of SLEPc MFN")
    tolerance: Annotated[float, Field(gt=1e-15, lt=1)] = Field(1e-8, description="relative")
    dimension: Annotated[int, Field(ge=4)] | None = Field(None, description="Krylov dimension")
    max_restarts: PositiveInt = Field(1000, description="more is an error")


class Direction(Table):
    """One direction to differentiate in: exactly one of the three."""

    velocity: VelocityField | None = None
    diffusivity: Scalar | None = None
    initial: Scalar | None = None

    @model_validator(mode="after")
    def _one(self):
        if sum(v is not None for v in (self.velocity, self.diffusivity, self.initial)) != 1:
            raise ValueError("needs exactly one of velocity, diffusivity, initial")
        return self


class SensitivityTable(Table):
    """ρ = derivative of θ(t) in named directions."""

    method: Literal["quadrature", "augmented"] = Field("quadrature", description="how")
    tolerance: Annotated[float, Field(gt=1e-14, lt=1)] = Field(1e-6, description="relative")
    directions: dict[str, Direction] = Field({}, description="name → direction")


class ObservationsTable(Table):
    """The measurements to explain."""

    file: str = Field(description=".csv (x, y, …, t, value[, std]) or .h5")
    std: Positive | None = Field(None, description="noise, where the file has no std")


class VelocityUnknown(Table):
    """The unknown part of the velocity, added to physics.velocity."""

    family: Literal["sine", "stream"] = Field("sine", description="sine modes, or ψ itself (P2)")
    modes: list[PositiveInt] = Field([5, 5], description="sine modes along each axis")


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

    type: str = Field("lmvm", description="a TAO type for smooth problems")
    gradient_tolerance: Annotated[float, Field(gt=0, lt=1)] = Field(
        1e-4, description="of the gradient norm, relative to its first value"
    )
    max_iterations: PositiveInt = 300


class TruthTable(Table):
    """What made the data, where it is known: only ever compared with."""

    velocity: VelocityField | None = None
    diffusivity: Positive | None = None
    initial: Scalar | None = None


class OutputTable(Table):
    """Where the results go."""

    file: str | None = Field(None, description="HDF5; default: the experiment's name with .h5")


class Experiment(Table):
    """A whole experiment file.

    Attributes:
        path: the file it came from (paths in it are relative to its folder).
        text: its text, as written to the output.
    """

    task: Literal["solve", "sensitivity", "invert"] = Field(description="what to do")
    domain: DomainTable
    physics: PhysicsTable
    time: TimeTable
    solver: SolverTable = SolverTable()
    sensitivity: SensitivityTable = SensitivityTable()
    observations: ObservationsTable | None = None
    unknowns: UnknownsTable = UnknownsTable()
    prior: PriorTable = PriorTable()
    optimizer: OptimizerTable = OptimizerTable()
    truth: TruthTable = TruthTable()
    output: OutputTable = OutputTable()
    petsc: dict[str, str | int | float | bool] = Field({}, description="PETSc options")
    path: Path = Field(Path("experiment.toml"), exclude=True)
    text: str = Field("", exclude=True)

    @model_validator(mode="after")
    def _task(self):
        if self.task == "invert":
            if self.observations is None:
                raise ValueError("observations.file|missing; task = 'invert' needs measurements")
            u = self.unknowns
            if u.velocity is None and not u.diffusivity and not u.initial:
                raise ValueError("unknowns|nothing is unknown; e.g. [unknowns] diffusivity = true")
            if u.diffusivity and not isinstance(self.physics.diffusivity, float):
                raise ValueError(
                    "physics.diffusivity|an expression, while unknowns.diffusivity estimates one "
                    "number; give a number as first guess"
                )
        if self.task == "sensitivity" and not self.sensitivity.directions:
            raise ValueError(
                "sensitivity.directions|missing; e.g. "
                "[sensitivity.directions.shear] velocity = ['y', '0']"
            )
        return self

    def resolve(self, name: str) -> Path:
        """A path of the file, relative to the file's folder."""
        return (self.path.parent / name).resolve()

    @property
    def output_path(self) -> Path:
        """Where the results go."""
        return self.resolve(self.output.file or self.path.with_suffix(".h5").name)


def load(path: str | Path, overrides: tuple[str, ...] = (), comm=MPI.COMM_WORLD) -> Experiment:
    """Read and validate an experiment file (collective: rank 0 reads).

    Args:
        path: the TOML file.
        overrides: ``key.sub=value`` settings that replace what the file says.

    Raises:
        InputError: on every rank, naming the key, its value and the remedy.
    """
    path = Path(path)

    def read() -> str:
        try:
            return path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise InputError(
                f"{path}: {error.strerror}; give the name of an experiment file"
            ) from None
        except UnicodeDecodeError:
            raise InputError(f"{path}: not UTF-8 text; an experiment file is a TOML text") from None

    text = on_root(comm, read)
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    for setting in overrides:
        _override(data, setting)
    return parse(data, path, text)


def parse(data: dict[str, Any], path: Path = Path("experiment.toml"), text: str = "") -> Experiment:
    """Validate the tables of an experiment.

    Raises:
        InputError: naming the key, its value and the remedy.
    """
    for name in ("path", "text"):
        if name in data:
            raise InputError(f"{name}: unknown key; remove it")
    try:
        return Experiment(**data, path=path, text=text)
    except ValidationError as error:
        raise InputError(_explain(error)) from None


def _override(data: dict[str, Any], setting: str) -> None:
    key, separator, value = setting.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not separator or not all(parts):
        raise InputError(f"--set {setting}: not of the form key.sub=value")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    table = data
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise InputError(f"--set {setting}: {part} is not a table")
    table[parts[-1]] = parsed


def _known_keys(location: tuple) -> list[str]:
    """Keys of the table that a validation error points into."""
    model: Any = Experiment
    for part in location:
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            continue
        found = _tables(fields[part].annotation)
        model = found[0] if found else None
    return [k for k in getattr(model, "model_fields", {}) if k not in ("path", "text")]


def _tables(annotation: Any) -> list[type[Table]]:
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return [annotation]
    return [t for a in getattr(annotation, "__args__", ()) for t in _tables(a)]


def _explain(error: ValidationError) -> str:
    """The first problem, as one line: key, value, remedy."""
    problems = error.errors()
    # A union reports every alternative; the deepest location is the one the user meant.
    first = max(problems, key=lambda p: (p["type"] == "extra_forbidden", len(p["loc"])))
    if first["loc"] and problems[0]["loc"][:1] != first["loc"][:1]:
        first = problems[0]
    names = [p for p in first["loc"] if not _is_alternative(p)]
    key = ".".join(str(p) for p in names) or "experiment"
    kind, value = first["type"], first["input"]
    message = first["msg"].removeprefix("Value error, ")
    if "|" in message and kind == "value_error":
        inner, _, message = message.partition("|")
        key = inner if key == "experiment" else f"{key}.{inner}"
        return f"{key}: {message}"
    if kind == "extra_forbidden":
        return f"{key}: unknown key; {suggestion(str(names[-1]), _known_keys(tuple(names[:-1])))}"
    if kind == "missing":
        return f"{key}: missing; add it to the experiment file"
    shown = repr(value)
    shown = shown if len(shown) < 60 else shown[:57] + "..."
    return f"{key} = {shown}: {message[0].lower()}{message[1:]}"


def _is_alternative(part: Any) -> bool:
    """True for pydantic's names of union members, which no user typed."""
    return isinstance(part, str) and (
        part in ("float", "int", "str", "bool", "finite-float")
        or "[" in part
        or part.endswith("Velocity")
    )
