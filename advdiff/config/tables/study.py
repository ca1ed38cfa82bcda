"""The experiment file of a study: ``task`` and the table ``[matexp]``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, model_validator

from advdiff.config.given import refuse
from advdiff.config.types import STUDIES, ExperimentFile, Table, fault
from advdiff.core.errors import shortened
from advdiff.matexp.rates.laws import LAWS
from advdiff.matexp.rates.studies import SURROGATES

LARGEST = 10_000
"""States of a dense matrix."""
MOST_MATRICES = 1_000_000
"""Of all laws and dimensions."""


def _counts(value: Any) -> int | list[int]:
    entries = value if isinstance(value, list) and value else [value]
    if any(type(n) is not int or not 0 <= n <= MOST_MATRICES for n in entries):
        raise ValueError(
            f"must be a number of replicates up to {MOST_MATRICES}, or a list of one for each d"
        )
    return value


Replicates = Annotated[int | list[int], PlainValidator(_counts)]
"""How many for every d, or for each."""
Time = Annotated[float, Field(ge=0, allow_inf_nan=False)]
States = Annotated[int, Field(ge=2, le=LARGEST)]


class MatexpTable(Table):
    """Random rate matrices Q: which laws, how large, how many."""

    laws: list[Literal[LAWS]] = Field(list(LAWS), description="laws of the rates", min_length=1)
    dimensions: list[States] = Field(description="numbers of states d", min_length=1)
    replicates: Replicates = Field(20, description="matrices a law and d (or a list, one a d)")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="of the random numbers")
    times: list[Time] = Field([], description="surrogate-error: times t")
    methods: list[Literal[SURROGATES]] = Field(
        list(SURROGATES), description="surrogate-error: surrogates", min_length=1
    )
    certified: Replicates = Field(
        0, description="surrogate-error: how many replicates get a certificate"
    )

    @model_validator(mode="after")
    def _lengths(self):
        for name in ("laws", "dimensions", "times", "methods"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise fault(name, "has an entry twice; remove one")
        for name in ("replicates", "certified"):
            value = getattr(self, name)
            if isinstance(value, list) and len(value) != len(self.dimensions):
                raise fault(
                    name,
                    f"{len(value)} entries; give one number, or one for each of the "
                    f"{len(self.dimensions)} dimensions",
                )
        count = len(self.laws) * sum(self.counts("replicates"))
        if count > MOST_MATRICES:
            raise fault(
                "replicates",
                f"{shortened(self.replicates)} make {count:g} matrices, more than "
                f"{MOST_MATRICES}; give fewer",
            )
        if 0 in self.counts("replicates"):
            raise fault("replicates", "0 is too few; give at least 1")
        return self

    def counts(self, name: Literal["replicates", "certified"]) -> list[int]:
        """How many for each d."""
        value = getattr(self, name)
        return value if isinstance(value, list) else [value] * len(self.dimensions)


class Study(ExperimentFile):
    """A study of random rate matrices."""

    task: Literal[STUDIES] = Field(description="what to do")
    matexp: MatexpTable

    @model_validator(mode="after")
    def _task(self):
        if self.task == "surrogate-error" and not self.matexp.times:
            raise fault(("matexp", "times"), "missing; e.g. times = [1e-3, 0.1, 10.0]")
        if self.task == "random-rates":
            refuse(
                self.matexp, ["times", "methods", "certified"], "task = 'surrogate-error'", "matexp"
            )
        return self
