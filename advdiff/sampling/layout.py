"""What a result of chains holds: variables of every draw, fields of some, data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from petsc4py import PETSc

from advdiff.files.concerns import Concerns
from advdiff.files.shared import Shared


class Variable(NamedTuple):
    """A quantity of every draw: names and sizes of its axes, title, and the truth where known."""

    dims: dict[str, int]
    long_name: str = ""
    truth: np.ndarray | None = None


class Data(NamedTuple):
    """An array of ``observed_data`` or ``constant_data``."""

    values: np.ndarray
    dims: tuple[str, ...]
    long_name: str = ""


class Snapshots(NamedTuple):
    """Fields of a few draws of each chain, evenly spaced.

    ``axes``: name → axes of the field, the distributed one first; ``sizes``: of these axes;
    ``values``: m → components of each field (collective on the group); ``most``: of a chain.
    """

    axes: Mapping[str, tuple[str, ...]]
    sizes: Mapping[str, int]
    values: Callable[[PETSc.Vec], Mapping[str, Sequence[PETSc.Vec]]]
    most: int


@dataclass(frozen=True)
class Layout:
    """What a result of chains holds.

    Attributes:
        attributes: of the file.
        variables: of a draw, by name.
        values: m → the variables of a draw, on the root of the group (collective on the group).
        observed, constant: ArviZ' ``observed_data`` and ``constant_data``.
        coordinates: of axes that have some.
        mark: text that differs where a partial file is of another run.
        extend: adds to the file what is made of all draws (collective on all ranks).
        snapshots: fields to keep under ``/fields``.
        concerns: to warn of; those of the chains join them.
    """

    attributes: Mapping[str, Any]
    variables: Mapping[str, Variable]
    values: Callable[[PETSc.Vec], Mapping[str, np.ndarray]]
    observed: Mapping[str, Data]
    constant: Mapping[str, Data]
    coordinates: Mapping[str, np.ndarray]
    mark: str
    extend: Callable[[Shared], None] | None = None
    snapshots: Snapshots | None = None
    concerns: Concerns = field(default_factory=Concerns)
