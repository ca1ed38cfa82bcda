"""Inverse problems on small meshes, and a linear one whose posterior is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from advdiff import Problem
from advdiff.config.load import parse
from advdiff.inverse.likelihood import Gaussian, Potential
from advdiff.inverse.objective import Objective
from advdiff.models.coefficients import independent_prior
from tests import flows
from tests.chains.problems import Linear

SINE = {"velocity": {"family": "sine", "modes": [2, 2]}, "diffusivity": True}
FAMILIES = {
    "sine": SINE,
    "stream": {"velocity": {"family": "stream"}, "diffusivity": True},
    "nodal": {"velocity": {"family": "nodal"}},
    "fields": {"diffusivity": "field", "initial": True},
}


def readings(path: Path, comm: MPI.Comm, std: float = 0.15) -> str:
    """Made-up readings at a few points and times, written once for all of ``MPI.COMM_WORLD``."""
    if MPI.COMM_WORLD.rank == 0:
        rng = np.random.default_rng(0)
        rows = ["x,y,t,value,std"]
        for t in (0.1, 0.25, 0.4):
            for x, y in rng.uniform(0.1, 0.9, (6, 2)).tolist():
                value = float(np.exp(-8 * ((x - 0.4 - t) ** 2 + (y - 0.5) ** 2)))
                rows.append(f"{x!r},{y!r},{t},{value!r},{std}")
        (path / "data.csv").write_text("\n".join(rows))
    MPI.COMM_WORLD.barrier()
    return str(path / "data.csv")


def problem(
    path: Path, family: str, n: int = 6, degree: int = 1, comm: MPI.Comm = MPI.COMM_WORLD, **more
) -> Problem:
    """An inversion of a family of unknowns."""
    unknowns = more.get("unknowns", FAMILIES[family])
    flow = {"std": 0.2}
    family = unknowns.get("velocity", {})
    if isinstance(family, dict) and family.get("family") in ("stream", "nodal"):
        flow["correlation_length"] = 1.0
    tables = flows.data(
        n,
        degree,
        **{
            "task": "invert",
            "observations": {"file": readings(path, comm)},
            "unknowns": unknowns,
            "prior": {"velocity": flow, "initial": {"std": 0.3}},
        }
        | more,
    )
    return Problem(parse(tables), comm)


def random(like: PETSc.Vec, seed: int) -> PETSc.Vec:
    """Some vector."""
    result = like.duplicate()
    start, stop = result.getOwnershipRange()
    result.setArray(np.random.default_rng(seed).standard_normal(like.getSize())[start:stop])
    return result


class LinearGaussian:
    """``data`` readings of ``size`` coefficients, and the exact posterior.

    Attributes:
        mean, covariance, log_evidence: of the posterior, by dense algebra.
    """

    def __init__(self, size: int = 30, data: int = 7, comm: MPI.Comm = MPI.COMM_WORLD):
        rng = np.random.default_rng(1)
        matrix, values = rng.standard_normal((data, size)), rng.standard_normal(data)
        noise, start = rng.uniform(0.1, 1.0, data), rng.standard_normal(size)
        std = rng.uniform(0.3, 2.0, size)
        model = Linear(matrix, comm)
        prior = independent_prior(model.unknowns, start, std)
        self.unknowns, self.likelihood = model.unknowns, Gaussian(values, noise)
        self.objective = Objective(Potential(model, self.likelihood), prior)
        weighted = matrix / noise[:, None] ** 2
        self.covariance = np.linalg.inv(matrix.T @ weighted + np.diag(std**-2))
        self.mean = self.covariance @ (weighted.T @ values + start / std**2)
        spread = matrix @ np.diag(std**2) @ matrix.T + np.diag(noise**2)
        residual = values - matrix @ start
        determinant = np.linalg.slogdet(2 * np.pi * spread)[1]
        self.log_evidence = -0.5 * (residual @ np.linalg.solve(spread, residual) + determinant)
