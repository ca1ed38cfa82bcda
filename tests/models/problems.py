"""Small inference problems with data of their own."""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from advdiff.matexp.rates.laws import random_rate_matrix
from advdiff.models.coefficients import independent_prior
from advdiff.models.quantum import QUANTITIES, Line, Measurements, QuantumModel
from advdiff.models.rate_matrix import RateMatrixModel, Transitions

WORLD = MPI.COMM_WORLD


def rate_matrix(d=5, count=60, comm=WORLD, gradient="exact", seed=1):
    """A potential and its prior."""
    rng = np.random.default_rng(seed)
    Q = random_rate_matrix(rng, d) / d
    seen = Transitions.simulate(rng, Q, rng.uniform(0.1, 2.0, count))
    model = RateMatrixModel(d, seen, comm, gradient)
    prior = independent_prior(model.unknowns, np.log(1.0 / d), 1.0)
    return model.potential(), prior


def quantum(periodic=True, comm=WORLD, quantities=("real", "imaginary", "density"), modes=7):
    """A potential and its prior."""
    line = Line(24, 6.0, periodic)
    nodes, times = np.arange(1, 24, 5), np.linspace(0.0, 1.5, 6)
    kinds = [QUANTITIES[name] for name in quantities]
    rows = np.stack(np.meshgrid(times, nodes, kinds, indexing="ij"), axis=-1).reshape(-1, 3)
    measured = Measurements.collect(rows[:, 0], rows[:, 1], rows[:, 2])
    model = QuantumModel(line, line.packet(2.0, 0.5, 1.5), measured, modes, comm)
    prior = independent_prior(model.unknowns, 0.0, 1.0 / (1.0 + model.wave_numbers))
    truth = model.unknowns.from_numpy(np.linspace(1.0, -0.5, modes))
    noise = np.random.default_rng(2).standard_normal(len(rows))
    values = model.observe(truth) + 0.02 * noise
    return model.potential(values, np.full(len(rows), 0.02)), prior
