"""[laplace]: how sure an estimate is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from advdiff.config.types import Count, Positive, Table


class LaplaceTable(Table):
    """The posterior as a Gaussian around the estimate."""

    threshold: Positive = Field(
        0.1, description="eigenvalues of the data's Hessian, in units of the prior's, from here on"
    )
    most: Count = Field(300, description="eigenpairs; where there are more, the run says so")
    samples: Annotated[int, Field(ge=0, le=1000)] = Field(4, description="to write")
    probes: Count = Field(
        200, description="random vectors for the pointwise variance that the data leave unknown"
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(0, description="of samples and probes")
