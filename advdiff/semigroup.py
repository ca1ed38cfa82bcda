"""The semigroup S(t) = exp(tA) of an assembled operator, and its adjoint."""

from __future__ import annotations

from collections.abc import Sequence

from petsc4py import PETSc

from advdiff.expm.engine import Engine, Solution
from advdiff.expm.generator import Generator
from advdiff.expm.mfn import MFNEngine, MFNOptions


def make_engine(generator: Generator, options: MFNOptions) -> Engine:
    """The engine that the options ask for."""
    return MFNEngine(generator, options)


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
        return self.engine.forward(self.initial if initial is None else initial, times, self.load)

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
