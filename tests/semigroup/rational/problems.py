"""Generators for the shift-invert tests: cellular flow, P1 with lumped or P2 with consistent mass.

The skew form of the flow makes every one of them a contraction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import ufl
from dolfinx import fem, mesh
from dolfinx.fem.petsc import assemble_matrix, assemble_vector
from mpi4py import MPI
from petsc4py import PETSc
from scipy.linalg import expm, expm_frechet

from advdiff.algebra.generator import Generator, Mass
from advdiff.core import jit
from advdiff.semigroup.rational.engine import ShiftInvert, ShiftInvertOptions


class Cellular:
    """u = s·curl(sin πx sin πy)/π on the unit square, n × n squares, natural boundary.

    Args:
        degree: 1 gives a diagonal (lumped) mass, 2 a consistent one.
    """

    def __init__(
        self,
        n: int,
        diffusivity: float,
        degree: int = 1,
        speed: float = 1.0,
        comm: MPI.Comm = MPI.COMM_WORLD,
    ):
        self.domain = mesh.create_unit_square(comm, n, n)
        self.space = fem.functionspace(self.domain, ("Lagrange", degree))
        self.diffusivity = diffusivity
        theta, phi = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        mass_form = jit.form(theta * phi * ufl.dx)
        if degree == 1:
            lumped = assemble_vector(jit.form(phi * ufl.dx))
            lumped.ghostUpdate(PETSc.InsertMode.ADD, PETSc.ScatterMode.REVERSE)
            mass = self._vector(lumped)
        else:
            mass = assemble_matrix(mass_form)
            mass.assemble()
        self.generator = Generator(
            self.stiffness(diffusivity, speed), Mass(mass), speed**2 / diffusivity
        )

    def _vector(self, ghosted: PETSc.Vec) -> PETSc.Vec:
        """The same vector without ghosts."""
        owned = PETSc.Vec().createMPI(ghosted.getSizes(), comm=ghosted.comm)
        with ghosted.localForm() as local:
            owned.setArray(local.getArray()[: owned.getLocalSize()])
        ghosted.destroy()
        return owned

    def stiffness(self, diffusivity: float, speed: float = 1.0) -> PETSc.Mat:
        """K = −κS − C(u), skew-symmetric in the flow."""
        theta, phi = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        x = ufl.SpatialCoordinate(self.domain)
        kappa, scale = (
            fem.Constant(self.domain, PETSc.ScalarType(c)) for c in (diffusivity, speed)
        )
        u = scale * ufl.as_vector(
            (
                ufl.sin(ufl.pi * x[0]) * ufl.cos(ufl.pi * x[1]),
                -ufl.cos(ufl.pi * x[0]) * ufl.sin(ufl.pi * x[1]),
            )
        )
        flow = 0.5 * (ufl.dot(u, ufl.grad(theta)) * phi - ufl.dot(u, ufl.grad(phi)) * theta)
        matrix = assemble_matrix(
            jit.form(-kappa * ufl.dot(ufl.grad(theta), ufl.grad(phi)) * ufl.dx - flow * ufl.dx)
        )
        matrix.assemble()
        return matrix

    def state(self, formula: Callable[[np.ndarray], np.ndarray]) -> PETSc.Vec:
        """Nodal values of a function of the coordinates (3, points)."""
        function = fem.Function(self.space)
        function.interpolate(formula)
        return self._vector(function.x.petsc_vec.copy())

    def blob(self) -> PETSc.Vec:
        """A smooth bump off the centre."""
        return self.state(lambda x: np.exp(-((x[0] - 0.35) ** 2 + (x[1] - 0.5) ** 2) / 0.01))

    def rough(self, seed: int) -> PETSc.Vec:
        """Noise that depends on the coordinates alone, so that it is the same on any ranks."""
        return self.state(lambda x: np.modf(1e4 * np.sin(12.9898 * x[0] + 78.233 * x[1] + seed))[0])

    def load(self, state: PETSc.Vec) -> PETSc.Vec:
        """M times a state."""
        dual = state.duplicate()
        self.generator.mass.mult(state, dual)
        return dual

    def faster(self) -> PETSc.Mat:
        """dK of a tenth more speed."""
        change = self.stiffness(self.diffusivity, 1.1)
        change.axpy(-1.0, self.generator.stiffness)
        return change

    def perturbed(self, step: float, direction: PETSc.Mat) -> Generator:
        """The generator of K + step · direction, with the same mass and flow bound."""
        stiffness = self.generator.stiffness.copy()
        stiffness.axpy(step, direction)
        return Generator(stiffness, self.generator.mass, self.generator.flow_bound)

    def direction(self, seed: int) -> PETSc.Mat:
        """A matrix with noise on the pattern of K: D₁ K D₂ with noisy diagonals, of K's size."""
        matrix = self.generator.stiffness.copy()
        matrix.diagonalScale(self.rough(seed), self.rough(seed + 1))
        return matrix


class Dense:
    """The generator as numpy matrices in PETSc's numbering, the same on every rank; for small n."""

    def __init__(self, problem: Cellular):
        generator = problem.generator
        self.mass = (
            np.diag(gathered(generator.mass.diagonal))
            if generator.mass.is_diagonal
            else dense(generator.mass.matrix)
        )
        self.stiffness = dense(generator.stiffness)
        self.matrix = np.linalg.solve(self.mass, self.stiffness)

    def norm(self, state: np.ndarray) -> float:
        return float(np.sqrt(state @ self.mass @ state))

    def largest_error(self, vectors: Sequence[PETSc.Vec], expected: Sequence[np.ndarray]) -> float:
        """The largest M norm of the differences."""
        return max(self.norm(gathered(v) - e) for v, e in zip(vectors, expected, strict=True))

    def affine(self, matrix: np.ndarray, load: np.ndarray) -> np.ndarray:
        """[[M⁻¹ matrix, M⁻¹ load], [0, 0]]: its exponential carries a state and a load."""
        n = len(load)
        result = np.zeros((n + 1, n + 1))
        result[:n, :n] = np.linalg.solve(self.mass, matrix)
        result[:n, n] = np.linalg.solve(self.mass, load)
        return result

    def states(self, initial: np.ndarray, load: np.ndarray, times: Sequence[float]) -> list:
        """y(t_k) by scipy's dense exponential."""
        affine, start = self.affine(self.stiffness, load), np.append(initial, 1.0)
        return [(expm(t * affine) @ start)[:-1] for t in times]

    def derivatives(
        self,
        initial: np.ndarray,
        load: np.ndarray,
        times: Sequence[float],
        stiffness: np.ndarray,
        d_initial: np.ndarray,
        d_load: np.ndarray,
    ) -> list:
        """Derivative of y(t_k) along (stiffness, d_initial, d_load), by expm_frechet."""
        affine, start = self.affine(self.stiffness, load), np.append(initial, 1.0)
        direction, d_start = self.affine(stiffness, d_load), np.append(d_initial, 0.0)
        result = []
        for t in times:
            value, derivative = expm_frechet(t * affine, t * direction)
            result.append((derivative @ start + value @ d_start)[:-1])
        return result


def gathered(vector: PETSc.Vec) -> np.ndarray:
    """All entries on every rank."""
    return np.concatenate(vector.comm.tompi4py().allgather(vector.getArray().copy()))


def dense(matrix: PETSc.Mat) -> np.ndarray:
    """All entries on every rank."""
    starts, columns, values = matrix.getValuesCSR()
    rows = np.zeros((len(starts) - 1, matrix.getSize()[1]))
    rows[np.repeat(np.arange(len(rows)), np.diff(starts)), columns] = values
    return np.concatenate(matrix.comm.tompi4py().allgather(rows))


class Along:
    """The cotangent that answers ⟨Ḡ, dK⟩ for one dK."""

    def __init__(self, direction: PETSc.Mat):
        self.direction, self.value = direction, 0.0
        self._work = direction.createVecLeft()

    def add(
        self, left: Sequence[PETSc.Vec], right: Sequence[PETSc.Vec], weight: float = 1.0
    ) -> None:
        for p, q in zip(left, right, strict=True):
            self.direction.mult(q, self._work)
            self.value += weight * p.dot(self._work)


def engine(generator: Generator, tolerance: float = 1e-9, **options) -> ShiftInvert:
    return ShiftInvert(generator, ShiftInvertOptions(tolerance=tolerance, **options))


def without_bound(generator: Generator) -> Generator:
    """The same operator, nothing known of its flow."""
    return Generator(generator.stiffness, generator.mass)
