"""Reduced models: the table ``[reduced]``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from advdiff.config.given import refuse
from advdiff.config.types import Count, FileName, Positive, Table


class ReducedTable(Table):
    """Estimate by reduced models, verified and corrected by the full one."""

    dimension: Annotated[int, Field(ge=2, le=5000)] = Field(300, description="largest basis")
    tolerance: Annotated[float, Field(gt=0, lt=1)] = Field(
        3e-3, description="of the compression of snapshots, relative"
    )
    snapshots: Count = Field(40, description="states a trajectory, about")
    sensors: Annotated[int, Field(ge=0, le=100)] = Field(
        0, description="resolvents of every sensor that the basis starts with; 0: none"
    )
    adjoint: bool = Field(True, description="adjoint states at each point too, by one more march")
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

    @model_validator(mode="after")
    def _used(self):
        if self.box == 0.0:
            keys = ["candidates", "batch", "rounds", "bound", "seed"]
            refuse(self, keys, "a greedy choice, box > 0,")
        if self.residuals == "orthonormal":
            refuse(self, ["sketch"], "residuals = 'sketch'")
        return self

    @field_validator("method")
    @classmethod
    def _known(cls, value):
        from advdiff.matexp.methods import of_reduced_model

        return of_reduced_model(value)
