"""The semigroup S(t) = exp(tA) of an assembled operator, and its adjoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from petsc4py import PETSc

from advdiff.errors import InputError
from advdiff.expm.auto import AutoEngine
from advdiff.expm.ellipse import Ellipse
from advdiff.expm.engine import Engine, Solution, checked_times, finite
from advdiff.expm.faber import FaberEngine, FaberOptions
from advdiff.expm.generator import Generator
from advdiff.expm.mfn import MFNEngine, MFNOptions
from advdiff.expm.shift_invert import ShiftInvert, ShiftInvertOptions

GIB = 2.0**30


@dataclass(frozen=True)
class SolverOptions:
    """How exp(tA) is applied.

    Attributes:
        method: ``auto``, ``faber``, ``shift-invert``, ``krylov`` or ``expokit``.
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
    def is_mfn(self) -> bool:
        """True where SLEPc's MFN is asked for by name."""
        return self.method in ("krylov", "expokit")

    @property
    def mfn(self) -> MFNOptions:
        """The same for SLEPc's MFN."""
        kind = self.method if self.is_mfn else "krylov"
        return MFNOptions(kind, self.tolerance, self.nodes, self.dimension, self.max_restarts)


def make_engine(generator: Generator, options: SolverOptions) -> Engine:
    """The engine that the options ask for (collective)."""
    if options.method == "auto":
        return AutoEngine(
            generator,
            options.tolerance,
            lambda choice: _engine(generator, options, choice.method, choice.ellipse),
        )
    return _engine(generator, options, options.method)


def _engine(
    generator: Generator, options: SolverOptions, method: str, ellipse: Ellipse | None = None
) -> Engine:
    if method == "faber":
        if not generator.mass.is_diagonal:
            raise InputError(
                "solver.method = 'faber': needs a diagonal mass (cg or cip of degree 1, spectral, "
                "dg); change [discretization], or take solver.method = 'shift-invert'"
            )
        faber = FaberOptions(options.tolerance, GIB * options.memory)
        # the ellipse of the choice saves a search, but knows nothing of -advdiff_faber_ options
        untouched = faber.from_petsc("advdiff_faber_") == faber
        return FaberEngine(generator, faber, ellipse=ellipse if untouched else None)
    if method == "shift-invert":
        return ShiftInvert(
            generator, ShiftInvertOptions(options.tolerance, dimension=options.dimension)
        )
    return MFNEngine(generator, options.mfn)


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
            InputError: for times that are not positive, finite and increasing.
            ConvergenceError: naming the tolerance that was reached.
        """
        times = checked_times(times)
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
