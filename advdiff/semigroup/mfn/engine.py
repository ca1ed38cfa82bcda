"""Krylov actions of the exponential: the reference engine, with a bound on its error.

One action serves one interval of time, so the output times are marched through (``action.py``).
The derivative is that of the variation-of-constants integral, by quadrature (``quadrature.py``).

The names, and the options ``-advdiff_mfn_type expokit -advdiff_mfn_ncv 40``, are those of SLEPc's
MFN, whose vectors (BV) are used here, but not its stopping tests: they accept a state of 0 where
t‖A‖ is large (3.22 and 3.25).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from petsc4py import PETSc

from advdiff.algebra.arnoldi import Operator
from advdiff.algebra.generator import Generator
from advdiff.core import progress
from advdiff.core.petsc_errors import good_values
from advdiff.semigroup.engine import (
    Change,
    Cotangent,
    EngineOptions,
    Pullback,
    Solution,
    require_known,
)
from advdiff.semigroup.mfn import quadrature
from advdiff.semigroup.mfn.action import Action, Ledger

PREFIX = "advdiff_"
Type = Literal["krylov", "expokit"]
TYPES: tuple[str, ...] = get_args(Type)


@dataclass(frozen=True)
class MFNOptions(EngineOptions):
    """How the actions are made.

    Attributes:
        type: ``krylov`` (Botchev, Grimm, Hochbruck 2013) or ``expokit`` (Sidje 1998).
        tolerance: of the states at all times, relative to ‖θ0‖ or to the largest increment.
        nodes: Gauss nodes an output interval in push and pull; None: chosen from the tolerance.
        dimension: of the Krylov space; None: chosen from ‖hA‖ and the tolerance.
        max_restarts: sub-steps of one action after which it is an error.
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


def from_petsc(options: MFNOptions) -> MFNOptions:
    """The options with what the PETSc options ``-advdiff_mfn_type``, ``ncv``, ``tol`` and
    ``max_it`` say.

    Raises:
        InputError: for a value that is not possible.
    """
    require_known(PREFIX + "mfn_", ["type", "ncv", "tol", "max_it"])
    given = PETSc.Options(PREFIX + "mfn_")
    with good_values(PREFIX + "mfn_"):
        kind = given.getString("type", options.type)
        dimension = given.getInt("ncv", options.dimension or 0)
        tolerance = given.getReal("tol", options.tolerance)
        most = given.getInt("max_it", options.max_restarts)
        if kind not in TYPES:
            raise ValueError(f"type must be krylov or expokit, not {kind}")
        if dimension < 0 or most < 1:
            raise ValueError(f"{'ncv' if dimension < 0 else 'max_it'} must be positive")
        if not 0.0 < tolerance < 1.0:
            raise ValueError(f"tol must lie between 0 and 1, not {tolerance:g}")
    return replace(
        options, type=kind, dimension=dimension or None, tolerance=tolerance, max_restarts=most
    )


class InL2:
    """A = M⁻¹K, or its adjoint M⁻¹Kᵀ, in the inner product of M (collective)."""

    def __init__(self, generator: Generator, *, adjoint: bool = False):
        mass, stiffness = generator.mass, generator.stiffness
        self.inner = mass.matrix or PETSc.Mat().createDiagonal(mass.diagonal)
        self.norm = mass.norm
        self._mult = stiffness.multTranspose if adjoint else stiffness.mult
        self._solve, self._work = mass.solve, generator.vector()

    def apply(self, x: PETSc.Vec, y: PETSc.Vec) -> None:
        self._mult(x, self._work)
        self._solve(self._work, y)


def action(operator: Operator, like: PETSc.Vec, norm: float, options: MFNOptions) -> Action:
    """The action of an operator as the options ask for it."""
    return Action(
        operator,
        like,
        norm,
        corrected=options.type == "expokit",
        dimension=options.dimension,
        most=options.max_restarts,
    )


def relative(
    generator: Generator, initial: PETSc.Vec, states: Sequence[PETSc.Vec], error: float
) -> float:
    """An error over ‖θ0‖, or over the norm of the largest state where that is larger."""
    size = max(map(generator.mass.norm, (initial, *states)))
    return float(error / size if size > 0.0 else error)


def done(action: Action) -> dict:
    """What a report says of an action."""
    return {
        "actions": action.actions,
        "restarts": action.steps,
        "products": action.products,
        "krylov_dimension": action.dimension,
    }


class MFNEngine:
    """The engine ``krylov`` or ``expokit``; see :mod:`advdiff.semigroup.engine` for its methods.

    >>> from advdiff.algebra.generator import Mass
    >>> K = PETSc.Mat().createAIJ(2, csr=([0, 2, 4], [0, 1, 0, 1], [-1.0, 1.0, 1.0, -1.0]))
    >>> ones, start = (PETSc.Vec().createWithArray(x) for x in ([1.0, 1.0], [1.0, 0.0]))
    >>> engine = MFNEngine(Generator(K, Mass(ones)), MFNOptions(tolerance=1e-10))
    >>> found = engine.forward(start, [1.0, 2.0])
    >>> [state.array.round(6).tolist() for state in found.states]
    [[0.567668, 0.432332], [0.509158, 0.490842]]
    >>> found.report["error_bound"] < 1e-10
    True
    """

    names, Options = TYPES, MFNOptions
    needs_diagonal_mass, factorises, has_exact_gradients = False, False, False

    def __init__(self, generator: Generator, options: MFNOptions | None = None):
        options = from_petsc(MFNOptions() if options is None else options)
        self.generator, self.options = generator, options
        self.name = options.type
        like, norm = generator.vector(), generator.norm_bound()
        self._exp = action(InL2(generator), like, norm, options)
        self._adjoint = action(InL2(generator, adjoint=True), like, norm, options)
        self._slope = generator.vector()

    # -- one interval of time -------------------------------------------------------------------

    def ledger(self, start: PETSc.Vec, time: float, *, tolerance: float | None = None) -> Ledger:
        """For a march of a state over a time."""
        scale = self.generator.mass.norm(start)
        return Ledger(self.options.tolerance if tolerance is None else tolerance, time, scale)

    def step(self, h: float, x: PETSc.Vec, y: PETSc.Vec, ledger: Ledger | None = None) -> None:
        """y = e^{hA} x for a state x (collective); x and y may be the same.

        Without a ledger the tolerance is that of this step alone.
        """
        x.copy(y)
        self._exp(h, y, ledger or self.ledger(y, h))

    def step_transpose(self, h: float, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """y = e^{hAᵀ} x = M e^{hA*} M⁻¹ x for a residual x (collective); x may be y."""
        mass = self.generator.mass
        mass.solve(x, self._slope)
        self._adjoint(h, self._slope, self.ledger(self._slope, h))
        mass.mult(self._slope, y)

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
        ledger = self.ledger(initial, times[-1])
        for time in progress.counted(times, "output times"):
            self.advance(time - now, state, load, ledger)
            states.append(state.copy())
            now = time
        state.destroy()
        return Solution(tuple(times), states, self.report(initial, states, ledger))

    def advance(self, h: float, state: PETSc.Vec, load: PETSc.Vec | None, ledger: Ledger) -> None:
        """state ← e^{hA} state + h φ₁(hA) M⁻¹ F (collective)."""
        if load is not None:
            self.generator.mass.solve(load, self._slope)
        self._exp(h, state, ledger, None if load is None else self._slope)

    def report(self, initial: PETSc.Vec, states: Sequence[PETSc.Vec], ledger: Ledger) -> dict:
        """Engine, tolerance, bound on the error of the states, and what was done so far."""
        return {
            "method": self.name,
            "tolerance": self.options.tolerance,
            "error_bound": relative(self.generator, initial, states, ledger.worst),
            **done(self._exp),
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
