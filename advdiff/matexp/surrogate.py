"""Surrogates: approximations of ∇_J e^{tQ} that a sampler may use instead of the exact derivative.

Every function returns its whole approximation (correction terms included) for validated stacks
``Q``, ``J`` and times ``t`` shaped (..., 1, 1). All are sums of f(Q) J g(Q), so that the adjoint
of a surrogate is the same surrogate at Qᵀ.
"""

from __future__ import annotations

from math import factorial

import numpy as np

from advdiff.matexp.balance import expm
from advdiff.matexp.exact import block_triangular
from advdiff.matexp.group import group_inverse, kernel_projector
from advdiff.matexp.operands import Array, Result, commutator
from advdiff.matexp.series import commutator_terms, exponential_and_integral


def first_order(Q: Array, J: Array, t: Array) -> Result:
    """t e^{tQ} J; error O(t²), and none for all t if and only if [Q, J] = 0."""
    return Result(expm(t * Q) @ (t * J))


def midpoint(Q: Array, J: Array, t: Array) -> Result:
    """t e^{tQ/2} J e^{tQ/2}, error O(t³)."""
    half = expm(t / 2 * Q)
    return Result(t * (half @ J @ half))


def truncated(Q: Array, J: Array, t: Array, order: int = 1) -> Result:
    """e^{tQ} ∫₀ᵗ T_p(−sQ) J T_p(sQ) ds with T_p the Taylor polynomial of degree ``order`` of exp.

    Order 0 is first-order, order 1 is e^{tQ} (tJ + t²/2 (JQ − QJ) − t³/3 QJQ); error O(t^{p+2}),
    2p + 1 products beside e^{tQ}.
    """
    if int(order) != order or order < 0:
        raise ValueError(f"order must be an integer >= 0, got {order}")
    right = [np.asarray(t * J)]  # t^{m+1} J Q^m / m!
    for m in range(1, order + 1):
        right.append((t / m) * (right[-1] @ Q))
    total = np.zeros(())
    for k in range(order, -1, -1):  # Horner in −tQ from the left
        inner = sum(R / (k + m + 1) for m, R in enumerate(right)) / factorial(k)
        total = inner - t * (Q @ total) if k < order else inner
    return Result(expm(t * Q) @ total)


def asymptotic(Q: Array, J: Array, t: Array) -> Result:
    """t e^{tQ} J − e^{tQ} J Q^# (I + tQ) − Q^# J Π: right up to O(t e^{−gt}), g the spectral gap.

    Its derivation: docs/theory.md, § 1, and its bound § 2.
    DomainError if 0 is a defective eigenvalue of Q.
    """
    Pi = kernel_projector(Q)
    G = group_inverse(Q, Pi)
    # Q^#Q = I − Π: the terms t e^{tQ} J(I − Π) cancel
    return Result(expm(t * Q) @ (t * (J @ Pi) - J @ G) - G @ J @ Pi)


def kernel_exact(Q: Array, J: Array, t: Array, order: int = 0) -> Result:
    """tΠJΠ + ΠJQ^#(e^{tQ}−I) + Q^#(e^{tQ}−I)JΠ + e^{tQ} Σ_{n≤order} t^{n+1}/(n+1)! (−ad_Q)ⁿ K.

    K = (I−Π)J(I−Π). Exact on the three blocks that touch the kernel; the fourth is the commutator
    series to ``order``: error O(t^{order+2}) as t → 0 and O(t^{order+2} e^{−gt}) as t → ∞. Order
    −1 leaves the fourth block out. DomainError if 0 is a defective eigenvalue of Q.
    """
    if int(order) != order or order < -1:
        raise ValueError(f"order must be an integer >= -1, got {order}")
    Pi = kernel_projector(Q)
    outside = np.eye(Q.shape[-1]) - Pi
    X, S = exponential_and_integral(Q, t)
    flow = outside @ S  # Q^#(e^{tQ} − I), without the inverse
    value = t * (Pi @ J @ Pi) + Pi @ J @ flow + flow @ J @ Pi
    terms = commutator_terms(Q, outside @ J @ outside, t)
    for _ in range(order + 1):
        value = value + outside @ X @ next(terms)
    return Result(value)


def first_order_error(Q: Array, J: Array, t: Array) -> Array:
    """Z = ∇_J e^{tQ} − t e^{tQ} J without cancellation, from its own equation.

    Z' = QZ + [J, e^{tQ}], Z(0) = 0, and [J, e^{sQ}] = ∫₀ˢ e^{(s−r)Q} [J, Q] e^{rQ} dr make Z the
    corner block of the exponential of t [[Q, I, 0], [0, Q, [J, Q]], [0, 0, Q]].
    """
    d = Q.shape[-1]
    C = commutator(J, Q)
    Q, C = np.broadcast_arrays(Q, C)
    shift = np.zeros((*Q.shape[:-2], d, 2 * d), dtype=C.dtype)
    shift[..., :d, :d] = np.eye(d)
    lower = block_triangular(Q, C)
    top = np.concatenate([Q, shift], axis=-1)
    bottom = np.concatenate([np.zeros_like(lower[..., :, :d]), lower], axis=-1)
    return expm(t * np.concatenate([top, bottom], axis=-2))[..., :d, 2 * d :]


def first_order_error_series(Q: Array, J: Array, t: Array, order: int) -> Array:
    """Z by its series e^{tQ} Σ_{n=1}^{order} t^{n+1}/(n+1)! (−ad_Q)ⁿ J."""
    terms = commutator_terms(Q, J, t)
    next(terms)
    return expm(t * Q) @ sum(next(terms) for _ in range(order))
