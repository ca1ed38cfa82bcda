"""The measurements to explain, and how their file is written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from advdiff.config.given import refuse
from advdiff.config.tables.equation import ClockTable
from advdiff.config.types import FileName, Instant, Positive, Table, fault
from advdiff.core.errors import suggestion

COLUMNS = (
    *("x", "y", "z", "t", "value", "std", "sensor", "part", "kind", "censored"),
    *("x2", "y2", "z2", "radius", "t_start", "t_end"),
)
"""What a column of readings may be."""
Word = Annotated[str, Field(min_length=1)]


def _separator(value: str) -> str:
    if len(value) != 1 or value.isalnum() or value in '\n\r."':
        raise ValueError("must be one sign, such as ';' or '\\t'")
    return value


def _marks(value: Any) -> Any:
    marks = value if isinstance(value, list) else [value]
    if any(isinstance(mark, bool) or not isinstance(mark, int | float | str) for mark in marks):
        raise ValueError("must be a number, a word, or a list of them")
    return [mark if isinstance(mark, str) else float(mark) for mark in marks]


def _columns(value: dict[str, str]) -> dict[str, str]:
    for name in value:
        if name not in COLUMNS:
            raise fault(name, f"no column of readings; {suggestion(name, COLUMNS)}")
    return value


class NoiseTable(Table):
    """The errors of readings, independent of each other."""

    kind: Literal["given", "unknown", "relative", "student"] = Field(
        "given",
        description="normal of the std given, of one unknown size (std, if given, says how sizes "
        "compare), of size √(std² + (relative·θ)²), or Student's t in units of std",
    )
    relative: Annotated[float, Field(gt=0, lt=10)] | None = Field(
        None, description="relative: the share of θ"
    )
    nu: Annotated[float, Field(ge=1, le=1000)] = Field(4.0, description="student: ν")
    by: Literal["all", "sensor"] = Field(
        "all", description="unknown: one size for all readings, or one a sensor"
    )

    @model_validator(mode="after")
    def _used(self):
        for name, kind in (("relative", "relative"), ("nu", "student"), ("by", "unknown")):
            if self.kind != kind:
                refuse(self, [name], f"kind = '{kind}'")
        if self.kind == "relative" and self.relative is None:
            raise fault("relative", "missing; e.g. noise = { kind = 'relative', relative = 0.05 }")
        return self

    @property
    def needs_std(self) -> bool:
        """Whether the size of the noise must be given."""
        return self.kind != "unknown"


def _written_out(value: Any) -> Any:
    """A kind alone is a table with that kind."""
    return {"kind": value} if isinstance(value, str) else value


Noise = Annotated[NoiseTable, BeforeValidator(_written_out)]


class ObservationsTable(Table):
    """The measurements to explain."""

    file: FileName = Field(description=".csv (x, y, …, t, value[, std]) or .h5")
    std: Positive | None = Field(None, description="noise, where the file has no std")
    noise: Noise = Field(NoiseTable(), description="its kind: a word, or a table with that kind")
    snap_distance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0, description="how far outside the domain a sensor is still read, at the nearest point"
    )
    separator: Annotated[str, AfterValidator(_separator)] | None = Field(
        None, description="of the columns of a .csv, where that is in doubt"
    )
    decimal: Literal[".", ","] | None = Field(None, description="its decimal sign, likewise")
    missing: Annotated[list[float | str], BeforeValidator(_marks)] | None = Field(
        None, description="cells that stand for no reading, as -999; blank ones and NA do"
    )
    origin: Instant | None = Field(None, description="the moment of time 0, for date-times")
    time_format: Word | None = Field(None, description="of date-times, as %d/%m/%Y %H:%M")
    columns: Annotated[dict[str, Word], AfterValidator(_columns)] = Field(
        {}, description="what a column is → its header"
    )
    sensors: FileName | None = Field(
        None, description=".csv of places (sensor, x, …), for a table without coordinates"
    )

    @model_validator(mode="after")
    def _written(self):
        if self.file.endswith((".h5", ".hdf5")):
            keys = ["separator", "decimal", "missing", "origin", "time_format", "columns"]
            refuse(self, [*keys, "sensors"], "a .csv file")
        if self.time_format is not None and self.origin is None:
            raise fault("origin", "missing beside time_format; write the moment of time 0")
        return self

    @property
    def written(self) -> dict[str, Any]:
        """What is stated of how the file is written; ``sensors`` is a path of the file."""
        keys = ("separator", "decimal", "missing", "origin", "time_format", "columns", "sensors")
        return {key: getattr(self, key) for key in keys}


class ReadingsFile(Table):
    """What is stated of a table of readings without an experiment."""

    observations: ObservationsTable
    time: ClockTable = ClockTable.model_construct()

    def written(self) -> dict[str, Any]:
        """The same as of an experiment; paths are relative to the working directory."""
        found = self.observations.written | {"unit": self.time.unit}
        return found | {"sensors": found["sensors"] and Path(found["sensors"])}
