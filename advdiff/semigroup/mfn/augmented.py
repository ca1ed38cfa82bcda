"""ρ by one action of a block matrix: exp(t [[A, J], [0, A]]) on [ρ0; θ0], with loads [f'; f].

With f = M⁻¹F the load, f' = M⁻¹dF its derivative and J = M⁻¹dK.  The first block is ρ, the second
θ.  In the norm ‖(ερ, θ)‖ the block matrix lets nothing grow by more than e^{ε‖J‖t/2} where A lets
nothing grow: with ε = 1/(T‖J‖) a bound on the error of the action is one for both blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.core import progress
from advdiff.core.errors import ConvergenceError
from advdiff.semigroup.engine import Change, Solution
from advdiff.semigroup.mfn import quadrature
from advdiff.semigroup.mfn.action import SLACK, Action, Ledger
from advdiff.semigroup.mfn.engine import MFNOptions, action, done, from_petsc, relative

_TRIES = 4


@dataclass
class _Block:
    """The block matrix on (ερ, θ), in the inner product of M for both.

    The vectors are laid out rank by rank, so that nothing moves between ranks.
    """

    generator: Generator
    stiffness: PETSc.Mat | None
    unit: float

    def __post_init__(self):
        n = self.generator.stiffness.getLocalSize()[0]
        comm = self.generator.stiffness.comm
        self.layout = PETSc.Vec().createMPI((2 * n, PETSc.DECIDE), comm=comm)
        start, _ = self.layout.getOwnershipRange()
        self.rows = [PETSc.IS().createStride(n, start + first, 1, comm=comm) for first in (0, n)]
        self._work, self._moved = self.generator.vector(), self.generator.vector()
        sizes = self.layout.getSizes()
        self.inner = PETSc.Mat().createPython((sizes, sizes), self, comm=comm)
        self.inner.setUp()

    def mult(self, _mat, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """y = M x, block by block."""
        with self.parts(x) as xs, self.parts(y) as ys:
            for a, b in zip(xs, ys, strict=True):
                self.generator.mass.mult(a, b)

    def norm(self, x: PETSc.Vec) -> float:
        with self.parts(x) as parts:
            return math.hypot(*map(self.generator.mass.norm, parts))

    def apply(self, x: PETSc.Vec, y: PETSc.Vec) -> None:
        work, stiffness, mass = self._work, self.generator.stiffness, self.generator.mass
        with self.parts(x) as (rho, theta), self.parts(y) as (d_rho, d_theta):
            stiffness.mult(theta, work)
            mass.solve(work, d_theta)
            stiffness.mult(rho, work)
            if self.stiffness is not None:
                self.stiffness.mult(theta, self._moved)
                work.axpy(self.unit, self._moved)
            mass.solve(work, d_rho)

    @contextmanager
    def parts(self, x: PETSc.Vec) -> Iterator[tuple[PETSc.Vec, PETSc.Vec]]:
        """The two blocks of a vector, for the time of a with statement."""
        parts = tuple(x.getSubVector(rows) for rows in self.rows)
        try:
            yield parts
        finally:
            for rows, part in zip(self.rows, parts, strict=True):
                x.restoreSubVector(rows, part)

    def vector(self, rho: PETSc.Vec | None, theta: PETSc.Vec | None) -> PETSc.Vec:
        """(ερ, θ), with 0 for None."""
        result = self.layout.duplicate()
        with self.parts(result) as parts:
            for part, given in zip(parts, (rho, theta), strict=True):
                if given is not None:
                    given.copy(part)
            parts[0].scale(self.unit)
        return result


def push(
    generator: Generator,
    options: MFNOptions,
    initial: PETSc.Vec,
    times: Sequence[float],
    change: Change,
    load: PETSc.Vec | None = None,
) -> tuple[Solution, list[PETSc.Vec]]:
    """States and tangents at the times by the augmented action (collective).

    The arguments are those of :meth:`advdiff.semigroup.engine.Engine.push`.  The tolerance holds
    for the states, relative to ‖θ0‖ or the largest of them, and for the tangents, relative to the
    largest: ``tangent_error_bound`` in the report.

    Raises:
        ConvergenceError: where one of them is missed by more than ``SLACK``.
    """
    options = from_petsc(options)
    mass, final = generator.mass, times[-1]
    guess, size = quadrature.first_guess(generator, initial, final, change), mass.norm(initial)
    if change.stiffness is not None and change.stiffness.norm() > 0.0:
        unit = 1.0 / (final * generator.bound_of(change.stiffness))
    else:
        unit = size / guess if size > 0.0 and guess > 0.0 else 1.0
    block = _Block(generator, change.stiffness, unit)
    exponential = action(block, block.layout, generator.norm_bound(), options)
    start, loads = block.vector(change.initial, initial), None
    if load is not None or change.load is not None:
        loads = block.vector(change.load, load)
        with block.parts(loads) as parts:
            for part in parts:
                mass.solve(part, part)
    tight = options.tolerance * min(1.0, unit * guess / size if size > 0.0 and guess > 0.0 else 1.0)
    last = math.inf
    for _ in range(_TRIES):
        ledger = Ledger(tight, final)
        states, tangents = _march(block, exponential, start, loads, times, ledger)
        of_states = relative(generator, initial, states, ledger.worst)
        largest = max(map(mass.norm, tangents))
        of_tangents = ledger.worst / unit / largest if largest > 0.0 else 0.0
        error = max(of_states, of_tangents)
        if error <= options.tolerance or error > 0.5 * last:
            break
        last, tight = error, max(0.5 * tight * options.tolerance / error, 1e-16)
    if not error <= SLACK * options.tolerance:
        raise ConvergenceError(
            f"the augmented action reached an error bound of {of_states:.1e} of the states and "
            f"{of_tangents:.1e} of the sensitivity, not {options.tolerance:.1e}: rounding allows "
            "no better; shorten time.final, or raise solver.tolerance and sensitivity.tolerance"
        )
    report = {
        "method": f"augmented {options.type}",
        "tolerance": options.tolerance,
        "error_bound": of_states,
        "tangent_error_bound": of_tangents,
        **done(exponential),
    }
    return Solution(tuple(times), states, report), tangents


def _march(
    block: _Block,
    exponential: Action,
    start: PETSc.Vec,
    loads: PETSc.Vec | None,
    times: Sequence[float],
    ledger: Ledger,
) -> tuple[list[PETSc.Vec], list[PETSc.Vec]]:
    x, states, tangents, now = start.copy(), [], [], 0.0
    for time in progress.counted(times, "output times"):
        exponential(time - now, x, ledger, loads)
        with block.parts(x) as (rho, theta):
            states.append(theta.copy())
            tangents.append(rho.copy())
        tangents[-1].scale(1.0 / block.unit)
        now = time
    x.destroy()
    return states, tangents
