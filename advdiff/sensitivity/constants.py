"""The kernel of a closed problem's A = M⁻¹K: the mean, the group inverse, the spectral gap.

Where K1 = 0 and 1ᵀK = 0 the constants are the kernel of A and of its adjoint, so that the spectral
projector is the mean, Πx = (1ᵀMx / 1ᵀM1) 1, orthogonal in L².  The group inverse A^# (AA^# =
A^#A = I − Π) then takes one sparse solve, and with H = −(K + Kᵀ)/2

    ‖S(t) − Π‖ ≤ e^{−gt} in L²,    g = the smallest eigenvalue of H against M beside the constants,

because d/dt ‖x‖² = −2xᵀHx ≤ −2g‖x‖² for a mean-free x.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from petsc4py import PETSc
from slepc4py import SLEPc

from advdiff.algebra.direct import direct
from advdiff.algebra.generator import Generator
from advdiff.core.errors import ConvergenceError, InputError
from advdiff.equation.operator import Operator

CONSERVED = 1e-11
"""Row and column sums below this part of the largest absolute row sum are zero."""
RESIDUAL = 1e-8
"""Relative residual above which a solve with K has failed."""
EIGENVALUE = 1e-9
"""Relative tolerance of eigenvalues."""


class Kernel:
    """Constants as the kernel of A from both sides; all methods are collective.

    Args:
        generator: A = M⁻¹K.
        one: the state that is 1 everywhere.

    Attributes:
        measure: 1ᵀM1, the size of the domain.
    """

    def __init__(self, generator: Generator, one: PETSc.Vec):
        self.generator, self.one = generator, one
        self._weight = generator.vector()
        generator.mass.mult(one, self._weight)
        self.measure = one.dot(self._weight)

    def leaks(self, matrix: PETSc.Mat) -> tuple[float, float]:
        """‖K1‖ and ‖1ᵀK‖ in the maximum norm, relative to the largest absolute row sum of K."""
        image = self.generator.vector()
        size = matrix.norm(PETSc.NormType.NORM_INFINITY) * self.one.norm(PETSc.NormType.INFINITY)
        found = []
        for mult in (matrix.mult, matrix.multTranspose):
            mult(self.one, image)
            largest = image.norm(PETSc.NormType.INFINITY)
            found.append(largest / size if size > 0.0 else 0.0)
        image.destroy()
        return found[0], found[1]

    def holds(self, matrix: PETSc.Mat) -> bool:
        """Whether K1 = 0 and 1ᵀK = 0 to rounding."""
        return max(self.leaks(matrix)) <= CONSERVED

    def mean(self, state: PETSc.Vec) -> float:
        """c with Πx = c1."""
        return self._weight.dot(state) / self.measure

    def remove_mean(self, state: PETSc.Vec) -> PETSc.Vec:
        """x ← x − Πx; returns x."""
        state.axpy(-self.mean(state), self.one)
        return state

    def group_inverse(self, state: PETSc.Vec) -> PETSc.Vec:
        """A^# x: the mean-free y with Ky = M(x − Πx).

        Solved with K − α e eᵀ, e one unit vector: as 1ᵀK = 0, a load without a mean makes that
        component of y vanish, and what is solved is Ky = b itself, exactly.  LU by default (MUMPS
        on several ranks); options prefix ``advdiff_group_``.

        Raises:
            ConvergenceError: where the residual says that the solve has failed.
        """
        load, result = self.generator.vector(), self.generator.vector()
        centred = self.remove_mean(state.copy())
        self.generator.mass.mult(centred, load)
        self._ksp.solve(load, result)
        self.remove_mean(result)
        size = load.norm()
        self.generator.stiffness.mult(result, centred)
        load.axpy(-1.0, centred)
        residual = load.norm()
        # written so that a residual that is not a number fails
        if not residual <= RESIDUAL * size:
            raise ConvergenceError(
                f"the group inverse's {self._ksp.getType()} with {self._ksp.getPC().getType()} "
                f"left the relative residual {residual / size if size else residual:.1e}; see the "
                "options under advdiff_group_"
            )
        for vector in (load, centred):
            vector.destroy()
        return result

    @cached_property
    def _ksp(self) -> PETSc.KSP:
        self._pinned = self.generator.stiffness.copy()
        unit, row = self.generator.vector(), self.one.max()[0]
        start, stop = unit.getOwnershipRange()
        diagonal = self._pinned.getDiagonal()
        if start <= row < stop:
            unit.setValue(row, -abs(diagonal.getValue(row)))
        unit.assemble()
        self._pinned.setDiagonal(unit, PETSc.InsertMode.ADD_VALUES)
        unit.destroy()
        diagonal.destroy()
        ksp = PETSc.KSP().create(self._pinned.comm)
        ksp.setOptionsPrefix("advdiff_group_")
        ksp.setOperators(self._pinned)
        direct(ksp, PETSc.PC.Type.LU)
        ksp.setTolerances(rtol=1e-12, atol=1e-300, max_it=5000)
        ksp.setFromOptions()
        return ksp

    def gap(self, scale: float) -> float:
        """g, less the residual of its eigenvector in the dual norm of L².

        SLEPc's shift-and-invert; options prefix ``advdiff_gap_``.  What a Krylov process converges
        to is an eigenvalue, as a rule the smallest one; that is not proved.

        Args:
            scale: positive, of the size of g or below, for the shift.

        Raises:
            ConvergenceError: where no eigenvalue converges.
        """
        symmetric = self.generator.stiffness.copy()
        transposed = symmetric.transpose(PETSc.Mat())
        symmetric.axpy(1.0, transposed, structure=PETSc.Mat.Structure.UNKNOWN_NONZERO_PATTERN)
        symmetric.scale(-0.5)
        mass = self._mass_matrix()
        eps = SLEPc.EPS().create(symmetric.comm)
        eps.setOptionsPrefix("advdiff_gap_")
        eps.setOperators(symmetric, mass)
        eps.setDeflationSpace([self.one])
        eps.setTarget(-scale)
        eps.setWhichEigenpairs(SLEPc.EPS.Which.TARGET_MAGNITUDE)
        eps.getST().setType(SLEPc.ST.Type.SINVERT)
        direct(eps.getST().getKSP(), PETSc.PC.Type.CHOLESKY)
        value, residual = self._extreme(eps, symmetric)
        for thing in (symmetric, transposed, mass):
            thing.destroy()
        return value - residual

    def norm(self, matrix: PETSc.Mat) -> float:
        """A bound on the norm of J = M⁻¹K' in L².

        Where M is diagonal, √(‖B‖₁‖B‖_∞) of B = M^{−1/2}K'M^{−1/2}, which is a proof; else the
        largest eigenvalue of J*J, plus its residual, which is not (prefix ``advdiff_norm_``).
        """
        mass = self.generator.mass
        if mass.is_diagonal:
            root = mass.inverse.copy()
            root.sqrtabs()
            scaled = matrix.copy()
            scaled.diagonalScale(root, root)
            columns = scaled.norm(PETSc.NormType.NORM_1)
            rows = scaled.norm(PETSc.NormType.NORM_INFINITY)
            root.destroy()
            scaled.destroy()
            return (columns * rows) ** 0.5
        squared = PETSc.Mat().createPython(matrix.getSizes(), _Squared(self.generator, matrix))
        squared.setUp()
        eps = SLEPc.EPS().create(matrix.comm)
        eps.setOptionsPrefix("advdiff_norm_")
        eps.setOperators(squared, mass.matrix)
        eps.setWhichEigenpairs(SLEPc.EPS.Which.LARGEST_REAL)
        direct(eps.getST().getKSP(), PETSc.PC.Type.CHOLESKY)
        value, residual = self._extreme(eps, squared)
        squared.destroy()
        return max(value + residual, 0.0) ** 0.5

    def _extreme(self, eps: SLEPc.EPS, matrix: PETSc.Mat) -> tuple[float, float]:
        """The wanted eigenvalue and ‖Hx − λMx‖ in the norm of M⁻¹, for ‖x‖ = 1; ends the solver."""
        eps.setProblemType(SLEPc.EPS.ProblemType.GHEP)
        eps.setTolerances(EIGENVALUE, 1000)
        eps.setFromOptions()
        eps.solve()
        if eps.getConverged() < 1:
            raise ConvergenceError(
                f"no eigenvalue converged to {EIGENVALUE:g} in {eps.getIterationNumber()} "
                f"iterations; see the options under {eps.getOptionsPrefix()}"
            )
        mass = self.generator.mass
        x, image, moved = (self.generator.vector() for _ in range(3))
        value = eps.getEigenpair(0, x).real
        x.scale(1.0 / mass.norm(x))
        matrix.mult(x, image)
        mass.mult(x, moved)
        image.axpy(-value, moved)
        mass.solve(image, moved)
        residual = max(image.dot(moved), 0.0) ** 0.5
        for thing in (x, image, moved, eps):
            thing.destroy()
        return value, residual

    def _mass_matrix(self) -> PETSc.Mat:
        mass = self.generator.mass
        if not mass.is_diagonal:
            return mass.matrix.copy()
        matrix = self.generator.stiffness.duplicate()
        matrix.setDiagonal(mass.diagonal)
        matrix.assemble()
        return matrix

    def destroy(self) -> None:
        """Free the factorisation."""
        self._weight.destroy()
        if "_ksp" in self.__dict__:
            self._ksp.destroy()
            self._pinned.destroy()


class _Squared:
    """K'ᵀM⁻¹K', a symmetric operator on states."""

    def __init__(self, generator: Generator, matrix: PETSc.Mat):
        self._mass, self._matrix = generator.mass, matrix
        self._image, self._moved = generator.vector(), generator.vector()

    def mult(self, _mat: PETSc.Mat, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """y = K'ᵀM⁻¹K' x."""
        self._matrix.mult(x, self._image)
        self._mass.solve(self._image, self._moved)
        self._matrix.multTranspose(self._moved, y)


def kernel(operator: Operator) -> Kernel:
    """The kernel of a closed problem (collective); the operator must be assembled.

    Raises:
        InputError: where something crosses the boundary, or is added, or ∇·u ≠ 0.
    """
    one = operator.state(lambda x: np.ones(x.shape[1]), "one")
    found = Kernel(operator.generator, one)
    rows, columns = found.leaks(operator.generator.stiffness)
    loaded = operator.load is not None and operator.load.norm() > 0.0
    if not found.holds(operator.generator.stiffness) or loaded:
        what = "this one has a source or boundary data"
        if not loaded:
            what = f"of this one's constants {max(rows, columns):.1g} gets lost (div u, boundary)"
        raise InputError(
            f"sensitivity.method: a surrogate needs a closed problem, and {what}; write the "
            "velocity as a stream function that is constant on walls, drop dirichlet, inflow, "
            "flux, robin and source, or take method = 'recurrence'"
        )
    return found
