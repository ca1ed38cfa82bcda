"""Where: the tables ``[domain]`` and ``[discretization]``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, FiniteFloat, model_validator

from advdiff.config.expression import AXES
from advdiff.config.given import refuse
from advdiff.config.types import Count, FileName, Positive, Table, fault

CELLS = {1: ("interval",), 2: ("triangle", "quadrilateral"), 3: ("tetrahedron", "hexahedron")}


class Elements(NamedTuple):
    """What a family of elements allows in an experiment file.

    Attributes:
        lowest, highest: degree.
        boxes: degrees up to this one need quadrilaterals or hexahedra.
        continuous: whether θ is.
    """

    lowest: int
    highest: int
    boxes: int = -1
    continuous: bool = True


ELEMENTS = {
    "cg": Elements(1, 3),
    "spectral": Elements(2, 8, boxes=8),
    "cip": Elements(1, 3),
    "dg": Elements(0, 3, boxes=0, continuous=False),
}
"""``discretization.method`` → what it allows."""
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
        Field(None, description="kind of cell of a built-in shape (what the elements need)")
    )
    periodic: list[Literal["x", "y", "z"]] = Field([], description="axes that close on themselves")
    open: list[str] = Field([], description="boundary parts that the flow may pass")
    origin: list[FiniteFloat] | None = Field(
        None, description="from where expressions count x, y, z (0, 0, …)"
    )
    coordinates: Literal["plane", "lonlat"] = Field(
        "plane", description="lengths along straight axes; lonlat is refused, with what to do"
    )

    @property
    def dim(self) -> int | None:
        """Dimension of a built-in shape."""
        return {"interval": 1, "rectangle": 2, "box": 3}.get(self.shape)

    @model_validator(mode="after")
    def _complete(self):
        if self.coordinates == "lonlat":
            raise fault("coordinates", self._projected())
        if self.origin is not None and self.dim not in (None, len(self.origin)):
            raise fault("origin", f"{len(self.origin)} entries; a {self.shape} needs {self.dim}")
        if self.shape == "gmsh":
            if self.file is None:
                raise fault("file", "missing; shape = 'gmsh' needs the name of a .geo or .msh")
            if Path(self.file).suffix not in (".geo", ".msh"):
                raise fault("file", f"{self.file!r} is not a .geo or .msh file")
            refuse(self, ["cells", "lower", "upper", "cell", "periodic"], "a built-in shape")
            if Path(self.file).suffix == ".msh":
                refuse(self, ["mesh_size"], "a .geo file")
            return self
        refuse(self, ["file", "mesh_size"], "shape = 'gmsh'")
        if self.cells is None:
            raise fault("cells", "missing; give the number of cells along each axis")
        for name in ("cells", "lower", "upper"):
            value = getattr(self, name)
            if value is not None and len(value) != self.dim:
                raise fault(name, f"{len(value)} entries; a {self.shape} needs {self.dim}")
        if self.cell is not None and self.cell not in CELLS[self.dim]:
            raise fault("cell", f"'{self.cell}': a {self.shape} has {' or '.join(CELLS[self.dim])}")
        for axis in self.periodic:
            if axis not in AXES[: self.dim] or self.periodic.count(axis) > 1:
                raise fault(
                    "periodic", f"{self.periodic}: a {self.shape} has axes {AXES[: self.dim]}"
                )
            if self.cells[AXES.index(axis)] < FEWEST:
                raise fault(
                    "cells", f"{self.cells}: a periodic axis needs {FEWEST} cells or more; raise it"
                )
        for axis, (a, b) in enumerate(zip(*self.corners, strict=True)):
            if not 0 < b - a < math.inf:
                raise fault(
                    "upper",
                    f"{b:.9g} on axis {axis} is not above the lower corner {a:.9g}; raise it",
                )
        return self

    def _projected(self) -> str:
        """Why degrees will not do, and which projection does."""
        zone = "the UTM zone floor((longitude + 180)/6) + 1"
        if self.dim == 2 and all(len(corner) == 2 for corner in self.corners):
            longitude, latitude = (0.5 * (a + b) for a, b in zip(*self.corners, strict=True))
            number = int((longitude + 180.0) // 6.0) % 60 + 1
            code = (32600 if latitude >= 0 else 32700) + number
            zone = f"UTM zone {number}{'N' if latitude >= 0 else 'S'}: EPSG:{code}"
        return (
            "'lonlat': a degree is no length, and ∇ knows none of the sphere; project the domain "
            f"and the readings to metres (pyproj, cs2cs; {zone}), or give them in metres from "
            "the point that a grid's key plane = [longitude, latitude] names"
        )

    @property
    def corners(self) -> tuple[list[float], list[float]]:
        """Lower and upper corner of a built-in shape."""
        return self.lower or [0.0] * self.dim, self.upper or [1.0] * self.dim


class DiscretizationTable(Table):
    """How the equation is discretised in space."""

    method: Literal[tuple(ELEMENTS)] = Field("cg", description="family of elements")
    degree: Annotated[int, Field(ge=0, le=8)] = Field(1, description="of the polynomials")
    stabilization: Positive | None = Field(None, description="γ of cip (0.1)")
    mesh_error: bool = Field(True, description="estimate it, by cells twice as large")

    @model_validator(mode="after")
    def _complete(self):
        allowed = self.elements
        if not allowed.lowest <= self.degree <= allowed.highest:
            raise fault(
                "degree",
                f"{self.degree}: method = '{self.method}' has degrees {allowed.lowest} to "
                f"{allowed.highest}",
            )
        if self.method != "cip":
            refuse(self, ["stabilization"], "method = 'cip'")
        return self

    @property
    def elements(self) -> Elements:
        """What the method allows."""
        return ELEMENTS[self.method]

    def cell(self, dim: int) -> str:
        """The kind of cell to take where the file says nothing: simplices wherever they will do."""
        return CELLS[dim][-1 if self.degree <= self.elements.boxes else 0]
