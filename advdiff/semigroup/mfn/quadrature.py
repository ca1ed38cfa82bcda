"""The derivative of exp(tA)θ0 by marched Gauss-Legendre quadrature of its integral.

    ρ(t) = ∫₀ᵗ e^{(t−s)A} (J θ(s) + M⁻¹dF) ds,    J = M⁻¹dK

With nodes s₁ < s₂ < … in every output interval, θ and the partial integral z are both carried from
node to node: two short actions a node, never one from time 0.  The integrand is entire, so one
Gauss rule an interval converges faster than any power once its degree resolves √(h‖A‖).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.core import progress
from advdiff.core.errors import ConvergenceError
from advdiff.semigroup.engine import Change, Cotangent, Pullback, Solution
from advdiff.semigroup.mfn.action import SLACK, Ledger

FEWEST, MOST = 4, 256
_gauss = cache(np.polynomial.legendre.leggauss)


class Marching(Protocol):
    """An engine that can be marched: actions of e^{hA} and its transpose over short times."""

    generator: Generator

    def ledger(
        self, start: PETSc.Vec, time: float, *, tolerance: float | None = None
    ) -> Ledger: ...
    def advance(
        self, h: float, state: PETSc.Vec, load: PETSc.Vec | None, ledger: Ledger
    ) -> None: ...
    def step(self, h: float, x: PETSc.Vec, y: PETSc.Vec, ledger: Ledger | None = None) -> None: ...
    def step_transpose(self, h: float, x: PETSc.Vec, y: PETSc.Vec) -> None: ...
    def report(self, initial: PETSc.Vec, states: Sequence[PETSc.Vec], ledger: Ledger) -> dict: ...


@dataclass
class Tape:
    """States at the Gauss nodes of every interval, with the load they were made with."""

    nodes: int
    states: list[list[PETSc.Vec]]
    load: PETSc.Vec | None


def rule(start: float, stop: float, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on an interval."""
    x, w = _gauss(nodes)
    half = 0.5 * (stop - start)
    return start + half * (1.0 + x), half * w


def resolving(engine: Marching, times: Sequence[float], tolerance: float) -> int:
    """Nodes an interval that resolve e^{hA} to a tolerance: the a priori choice of the order.

    A polynomial of degree p approximates e^{−sλ}, s in an interval of length h, λ ≤ ‖A‖, to about
    exp(−p²/(h‖A‖)) (and faster once p exceeds h‖A‖/2); a Gauss rule of q nodes integrates degree
    2q − 1.  ‖A‖ is bounded by Gershgorin's theorem where M is diagonal.
    """
    longest = float(np.max(np.diff([0.0, *times])))
    digits = np.log(10.0 / tolerance)
    stiffness = longest * engine.generator.norm_bound()
    degree = min(np.sqrt(stiffness * digits), 0.5 * stiffness + digits)
    return int(np.clip(np.ceil(0.5 * (degree + digits / 2.0)), FEWEST, MOST))


def record(
    engine: Marching,
    initial: PETSc.Vec,
    times: Sequence[float],
    load: PETSc.Vec | None,
    nodes: int | None = None,
) -> Solution:
    """Forward, with the states at the nodes kept for :func:`pull` (collective)."""
    nodes = nodes or engine.options.nodes or resolving(engine, times, engine.options.tolerance)
    states, kept, state, now = [], [], initial.copy(), 0.0
    ledger = engine.ledger(initial, times[-1])
    for time in times:
        kept.append([])
        previous = now
        for s in rule(previous, time, nodes)[0]:
            engine.advance(s - now, state, load, ledger)
            kept[-1].append(state.copy())
            now = s
        engine.advance(time - now, state, load, ledger)
        states.append(state.copy())
        now = time
    state.destroy()
    report = {**engine.report(initial, states, ledger), "quadrature_nodes": nodes}
    return Solution(tuple(times), states, report, Tape(nodes, kept, load))


def push(
    engine: Marching,
    initial: PETSc.Vec,
    times: Sequence[float],
    change: Change,
    load: PETSc.Vec | None = None,
    nodes: int | None = None,
) -> tuple[Solution, list[PETSc.Vec]]:
    """States and tangents at the output times (collective).

    ``tangent_error_bound`` in the report bounds the error of the actions, relative to the largest
    tangent, beside which there is that of the rule.
    """
    nodes = nodes or engine.options.nodes or resolving(engine, times, engine.options.tolerance)
    mass = engine.generator.mass
    d_initial, stiffness, d_load = change
    state, tangent = initial.copy(), engine.generator.vector()
    if d_initial is not None:
        d_initial.copy(tangent)
    forcing, moved = engine.generator.vector(), engine.generator.vector()
    moving = stiffness is not None or d_load is not None
    # an error e of the states is one of T‖J‖e, at most, of the tangents
    reach = times[-1] * engine.generator.bound_of(stiffness) if stiffness is not None else 0.0
    guess = first_guess(engine.generator, initial, times[-1], change)
    share = min(1.0, guess / (reach * mass.norm(initial) or guess or 1.0) or 1.0)
    ledger = engine.ledger(initial, times[-1], tolerance=engine.options.tolerance * share)
    of_tangent = engine.ledger(tangent, times[-1])
    states, tangents, now = [], [], 0.0
    for time in progress.counted(times, "output times"):
        points, weights = rule(now, time, nodes) if moving else ((), ())
        for s, w in zip(points, weights, strict=True):
            engine.advance(s - now, state, load, ledger)
            engine.step(s - now, tangent, tangent, of_tangent)
            if stiffness is not None:
                stiffness.mult(state, forcing)
            else:
                forcing.set(0.0)
            if d_load is not None:
                forcing.axpy(1.0, d_load)
            mass.solve(forcing, moved)
            tangent.axpy(w, moved)
            now = s
        engine.advance(time - now, state, load, ledger)
        engine.step(time - now, tangent, tangent, of_tangent)
        states.append(state.copy())
        tangents.append(tangent.copy())
        now = time
    for work in (state, tangent, forcing, moved):
        work.destroy()
    largest, error = max(map(mass.norm, tangents)), of_tangent.worst + reach * ledger.worst
    report = {
        **engine.report(initial, states, ledger),
        "tangent_error_bound": error / largest if largest > 0.0 else 0.0,
        "quadrature_nodes": nodes,
    }
    return Solution(tuple(times), states, report), tangents


def first_guess(generator: Generator, initial: PETSc.Vec, final: float, change: Change) -> float:
    """Of ‖ρ(T)‖, from its derivative at 0 (collective)."""
    forcing, moved = generator.vector(), generator.vector()
    if change.stiffness is not None:
        change.stiffness.mult(initial, forcing)
    if change.load is not None:
        forcing.axpy(1.0, change.load)
    generator.mass.solve(forcing, moved)
    moved.scale(final)
    if change.initial is not None:
        moved.axpy(1.0, change.initial)
    size = generator.mass.norm(moved)
    forcing.destroy()
    moved.destroy()
    return size


def pull(
    engine: Marching, solution: Solution, residuals: Sequence[PETSc.Vec], cotangent: Cotangent
) -> Pullback:
    """One backward march gives ∂Φ/∂θ0, ∂Φ/∂F and, pair by pair, ∂Φ/∂K (collective)."""
    tape: Tape = solution.tape
    if tape is None:
        raise ValueError("pull needs a solution made by forward(..., record=True)")
    times = solution.times
    adjoint, riesz = engine.generator.vector(), engine.generator.vector()
    load = None if tape.load is None else engine.generator.vector()
    now = times[-1]
    for k in reversed(range(len(times))):
        adjoint.axpy(1.0, residuals[k])
        points, weights = rule(times[k - 1] if k else 0.0, times[k], tape.nodes)
        for i in reversed(range(tape.nodes)):
            engine.step_transpose(now - points[i], adjoint, adjoint)
            engine.generator.mass.solve(adjoint, riesz)
            cotangent.add([riesz], [tape.states[k][i]], weights[i])
            if load is not None:
                load.axpy(weights[i], riesz)
            now = points[i]
        previous = times[k - 1] if k else 0.0
        engine.step_transpose(now - previous, adjoint, adjoint)
        now = previous
    riesz.destroy()
    return Pullback(adjoint, load)


def converged_push(
    engine: Marching,
    tolerance: float,
    run: Callable[[int], tuple[Solution, list[PETSc.Vec]]],
) -> tuple[Solution, list[PETSc.Vec], float]:
    """Raise the number of nodes until two results agree to a tolerance (collective).

    Args:
        engine: for its norm.
        tolerance: of the tangents, relative to the largest of them in L².
        run: nodes → (solution, tangents).

    Returns:
        The finer solution and tangents, and their difference from the coarser, relative, with the
        bound on the error of the actions.

    Raises:
        ConvergenceError: where MOST nodes an interval do not suffice.
    """
    norm = engine.generator.mass.norm
    nodes = FEWEST
    _, coarse = run(nodes)
    while True:
        nodes = min(max(nodes + 2, int(1.5 * nodes)), MOST)
        solution, fine = run(nodes)
        scale = max(norm(v) for v in fine)
        for a, b in zip(coarse, fine, strict=True):
            a.axpy(-1.0, b)
        error = max(norm(v) for v in coarse) / scale if scale > 0 else 0.0
        for v in coarse:
            v.destroy()
        if error <= tolerance:
            error += solution.report["tangent_error_bound"]
            if error <= SLACK * tolerance:
                return solution, fine, error
            raise ConvergenceError(
                f"the sensitivity integral reached an error bound of {error:.1e}, not "
                f"{tolerance:.1e}; lower solver.tolerance, or raise sensitivity.tolerance"
            )
        if nodes == MOST:
            raise ConvergenceError(
                f"the sensitivity integral reached a relative difference of {error:.1e}, not "
                f"{tolerance:.1e}, with {MOST} Gauss nodes an output interval; ask for more "
                "time.outputs or a larger sensitivity.tolerance"
            )
        coarse = fine
