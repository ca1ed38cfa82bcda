"""A rational filter learned from the generator itself, where no bound of its flow is known.

The Krylov process of a probe that has energy at all scales (noise, and noise smoothed by one, two
and three resolvents, of equal norms), and of its derivative along noise, yields a recurrence and
coefficients which serve every other start and every direction of differentiation; frozen, they are
a :class:`RationalFilter` like the one designed from the numerical range.  It is asked for a
derivative that is known, of another probe.  All this costs four times the solves of a forward
sweep, once, and the error is an estimate, not a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from petsc4py import PETSc

from advdiff.algebra.resolvent import Resolvent
from advdiff.core.errors import ConvergenceError
from advdiff.semigroup.engine import Change
from advdiff.semigroup.rational.design import RationalFilter
from advdiff.semigroup.rational.flow import EPS, FilterFlow
from advdiff.semigroup.rational.krylov import KrylovIncrements
from advdiff.semigroup.rational.pair import PairResolvent

_SCALES = 4
_MARGIN = 1e-3
SLACK = 10.0
"""Tolerances that it may be off: its slopes for other noise, its states for a start."""

HIGHEST = 1e4
"""Growth of a vector beyond which what was learned does not carry over to this start."""


def learn_filter(
    resolvent: Resolvent,
    times: Sequence[float],
    tolerance: float,
    *,
    dimension: int | None = None,
    max_dimension: int = 250,
) -> RationalFilter:
    """The filter of a probe and its derivative, converged three digits beyond the tolerance
    (collective).

    The margin is what other starts and derivatives were measured to lose on the probe.  The noise
    depends on the number of ranks, and so the result, within the tolerance.

    Args:
        times: 0 < t_1 < … < t_K.
        dimension: exactly this many vectors, whatever the error.
        max_dimension: give up there.

    Raises:
        ConvergenceError: if max_dimension vectors do not do, or if they do not serve another probe.
    """
    random = PETSc.Random().create(resolvent.generator.comm)
    random.setType(PETSc.Random.Type.RAND48)
    random.setInterval((-1.0, 1.0))
    noise, probe = _probe(resolvent, random)
    unseen, other = _probe(resolvent, random)
    target = _MARGIN * tolerance
    pairs = PairResolvent(resolvent, unseen)
    start = pairs.pair(probe)
    increments = KrylovIncrements(
        pairs,
        start,
        times,
        tolerance=target,
        scale=1.0,
        max_dimension=dimension or max_dimension,
        fixed=dimension is not None,
    )
    arnoldi = increments.arnoldi
    error = increments.estimate
    coefficients = increments.coefficients / arnoldi.norm
    if dimension is None:
        coefficients = _without_rounding(coefficients)
    m = len(coefficients)
    hessenberg = arnoldi.hessenberg[:m, : m - 1].copy()
    increments.destroy()
    pairs.destroy()
    peaks = np.full(m, HIGHEST)
    found = RationalFilter(
        resolvent.pole, tuple(times), hessenberg, coefficients, peaks, error, error, learned=True
    )
    try:
        if dimension is None:
            if not error <= target:
                raise ConvergenceError(
                    f"a rational filter learned from noise reaches {error:.1e} in {m} vectors "
                    f"where {target:.1e} is asked (γ = {resolvent.pole:.3g}); raise "
                    "solver.tolerance, or shorten time.final"
                )
            slope = _slope_error(resolvent, found, other)
            # where all its energy is at one scale, a start meets more than noise does
            found = replace(found, error=slope, slope=SLACK * slope)
            if not found.error <= SLACK * tolerance:
                raise ConvergenceError(
                    f"the derivative of a rational filter learned from noise is off by "
                    f"{found.error:.1e} for other noise, where {tolerance:.1e} is asked: it does "
                    "not serve; raise solver.tolerance, shorten the time span, or take "
                    "solver.method = 'krylov'"
                )
    finally:
        for used in (noise, probe, unseen, other, start, random):
            used.destroy()
    return found


def _without_rounding(coefficients: np.ndarray) -> np.ndarray:
    """Less the last rows that are rounding errors: their vectors may be that alone, and grow."""
    sizes = abs(coefficients).max(axis=1)
    counted = np.flatnonzero(~(sizes <= EPS * sizes.max()))
    return coefficients[: counted.max(initial=0) + 1]


def _slope_error(resolvent: Resolvent, rational: RationalFilter, start: PETSc.Vec) -> float:
    """How far the derivative along dK = K is from what it is, relative to the larger of that and
    the start (collective): dy = t A y, or with one resolvent L dy = (t/γ) (L y − y)."""
    norm = resolvent.norm
    flow = FilterFlow(resolvent, rational, start, None)
    slopes, _ = flow.push(Change(stiffness=resolvent.generator.stiffness))
    smooth, expected = start.duplicate(), start.duplicate()
    errors, sizes = [], [norm(start)]
    for time, state, slope in zip(rational.times, flow.states, slopes, strict=True):
        resolvent.apply(state, expected)
        expected.axpy(-1.0, state)
        expected.scale(time / resolvent.pole)
        resolvent.apply(slope, smooth)
        sizes.append(norm(expected))
        smooth.axpy(-1.0, expected)
        resolvent.centre(smooth)  # K does not move it, but for its rounding
        errors.append(norm(smooth))
    flow.destroy()
    for vector in (smooth, expected, *flow.states, *slopes):
        vector.destroy()
    return float(np.max(errors) / np.max(sizes))  # not a number where any is


def _probe(resolvent: Resolvent, random: PETSc.Random) -> tuple[PETSc.Vec, PETSc.Vec]:
    """Noise, and what has energy at all scales."""
    norm = resolvent.generator.mass.norm
    noise = resolvent.generator.vector()
    noise.setRandom(random)
    probe, smooth, smoother = (noise.duplicate() for _ in range(3))
    noise.copy(smooth)
    probe.set(0.0)
    for scale in range(_SCALES):
        if scale:
            resolvent.apply(smooth, smoother)
            smooth, smoother = smoother, smooth
        probe.axpy(1.0 / norm(smooth), smooth)
    smooth.destroy()
    smoother.destroy()
    return noise, probe
