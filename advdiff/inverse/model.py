"""What the inference sees of a forward model."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from petsc4py import PETSc

from advdiff.inverse.unknowns import Unknowns


class Linearisation(Protocol):
    """The model at one m."""

    predicted: np.ndarray

    def push(self, dm: PETSc.Vec) -> np.ndarray: ...
    def pull(self, weights: np.ndarray) -> PETSc.Vec: ...


class Model(Protocol):
    """A parametrised generator and what is observed of it."""

    unknowns: Unknowns

    def observe(self, m: PETSc.Vec) -> np.ndarray: ...
    def linearise(self, m: PETSc.Vec) -> Linearisation: ...
