"""The semigroup S(t) = exp(tA) of an assembled operator, and its adjoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.core.errors import InputError
from advdiff.semigroup.auto import AutoEngine
from advdiff.semigroup.closed import Closed
from advdiff.semigroup.engine import Engine, Solution, finite
from advdiff.semigroup.faber.engine import FaberEngine
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
        max_restarts: of MFN.
        memory: GiB a rank may keep for a gradient (faber).
        nodes: Gauss nodes an interval where MFN is differentiated, None: chosen.
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
            "not; take 'auto', or elements that have one (cg of degree 1, spectral, dg)"
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
    """

    def __init__(self, engine: Engine, initial: PETSc.Vec, load: PETSc.Vec | None = None):
        self.engine, self.initial, self.load = engine, initial, load

    def solve(self, times: Sequence[float], initial: PETSc.Vec | None = None) -> Solution:
        """States at increasing positive times, with the engine's report (collective).

        Raises:
            ConvergenceError: naming the tolerance that was reached.
        """
        start = self.initial if initial is None else initial
        solution = self.engine.forward(start, times, self.load)
        finite(solution.states, "the state")
        return solution

    def trajectory(
        self, times: Sequence[float], initial: PETSc.Vec | None = None
    ) -> list[PETSc.Vec]:
        """The states of :meth:`solve`."""
        return self.solve(times, initial).states

    def apply(self, time: float, state: PETSc.Vec) -> PETSc.Vec:
        """S(t)θ, without the load (collective)."""
        return self.engine.forward(state, [time], None).states[0]

    def adjoint(self, time: float, state: PETSc.Vec) -> PETSc.Vec:
        """S*(t)λ = M⁻¹ S(t)ᵀ M λ, so that ⟨S(t)θ, λ⟩ = ⟨θ, S*(t)λ⟩ (collective)."""
        mass = self.engine.generator.mass
        residual = state.duplicate()
        mass.mult(state, residual)
        dual = self.engine.transpose([residual], [time])
        result = state.duplicate()
        mass.solve(dual, result)
        residual.destroy()
        dual.destroy()
        return result
