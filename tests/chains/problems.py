"""A linear-Gaussian problem, whose posterior is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from mpi4py import MPI

from advdiff.chains.coordinates import White
from advdiff.inverse.likelihood import Gaussian, Potential
from advdiff.models.coefficients import independent_prior, unknowns

SIZE = 3
MATRIX = np.array([[1.0, 0.5, 0.0], [0.0, 2.0, -1.0]])
MEAN, STD, NOISE = np.array([0.5, -1.0, 0.0]), np.array([1.0, 0.5, 2.0]), np.array([0.8, 1.0])


class Linear:
    """m ↦ A m, a ``Model``."""

    def __init__(self, matrix: np.ndarray, comm: MPI.Comm):
        self.matrix, self.unknowns = matrix, unknowns("m", matrix.shape[1], comm)

    def observe(self, m):
        return self.matrix @ self.unknowns.to_numpy(m)

    def linearise(self, m):
        def push(dm):
            return self.observe(dm)

        def pull(weights):
            return self.unknowns.from_numpy(self.matrix.T @ weights)

        return SimpleNamespace(predicted=self.observe(m), push=push, pull=pull)


def linear(values=(1.0, -0.7), comm=MPI.COMM_SELF, matrix=MATRIX):
    """Potential and prior."""
    model = Linear(matrix, comm)
    potential = Potential(model, Gaussian(np.asarray(values), NOISE))
    return potential, independent_prior(model.unknowns, MEAN, STD)


def white(values=(1.0, -0.7), comm=MPI.COMM_SELF, matrix=MATRIX) -> White:
    return White(*linear(values, comm, matrix))


def posterior(values=(1.0, -0.7)) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of m."""
    precision = MATRIX.T @ np.diag(NOISE**-2) @ MATRIX + np.diag(STD**-2)
    covariance = np.linalg.inv(precision)
    right = MATRIX.T @ (np.asarray(values) / NOISE**2) + MEAN / STD**2
    return covariance @ right, covariance
