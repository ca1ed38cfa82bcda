"""The sums over terms that gradients in an eigenbasis are made of; see `aggregate` for their use.

With α_b = Vᵀa_b, β_b = V⁻¹p_b and f_b = exp(t_b ·), a core is a (d, d) matrix over pairs of
eigenvalues: G̃_ij = Σ_b α_bi f_b[λ_i, λ_j] β_bj, a surrogate of it, or its derivative. For separated
eigenvalues the divided difference leaves the sum; close ones are summed term by term.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from advdiff.matexp.operands import EPS, Array
from advdiff.matexp.spectral import (
    ACCURACY,
    ROUNDING_SAFETY,
    TAYLOR_SPREAD,
    TAYLOR_TERMS,
    Eigenbasis,
    divided_difference,
    second_divided_difference,
)

#: eigenvalues closer than this, relative to the largest, are never divided by: at most 2 digits go
CLOSE = 1e-2
#: the rounding of a sum is estimated from so many of its terms, the largest
SAMPLE = 96
#: scalars evaluated at once when close eigenvalues are summed term by term
CHUNK = 2**18


class Terms(NamedTuple):
    """The sum F(Q) = Σ_b a_bᵀ e^{t_b Q} p_b: ``left`` a (N, d), ``right`` p (N, d), ``t`` (N,)."""

    left: Array
    right: Array
    t: Array


def in_eigenbasis(basis: Eigenbasis, terms: Terms) -> Terms:
    return Terms(terms.left @ basis.vectors, terms.right @ basis.inverse.T, terms.t)


def rounding(basis: Eigenbasis, terms: Terms, value: Array) -> float:
    """Relative rounding error of a gradient made in the eigenbasis, errors taken as random.

    As `spectral.rounding_estimate`: entry-wise squares through V⁻ᵀ G̃ Vᵀ and through the sums that
    make α, β and G̃, here from the `SAMPLE` largest terms.
    """
    if ROUNDING_SAFETY * EPS * basis.condition <= ACCURACY or not len(terms.t):
        return EPS * basis.condition  # cond(V)² is nothing to speak of
    a, p, t = terms
    growth = np.exp(t * basis.values.real.max())
    weight = np.linalg.norm(a, axis=1) * np.linalg.norm(p, axis=1) * np.abs(t) * growth
    largest = np.argsort(weight)[-SAMPLE:]
    V, inverse = np.abs(basis.vectors) ** 2, np.abs(basis.inverse) ** 2
    A, B = np.abs(a[largest]) ** 2 @ V, np.abs(p[largest]) ** 2 @ inverse.T
    T = t[largest, None]
    E, F = (np.abs(X) ** 2 for X in _factors(T * basis.values))
    gap, close = _gaps(basis.values)
    near = (A * T**2 * E).T @ B + A.T @ (T**2 * E * B)
    far = ((A * F).T @ B + A.T @ (F * B)) / np.where(close, 1.0, np.abs(gap) ** 2)
    squares = inverse.sum(axis=1) @ np.where(close, near, far) @ V.sum(axis=0)
    size = np.linalg.norm(value)
    return EPS * np.sqrt(squares * len(t) / len(largest)) / size if size else 0.0


def _first_order_core(basis: Eigenbasis, terms: Terms) -> Array:
    E = np.exp(terms.t[:, None] * basis.values)
    return (terms.left * (terms.t[:, None] * E)).T @ terms.right


def _kernel(values: Array) -> tuple[int, Array]:
    """Which eigenvalue is the zero one, and 1/λ with 0 for it."""
    zero = int(np.abs(values).argmin())
    reciprocal = 1.0 / np.where(np.arange(len(values)) == zero, 1.0, values)
    reciprocal[zero] = 0.0
    return zero, reciprocal


def _asymptotic_core(basis: Eigenbasis, terms: Terms) -> Array:
    """Σ_b α_bi β_bj times t e^{tλ_i} − 1/λ_i in the kernel's column, −e^{tλ_i}/λ_j in others."""
    zero, reciprocal = _kernel(basis.values)
    (alpha, beta, t), E = terms, np.exp(terms.t[:, None] * basis.values)
    G = -((alpha * E).T @ beta) * reciprocal
    weight = t[:, None] * E - reciprocal
    G[:, zero] = (alpha * weight).T @ beta[:, zero]
    return G


def _kernelexact_core(basis: Eigenbasis, terms: Terms) -> Array:
    """First-order, but the divided differences in the kernel's row and column."""
    zero, reciprocal = _kernel(basis.values)
    alpha, beta, t = terms
    G = _first_order_core(basis, terms)
    weight = np.expm1(t[:, None] * basis.values) * reciprocal
    weight[:, zero] = t
    G[:, zero] = (alpha * weight).T @ beta[:, zero]
    G[zero, :] = alpha[:, zero] @ (weight * beta)
    return G


SURROGATE_CORES = {
    "first-order": _first_order_core,
    "asymptotic": _asymptotic_core,
    "kernel-exact": _kernelexact_core,
}


def _factors(exponent: Array) -> tuple[Array, Array]:
    """e^{tλ}, and what is differenced for it: where |tλ| is small, e^{tλ} − 1 keeps more digits."""
    small = np.abs(exponent).max(axis=1) < 1.0
    E = np.exp(exponent)
    return E, np.where(small[:, None], np.expm1(exponent), E) if small.any() else E


def _gaps(values: Array) -> tuple[Array, Array]:
    """λ_i − λ_j, and where they are too close to divide by."""
    gap = values[:, None] - values[None, :]
    return gap, np.abs(gap) <= CLOSE * np.abs(values).max()


def exact_core(basis: Eigenbasis, terms: Terms) -> Array:
    """G̃_ij = Σ_b α_bi f_b[λ_i, λ_j] β_bj."""
    values, (alpha, beta, t) = basis.values, terms
    T = t[:, None]
    E, F = _factors(T * values)
    gap, close = _gaps(values)
    G = ((alpha * F).T @ beta - alpha.T @ (F * beta)) / np.where(close, 1.0, gap)
    np.fill_diagonal(G, np.einsum("bi,bi,bi->i", alpha, T * E, beta))
    rows, columns = np.nonzero(np.triu(close, 1))
    step = max(1, CHUNK // len(t)) if len(t) else 1
    for start in range(0, len(rows), step):
        i, j = rows[start : start + step], columns[start : start + step]
        Phi = divided_difference(values[i], values[j], T)
        G[i, j] = np.einsum("bi,bi,bi->i", alpha[:, i], Phi, beta[:, j])
        G[j, i] = np.einsum("bi,bi,bi->i", alpha[:, j], Phi, beta[:, i])
    return G


def second_core(basis: Eigenbasis, terms: Terms, D: Array) -> Array:
    """H̃_jk = Σ_i D_ij c_ijk + Σ_i c_jki D_ki with c_ijk = Σ_b α_bi f_b[λ_i, λ_j, λ_k] β_bk."""
    short = np.abs(terms.t) * np.abs(basis.values).max() <= TAYLOR_SPREAD
    c = _triple_sums(basis, Terms(*(part[~short] for part in terms)))
    c = c + _short_triple_sums(basis, Terms(*(part[short] for part in terms)))
    return np.einsum("ij,ijk->jk", D, c) + np.einsum("ijk,jk->ij", c, D)


def _triple_sums(basis: Eigenbasis, terms: Terms) -> Array:
    """c_ijk = Σ_b α_bi f_b[λ_i, λ_j, λ_k] β_bk, shape (d, d, d).

    Three tensors of first differences, A = f[i,j], B = f[j,k], C = f[i,k] summed with α_i β_k,
    give c as (A − B)/(λ_i − λ_k) = (A − C)/(λ_j − λ_k) = (C − B)/(λ_i − λ_j): the widest gap
    divides. Triples without a wide gap are summed term by term.
    """
    values, (alpha, beta, t) = basis.values, terms
    T, d = t[:, None], len(values)
    A = np.empty((d, d, d), dtype=np.result_type(alpha, beta, values, float))
    B = np.empty_like(A)
    for j in range(d):
        Phi = divided_difference(values, values[j], T)  # f[λ_j, ·], shape (N, d)
        A[:, j, :] = (alpha * Phi).T @ beta
        B[:, j, :] = alpha.T @ (Phi * beta)
    C = exact_core(basis, terms)[:, None, :]
    li, lj, lk = values[:, None, None], values[None, :, None], values[None, None, :]
    ik, jk, ij = np.broadcast_arrays(li - lk, lj - lk, li - lj)
    widest = np.abs(np.stack([ik, jk, ij])).argmax(axis=0)
    gap = np.choose(widest, [ik, jk, ij])
    close = np.abs(gap) <= CLOSE * np.abs(values).max()
    c = np.choose(widest, [A - B, A - C, C - B]) / np.where(close, 1.0, gap)
    i, j, k = np.nonzero(close)
    step = max(1, CHUNK // len(t)) if len(t) else 1
    for start in range(0, len(i), step):
        x, y, z = i[start : start + step], j[start : start + step], k[start : start + step]
        f = second_divided_difference(values[x], values[y], values[z], T)
        c[x, y, z] = np.einsum("bi,bi,bi->i", alpha[:, x], f, beta[:, z])
    return c


def _short_triple_sums(basis: Eigenbasis, terms: Terms) -> Array:
    """The same for |t_b λ| ≤ `TAYLOR_SPREAD`: Σ_n h_n(λ) Σ_b α_bi t_b^{n+2}/(n+2)! β_bk.

    Differences would lose digits like 1/(t·gap). h_n: complete homogeneous symmetric polynomials.
    """
    alpha, beta, t = terms
    unit = np.abs(t).max(initial=0.0)
    if unit == 0.0:
        return np.zeros(())
    u = unit * basis.values
    li, lj, lk = u[:, None, None], u[None, :, None], u[None, None, :]
    h1 = h2 = h3 = np.ones(())
    weight = (t / unit)[:, None] ** 2 / 2
    total = np.zeros((len(u),) * 3)
    for n in range(TAYLOR_TERMS):
        if n > 0:
            h1 = li * h1
            h2 = lj * h2 + h1
            h3 = lk * h3 + h2
            weight = weight * (t / unit)[:, None] / (n + 2)
        total = total + h3 * ((alpha * weight).T @ beta)[:, None, :]
    return unit**2 * total
