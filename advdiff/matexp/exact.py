"""Exact methods: six independent ways to ∇_J e^{tQ} = ∫₀ᵗ e^{(t−s)Q} J e^{sQ} ds.

Every function takes validated stacks ``Q`` and ``J`` and times ``t`` shaped (..., 1, 1).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import expm_frechet

from advdiff.matexp.balance import expm, small_for
from advdiff.matexp.operands import EPS, Array, DomainError, Result, adjoint, norm1, real_if
from advdiff.matexp.series import doublings, exponential_and_integral, join
from advdiff.matexp.spectral import (
    ACCURACY,
    MAX_CONDITION,
    ROUNDING_SAFETY,
    Eigenbasis,
    divided_difference,
    eigenbasis,
    guard,
    rounding_estimate,
)

#: Gauss nodes a panel: with ‖hQ‖₁ ≤ 1 their quadrature error is below 1e-17 relative
QUADRATURE_NODES = 8
#: step of the complex-step derivative relative to ‖Q‖/‖J‖; its square vanishes beside 1
COMPLEX_STEP = 1e-30


def frechet(Q: Array, J: Array, t: Array) -> Result:
    """Scaling and squaring of the Fréchet derivative (Al-Mohy & Higham, SIMAX 30, 2009)."""
    tQ, tJ = np.broadcast_arrays(t * Q, t * J)
    d = Q.shape[-1]
    flat = [
        expm_frechet(A, E, compute_expm=False, check_finite=False)
        for A, E in zip(tQ.reshape(-1, d, d), tJ.reshape(-1, d, d), strict=True)
    ]
    return Result(np.array(flat).reshape(tQ.shape))


def block(Q: Array, J: Array, t: Array) -> Result:
    """The upper right block of exp(t [[Q, J], [0, Q]]) (Mathias, SIMAX 17, 1996)."""
    d = Q.shape[-1]
    size_Q, size_J = norm1(Q), norm1(J)
    # the result is linear in J: a large J must not enlarge the number of squarings
    scale = np.where(size_Q > 0, size_Q, 1.0) / np.where(size_J > 0, size_J, 1.0)
    # scipy.linalg.expm loses up to four digits on triangular matrices, which the block is for d = 1
    # and for triangular Q
    X, _ = exponential_and_integral(block_triangular(Q, scale * J), t)
    return Result(X[..., :d, d:] / scale)


def block_triangular(Q: Array, J: Array) -> Array:
    """[[Q, J], [0, Q]] for broadcasting stacks, shape (..., 2d, 2d)."""
    Q, J = np.broadcast_arrays(Q, J)
    return np.concatenate(
        [np.concatenate([Q, J], axis=-1), np.concatenate([np.zeros_like(Q), Q], axis=-1)], axis=-2
    )


def daleckii_krein(
    Q: Array,
    J: Array,
    t: Array,
    max_condition: float = MAX_CONDITION,
    basis: Eigenbasis | None = None,
) -> Result:
    """V (Φ ∘ V⁻¹JV) V⁻¹ with Φ_ij = (e^{tλ_i} − e^{tλ_j})/(λ_i − λ_j) (Daleckii & Krein 1951).

    Raises DomainError, naming cond(V), for a defective or ill-conditioned eigenbasis, and where it
    would amplify rounding (`rounding_estimate`) beyond a relative error of cond(V)·1e-14.
    """
    basis = eigenbasis(Q, small_for(t)) if basis is None else basis
    condition = guard(basis, max_condition)
    values, V, inverse, _ = basis
    Phi = divided_difference(values[..., :, None], values[..., None, :], t)
    value = V @ (Phi * (inverse @ J @ V)) @ inverse
    estimate = rounding_estimate(basis, Phi, J, value)
    if (ROUNDING_SAFETY * estimate > ACCURACY * basis.condition).any():
        raise DomainError(
            f"the eigenbasis amplifies rounding to a relative error of about {estimate.max():.0e} "
            f"with cond(V) = {condition:.1e}; use method='frechet'"
        )
    error = float(np.max(estimate, initial=0.0))
    return Result(real_if(value, Q, J), condition=condition, error_estimate=error)


def eigenpair(Q: Array, J: Array, t: Array) -> Result:
    """Eigenvalue and eigenvector perturbation of a Hermitian Q, written pair by pair.

    The pairs (i, j) and (j, i) are summed first: apart, each is singular where λ_i = λ_j.
    Raises DomainError if Q is not Hermitian (to rounding).
    """
    d = Q.shape[-1]
    if (np.abs(Q - adjoint(Q)) > d * EPS * norm1(Q)).any():
        raise DomainError("eigenpair needs a Hermitian Q; use method='daleckii-krein'")
    values, V = np.linalg.eigh(Q)
    K = adjoint(V) @ J @ V
    total = np.zeros((), dtype=V.dtype)
    for i in range(d):
        vi, rest = V[..., :, i : i + 1], V[..., :, i + 1 :]
        turn = divided_difference(values[..., None, i : i + 1], values[..., None, i + 1 :], t)
        row = turn * K[..., i : i + 1, i + 1 :]  # v_i (v_i* J v_j) v_j*
        column = turn.swapaxes(-1, -2) * K[..., i + 1 :, i : i + 1]  # v_j (v_j* J v_i) v_i*
        diagonal = t * np.exp(t * values[..., i, None, None]) * K[..., i : i + 1, i : i + 1]
        total = total + vi @ (diagonal * adjoint(vi) + row @ adjoint(rest))
        total = total + rest @ column @ adjoint(vi)
    return Result(real_if(total, Q, J), condition=1.0)


def quadrature(Q: Array, J: Array, t: Array, nodes: int = QUADRATURE_NODES) -> Result:
    """Composite Gauss–Legendre of the integral, equal panels summed by doubling.

    One panel h = t/2^k with ‖hQ‖₁ ≤ 1; then Y(2h) = e^{hQ}Y(h) + Y(h)e^{hQ} joins two panels, so
    that 2^k panels cost k steps and no exponential is restarted from 0.
    """
    nodes = _count("nodes", nodes)
    count = doublings(norm1(t * Q))
    h = t / 2.0**count
    x, w = np.polynomial.legendre.leggauss(nodes)
    exponentials = [expm(h * (1 + xi) / 2 * Q) for xi in x]
    Y = sum(
        h * (wi / 2) * (exponentials[-1 - i] @ J @ exponentials[i])  # nodes are symmetric
        for i, wi in enumerate(w)
    )
    return Result(join(expm(h * Q), Y, count), terms=nodes * 2 ** int(count.max(initial=0)))


def complex_step(Q: Array, J: Array, t: Array) -> Result:
    """Im exp(t(Q + ihJ))/h for real Q and J (Al-Mohy & Higham, Numer. Algorithms 53, 2010).

    The exponential is a Taylor polynomial scaled by ‖tQ‖₁. `scipy.linalg.expm` would not do: where
    powers of Q are small (nilpotent Q) its degree is right for e^{tQ}, too low for the derivative.
    """
    if np.iscomplexobj(Q) or np.iscomplexobj(J):
        raise DomainError("complex-step needs real Q and J; use method='block'")
    size_Q, size_J = norm1(Q), norm1(J)
    h = COMPLEX_STEP * np.where(size_Q > 0, size_Q, 1.0) / np.where(size_J > 0, size_J, 1.0)
    X, _ = exponential_and_integral(Q + 1j * h * J, t)
    return Result(X.imag / h)


def _count(name: str, value: int) -> int:
    if int(value) != value or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value}")
    return int(value)
