"""A rational filter learned from the generator itself, where no bound of its flow is known.

The Krylov process of a probe that has energy at all scales (noise, and noise smoothed by one, two
and three resolvents, of equal norms) yields a recurrence and coefficients which serve every other
start and every direction of differentiation; frozen, they are a :class:`RationalFilter` like the
one designed from the numerical range.  It costs as many solves again as a forward sweep, once, and
its error is an estimate, not a bound.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from petsc4py import PETSc

from advdiff.algebra.resolvent import Resolvent
from advdiff.core.errors import ConvergenceError
from advdiff.semigroup.rational.design import RationalFilter
from advdiff.semigroup.rational.krylov import KrylovIncrements

_SCALES = 4
_MARGIN = 1e-2
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
    """The filter of a probe, converged two digits beyond the tolerance (collective).

    The margin is what other starts and derivatives were measured to lose on the probe.  The noise
    depends on the number of ranks, and so the result, within the tolerance.

    Args:
        times: 0 < t_1 < … < t_K.
        dimension: exactly this many vectors, whatever the error.
        max_dimension: give up there.

    Raises:
        ConvergenceError: if max_dimension vectors do not do.
    """
    probe = _probe(resolvent)
    target = _MARGIN * tolerance
    increments = KrylovIncrements(
        resolvent,
        probe,
        times,
        tolerance=target,
        scale=1.0,
        max_dimension=dimension or max_dimension,
        fixed=dimension is not None,
    )
    probe.destroy()
    arnoldi = increments.arnoldi
    m, error = arnoldi.dimension, increments.estimate
    hessenberg = arnoldi.hessenberg[:, : m - 1].copy()
    coefficients = increments.coefficients / arnoldi.norm
    increments.destroy()
    if dimension is None and error > target:
        raise ConvergenceError(
            f"a rational filter learned from noise reaches {error:.1e} in {m} vectors where "
            f"{target:.1e} is asked (γ = {resolvent.pole:.3g}); raise solver.tolerance, or "
            "shorten time.final"
        )
    peaks = np.full(m, HIGHEST)
    return RationalFilter(
        resolvent.pole, tuple(times), hessenberg, coefficients, peaks, error, learned=True
    )


def _probe(resolvent: Resolvent) -> PETSc.Vec:
    norm = resolvent.generator.mass.norm
    noise = resolvent.generator.vector()
    random = PETSc.Random().create(noise.comm)
    random.setType(PETSc.Random.Type.RAND48)
    random.setInterval((-1.0, 1.0))
    noise.setRandom(random)
    random.destroy()
    probe, smoother = noise.duplicate(), noise.duplicate()
    probe.set(0.0)
    for scale in range(_SCALES):
        if scale:
            resolvent.apply(noise, smoother)
            noise, smoother = smoother, noise
        probe.axpy(1.0 / norm(noise), noise)
    noise.destroy()
    smoother.destroy()
    return probe
