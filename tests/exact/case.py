"""A case: an experiment with a known answer, what to run it on, and how far off the result is."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from advdiff import Problem
from advdiff.config.load import parse
from advdiff.core import jit
from advdiff.domain.fields import interpolate
from advdiff.sensitivity.rho import Direction

SIDES = ("left", "right", "bottom", "top", "front", "back")
STEP = 1e-30
SIMPLICES = {1: "interval", 2: "triangle", 3: "tetrahedron"}
PRODUCTS = {1: "interval", 2: "quadrilateral", 3: "hexahedron"}

Exact = Callable[[np.ndarray, float], np.ndarray]


@dataclass(frozen=True)
class Discretization:
    """What a case is run on: [discretization], and whether cells are products of intervals."""

    method: str
    degree: int
    tensor: bool = False

    def cell(self, dim: int) -> str:
        """The kind of cell."""
        return (PRODUCTS if self.tensor else SIMPLICES)[dim]

    def __str__(self) -> str:
        cells = "quadrilaterals or hexahedra" if self.tensor else "simplices"
        return f"{self.method}, degree {self.degree}, {cells}"


@dataclass(frozen=True)
class Case:
    """An experiment with a known answer.

    Attributes:
        tables: the experiment's tables [domain] without cells, [physics] and [time].
        theta: θ, a function of coordinates (dim or 3, n) and time with values (n,).
        direction: the table of the one direction to differentiate in.
        rho: ρ, as θ.  What it is at time 0 is added to the direction.
        coarse: cells along a side of length 1 on the coarsest mesh of degree 1.
        regularity: the highest order in L² that the solution allows.
        tail: by how much the exact solution may miss the boundary conditions.
        mesh: number of cells, kind of cell → keys of [domain]; ``None`` for a built-in shape.
        outline: of a plane domain that is no box: part → its edges, counter-clockwise.
        inside: of coordinates; where the equation may be checked by differences.
    """

    tables: dict
    theta: Exact
    direction: dict
    rho: Exact
    coarse: int
    regularity: float = np.inf
    tail: float = 0.0
    mesh: Callable[[int, str], dict] | None = None
    outline: Mapping[str, list] = field(default_factory=dict)
    inside: Callable[[np.ndarray], np.ndarray] = lambda x: np.full(x.shape[1], True)

    @property
    def final(self) -> float:
        """The final time."""
        return self.tables["time"]["final"]

    @property
    def corners(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner of the bounding box."""
        table = self.tables["domain"]
        if table["shape"] == "gmsh":
            points = np.concatenate([p for edges in self.outline.values() for p in edges])
            return points.min(axis=0), points.max(axis=0)
        dim = ("interval", "rectangle", "box").index(table["shape"]) + 1
        lower, upper = table.get("lower", [0.0] * dim), table.get("upper", [1.0] * dim)
        return np.array(lower, dtype=float), np.array(upper, dtype=float)

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return len(self.corners[0])

    def data(self, on: Discretization, n: int, **changes) -> dict:
        """The experiment's tables with n cells a unit of length."""
        lower, upper = self.corners
        if self.mesh is not None:
            mesh = self.mesh(n, on.cell(self.dim))
        else:
            mesh = {"cells": [max(3, round(n * size)) for size in upper - lower]}
            if on.tensor and self.dim > 1:
                mesh["cell"] = on.cell(self.dim)
        data = {
            "task": "sensitivity",
            **self.tables,
            "domain": self.tables["domain"] | mesh,
            "discretization": {"method": on.method, "degree": on.degree},
            "solver": {"tolerance": 1e-9},
            "sensitivity": {"tolerance": 1e-7, "directions": {"d": self.direction}},
        }
        for name, table in changes.items():
            data[name] = data.get(name, {}) | table
        return data

    def problem(self, on: Discretization, n: int, **changes) -> Problem:
        """The problem with n cells a unit of length (collective)."""
        return Problem(parse(self.data(on, n, **changes)))

    def direction_of(self, problem: Problem) -> Direction:
        """The direction, with ρ at time 0 (collective)."""
        direction = problem.direction("d")
        if direction.initial is not None:
            return direction
        start = problem.operator.state(lambda x: self.rho(x, 0.0), "ρ at time 0")
        return replace(direction, initial=start) if start.norm() > 0.0 else direction

    def sizes(self, degree: int, levels: int) -> list[int]:
        """Numbers of cells: about as many unknowns for every degree, and doubled."""
        first = max(3, round(self.coarse / max(1, degree)))
        return [first * 2**level for level in range(levels)]

    def order(self, degree: int) -> float:
        """The order in L² to expect."""
        return min(degree + 1, self.regularity)


def derivative(family: Callable[[complex], Exact], at: float) -> Exact:
    """∂/∂p of a family of analytic functions, to rounding: a complex step (Squire & Trapp 1998)."""

    moved = family(at + 1j * STEP)
    return lambda x, t: np.imag(moved(x, t)) / STEP


def sides(dim: int, periodic: str = "") -> list[str]:
    """The names of the sides of a box that is periodic along some axes."""
    return [name for i, name in enumerate(SIDES[: 2 * dim]) if "xyz"[i // 2] not in periodic]


def l2_error(problem: Problem, state: PETSc.Vec, exact: Callable, *, boundary: bool) -> float:
    """‖θ_h − θ‖ / ‖θ‖ in L²; the exact field is interpolated three degrees higher (collective)."""
    function = problem.operator.extend(state, boundary=boundary)
    degree = function.function_space.element.basix_element.degree + 3
    domain = problem.domain
    quadrature = {"quadrature_degree": 2 * degree}
    truth = interpolate(exact, fem.functionspace(domain.mesh, ("DG", degree)), "exact")

    def norm(expression) -> float:
        square = jit.form(expression**2 * domain.dx(metadata=quadrature))
        return np.sqrt(problem.comm.allreduce(fem.assemble_scalar(square), MPI.SUM))

    return norm(function - truth) / norm(truth)


def errors(case: Case, on: Discretization, n: int, **changes) -> tuple[float, float]:
    """Relative L² errors of θ and ρ at the final time (collective)."""
    problem = case.problem(on, n, **changes)
    result = problem.sensitivity(case.direction_of(problem))
    theta, rho = (lambda x: case.theta(x, case.final)), (lambda x: case.rho(x, case.final))
    return (
        l2_error(problem, result.solution.states[-1], theta, boundary=True),
        l2_error(problem, result.tangents[-1], rho, boundary=False),
    )


class Row(NamedTuple):
    """One mesh of a convergence table; the first has no orders."""

    n: int
    theta: float
    theta_order: float
    rho: float
    rho_order: float


def orders(case: Case, on: Discretization, levels: int = 3, **changes) -> list[Row]:
    """Errors and orders on a sequence of meshes (collective)."""
    table = [(n, *errors(case, on, n, **changes)) for n in case.sizes(on.degree, levels)]
    rows = [Row(table[0][0], table[0][1], np.nan, table[0][2], np.nan)]
    for (n0, a0, b0), (n1, a1, b1) in itertools.pairwise(table):
        refinement = np.log(n1 / n0)
        rows.append(Row(n1, a1, np.log(a0 / a1) / refinement, b1, np.log(b0 / b1) / refinement))
    return rows


def degrees(case: Case, method: str, n: int, of: Sequence[int], **changes) -> list[Row]:
    """Errors on one mesh of quadrilaterals or hexahedra for growing degrees (collective).

    ``n`` of a row is the degree; where the error is e^{-cn}, its orders are c.
    """
    rows = []
    for degree in of:
        a, b = errors(case, Discretization(method, degree, tensor=True), n, **changes)
        slopes = (np.nan, np.nan)
        if rows:
            step = degree - rows[-1].n
            slopes = (np.log(rows[-1].theta / a) / step, np.log(rows[-1].rho / b) / step)
        rows.append(Row(degree, a, slopes[0], b, slopes[1]))
    return rows
