"""The resolvent R = (M − γK)⁻¹ of a generator, with its transpose, as PETSc KSPs.

By default one factorisation serves both: PETSc's LU with nested dissection on one rank (three
times faster per solve than MUMPS there), MUMPS on several.  Everything can be changed by options
under ``advdiff_resolvent_``, for instance where a factorisation does not fit:

    -advdiff_resolvent_ksp_type gmres -advdiff_resolvent_pc_type hypre

(``gamg`` in a PETSc without hypre, as PyPI's; ``advdiff doctor`` says what there is.)

An iterative solver is stopped by its true residual, and gets a second KSP for the transposed
matrix when first needed: the transposed BoomerAMG of PETSc 3.22 returns zero, and KSP calls that
converged.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from petsc4py import PETSc

from advdiff.algebra.constants import constants
from advdiff.algebra.direct import direct
from advdiff.algebra.generator import Generator
from advdiff.core.errors import ConvergenceError

EPS = float(np.finfo(float).eps)
_CONSISTENT = 10.0
"""More than a consistent mass can be below its diagonal: 2 to 8, by cell (Wathen 1987)."""


class Resolvent:
    """Solves with M − γK and its transpose (all methods are collective).

    A solve that does not converge raises ``ConvergenceError``.  (KSP's own
    error is no help: in PETSc 3.22 it comes once a process, later failures are silent.)

    Args:
        generator: A = M⁻¹K.
        pole: γ > 0; K must have its diagonal entries in the pattern.
        rtol: relative residual asked of an iterative solver.
        prefix: options prefix of the KSPs.

    Attributes:
        inner: M as a matrix, the inner product of the states.
        solves: how many systems were solved so far, either way.
    """

    def __init__(
        self,
        generator: Generator,
        pole: float,
        rtol: float = 1e-12,
        prefix: str = "advdiff_resolvent_",
    ):
        self.generator = generator
        self.pole = pole
        self.solves = 0
        self._rtol, self._prefix = rtol, prefix
        mass = generator.mass
        self._matrix = generator.stiffness.copy()
        self._matrix.scale(-pole)
        if mass.is_diagonal:
            self.inner = PETSc.Mat().createDiagonal(mass.diagonal)
            self._matrix.setDiagonal(mass.diagonal, PETSc.InsertMode.ADD_VALUES)
        else:
            self.inner = mass.matrix
            self._matrix.axpy(1.0, mass.matrix, PETSc.Mat.Structure.UNKNOWN_NONZERO_PATTERN)
        self._constants = constants(generator)
        self._load, self._centred = generator.vector(), generator.vector()
        self.ksp = self._solver(self._matrix)
        self._size: float | None = None
        self._transposed: PETSc.Mat | None = None
        self._ksp_transposed: PETSc.KSP | None = None

    def solve(self, load: PETSc.Vec, state: PETSc.Vec) -> None:
        """state = (M − γK)⁻¹ load."""
        self._solve(self.ksp, self.ksp.solve, load, state)

    def solve_transpose(self, load: PETSc.Vec, state: PETSc.Vec) -> None:
        """state = (M − γKᵀ)⁻¹ load."""
        if self.ksp.getType() == PETSc.KSP.Type.PREONLY:
            self._solve(self.ksp, self.ksp.solveTranspose, load, state)
        else:
            if self._ksp_transposed is None:
                self._transposed = self._matrix.transpose(PETSc.Mat())
                self._ksp_transposed = self._solver(self._transposed)
            self._solve(self._ksp_transposed, self._ksp_transposed.solve, load, state)

    def solve_block(self, loads: PETSc.Mat, states: PETSc.Mat) -> None:
        """``solve`` for the columns of a dense matrix, all at once where the solver can."""
        self.ksp.matSolve(loads, states)
        self._count(self.ksp)
        self.solves += loads.getSize()[1] - 1

    def apply(self, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """y = L x = (I − γA)⁻¹ x = R M x."""
        self.generator.mass.mult(x, self._load)
        self.solve(self._load, y)

    def norm(self, x: PETSc.Vec) -> float:
        """‖x‖ in L²."""
        return self.generator.mass.norm(x)

    def conserve(self, load: PETSc.Vec) -> None:
        """Take from a load what would change the mean, where A keeps it."""
        if self._constants is not None:
            self._constants.set_total(load, 0.0)

    def centre(self, state: PETSc.Vec) -> None:
        """Take the mean from a state, where A keeps it."""
        if self._constants is not None:
            self._constants.set_mean(state, 0.0)

    def rounding(self, load: PETSc.Vec, state: PETSc.Vec, enough: float = 0.0) -> float:
        """A bound of the norm of what rounding may have done to a solution; one solve, or none
        where a rougher bound is within ``enough``.

        A direct solver leaves a residual of some g = ε (|load| + |M − γK| |state|), entry by entry
        (Skeel 1979), so that the error is within |R| g: R g, for R is positive but for the
        oscillations of higher degrees.  (Rougher: ‖R g‖ ≤ ‖M⁻¹g‖, where nothing grows.)  Where the
        constants are kept, their part has been removed, and R g without it would miss what the
        residual's signs do to the rest: g gets those.
        """
        if enough > 0.0 and np.isfinite(self.generator.flow_bound):
            if self._size is None:
                self._size = self.generator.bound_of(self._matrix)
            slack = 1.0 if self.generator.mass.is_diagonal else _CONSISTENT
            rough = 2.0 * EPS * slack * self._size * self.norm(state)  # |b| ≤ |M − γK| |x|
            if rough <= enough:
                return rough
        bound, product, error = load.duplicate(), load.duplicate(), load.duplicate()
        absolute = self._absolute()
        load.copy(bound)
        bound.abs()
        state.copy(error)
        error.abs()
        absolute.multAdd(error, bound, bound)
        bound.scale(EPS)
        if self._constants is not None:
            self._matrix.mult(state, product)
            product.axpy(-1.0, load)
            bound.setArray(np.copysign(bound.array_r, product.array_r))
        self.solve(bound, error)
        self.centre(error)
        size = self.generator.mass.norm(error)
        for vector in (bound, product, error, absolute):
            vector.destroy()
        return size

    def _absolute(self) -> PETSc.Mat:
        """|M − γK|."""
        start, columns, values = self._matrix.getValuesCSR()
        absolute = self._matrix.duplicate()
        absolute.setValuesCSR(start, columns, abs(values))
        absolute.assemble()
        return absolute

    def destroy(self) -> None:
        """Free the factorisation."""
        self.ksp.destroy()
        self._matrix.destroy()
        self._load.destroy()
        self._centred.destroy()
        if self._ksp_transposed is not None:
            self._ksp_transposed.destroy()
            self._transposed.destroy()
        if self.generator.mass.is_diagonal:
            self.inner.destroy()

    def _solve(self, ksp: PETSc.KSP, solve: Callable, load: PETSc.Vec, state: PETSc.Vec) -> None:
        kept = self._constants
        if kept is None:
            solve(load, state)
            self._count(ksp)
            return
        total = kept.total(load)
        load.copy(self._centred)
        kept.set_total(self._centred, 0.0)
        solve(self._centred, state)
        self._count(ksp)
        kept.set_mean(state, total / kept.volume)

    def _count(self, ksp: PETSc.KSP) -> None:
        self.solves += 1
        reason = ksp.getConvergedReason()
        if reason < 0:
            raise ConvergenceError(
                f"the resolvent's {ksp.getType()} with {ksp.getPC().getType()} stopped at residual "
                f"{ksp.getResidualNorm():.1e} after {ksp.getIterationNumber()} iterations (reason "
                f"{reason}); see the options under {self._prefix}"
            )

    def _solver(self, matrix: PETSc.Mat) -> PETSc.KSP:
        ksp = PETSc.KSP().create(matrix.comm)
        ksp.setOptionsPrefix(self._prefix)
        ksp.setOperators(matrix)
        direct(ksp, PETSc.PC.Type.LU)
        if matrix.comm.size == 1:
            ksp.getPC().setFactorOrdering(PETSc.Mat.OrderingType.ND)
        ksp.setTolerances(rtol=self._rtol, atol=1e-300, max_it=1000)
        ksp.setFromOptions()
        if ksp.getType() != PETSc.KSP.Type.PREONLY:
            ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        if self._constants is not None:
            self._let_constants_go(ksp.getPC())
        ksp.setUp()
        return ksp

    @staticmethod
    def _let_constants_go(pc: PETSc.PC) -> None:
        """Of K alone, beside which M is rounding, the constants are a null space: MUMPS is to leave
        out the pivot that is theirs and not to stop there.  What it makes of them is replaced."""
        kinds = (PETSc.PC.Type.LU, PETSc.PC.Type.CHOLESKY)
        if pc.getType() in kinds and pc.getFactorSolverType() == PETSc.Mat.SolverType.MUMPS:
            pc.setFactorSetUpSolverType()
            pc.getFactorMatrix().setMumpsIcntl(24, 1)
