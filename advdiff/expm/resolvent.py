"""The resolvent R = (M − γK)⁻¹ of a generator, with its transpose, as a PETSc KSP.

By default one factorisation serves both: PETSc's LU with nested dissection on one rank (three
times faster per solve than MUMPS there), MUMPS on several.  Everything can be changed by options
under ``advdiff_resolvent_``, for instance where a factorisation does not fit:

    -advdiff_resolvent_ksp_type gmres -advdiff_resolvent_pc_type hypre
"""

from __future__ import annotations

from petsc4py import PETSc

from advdiff.expm.generator import Generator


class Resolvent:
    """Solves with M − γK and its transpose.

    Args:
        generator: A = M⁻¹K.
        pole: γ > 0; K must have its diagonal entries in the pattern.
        rtol: relative residual asked of an iterative solver.
        prefix: options prefix of the KSP.

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
        mass = generator.mass
        matrix = generator.stiffness.copy()
        matrix.scale(-pole)
        if mass.is_diagonal:
            self.inner = PETSc.Mat().createDiagonal(mass.diagonal)
            matrix.setDiagonal(mass.diagonal, PETSc.InsertMode.ADD_VALUES)
        else:
            self.inner = mass.matrix
            matrix.axpy(1.0, mass.matrix, PETSc.Mat.Structure.UNKNOWN_NONZERO_PATTERN)
        self._matrix = matrix
        self._load = generator.vector()
        self.ksp = PETSc.KSP().create(matrix.comm)
        self.ksp.setOptionsPrefix(prefix)
        self.ksp.setOperators(matrix)
        self.ksp.setType("preonly")
        pc = self.ksp.getPC()
        pc.setType("lu")
        if matrix.comm.size > 1:
            pc.setFactorSolverType("mumps")
        else:
            pc.setFactorOrdering("nd")
        self.ksp.setTolerances(rtol=rtol, atol=1e-300, max_it=1000)
        self.ksp.setErrorIfNotConverged(True)
        self.ksp.setFromOptions()
        self.ksp.setUp()

    def solve(self, load: PETSc.Vec, state: PETSc.Vec) -> None:
        """state = (M − γK)⁻¹ load (collective)."""
        self.ksp.solve(load, state)
        self.solves += 1

    def apply(self, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """y = L x = (I − γA)⁻¹ x = R M x (collective)."""
        self.generator.mass.mult(x, self._load)
        self.solve(self._load, y)

    def solve_transpose(self, load: PETSc.Vec, state: PETSc.Vec) -> None:
        """state = (M − γKᵀ)⁻¹ load, with the same factors (collective)."""
        self.ksp.solveTranspose(load, state)
        self.solves += 1

    def destroy(self) -> None:
        """Free the factorisation (collective)."""
        self.ksp.destroy()
        self._matrix.destroy()
        self._load.destroy()
        if self.generator.mass.is_diagonal:
            self.inner.destroy()
