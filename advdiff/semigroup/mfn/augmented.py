"""ρ by one action of a block matrix: exp(t [[A, J, f'], [0, A, f], [0, 0, 0]]) on [0; θ0; 1].

With f = M⁻¹F the load, f' = M⁻¹dF its derivative and J = M⁻¹dK.  The first block is ρ, the second
θ, the third the constant 1 that carries the loads (absent where there are none).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.core import progress
from advdiff.semigroup.engine import Change, Solution
from advdiff.semigroup.mfn.engine import Action, MFNOptions


@dataclass
class _Block:
    """The block matrix as a PETSc shell, ρ scaled by ``unit`` so that both blocks count alike."""

    generator: Generator
    change: Change
    load: PETSc.Vec | None
    unit: float

    def __post_init__(self):
        n = self.generator.stiffness.getLocalSize()[0]
        comm = self.generator.stiffness.comm
        self.has_loads = self.load is not None or self.change.load is not None
        self.carrier = int(self.has_loads and comm.rank == comm.size - 1)
        self.layout = PETSc.Vec().createMPI((2 * n + self.carrier, PETSc.DECIDE), comm=comm)
        start, _ = self.layout.getOwnershipRange()
        self.rows = [PETSc.IS().createStride(n, start + first, 1, comm=comm) for first in (0, n)]
        self.one = PETSc.IS().createStride(self.carrier, start + 2 * n, 1, comm=comm)
        self._work = self.generator.vector()

    def matrix(self) -> PETSc.Mat:
        sizes = self.layout.getSizes()
        matrix = PETSc.Mat().createPython((sizes, sizes), self, comm=self.layout.comm)
        matrix.setUp()
        return matrix

    def _constant(self, x: PETSc.Vec) -> float:
        part = x.getSubVector(self.one)
        value = part.sum()
        x.restoreSubVector(self.one, part)
        return value

    def mult(self, _mat, x, y):
        one = self._constant(x) if self.has_loads else 0.0
        rho, theta = (x.getSubVector(rows) for rows in self.rows)
        y.set(0.0)
        d_rho, d_theta = (y.getSubVector(rows) for rows in self.rows)
        work, mass = self._work, self.generator.mass
        self.generator.stiffness.mult(theta, work)
        if self.load is not None:
            work.axpy(one, self.load)
        mass.solve(work, d_theta)
        self.generator.stiffness.mult(rho, work)
        if self.change.stiffness is not None:
            work.scale(1.0 / self.unit)
            self.change.stiffness.multAdd(theta, work, work)
            work.scale(self.unit)
        if self.change.load is not None:
            work.axpy(one * self.unit, self.change.load)
        mass.solve(work, d_rho)
        for rows, part in zip(self.rows, (rho, theta), strict=True):
            x.restoreSubVector(rows, part)
        for rows, part in zip(self.rows, (d_rho, d_theta), strict=True):
            y.restoreSubVector(rows, part)

    def norm(self, _mat, _kind):
        return 2.0 * self.generator.norm_bound()


def push(
    generator: Generator,
    options: MFNOptions,
    initial: PETSc.Vec,
    times: Sequence[float],
    change: Change,
    load: PETSc.Vec | None = None,
) -> tuple[Solution, list[PETSc.Vec]]:
    """States and tangents at the times by the augmented action (collective).

    The arguments are those of :meth:`advdiff.semigroup.engine.Engine.push`.

    Raises:
        ConvergenceError: as :class:`advdiff.semigroup.mfn.engine.Action`.
    """
    unit = _unit(generator, initial, times[-1], change)
    block = _Block(generator, change, load, unit)
    action = Action(block.matrix(), "exp", options, 2.0 * generator.norm_bound())
    x, y = block.layout, block.layout.duplicate()
    x.set(1.0)
    for rows, part in zip(block.rows, (change.initial, initial), strict=True):
        target = x.getSubVector(rows)
        if part is None:
            target.set(0.0)
        else:
            part.copy(target)
        if rows is block.rows[0]:
            target.scale(unit)
        x.restoreSubVector(rows, target)
    states, tangents, now = [], [], 0.0
    for time in progress.counted(times, "output times"):
        action(time - now, x, y)
        x, y = y, x
        for rows, kept in zip(block.rows, (tangents, states), strict=True):
            part = x.getSubVector(rows)
            copy = generator.vector()
            part.copy(copy)
            x.restoreSubVector(rows, part)
            kept.append(copy)
        tangents[-1].scale(1.0 / unit)
        now = time
    report = {
        "method": f"augmented {options.type}",
        "tolerance": options.tolerance,
        "actions": action.actions,
        "restarts": action.restarts,
    }
    return Solution(tuple(times), states, report), tangents


def _unit(generator: Generator, initial: PETSc.Vec, final: float, change: Change) -> float:
    """‖θ0‖ over a first guess of ‖ρ(T)‖, so that the tolerance means the same for both."""
    forcing, moved = generator.vector(), generator.vector()
    if change.stiffness is not None:
        change.stiffness.mult(initial, forcing)
    if change.load is not None:
        forcing.axpy(1.0, change.load)
    generator.mass.solve(forcing, moved)
    moved.scale(final)
    if change.initial is not None:
        moved.axpy(1.0, change.initial)
    size, guess = generator.mass.norm(initial), generator.mass.norm(moved)
    forcing.destroy()
    moved.destroy()
    return size / guess if size > 0 and guess > 0 else 1.0
