"""Exact solutions of the equation and of its sensitivities, and how fast we converge to them.

scripts/run python tests/exact.py       prints the table of errors and orders
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc
from scipy.special import erfc, erfcx

from advdiff import Problem, config
from advdiff.fields import interpolate


@dataclass(frozen=True)
class Case:
    """An experiment with a known answer at its final time.

    Attributes:
        tables: the experiment's tables without cells, degree and directions.
        cells: number of cells → the entry of domain.cells.
        theta: θ at the final time, a callable of coordinates.
        direction: the table of the one direction, named ``d``.
        rho: ρ at the final time.
        sizes: numbers of cells to measure at, by degree.
    """

    tables: dict
    cells: Callable[[int], list[int]]
    theta: Callable
    direction: dict
    rho: Callable
    sizes: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def problem(self, degree: int, n: int, **changes) -> Problem:
        """The problem with n cells a side."""
        data = {"task": "sensitivity", **self.tables}
        data["domain"] = self.tables["domain"] | {"cells": self.cells(n)}
        data["discretization"] = {"degree": degree}
        data["sensitivity"] = {"tolerance": 1e-7, "directions": {"d": self.direction}}
        data["solver"] = {"tolerance": 1e-9}
        for name, table in changes.items():
            data[name] = data.get(name, {}) | table
        return Problem(config.parse(data))


def l2_error(problem: Problem, state: PETSc.Vec, exact: Callable, *, boundary: bool) -> float:
    """‖θ_h − θ‖ / ‖θ‖ in L²; the exact field is interpolated three degrees higher."""
    operator = problem.operator
    function = operator.extend(state, boundary=boundary)
    space = fem.functionspace(operator.domain.mesh, ("Lagrange", operator.degree + 3))
    truth = interpolate(exact, space, "exact")

    def norm(expression) -> float:
        form = fem.form(expression**2 * ufl.dx)
        return np.sqrt(problem.comm.allreduce(fem.assemble_scalar(form), MPI.SUM))

    return norm(function - truth) / norm(truth)


def cosine_mode() -> Case:
    """u = 0 on a square without flux: θ = e^{λt} cos πx cos 2πy, ∂θ/∂κ = −5π² t θ."""
    kappa, t = 0.02, 0.5

    def theta(x):
        decay = np.exp(-5 * np.pi**2 * kappa * t)
        return decay * np.cos(np.pi * x[0]) * np.cos(2 * np.pi * x[1])

    return Case(
        {
            "domain": {"shape": "rectangle"},
            "physics": {"diffusivity": kappa, "initial": "cos(pi*x)*cos(2*pi*y)"},
            "time": {"final": t, "outputs": 2},
        },
        lambda n: [n, n],
        theta,
        {"diffusivity": 1.0},
        lambda x: -5 * np.pi**2 * t * theta(x),
        {1: (16, 32, 64), 2: (8, 16, 32)},
    )


def rotating_gaussian() -> Case:
    """u = ω(−y, x): the Gaussian turns and spreads; ∂θ/∂ω = −t (−y, x)·∇θ."""
    kappa, t, start, centre = 1e-3, np.pi / 4, 0.03, np.array([0.0, 0.4])
    width = start + 4 * kappa * t
    c, s = np.cos(t), np.sin(t)
    middle = np.array([[c, -s], [s, c]]) @ centre

    def theta(x):
        r2 = (x[0] - middle[0]) ** 2 + (x[1] - middle[1]) ** 2
        return start / width * np.exp(-r2 / width)

    def rho(x):
        slope = -2 / width * theta(x)
        gx, gy = slope * (x[0] - middle[0]), slope * (x[1] - middle[1])
        return -t * (-x[1] * gx + x[0] * gy)

    return Case(
        {
            "domain": {"shape": "rectangle", "lower": [-1, -1], "upper": [1, 1]},
            "physics": {
                "diffusivity": kappa,
                "velocity": ["-y", "x"],
                "initial": f"exp(-(x**2 + (y-0.4)**2)/{start})",
                "inflow": dict.fromkeys(("left", "right", "bottom", "top"), 0.0),
            },
            "time": {"final": t, "outputs": 2},
        },
        lambda n: [n, n],
        theta,
        {"velocity": ["-y", "x"]},
        rho,
        {1: (32, 64, 128), 2: (16, 32, 64)},
    )


def ogata_banks() -> Case:
    """θ(0, t) = 1 upstream of a clean half line: Ogata and Banks (1961), differentiated in u."""
    kappa, u, t = 0.02, 0.5, 1.0
    s = np.sqrt(kappa * t)

    def fronts(x):
        return (x[0] - u * t) / (2 * s), (x[0] + u * t) / (2 * s)

    def theta(x):
        a, b = fronts(x)
        return 0.5 * (erfc(a) + np.exp(-(a**2)) * erfcx(b))

    def rho(x):
        a, b = fronts(x)
        return 0.5 * x[0] / kappa * np.exp(-(a**2)) * erfcx(b)

    return Case(
        {
            "domain": {"shape": "interval", "upper": [3.0]},
            "physics": {
                "diffusivity": kappa,
                "velocity": [u],
                "initial": 0.0,
                "dirichlet": {"left": 1.0},
            },
            "time": {"final": t, "outputs": 1},
        },
        lambda n: [n],
        theta,
        {"velocity": [1.0]},
        rho,
        {1: (64, 128, 256), 2: (32, 64, 128)},
    )


CASES = {
    "cosine mode, d/dkappa": cosine_mode,
    "rotating Gaussian, d/domega": rotating_gaussian,
    "Ogata-Banks, d/du": ogata_banks,
}


def errors(case: Case, degree: int, n: int, method: str = "augmented") -> tuple[float, float]:
    """Relative L² errors of θ and ρ at the final time."""
    problem = case.problem(degree, n, sensitivity={"method": method})
    result = problem.sensitivity("d")
    return (
        l2_error(problem, result.solution.states[-1], case.theta, boundary=True),
        l2_error(problem, result.tangents[-1], case.rho, boundary=False),
    )


def orders(case: Case, degree: int) -> list[tuple[int, float, float, float, float]]:
    """Rows (n, error of θ, its order, error of ρ, its order)."""
    table = [(n, *errors(case, degree, n)) for n in case.sizes[degree]]
    rows = [(table[0][0], table[0][1], np.nan, table[0][2], np.nan)]
    for (n0, a0, b0), (n1, a1, b1) in itertools.pairwise(table):
        refinement = np.log(n1 / n0)
        rows.append((n1, a1, np.log(a0 / a1) / refinement, b1, np.log(b0 / b1) / refinement))
    return rows


if __name__ == "__main__":
    for name, make in CASES.items():
        for degree in (1, 2):
            rows = orders(make(), degree)
            if MPI.COMM_WORLD.rank == 0:
                print(f"\n{name}, degree {degree}\n    n   theta      order   rho        order")
                for n, a, pa, b, pb in rows:
                    print(f"{n:5d}   {a:.2e}   {pa:5.2f}   {b:.2e}   {pb:5.2f}")
