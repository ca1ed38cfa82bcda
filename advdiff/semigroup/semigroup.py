"""The semigroup S(t) = exp(tA) of an assembled operator, and its adjoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.core.errors import SIZES, ConvergenceError, InputError
from advdiff.semigroup.auto import AutoEngine
from advdiff.semigroup.closed import Closed
from advdiff.semigroup.engine import Engine, Solution, checked_times, error_estimate, finite
from advdiff.semigroup.faber.engine import FaberEngine
from advdiff.semigroup.growth import require_bounded
from advdiff.semigroup.mfn.engine import MFNEngine
from advdiff.semigroup.rational.engine import ShiftInvert

ENGINES: dict[str, type[Engine]] = {
    name: kind for kind in (AutoEngine, FaberEngine, ShiftInvert, MFNEngine) for name in kind.names
}
"""``solver.method`` → its engine."""


@dataclass(frozen=True)
class SolverOptions:
    """How exp(tA) is applied; an engine takes of it what its ``Options`` have.

    Attributes:
        method: of :data:`ENGINES`.
        tolerance: relative to the norm of the initial state.
        dimension: of Krylov spaces, None: chosen.
        max_restarts: sub-steps of krylov and expokit.
        memory: GiB a rank may keep for a gradient (faber).
        nodes: Gauss nodes an interval where these are differentiated, None: chosen.
    """

    method: str = "auto"
    tolerance: float = 1e-8
    dimension: int | None = None
    max_restarts: int = 1000
    memory: float = 1.0
    nodes: int | None = None

    @property
    def engine(self) -> type[Engine]:
        """The class that is asked for."""
        return ENGINES[self.method]


def make_engine(generator: Generator, options: SolverOptions) -> Engine:
    """The engine that the options ask for, which keeps means where nothing leaves (collective).

    Raises:
        InputError: where it needs a diagonal mass and there is none.
    """
    if options.engine.needs_diagonal_mass and not generator.mass.is_diagonal:
        raise InputError(
            f"solver.method = '{options.method}': needs a diagonal mass, which these elements have "
            "not; take 'auto', or elements that have one (cg or cip of degree 1, spectral, dg)"
        )

    def made(method: str, **arguments) -> Engine:
        kind = ENGINES[method]
        return kind(generator, kind.Options.of(options), **arguments)

    if options.engine is AutoEngine:
        arguments = {"make": lambda choice: made(choice.method, **choice.arguments)}
    else:
        arguments = {}
    return Closed(made(options.method, **arguments))


class Semigroup:
    """θ(t) = S(t)θ0 + ∫₀ᵗ S(s) f ds for one engine, and S*(t) in the inner product of L².

    Args:
        engine: made for the generator.
        initial: θ0 where none is given.
        load: F, the constant load (source and Dirichlet values), or None.
        growth: says how fast the L² norm may grow, infinite where that is not known (collective).

    Times are in your unit, in which A is a rate; θ in any.

    A tracer that spreads between two rooms of volume 1 and 3 keeps its total θᵀM1:

    >>> from advdiff.algebra.generator import Mass
    >>> K = PETSc.Mat().createAIJ(2, csr=([0, 2, 4], [0, 1, 0, 1], [-1.0, 1.0, 1.0, -1.0]))
    >>> volumes, start = (PETSc.Vec().createWithArray(x) for x in ([1.0, 3.0], [1.0, 0.0]))
    >>> flow = Semigroup(make_engine(Generator(K, Mass(volumes)), SolverOptions()), start)
    >>> early, late = flow.trajectory([1.0, 100.0])
    >>> round(early.dot(volumes), 6), late.array.round(6)
    (1.0, array([0.25, 0.25]))
    >>> abs(flow.adjoint(1.0, start).dot(start) - early.dot(start)) < 1e-8  # ⟨S*x, x⟩ = ⟨x, Sx⟩
    True
    """

    def __init__(
        self,
        engine: Engine,
        initial: PETSc.Vec,
        load: PETSc.Vec | None = None,
        growth: Callable[[], float] = lambda: math.inf,
    ):
        self.engine, self.initial, self.load, self.growth = engine, initial, load, growth

    def solve(self, times: Sequence[float], initial: PETSc.Vec | None = None) -> Solution:
        """States at increasing positive times, with the engine's report (collective).

        Raises:
            InputError: for times that are not positive, finite and increasing.
            ConvergenceError: naming the tolerance that was reached, or the growth that cannot be.
        """
        times = checked_times(times)
        start = self.initial if initial is None else initial
        solution = self.engine.forward(start, times, self.load)
        finite(solution.states, "the state")
        if not math.isfinite(error_estimate(solution.report)):
            raise ConvergenceError(f"nothing is known of the error of exp(tA); {SIZES}")
        require_bounded(self.engine.generator, solution, start, self.load, self.growth())
        return solution

    def trajectory(
        self, times: Sequence[float], initial: PETSc.Vec | None = None
    ) -> list[PETSc.Vec]:
        """The states of :meth:`solve`."""
        return self.solve(times, initial).states

    def apply(self, time: float, state: PETSc.Vec) -> PETSc.Vec:
        """S(t)θ, without the load (collective)."""
        return self.engine.forward(state, checked_times([time]), None).states[0]

    def adjoint(self, time: float, state: PETSc.Vec) -> PETSc.Vec:
        """S*(t)λ = M⁻¹ S(t)ᵀ M λ, so that ⟨S(t)θ, λ⟩ = ⟨θ, S*(t)λ⟩ (collective)."""
        times, mass = checked_times([time]), self.engine.generator.mass
        residual = state.duplicate()
        mass.mult(state, residual)
        dual = self.engine.transpose([residual], times)
        result = state.duplicate()
        mass.solve(dual, result)
        residual.destroy()
        dual.destroy()
        return result
