"""Eigenbases with their condition, and stable divided differences of the exponential.

The first divided difference is written with φ₁(z) = (eᶻ − 1)/z so that close and repeated
eigenvalues lose no digits and nothing overflows before the result does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import schur

from advdiff.matexp.balance import balancing, scaled
from advdiff.matexp.operands import EPS, TINY, Array, DomainError, adjoint

#: ``auto`` uses an eigenbasis up to this condition number: about 1e-12 is then the loss of digits
AUTO_CONDITION = 1e4
#: beyond this an eigenbasis is refused even when asked for by name
MAX_CONDITION = 1e6
#: a derivative made in an eigenbasis is accepted if its relative error is below cond(V) times this
ACCURACY = 1e-14
#: `rounding_estimate` is right to a factor of about two
ROUNDING_SAFETY = 2.0
#: |t|·(spread of three eigenvalues) below which their second divided difference is a Taylor series
TAYLOR_SPREAD = 0.5
TAYLOR_TERMS = 14


class Eigenbasis(NamedTuple):
    """Q = V diag(λ) V⁻¹ for a stack: λ (..., d), V and V⁻¹ (..., d, d), cond₂ (...).

    ``condition`` is that of the eigenvectors in balanced units, D⁻¹V: by it digits are lost.
    """

    values: Array
    vectors: Array
    inverse: Array
    condition: Array


def eigenbasis(Q: Array, small: float = 0.0) -> Eigenbasis:
    """The eigendecomposition of every matrix of a stack, unitary whenever the matrix is normal.

    A defective matrix is no error here: its ``condition`` is huge or infinite; see `guard`. It is
    taken in balanced units, entries up to ``small`` left alone (`balance.balancing`).
    """
    d = Q.shape[-1]
    parts = [_single(A, small) for A in Q.reshape(-1, d, d)]
    values, vectors, inverse = (
        np.array(part) for part in zip(*(p[:3] for p in parts), strict=True)
    )
    condition = np.array([p[3] for p in parts])
    lead = Q.shape[:-2]
    return Eigenbasis(
        values.reshape(*lead, d),
        vectors.reshape(*lead, d, d),
        inverse.reshape(*lead, d, d),
        condition.reshape(lead),
    )


def _single(A: Array, small: float) -> tuple[Array, Array, Array, float]:
    for turn in (1.0, 1j):  # A or iA Hermitian: real spectrum up to the turn
        if np.array_equal(turn * A, adjoint(turn * A)):
            values, V = np.linalg.eigh(turn * A)
            return values / turn, V, adjoint(V), 1.0
    d = A.shape[-1]
    if np.abs(A @ adjoint(A) - adjoint(A) @ A).max() <= d * EPS * np.linalg.norm(A) ** 2:
        T, V = schur(A, output="complex")
        if np.abs(np.triu(T, 1)).max(initial=0.0) <= d * EPS * np.linalg.norm(A):
            return np.diagonal(T), V, adjoint(V), 1.0
    D = balancing(A, small)
    values, V = np.linalg.eig(scaled(A, D))
    singular = np.linalg.svd(V, compute_uv=False)
    if singular[-1] <= EPS * singular[0]:
        return values, V, np.full_like(V, np.nan), np.inf
    inverse = np.linalg.inv(V)
    unscaled = D[:, None] * V
    size = np.exp2(np.round(np.log2(np.linalg.norm(unscaled, axis=0))))  # columns of about 1
    condition = float(singular[0] / singular[-1])
    return values, unscaled / size, size[:, None] * (inverse / D), condition


def guard(basis: Eigenbasis, limit: float = MAX_CONDITION) -> float:
    """The worst cond₂(V) of the stack; DomainError if it exceeds ``limit``."""
    worst = float(np.max(basis.condition, initial=1.0))
    if worst > limit:
        raise DomainError(
            f"the eigenbasis is defective or ill-conditioned, cond(V) = {worst:.1e} > {limit:.1e}; "
            "use method='frechet', which needs no eigenbasis"
        )
    return worst


def rounding_estimate(basis: Eigenbasis, Phi: Array, J: Array, value: Array) -> Array:
    """Relative rounding error of value = V (Φ ∘ V⁻¹JV) V⁻¹, shape (...), errors taken as random.

    eps·(Σ |V|² (|Φ|² ∘ |V⁻¹|²|J|²|V|²) |V⁻¹|²)^½/‖value‖_F with entry-wise squares. It grows like
    cond(V)² where eigenvectors cancel (graded, nearly defective Q), like cond(V) where they do not.
    """
    # scaled, so that no square under- or overflows
    size_Phi, size_J = (np.maximum(np.abs(A).max(axis=(-2, -1)), TINY) for A in (Phi, J))
    V, inverse = np.abs(basis.vectors) ** 2, np.abs(basis.inverse) ** 2
    inner = inverse @ np.abs(J / size_J[..., None, None]) ** 2 @ V
    squares = V @ (np.abs(Phi / size_Phi[..., None, None]) ** 2 * inner) @ inverse
    size = np.linalg.norm(value / size_J[..., None, None], axis=(-2, -1)) / size_Phi
    return EPS * np.sqrt(squares.sum(axis=(-2, -1))) / np.maximum(size, TINY) * (size > 0)


def phi1(z: Array) -> Array:
    """φ₁(z) = (eᶻ − 1)/z = ∫₀¹ e^{sz} ds, with φ₁(0) = 1."""
    safe = np.where(z == 0, 1.0, z)
    return np.where(z == 0, 1.0, np.expm1(safe) / safe)


def divided_difference(a: Array, b: Array, t: Array) -> Array:
    """f[a, b] = (e^{ta} − e^{tb})/(a − b) for f = exp(t·), elementwise; t e^{ta} where a = b."""
    ta, tb = t * a, t * b
    larger = ta.real >= tb.real
    top, bottom = np.where(larger, ta, tb), np.where(larger, tb, ta)
    return t * np.exp(top) * phi1(bottom - top)


def second_divided_difference(a: Array, b: Array, c: Array, t: Array) -> Array:
    """f[a, b, c] for f = exp(t·), elementwise, stable for close and equal arguments.

    Far apart: the difference of two first differences over the widest gap. Close together
    (|t|·gap ≤ `TAYLOR_SPREAD`): t² e^{tm} Σ_k h_k/(k+2)!, h_k the complete homogeneous symmetric
    polynomials of the distances t(a−m), t(b−m), t(c−m) from the mean m.
    """
    a, b, c, t = np.broadcast_arrays(a, b, c, t)
    gaps = np.stack([np.abs(a - c), np.abs(b - c), np.abs(a - b)])
    widest = gaps.argmax(axis=0)
    x = np.choose(widest, [a, b, a])  # the widest pair is (x, z); y is the third
    y = np.choose(widest, [b, a, c])
    z = np.choose(widest, [c, c, b])
    close = np.abs(t) * gaps.max(axis=0) <= TAYLOR_SPREAD
    gap = np.where(close, 1.0, x - z)
    far = (divided_difference(x, y, t) - divided_difference(y, z, t)) / gap

    mean = (a + b + c) / 3
    u, v, w = (np.where(close, t * (s - mean), 0.0) for s in (a, b, c))
    h1 = h2 = h3 = np.ones_like(u)  # complete homogeneous in (u), (u, v), (u, v, w)
    total, factorial = h3 / 2, 2.0
    for k in range(1, TAYLOR_TERMS):
        h1 = u * h1
        h2 = v * h2 + h1
        h3 = w * h3 + h2
        factorial *= k + 2
        total = total + h3 / factorial
    near = t**2 * np.exp(t * np.where(close, mean, 0.0)) * total
    return np.where(close, near, far)
