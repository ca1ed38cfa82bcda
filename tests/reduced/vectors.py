"""The reduced model on PETSc parameter vectors: ``inverse`` takes it for the full one.

    Objective(Potential(VectorModel(reduced, unknowns), likelihood), prior)

then map.minimise, unchanged.
"""

from __future__ import annotations

import numpy as np
from petsc4py import PETSc

from advdiff.inverse.unknowns import Unknowns
from advdiff.reduced.linearisation import ReducedLinearisation
from advdiff.reduced.model import ReducedModel


class VectorModel:
    """``Model`` by a reduced model; all calls collective, for m is distributed."""

    def __init__(self, reduced: ReducedModel, unknowns: Unknowns):
        self.reduced, self.unknowns = reduced, unknowns

    def observe(self, m: PETSc.Vec) -> np.ndarray:
        """Predicted readings, shape (reading,)."""
        return self.linearise(m).predicted

    def linearise(self, m: PETSc.Vec) -> VectorLinearisation:
        """Predictions that can be pushed and pulled."""
        at = self.reduced.linearise(self.unknowns.to_numpy(m))
        return VectorLinearisation(at, self.unknowns)


class VectorLinearisation:
    """``advdiff.inverse.model.Linearisation`` of it."""

    def __init__(self, at: ReducedLinearisation, unknowns: Unknowns):
        self.at, self.unknowns = at, unknowns
        self.predicted = at.predicted

    def push(self, dm: PETSc.Vec) -> np.ndarray:
        """Derivative of the predictions along dm, shape (reading,)."""
        return self.at.push(self.unknowns.to_numpy(dm))

    def pull(self, weights: np.ndarray) -> PETSc.Vec:
        """Σ_r w_r ∇(prediction r)."""
        return self.unknowns.from_numpy(self.at.pull(weights))
