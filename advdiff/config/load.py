"""The experiment file: reading it, and errors that name the key.

The file is TOML.  Paths in it are relative to the file itself.  Its tables are in ``schema``.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpi4py import MPI
from pydantic import ValidationError

from advdiff.config.messages import explain
from advdiff.config.tables.experiment import Experiment
from advdiff.config.tables.models import ModelExperiment
from advdiff.config.tables.observations import ReadingsFile
from advdiff.config.types import STUDIES, StreamVelocity, VelocityField, VorticityVelocity
from advdiff.core.errors import InputError, shortened
from advdiff.core.ranks import on_root

if TYPE_CHECKING:
    from advdiff.config.tables.study import Study

__all__ = ["Experiment", "StreamVelocity", "VelocityField", "VorticityVelocity", "load", "parse"]

LARGEST = 10_000_000
"""Bytes of an experiment file."""


def load(
    path: str | Path, overrides: tuple[str, ...] = (), comm=MPI.COMM_WORLD
) -> Experiment | ModelExperiment | Study:
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
            with open(path, "rb") as file:
                content = file.read(LARGEST + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{path}: {reason}; give the name of an experiment file") from None
        if len(content) > LARGEST:
            raise InputError(f"{path}: larger than {LARGEST} bytes; give an experiment file (TOML)")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InputError(
                f"{path}: not UTF-8 text; give an experiment file, which is TOML text"
            ) from None

    text = on_root(comm, read)
    try:
        data = tomllib.loads(text.replace("\r\n", "\n"))
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not valid TOML: {reason}; mend it") from None
    for setting in overrides:
        _override(data, setting)
    return parse(data, path, text)


def parse(
    data: dict[str, Any], path: Path = Path("experiment.toml"), text: str = ""
) -> Experiment | ModelExperiment | Study:
    """Validate the tables of an experiment.

    Raises:
        InputError: naming the key, its value and the remedy.
    """
    for name in ("path", "text"):
        if name in data:
            raise InputError(f"{name}: unknown key; remove it")
    kind = _kind(data)
    try:
        return kind(**data, path=Path(path), text=text)
    except ValidationError as error:
        raise InputError(explain(error, kind)) from None


def table_of_readings(path: Path, overrides: tuple[str, ...] = ()) -> ReadingsFile:
    """What is stated of a table of readings that no experiment file names (local).

    Args:
        overrides: as of :func:`load`, of [observations] and time.unit.
    """
    data: dict[str, Any] = {"observations": {"file": str(path)}}
    for setting in overrides:
        _override(data, setting)
    try:
        return ReadingsFile(**data)
    except ValidationError as error:
        raise InputError(explain(error, ReadingsFile)) from None


def _kind(data: dict[str, Any]) -> type[Experiment | ModelExperiment | Study]:
    """What sort of experiment these tables are of; the room of studies is loaded for a study."""
    if "model" in data:
        return ModelExperiment
    if data.get("task") in STUDIES:
        from advdiff.config.tables.study import Study

        return Study
    return Experiment


def _override(data: dict[str, Any], setting: str) -> None:
    key, separator, value = setting.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not separator or not all(parts):
        raise InputError(
            f"--set {shortened(setting)}: not of the form key.sub=value; "
            "write e.g. --set time.final=2.0"
        )
    try:
        parsed = tomllib.loads(f"value = {value}")
        parsed = parsed["value"] if len(parsed) == 1 else value.strip()
    except (ValueError, RecursionError):
        parsed = value.strip()
    table = data
    for i, part in enumerate(parts[:-1]):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise InputError(
                f"--set {shortened(setting)}: {'.'.join(parts[: i + 1])} is not a table; "
                "give a key of the experiment file"
            )
    table[parts[-1]] = parsed
