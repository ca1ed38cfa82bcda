"""Series and products: nested commutators, powers of Q, and (I + tQ/N)^N.

With ``order=None`` a series runs until its tail is below rounding, and refuses (DomainError) when
cancellation has eaten more digits than ``tol`` allows. With an ``order`` it is the partial sum, as
it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, pairwise
from math import factorial

import numpy as np
from numpy.typing import NDArray

from advdiff.matexp.balance import expm
from advdiff.matexp.operands import EPS, TINY, Array, DomainError, Result, norm1

#: a series that has not converged after so many terms is refused
MAX_TERMS = 2000
#: relative error (round-off by cancellation) that a converged series may have
SERIES_TOLERANCE = 1e-10
#: size of the step whose exponential integral is a Taylor polynomial of degree 15: error 1e-18
TAYLOR_STEP = 0.5
#: the product formula starts with at least this many factors ...
MIN_FACTORS = 16
#: ... and is extrapolated over so many doublings
RICHARDSON_LEVELS = 8


def exponential_and_integral(Q: Array, t: Array) -> tuple[Array, Array]:
    """e^{tQ} and S = ∫₀ᵗ e^{sQ} ds = tφ₁(tQ), singular Q included, nothing subtracted.

    Taylor for a small step (Paterson & Stockmeyer), then S(2h) = S(h) + e^{hQ}S(h): 7 products and
    two for every doubling.
    """
    count = doublings(norm1(t * Q) / TAYLOR_STEP)
    h = t / 2.0**count
    A, eye = h * Q, np.eye(Q.shape[-1])
    powers = [eye, A, A @ A]
    powers.append(powers[2] @ A)
    fourth = powers[2] @ powers[2]
    S = np.zeros(())
    for start in (12, 8, 4, 0):
        S = sum(P / factorial(start + k + 1) for k, P in enumerate(powers)) + (
            fourth @ S if start < 12 else 0.0
        )
    S = h * S
    X = eye + Q @ S
    for n in range(count.max(initial=0)):
        S = np.where(n < count, S + X @ S, S)
        X = np.where(n < count, X @ X, X)
    return X, S


def doublings(size: Array) -> NDArray[np.int64]:
    """How often each of a stack has to be halved for its ``size`` to be at most 1.

    Every member has its own number: more doublings than needed cost a small one its digits.
    """
    return np.ceil(np.log2(np.maximum(size, 1.0))).astype(int)


def join(X: Array, Y: Array, count: NDArray[np.int64]) -> Array:
    """Y(2h) = X(h)Y(h) + Y(h)X(h) and X(2h) = X(h)², ``count`` (..., 1, 1) times; Y at the end."""
    for n in range(count.max(initial=0)):
        Y = np.where(n < count, X @ Y + Y @ X, Y)
        X = np.where(n < count, X @ X, X)
    return Y


def commutator_terms(Q: Array, J: Array, t: Array) -> Iterator[Array]:
    """t^{n+1}/(n+1)! (−ad_Q)ⁿ J for n = 0, 1, …, where (−ad_Q)J = JQ − QJ."""
    term, n = t * J, 0
    while True:
        yield term
        n += 1
        term = (t / (n + 1)) * (term @ Q - Q @ term)


def power_terms(Q: Array, J: Array, t: Array) -> Iterator[Array]:
    """tᵏ/k! Σ_{j=1}^k Q^{k−j} J Q^{j−1} for k = 1, 2, …"""
    power, term, k = np.eye(Q.shape[-1]), t * J, 1
    while True:
        yield term
        power = (t / k) * (power @ Q)
        k += 1
        # d(Q^k)/k! = (d(Q^{k−1}) Q + Q^{k−1} dQ)/k!
        term = (t / k) * (term @ Q) + (t / k) * (power @ J)


def commutator_series(
    Q: Array, J: Array, t: Array, order: int | None = None, tol: float = SERIES_TOLERANCE
) -> Result:
    """e^{tQ} Σ_n t^{n+1}/(n+1)! (−ad_Q)ⁿ J, n = 0 … order.

    Najfeld & Havel, Adv. Appl. Math. 16, 1995.

    Order 0 is the first-order surrogate. Small t‖Q‖: the terms grow like (2t‖Q‖)ⁿ/n! before they
    fall.
    """
    X = expm(t * Q)
    total, estimate, terms = _sum(commutator_terms(Q, J, t), 2 * norm1(t * Q), order, 0)
    value = X @ total
    if order is None:
        # what cancellation left, seen through the multiplication by e^{tQ}
        estimate = estimate * norm1(X) * norm1(total) / np.maximum(norm1(value), TINY)
    return _accepted(value, estimate, terms, order, tol, "commutator-series")


def power_series(
    Q: Array, J: Array, t: Array, order: int | None = None, tol: float = SERIES_TOLERANCE
) -> Result:
    """Σ_k tᵏ/k! Σ_j Q^{k−j} J Q^{j−1}, k = 1 … order."""
    total, estimate, terms = _sum(power_terms(Q, J, t), norm1(t * Q), order, 1)
    return _accepted(total, estimate, terms, order, tol, "power-series")


def partial_sums(Q: Array, J: Array, t: Array, order: int) -> Array:
    """Partial sums of the commutator series, orders 0 … ``order``, (order+1, ..., d, d)."""
    terms = commutator_terms(Q, J, t)
    return expm(t * Q) @ np.cumsum([next(terms) for _ in range(order + 1)], axis=0)


def product_formula(
    Q: Array, J: Array, t: Array, factors: int | None = None, levels: int = RICHARDSON_LEVELS
) -> Result:
    """The derivative of (I + tQ/N)^N, O(1/N), extrapolated ``levels`` times in 1/N.

    N = ``factors`` must be a power of two (the product is formed by squaring); the default is the
    first one ≥ max(16, 2‖tQ‖₁), for each of a stack. ``levels=0`` is the bare formula. The error
    estimate is the last difference of the extrapolation, relative, and round-off.
    """
    if factors is None:
        squarings = doublings(np.maximum(2 * norm1(t * Q), MIN_FACTORS))
    else:
        squarings = np.full((1, 1), int(factors).bit_length() - 1)
        if factors < 1 or 2 ** int(squarings[0, 0]) != factors:
            raise ValueError(f"factors must be a power of two, got {factors}")
    most = 2 ** int(squarings.max()) * 2**levels
    column = [_product(Q, J, t, squarings + k) for k in range(levels + 1)]
    estimate = None
    for k in range(1, levels + 1):
        finer = [b + (b - a) / (2.0**k - 1) for a, b in pairwise(column)]
        change, column = finer[-1] - column[-1], finer
        rounding = EPS * most  # one for every factor of the finest product
        estimate = _relative(norm1(change), norm1(finer[-1])) + rounding
    return Result(column[-1], error_estimate=estimate, terms=most)


def _product(Q: Array, J: Array, t: Array, squarings: NDArray[np.int64]) -> Array:
    h = t / 2.0**squarings
    return join(np.eye(Q.shape[-1]) + h * Q, h * J, squarings)


def _sum(
    terms: Iterator[Array], ratio: Array, order: int | None, first: int
) -> tuple[Array, Array, int]:
    """Sum, its relative round-off, number of terms; ``ratio``/(n+1) bounds term n+1 over n."""
    if order is not None and (int(order) != order or order < first):
        raise ValueError(f"order must be an integer >= {first}, got {order}")
    total, rounding = np.zeros(()), np.zeros(())
    for n, term in enumerate(islice(terms, MAX_TERMS), first):
        total = total + term
        size, sum_size = norm1(term), norm1(total)
        rounding = rounding + (n - first + 1) * EPS * size  # one rounding for every factor
        if not np.isfinite(size).all():
            raise DomainError(f"the series overflows at term {n}; use method='frechet'")
        tail_falls = (size <= EPS / 4 * sum_size) & (2 * ratio <= n + 1)
        if n == order or (order is None and tail_falls.all()):
            return total, rounding / np.maximum(sum_size, TINY), n - first + 1
    raise DomainError(f"the series has not ended after {MAX_TERMS} terms; use method='frechet'")


def _accepted(
    value: Array, estimate: Array, terms: int, order: int | None, tol: float, name: str
) -> Result:
    if order is not None:
        return Result(value, terms=terms)
    worst = float(np.max(np.where(norm1(value) > 0, estimate, 0.0), initial=0.0))
    if worst > tol:
        raise DomainError(
            f"{name} loses its digits by cancellation (relative error about {worst:.0e}): "
            "t·norm(Q) is too large; use method='frechet'"
        )
    return Result(value, error_estimate=worst, terms=terms)


def _relative(a: Array, b: Array) -> float:
    return float(np.max(np.where(b > 0, a / np.where(b > 0, b, 1.0), 0.0), initial=0.0))
