"""PETSc TS and SciPy on the same matrix (one rank).

θ' = Aθ with A formed explicitly for the explicit schemes and expm_multiply, Mθ' = Kθ for the
implicit ones.  TS shifts its Jacobian in place, so it gets copies.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.sparse as sp
from case import MODES, OUTPUTS, Case
from implicit import csr
from petsc4py import PETSc
from scipy.sparse.linalg import expm_multiply


def scipy_interval(case: Case, final: float) -> tuple[list, str]:
    """expm_multiply over the whole interval; its tolerance is that of double precision."""
    A = sp.diags(1.0 / case.generator.mass.diagonal.array_r) @ csr(case)
    trace = A.diagonal().sum()
    states = expm_multiply(
        A, case.initial.array_r, 0.0, final, num=OUTPUTS + 1, endpoint=True, traceA=trace
    )
    return list(states[1:]), ""


def _matrix(case: Case) -> PETSc.Mat:
    """A = M⁻¹K."""
    matrix = case.generator.stiffness.copy()
    matrix.diagonalScale(case.generator.mass.inverse)
    return matrix


def _marched(ts: PETSc.TS, case: Case, final: float) -> list[np.ndarray]:
    """Step by step, so that a time limit can interrupt."""
    state, states = case.initial.copy(), []
    ts.setSolution(state)
    ts.setExactFinalTime(PETSc.TS.ExactFinalTime.MATCHSTEP)
    ts.setMaxSteps(10**9)
    for time in case.times(final):
        ts.setMaxTime(time)
        ts.setConvergedReason(PETSc.TS.ConvergedReason.CONVERGED_ITERATING)
        while ts.getTime() < time * (1.0 - 1e-12):
            ts.step()
        states.append(state.array_r.copy())
    return states


def _explicit(case: Case, kind: str) -> PETSc.TS:
    ts = PETSc.TS().create(comm=PETSc.COMM_SELF)
    ts.setProblemType(PETSc.TS.ProblemType.LINEAR)
    ts.setType(PETSc.TS.Type.RK)
    ts.setRKType(kind)
    matrix = _matrix(case)
    ts.setRHSFunction(lambda _ts, _t, x, f: matrix.mult(x, f))
    return ts


def runge_kutta(case: Case, final: float, tolerance: float) -> tuple[list, str]:
    """RK 5dp, steps chosen by TS from the tolerance."""
    ts = _explicit(case, "5dp")
    ts.setTimeStep(1e-2 * final / OUTPUTS)
    ts.setTolerances(rtol=tolerance, atol=tolerance)
    states = _marched(ts, case, final)
    products = 6 * (ts.getStepNumber() + ts.getStepRejections())
    ts.destroy()
    return states, f"{products} products"


class Implicit:
    """Crank–Nicolson or DIRK es8516sal with equal steps, T/(10·steps), and one LU."""

    def __init__(self, scheme: str, case: Case, final: float, steps: int):
        self.case, self.final, self.steps, self.scheme = case, final, steps, scheme
        self.order = 2 if scheme == "cn" else 8
        self.solves = 1 if scheme == "cn" else 15
        generator = case.generator
        self.ts = ts = PETSc.TS().create(comm=PETSc.COMM_SELF)
        ts.setOptionsPrefix(f"bench_{scheme}_")
        options = PETSc.Options(f"bench_{scheme}_")
        if scheme == "dirk":
            options["ts_dirk_type"] = "es8516sal"
        ts.setProblemType(PETSc.TS.ProblemType.LINEAR)
        ts.setType(scheme)
        work, stiffness = generator.vector(), generator.stiffness
        jacobian, diagonal = stiffness.copy(), generator.mass.diagonal
        shifts = [0.0]

        def residual(_ts, _t, x, velocity, f):
            stiffness.mult(x, work)
            f.pointwiseMult(diagonal, velocity)
            f.axpy(-1.0, work)

        def shifted(_ts, _t, _x, _velocity, shift, matrix, _preconditioner):
            if abs(shift - shifts[0]) > 1e-9 * shift:  # a matrix left alone keeps its LU
                shifts[0] = shift
                stiffness.copy(matrix, PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
                matrix.scale(-1.0)
                part = diagonal.copy()
                part.scale(shift)
                matrix.setDiagonal(part, PETSc.InsertMode.ADD_VALUES)
                part.destroy()
            return True

        ts.setIFunction(residual, generator.vector())
        ts.setIJacobian(shifted, jacobian)
        snes = ts.getSNES()
        snes.setType("ksponly")
        ksp = snes.getKSP()
        ksp.setType("preonly")
        ksp.getPC().setType("lu")
        ksp.getPC().setFactorOrdering("nd")
        options["ts_adapt_type"] = "none"
        ts.setTimeStep(final / (OUTPUTS * steps))
        ts.setFromOptions()

    def forward(self) -> tuple[list, None]:
        ts, state, states = self.ts, self.case.initial.copy(), []
        ts.setSolution(state)
        ts.setExactFinalTime(PETSc.TS.ExactFinalTime.STEPOVER)
        ts.setMaxTime(1e30)
        ts.setMaxSteps(10**9)
        for _ in range(OUTPUTS):
            for _ in range(self.steps):
                ts.step()
            states.append(state.array_r.copy())
        ts.destroy()
        return states, None

    def count(self) -> str:
        return f"{self.solves * self.steps * OUTPUTS} solves"


class AdjointRungeKutta:
    """TSAdjoint of the classical scheme with equal steps as large as stability allows, for the
    seventeen parameters; ``outputs`` of the ten intervals, so that its time can be extrapolated."""

    def __init__(self, case: Case, final: float, outputs: int):
        self.case, self.outputs = case, outputs
        self.length = final / OUTPUTS
        self.steps = math.ceil(self.length * case.generator.norm_bound() / 2.7)
        self.ts = ts = _explicit(case, "4")
        matrix = _matrix(case)
        ts.setRHSJacobian(lambda _ts, _t, _x, _J, _P: True, matrix.copy())
        directions = case.directions()
        rows = case.initial.local_size
        parameters = PETSc.Mat().createDense([rows, MODES**2 + 1], comm=PETSc.COMM_SELF)
        parameters.setUp()
        work = case.generator.vector()

        def by_parameters(_ts, _t, x, P):
            array = P.getDenseArray()
            for i, direction in enumerate(directions):
                direction.mult(x, work)
                array[:, i] = work.array_r
            P.assemble()
            return True

        ts.setRHSJacobianP(by_parameters, parameters)
        ts.setSaveTrajectory()
        self._cost = [case.generator.vector()], [parameters.createVecRight()]
        ts.setCostGradients(*self._cost)
        ts.setTimeStep(self.length / self.steps)
        ts.setExactFinalTime(PETSc.TS.ExactFinalTime.STEPOVER)

    def gradient(self) -> np.ndarray:
        ts, (adjoint,), (few,) = self.ts, *self._cost
        state, states = self.case.initial.copy(), []
        ts.setTime(0.0)
        ts.setMaxTime(1e30)
        ts.setMaxSteps(self.outputs * self.steps)
        ts.setMonitor(
            lambda _ts, step, _t, x: step % self.steps == 0 and step and states.append(x.copy())
        )
        ts.solve(state)
        residuals = self.case.residuals(states)
        adjoint.set(0.0)
        few.set(0.0)
        for residual in reversed(residuals[: self.outputs]):
            adjoint.axpy(1.0, residual)
            ts.adjointSetSteps(self.steps)
            ts.adjointSolve()
        return few.array_r.copy()
