"""How far a computed derivative is from the exact one: an estimate for every exact method.

The value is compared with a second computation, scaling and squaring of a Taylor polynomial, whose
own rounding errors are carried through its steps: every product X_k X_k is given random errors of
the size that its roundings may have, and the linearised recurrence takes them to the end, as
matrices, so that decay, growth and cancellation act on them as they do on the real ones. Then

    ‖value − exact‖ ≤ ‖value − second‖ + ‖second − exact‖.

To that comes t‖Q‖ε, the effect of an ulp in Q. All in balanced units (`balance`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from advdiff.matexp.balance import unscaled
from advdiff.matexp.operands import EPS, TINY, Array, norm1
from advdiff.matexp.series import doublings

#: rounding errors are drawn so many times; the largest outcome counts ...
SAMPLES = 3
#: ... this many times over, for what a few random draws may miss
SAFETY = 4.0
#: 1-norm of the first step's matrix, and the degree of its Taylor polynomial: error 2e-18
STEP = 0.5
DEGREE = 16
#: numbers of a stack looked at together
STACK = 2**18
#: the signs of the drawn errors are the same in every run
SEED = 20090402


class Part(NamedTuple):
    """A derivative at t in direction J, whose entries are sums of terms of ``size`` in all."""

    J: Array
    t: Array
    size: Array


class View(NamedTuple):
    """A linear function of the derivatives, and what was computed for it."""

    of: Callable[[Array], Array]
    value: Array


def relative_error(Q: Array, J: Array, t: Array, value: Array, D: Array) -> float:
    """Of ``value`` ≈ ∇_J e^{tQ}, the largest over a stack: ‖error‖_F/‖exact‖₂.

    So it holds in the Frobenius and in the spectral norm. All in the units of ``D``
    (`balance.balancing` of the matrix asked for). The larger of the relative errors in these units
    and in those of the caller; inf if no digit is known.
    """
    lead = np.broadcast_shapes(*(A.shape[:-2] for A in (Q, J, t)))
    Q, J, t, value, D = (
        np.broadcast_to(A, (*lead, *A.shape[-2:])).reshape(-1, *A.shape[-2:])
        for A in (Q, J, t, value, D[..., None, :])
    )
    step, worst = max(1, STACK // Q.shape[-1] ** 2), 0.0
    for start in range(0, len(Q), step):
        k = slice(start, start + step)
        views = both_units(value[k], D[k, 0])
        worst = max(worst, error_of_sum(Q[k], [Part(J[k], t[k], np.abs(J[k]))], views))
    return worst


def both_units(value: Array, D: Array) -> list[View]:
    """A sum of derivatives as it is, in the units of D, and in the caller's."""
    return [View(lambda A: A, value), View(lambda A: unscaled(A, D), unscaled(value, D))]


def error_of_sum(Q: Array, parts: Iterable[Part], views: Sequence[View]) -> float:
    """Relative error of what was computed from Σ ∇_J e^{tQ} over the parts, the largest of views.

    A second computation for each part; their errors are taken to add up.
    """
    seconds, errors = [np.zeros(())] * len(views), [np.zeros(())] * len(views)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for J, t, size in parts:
            Y, drawn = _second(Q, J, t, size)
            for k, (of, _) in enumerate(views):
                seconds[k] = seconds[k] + of(Y)
                errors[k] = errors[k] + SAFETY * _size(of(drawn)).max(axis=0)
                errors[k] = errors[k] + _ulps(Q, t) * _size(of(Y))
        worst = np.zeros(())
        for view, second, error in zip(views, seconds, errors, strict=True):
            distance = _size(view.value - second) + error
            worst = np.maximum(worst, _over(distance, _spectral(second) - error))
    return float(np.max(np.where(np.isnan(worst), np.inf, worst), initial=0.0))


def _ulps(Q: Array, t: Array) -> Array:
    """(d + t‖Q‖₁)·eps, shape (...): what an ulp in the entries of a balanced Q may change."""
    return (EPS * (Q.shape[-1] + norm1(t * Q)))[..., 0, 0]


def _over(distance: Array, least: Array) -> Array:
    """distance over a size that is at least so much; inf where that is not positive."""
    ratio = np.where(least > 0, distance / np.where(least > 0, least, 1.0), np.inf)
    return np.where(distance == 0, 0.0, ratio)


def _size(A: Array) -> Array:
    largest = np.maximum(np.abs(A).max(axis=(-2, -1)), TINY)  # no square under- or overflows
    return largest * np.linalg.norm(A / largest[..., None, None], axis=(-2, -1))


def _spectral(A: Array) -> Array:
    """‖A‖₂; 0 where A is not finite."""
    A = np.where(np.isfinite(A).all(axis=(-2, -1), keepdims=True), A, 0.0)
    largest = np.maximum(np.abs(A).max(axis=(-2, -1)), TINY)
    return largest * np.linalg.norm(A / largest[..., None, None], 2, axis=(-2, -1))


def _signs(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.choice([-1.0, 1.0], size=shape)


def _second(Q: Array, J: Array, t: Array, size: Array) -> tuple[Array, Array]:
    """∇_J e^{tQ}, and drawn errors of it, shape (SAMPLES, ..., d, d)."""
    rng, d = np.random.default_rng(SEED), Q.shape[-1]
    tQ, tJ, size = np.broadcast_arrays(t * Q, t * J, np.abs(t) * size)
    count = doublings(norm1(tQ) / STEP)
    A, K = tQ / 2.0**count, tJ / 2.0**count
    eye = np.eye(d)
    X, Y = eye + A / DEGREE, K / DEGREE
    for k in range(DEGREE - 1, 0, -1):
        X, Y = eye + A @ X / k, (A @ Y + K @ X) / k
    shape = (SAMPLES, *Y.shape)
    unit = EPS * (1 + np.sqrt(d))  # of one product of d × d matrices
    a, b = np.abs(A), size / 2.0**count
    dX = unit * _signs(rng, shape) * (eye + a + a @ a)
    dY = unit * _signs(rng, shape) * (b + a @ b + b @ a)
    for n in range(count.max(initial=0)):
        on = n < count
        a, b = np.abs(X), np.abs(Y)
        new = 2 * unit * _signs(rng, shape) * (a @ b + b @ a)
        dY = np.where(on, X @ dY + dX @ Y + Y @ dX + dY @ X + new, dY)
        dX = np.where(on, X @ dX + dX @ X + unit * _signs(rng, shape) * (a @ a), dX)
        X, Y = np.where(on, X @ X, X), np.where(on, X @ Y + Y @ X, Y)
    return Y, dY
