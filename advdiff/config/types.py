"""What the value of a key may be: strict types, each of which says what it wants.

Also what every experiment file has, whatever its task.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    PlainValidator,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from advdiff.core.errors import InputError, shortened

MOST_OUTPUTS = 100_000
STUDIES = ("surrogate-error", "random-rates")
"""Tasks that are studies of ``matexp``: no mesh, no PETSc."""


def fault(key: str | tuple[str, ...], what: str) -> PydanticCustomError:
    """What a validator of a table raises about a key of it.

    Args:
        key: the key; of a table in the table, its path.
        what: what is wrong, and the remedy.
    """
    location = (key,) if isinstance(key, str) else key
    return PydanticCustomError("fault", "{what}", {"key": location, "what": what})


class Formula(str):
    """The text of an expression in x, y, z."""


def _scalar(value: Any) -> float | Formula:
    if isinstance(value, str):
        return Formula(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(
            "must be a number, an expression in x, y, z as a string, or { file = …, name = … }"
        )
    return _finite(value)


def _finite(value: int | float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("must be a finite number")
    return number


def _wall(value: Any) -> float | str:
    if value == "free":
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number, the value of ψ there, or 'free'")
    return _finite(value)


def _outputs(value: Any) -> int | list[float]:
    if isinstance(value, list) and value:
        if any(isinstance(t, bool) or not isinstance(t, int | float) for t in value):
            raise ValueError("must be times, that is, numbers")
        return [_finite(t) for t in value]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MOST_OUTPUTS:
        raise ValueError(f"must be a list of times, or their number, 1 to {MOST_OUTPUTS}")
    return value


def _moment(value: Any) -> int | float | str:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float):
        return _finite(value)
    try:
        text = value.isoformat() if isinstance(value, date) else value
        return datetime.fromisoformat(text).isoformat()
    except (TypeError, ValueError):
        raise ValueError("must be an index such as 3, a value such as 3.0, or a date") from None


def _instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value.isoformat() if isinstance(value, date) else value)
    except (TypeError, ValueError, AttributeError):
        raise ValueError("must be a date-time such as 2021-08-25T14:03:00") from None


def _level(value: Any) -> int | float | dict[str, int | float]:
    if isinstance(value, dict) and value:
        return {name: _level(entry) for name, entry in value.items()}
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be an index such as 3, a value such as 3.0, or { axis = 3, … }")
    return value if isinstance(value, int) else _finite(value)


def _land(value: Any) -> float | str:
    if value == "wall":
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number, or 'wall'")
    return _finite(value)


def _number_or_field(value: Any) -> bool | str:
    if value not in (True, False, "field") or not isinstance(value, bool | str):
        raise ValueError("must be true, false or 'field'")
    return value


def _option(value: Any) -> str | int | float | bool:
    if not isinstance(value, str | int | float | bool):
        raise ValueError("must be a string, number or truth value")
    return value


def _petsc_options(options: dict[str, Any]) -> dict[str, Any]:
    """Those that make no file, and load no code, of the file's choosing."""
    elsewhere = "give it on the command line, where it is yours"
    for name, value in options.items():
        if not re.fullmatch(r"(advdiff|tao)_\w+", name, re.ASCII):
            raise fault(
                name,
                f"is no option of a solver here; those begin with advdiff_ or tao_: {elsewhere}",
            )
        if not isinstance(value, str):
            continue
        if "view" in name or "monitor" in name:
            raise fault(name, f"must be true or false in a file; {elsewhere}")
        if not re.fullmatch(r"[\w.,+-]{1,80}", value, re.ASCII) or "python" in name + value.lower():
            raise fault(name, f"{shortened(value)} is no plain word; {elsewhere}")
    return options


def _file_name(value: str) -> str:
    if not value or "\0" in value:
        raise ValueError("must be the name of a file")
    return value


def _result_name(value: str) -> str:
    if value in ("", ".", "..") or "/" in value or "\0" in value:
        raise ValueError("cannot name a result; give a name of letters and digits")
    return value


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, lt=2**31)]
FileName = Annotated[str, AfterValidator(_file_name)]
ResultName = Annotated[str, AfterValidator(_result_name)]
Moment = Annotated[int | float | str, PlainValidator(_moment)]
"""An index (whole number), a value (with a decimal point), or a date (ISO 8601)."""
Instant = Annotated[datetime, BeforeValidator(_instant)]
Level = Annotated[int | float | dict[str, int | float], PlainValidator(_level)]
Land = Annotated[float | str, PlainValidator(_land)]
WallValue = Annotated[float | str, PlainValidator(_wall)]
NumberOrField = Annotated[bool | str, PlainValidator(_number_or_field)]
Outputs = Annotated[int | list[float], PlainValidator(_outputs)]
NewtonType = Literal["nls", "ntr", "ntl"]
"""Newton's method with a line search, a trust region, or both."""
TaoType = Literal["lmvm", "cg", "blmvm", "bncg", "bqnls", "bqnktr", "bqnktl", "nls", "ntr", "ntl"]
"""TAO's optimisers without constraints: by gradients alone, or by Newton's method."""
OptionValue = Annotated[Any, PlainValidator(_option)]
PetscOptions = Annotated[dict[str, OptionValue], AfterValidator(_petsc_options)]


class Table(BaseModel):
    """A table of the experiment file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class Gridded(Table):
    """A field on a regular grid in a file."""

    file: FileName = Field(description="NetCDF or HDF5")
    axes: list[str] | None = Field(
        None, description="the file's names of x, y, z; -name for one that counts backwards"
    )
    dimensions: list[str] | None = Field(
        None, description="names of the array's axes in its order, where the file has none"
    )
    time: Moment | None = Field(None, description="index, or value or date to take the nearest of")
    level: Level | None = Field(
        None, description="the same along another axis, or { axis = level, … } along several"
    )
    interpolation: Literal["linear", "cubic"] = Field("linear", description="spline")
    scale: FiniteFloat = Field(1.0, description="factor of all values, after units")
    units: str | None = Field(None, description="what to convert the values to, as 'km h-1'")
    axis_units: str | None = Field(None, description="what to convert the axes to, as 'km'")
    plane: list[FiniteFloat] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="longitude and latitude of the origin of a plane, to which axes in degrees are "
        "taken",
    )
    missing: list[FiniteFloat] | None = Field(
        None, description="marks of missing values that the file does not declare; [] for none"
    )
    land: Land | None = Field(
        None, description="value where there is none, or 'wall': a velocity of 0"
    )


class GriddedScalar(Gridded):
    """A scalar field on a regular grid in a file."""

    name: str = Field(description="variable, or group/variable")

    @property
    def names(self) -> str:
        """What to read."""
        return self.name


class GriddedVelocity(Gridded):
    """A velocity on a regular grid in a file."""

    components: list[str] = Field(description="variables, one for each of x, y, z")

    @property
    def names(self) -> list[str]:
        """What to read."""
        return self.components


def _scalar_kind(value: Any) -> str:
    return "gridded" if isinstance(value, dict | GriddedScalar) else "plain"


Scalar = Annotated[
    Annotated[float | str, PlainValidator(_scalar), Tag("plain")]
    | Annotated[GriddedScalar, Tag("gridded")],
    Discriminator(_scalar_kind),
]
"""A number, an expression in x, y, z, or a field from a file."""


class OutputTable(Table):
    """Where the results go."""

    file: FileName | None = Field(None, description="HDF5; default: the experiment's name with .h5")


class ExperimentFile(Table):
    """What every experiment file has.

    Attributes:
        path: the file it came from (paths in it are relative to its folder).
        text: its text, as written to the output.
    """

    output: OutputTable = OutputTable.model_construct()
    path: Path = Field(Path("experiment.toml"), exclude=True)
    text: str = Field("", exclude=True)

    def inputs(self) -> dict[str, str]:
        """The files that it reads, and the result may not replace: what each is → its name."""
        return {"the experiment file": self.path.name}

    def outputs(self) -> dict[str, Path]:
        """The files that it writes: key → path."""
        return {"output.file": self.output_path}

    @model_validator(mode="after")
    def _outputs_apart(self):
        taken = {self.resolve(name): what for what, name in self.inputs().items()}
        for key, path in self.outputs().items():
            if path in taken:
                raise InputError(f"{key}: {path} is {taken[path]}; give another name")
            taken[path] = key
        return self

    def resolve(self, name: str) -> Path:
        """A path of the file, relative to the file's folder."""
        return Path(os.path.realpath(self.path.parent / name))

    @property
    def output_path(self) -> Path:
        """Where the results go."""
        return self.resolve(self.output.file or self.path.with_suffix(".h5").name)


class StreamVelocity(Table):
    """u = (∂ψ/∂y, −∂ψ/∂x) of a stream function."""

    is_planar: ClassVar[bool] = True
    stream: Scalar = Field(description="ψ")


class VorticityVelocity(Table):
    """The flow of a vorticity between walls on which the stream function is constant."""

    is_planar: ClassVar[bool] = True
    vorticity: Scalar = Field(0.0, description="ω in −Δψ = ω")
    walls: dict[str, WallValue] = Field(
        description="boundary part → ψ there, or 'free': an island without circulation"
    )


def _velocity_kind(value: Any) -> str | None:
    if isinstance(value, list):
        return "list"
    if isinstance(value, GriddedVelocity) or (
        isinstance(value, dict) and ("file" in value or "components" in value)
    ):
        return "gridded"
    if isinstance(value, StreamVelocity) or (isinstance(value, dict) and "stream" in value):
        return "stream"
    if isinstance(value, VorticityVelocity) or (
        isinstance(value, dict) and ("walls" in value or "vorticity" in value)
    ):
        return "vorticity"
    return None


VelocityField = Annotated[
    Annotated[list[Scalar], Tag("list")]
    | Annotated[GriddedVelocity, Tag("gridded")]
    | Annotated[StreamVelocity, Tag("stream")]
    | Annotated[VorticityVelocity, Tag("vorticity")],
    Discriminator(
        _velocity_kind,
        custom_error_type="velocity",
        custom_error_message="must be a list of components, { stream = … }, { walls = … } or "
        "{ file = …, components = … }",
    ),
]


def walk(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value below a table, with its dotted key."""
    yield key, value
    if isinstance(value, Table):
        inner = [(name, getattr(value, name)) for name in type(value).model_fields]
    elif isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        for i, entry in enumerate(value):
            yield from walk(entry, f"{key}[{i}]")
        return
    else:
        return
    for name, entry in inner:
        yield from walk(entry, f"{key}.{name}" if key else name)
