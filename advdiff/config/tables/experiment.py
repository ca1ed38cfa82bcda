"""The tables of an experiment file: their keys, types, defaults, and what must agree.

Every table is a frozen model; a key that no model knows is an error.  Types are strict: ``true`` is
no number, ``"1"`` neither.  A validator that finds fault with a key of its table raises
``fault(key, "what is wrong; remedy")``; ``config_messages`` puts the table's name before it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from advdiff.config.expression import Expression
from advdiff.config.tables.equation import PhysicsTable, SensitivityTable, SolverTable, TimeTable
from advdiff.config.tables.inversion import (
    LaplaceTable,
    OptimizerTable,
    PriorTable,
    TruthTable,
    UnknownsTable,
)
from advdiff.config.tables.observations import ObservationsTable
from advdiff.config.tables.reduced import ReducedTable
from advdiff.config.tables.sampler import SamplerTable
from advdiff.config.tables.space import DiscretizationTable, DomainTable
from advdiff.config.tables.unused import require_used
from advdiff.config.types import (
    ExperimentFile,
    Formula,
    Gridded,
    PetscOptions,
    VorticityVelocity,
    fault,
    walk,
)
from advdiff.core.errors import InputError


def is_velocity(key: str) -> bool:
    """Whether a velocity is written there, as a list of components for one."""
    return key.endswith((".velocity", "].field")) and key not in (
        "unknowns.velocity",
        "prior.velocity",
    )


def refuse_sampler(sampler: SamplerTable, field: bool, reduced: bool) -> None:
    """Raise a ``fault`` for what the chains of a flow do not offer."""
    if sampler.gradient not in ("exact", "reduced"):
        raise fault(("sampler", "gradient"), "a flow has 'exact' and 'reduced'; take one of them")
    cheap = sampler.gradient == "reduced" or sampler.abilities.needs_cheap
    if cheap and not reduced:
        key, value = ("kernel", sampler.kernel)
        if sampler.gradient == "reduced":
            key, value = ("gradient", sampler.gradient)
        raise fault(("sampler", key), f"{value} needs a cheap model; add a table [reduced]")
    if reduced and not cheap:
        raise fault(
            "reduced",
            "no sampler takes it; remove the table, or write sampler.gradient = 'reduced' "
            "or sampler.kernel = 'delayed-acceptance'",
        )
    if field and not sampler.abilities.moves_fields:
        raise fault(
            ("sampler", "kernel"),
            f"{sampler.kernel} does not move an unknown field: its step shrinks with the "
            "mesh; take pcn, mala, hmc or nuts",
        )


class Experiment(ExperimentFile):
    """A task on a domain."""

    task: Literal["solve", "sensitivity", "invert", "sample"] = Field(description="what to do")
    domain: DomainTable
    discretization: DiscretizationTable = DiscretizationTable.model_construct()
    physics: PhysicsTable
    time: TimeTable
    solver: SolverTable = SolverTable.model_construct()
    sensitivity: SensitivityTable = SensitivityTable.model_construct()
    observations: ObservationsTable | None = None
    unknowns: UnknownsTable = UnknownsTable.model_construct()
    prior: PriorTable = PriorTable.model_construct()
    optimizer: OptimizerTable = OptimizerTable.model_construct()
    laplace: LaplaceTable | None = None
    reduced: ReducedTable | None = None
    sampler: SamplerTable = SamplerTable.model_construct()
    truth: TruthTable = TruthTable.model_construct()
    petsc: PetscOptions = Field({}, description="PETSc options: advdiff_… and tao_…")

    @model_validator(mode="after")
    def _task(self):
        if self.task in ("invert", "sample"):
            if self.observations is None:
                raise fault(
                    ("observations", "file"), f"missing; task = '{self.task}' needs measurements"
                )
            self.unknowns.agree(self.physics, self.discretization)
        if self.laplace is not None and (self.task != "invert" or self.reduced is not None):
            raise fault(
                "laplace", "only task = 'invert' without [reduced] takes it; remove the table"
            )
        if self.reduced is not None:
            if self.task not in ("invert", "sample"):
                raise fault(
                    "reduced", "only task = 'invert' and 'sample' take it; remove the table"
                )
            kind = "given" if self.observations is None else self.observations.noise.kind
            if kind != "given":
                raise fault(
                    "reduced",
                    f"its misfit takes noise of known size, not observations.noise = '{kind}'; "
                    "remove one of them",
                )
            if self.unknowns.has_field:
                raise fault(
                    "reduced",
                    "an unknown is a field, a reduced model needs coefficients; e.g. "
                    "unknowns.velocity.family = 'sine', none 'field', unknowns.initial = false",
                )
        if self.task == "sample":
            refuse_sampler(self.sampler, self.unknowns.has_field, self.reduced is not None)
        if self.task == "sensitivity" and not self.sensitivity.directions:
            raise fault(
                ("sensitivity", "directions"),
                "missing; e.g. [sensitivity.directions.shear] velocity = ['y', '0']",
            )
        require_used(self)
        return self

    def inputs(self) -> dict[str, str]:
        """The files that it reads."""
        found = super().inputs()
        if self.domain.file is not None:
            found["domain.file"] = self.domain.file
        if self.observations is not None:
            found["observations.file"] = self.observations.file
            if self.observations.sensors is not None:
                found["observations.sensors"] = self.observations.sensors
        found |= {f"{k}.file": v.file for k, v in walk(self) if isinstance(v, Gridded)}
        return found

    def written(self) -> dict[str, Any]:
        """What it says of how the file of readings is written."""
        found = self.observations.written | {"unit": self.time.unit}
        if found["sensors"] is not None:
            found["sensors"] = self.resolve(found["sensors"])
        return found

    def boundary_parts(self) -> list[tuple[str, str]]:
        """Key and name of every boundary part that is spoken of."""
        found = [("domain.open", name) for name in self.domain.open]
        for kind in ("dirichlet", "inflow", "flux", "robin"):
            found += [(f"physics.{kind}.{name}", name) for name in getattr(self.physics, kind)]
        for key, value in walk(self):
            if isinstance(value, VorticityVelocity):
                found += [(f"{key}.walls", name) for name in value.walls]
        return found

    def outputs(self) -> dict[str, Path]:
        """The files that it writes."""
        model = self.reduced and self.reduced.model
        return super().outputs() | ({"reduced.model": self.resolve(model)} if model else {})

    @model_validator(mode="after")
    def _dimensions(self):
        dim, shape = self.domain.dim, f"shape = '{self.domain.shape}'"
        for i, flow in enumerate(self.unknowns.flows):
            where = f"[{i}]" if isinstance(self.unknowns.velocity, list) else ""
            flow.require(self.domain, f"unknowns.velocity{where}")
        planar = [key for key, value in walk(self) if getattr(value, "is_planar", False)]
        if planar and dim not in (None, 2):
            raise InputError(
                f"{planar[0]}: a stream function needs two dimensions, {shape} has {dim}; "
                "give the components of a velocity, or another shape"
            )
        for key, value in walk(self):
            if isinstance(value, Formula):
                Expression(value, key, dim or 3)
            elif isinstance(value, list) and is_velocity(key) and dim and len(value) != dim:
                raise InputError(f"{key}: {len(value)} components; {shape} needs {dim}")
        return self
