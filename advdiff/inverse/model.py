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
    """A parametrised generator and what is observed of it.

    ``observe`` gives shape (reading,), on every rank; ``pull`` takes that, and gives a vector like
    m.  All are collective.

    A model of one reading, m₁ + 2m₂:

    >>> from types import SimpleNamespace
    >>> from mpi4py import MPI
    >>> from advdiff.inverse.likelihood import Gaussian, Potential
    >>> from advdiff.models.coefficients import unknowns
    >>> class Sum:
    ...     unknowns, J = unknowns("m", 2, MPI.COMM_SELF), np.array([[1.0, 2.0]])
    ...     def observe(self, m):
    ...         return self.J @ m.array
    ...     def linearise(self, m):
    ...         return SimpleNamespace(predicted=self.observe(m), push=self.observe, pull=self.pull)
    ...     def pull(self, weights):
    ...         return self.unknowns.from_numpy(weights @ self.J)
    >>> potential = Potential(Sum(), Gaussian(values=np.array([4.0]), std=np.array([0.5])))
    >>> value, gradient, _ = potential.linearise(Sum.unknowns.from_numpy([1.0, 1.0]))
    >>> value, gradient.array
    (2.0, array([-4., -8.]))
    """

    unknowns: Unknowns

    def observe(self, m: PETSc.Vec) -> np.ndarray: ...
    def linearise(self, m: PETSc.Vec) -> Linearisation: ...
