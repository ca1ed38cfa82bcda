"""Krylov actions of the exponential by SLEPc MFN: the reference engine.

One call of MFN serves one interval of time, so the output times are marched through.  Its
derivative is that of the variation-of-constants integral, by quadrature (``quadrature.py``).

Options prefix ``advdiff_``: for instance ``-advdiff_mfn_type expokit -advdiff_mfn_ncv 40``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from petsc4py import PETSc
from slepc4py import SLEPc

from advdiff.algebra.generator import Generator
from advdiff.core import progress
from advdiff.core.errors import ConvergenceError
from advdiff.semigroup.engine import Change, Cotangent, EngineOptions, Pullback, Solution
from advdiff.semigroup.mfn import quadrature

PREFIX = "advdiff_"
LARGEST = 40
Type = Literal["krylov", "expokit"]
TYPES: tuple[str, ...] = get_args(Type)


@dataclass(frozen=True)
class MFNOptions(EngineOptions):
    """How MFN is run.

    Attributes:
        type: ``krylov`` (restarted, Eiermann and Ernst 2006) or ``expokit`` (Sidje 1998).
        tolerance: of each action, relative to the norm of the vector acted on.
        nodes: Gauss nodes an output interval in push and pull; None: chosen from the tolerance.
        dimension: of the Krylov space; None: chosen from ‖hA‖ and the tolerance.
        max_restarts: restarts (krylov) or steps (expokit) after which it is an error.
    """

    type: Type = "krylov"
    tolerance: float = 1e-8
    nodes: int | None = None
    dimension: int | None = None
    max_restarts: int = 1000

    @classmethod
    def of(cls, asked: Any) -> MFNOptions:
        """See :class:`EngineOptions`; ``krylov`` where another engine is asked for."""
        options = super().of(asked)
        return replace(options, type=asked.method) if asked.method in TYPES else options


class Action:
    """y = f(hB) x for f = exp or φ₁ and one matrix B, by MFN (collective).

    Args:
        matrix: B, explicit or a shell with ``mult``, ``multTranspose`` and ``norm``.
        function: ``exp``, or ``phi1``, which only ``krylov`` can do: it is used then, with the
            options prefix ``advdiff_phi_``.
        options: as above.
        norm: a bound or estimate of ‖B‖, from which the Krylov dimension is chosen.

    Raises:
        ConvergenceError: where MFN stops short of the tolerance.
    """

    def __init__(self, matrix: PETSc.Mat, function: str, options: MFNOptions, norm: float):
        self._last = 0.0
        self.actions = 0
        self.restarts = 0
        self.mfn = SLEPc.MFN().create(matrix.comm)
        self.mfn.setOptionsPrefix(PREFIX if function == "exp" else PREFIX + "phi_")
        self.mfn.setOperator(matrix)
        fn = self.mfn.getFN()
        if function == "exp":
            self.mfn.setType(options.type)
            fn.setType(SLEPc.FN.Type.EXP)
        else:
            self.mfn.setType(SLEPc.MFN.Type.KRYLOV)
            fn.setType(SLEPc.FN.Type.PHI)
            fn.setPhiIndex(1)
        self.mfn.setTolerances(options.tolerance, options.max_restarts)
        self._size = matrix.getSize()[0]
        self._norm = norm if options.dimension is None else None
        self._dimension = 0 if options.dimension is None else min(options.dimension, self._size)
        if self._dimension:
            self.mfn.setDimensions(self._dimension)
        self.mfn.setMonitor(self._monitor)
        self.mfn.setFromOptions()
        if PETSc.Options(self.mfn.getOptionsPrefix()).hasName("mfn_ncv"):
            self._norm = None

    def _monitor(self, _mfn, _its, estimate) -> None:
        self._last = estimate

    def _fit_dimension(self, step: float) -> None:
        """Half the products a polynomial needs (krylov tests from its second cycle on)."""
        if self._norm is None:
            return
        stiffness = abs(step) * self._norm
        digits = -math.log(self.mfn.getTolerances()[0])
        products = min(math.sqrt(stiffness * digits), stiffness) + digits
        wanted = min(max(8, 4 * math.ceil(products / 8.0)), LARGEST, self._size)
        if wanted > self._dimension:
            self._dimension = wanted
            self.mfn.setDimensions(wanted)

    def __call__(self, step: float, x: PETSc.Vec, y: PETSc.Vec, *, transpose: bool = False) -> None:
        size = x.norm()
        if size == 0.0:
            y.set(0.0)
            return
        self._fit_dimension(step)
        self.mfn.getFN().setScale(step, 1.0)
        (self.mfn.solveTranspose if transpose else self.mfn.solve)(x, y)
        self.actions += 1
        self.restarts += self.mfn.getIterationNumber()
        reason = self.mfn.getConvergedReason()
        if reason < 0:
            tolerance, restarts = self.mfn.getTolerances()
            raise ConvergenceError(
                f"SLEPc MFN ({self.mfn.getType()}) reached a relative error estimate of "
                f"{self._last / size:.1e}, not {tolerance:.1e}, in {self.mfn.getIterationNumber()} "
                f"of {restarts} restarts (reason {reason}) over a time of {step:g}; raise "
                "solver.dimension or solver.tolerance"
            )


class Shell:
    """A = M⁻¹K as a PETSc shell matrix, for a mass that is not diagonal."""

    def __init__(self, generator: Generator):
        self.generator = generator
        self._work = generator.vector()

    def mult(self, _mat, x, y):
        self.generator.stiffness.mult(x, self._work)
        self.generator.mass.solve(self._work, y)

    def multTranspose(self, _mat, x, y):
        self.generator.mass.solve(x, self._work)
        self.generator.stiffness.multTranspose(self._work, y)

    multHermitian = multTranspose

    def norm(self, _mat, _kind):
        return self.generator.norm_bound()


def scaled(matrix: PETSc.Mat, generator: Generator) -> PETSc.Mat:
    """M^{-1/2} K M^{-1/2} for a diagonal M: there the Euclidean norm is that of L²."""
    root = generator.mass.inverse.copy()
    root.sqrtabs()
    result = matrix.copy()
    result.diagonalScale(root, root)
    root.destroy()
    return result


class MFNEngine:
    """The engine ``krylov`` or ``expokit``; see :mod:`advdiff.semigroup.engine` for its methods."""

    names, Options = TYPES, MFNOptions
    needs_diagonal_mass, factorises, has_exact_gradients = False, False, False

    def __init__(self, generator: Generator, options: MFNOptions | None = None):
        options = MFNOptions() if options is None else options
        self.generator, self.options = generator, options
        self.name = options.type
        self._root: PETSc.Vec | None = None
        if generator.mass.is_diagonal:
            self.matrix = scaled(generator.stiffness, generator)
            self._root = generator.mass.diagonal.copy()
            self._root.sqrtabs()
        else:
            self.matrix = PETSc.Mat().createPython(
                generator.stiffness.getSizes(), Shell(generator), comm=generator.stiffness.comm
            )
            self.matrix.setUp()
        self._norm = generator.norm_bound()
        self._exp = Action(self.matrix, "exp", options, self._norm)
        self._phi: Action | None = None
        self._in, self._out = generator.vector(), generator.vector()
        self._sources: dict[str, PETSc.Vec] = {}

    # -- one interval of time -------------------------------------------------------------------

    def step(self, h: float, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """y = e^{hA} x for a state x (collective); x and y may be the same."""
        self._apply(self._exp, h, x, y, transpose=False)

    def step_transpose(self, h: float, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """y = e^{hAᵀ} x for a residual x (collective); x and y may be the same."""
        self._apply(self._exp, h, x, y, transpose=True)

    def source(self, h: float, load: PETSc.Vec) -> PETSc.Vec:
        """h φ₁(hA) M⁻¹ F; kept for the load it was last called with."""
        if self._sources.get("load") is not load:
            self._sources = {"load": load}
        key = f"{h:.12g}"  # steps between equidistant times differ in their last digits
        if key not in self._sources:
            if self._phi is None:
                self._phi = Action(self.matrix, "phi1", self.options, self._norm)
            result = self.generator.vector()
            self.generator.mass.solve(load, result)
            self._apply(self._phi, h, result, result, transpose=False)
            result.scale(h)
            self._sources[key] = result
        return self._sources[key]

    def _apply(self, action: Action, h, x, y, *, transpose) -> None:
        if self._root is None:
            x.copy(self._in)
        elif transpose:
            self._in.pointwiseDivide(x, self._root)
        else:
            self._in.pointwiseMult(x, self._root)
        action(h, self._in, self._out, transpose=transpose)
        if self._root is None:
            self._out.copy(y)
        elif transpose:
            y.pointwiseMult(self._out, self._root)
        else:
            y.pointwiseDivide(self._out, self._root)

    # -- the interface of an engine -------------------------------------------------------------

    def forward(
        self,
        initial: PETSc.Vec,
        times: Sequence[float],
        load: PETSc.Vec | None = None,
        *,
        record: bool = False,
    ) -> Solution:
        """States at the times; ``record`` keeps them at the quadrature nodes too (collective)."""
        if record:
            return quadrature.record(self, initial, times, load)
        states, state, now = [], initial.copy(), 0.0
        for time in progress.counted(times, "output times"):
            self.advance(time - now, state, load)
            states.append(state.copy())
            now = time
        state.destroy()
        return Solution(tuple(times), states, self.report())

    def advance(self, h: float, state: PETSc.Vec, load: PETSc.Vec | None) -> None:
        """state ← e^{hA} state + h φ₁(hA) M⁻¹ F (collective)."""
        self.step(h, state, state)
        if load is not None:
            state.axpy(1.0, self.source(h, load))

    def report(self) -> dict:
        """Engine, tolerance and what it has done so far."""
        return {
            "method": self.name,
            "tolerance": self.options.tolerance,
            "actions": self._exp.actions + (self._phi.actions if self._phi else 0),
            "restarts": self._exp.restarts + (self._phi.restarts if self._phi else 0),
            "krylov_dimension": self._exp.mfn.getDimensions(),
        }

    def transpose(self, residuals: Sequence[PETSc.Vec], times: Sequence[float]) -> PETSc.Vec:
        """Σ_k e^{t_k Aᵀ} r_k (collective)."""
        total = self.generator.vector()
        for k in reversed(range(len(times))):
            total.axpy(1.0, residuals[k])
            self.step_transpose(times[k] - (times[k - 1] if k else 0.0), total, total)
        return total

    def push(
        self,
        initial: PETSc.Vec,
        times: Sequence[float],
        change: Change,
        load: PETSc.Vec | None = None,
    ) -> tuple[Solution, list[PETSc.Vec]]:
        """The states and their derivative along (dθ0, dK, dF), by quadrature (collective)."""
        return quadrature.push(self, initial, times, change, load)

    def pull(
        self, solution: Solution, residuals: Sequence[PETSc.Vec], cotangent: Cotangent
    ) -> Pullback:
        """The gradient for residuals, by quadrature at the recorded nodes (collective)."""
        return quadrature.pull(self, solution, residuals, cotangent)
