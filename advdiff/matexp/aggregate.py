"""Exact gradients of F(Q) = Σ_b a_bᵀ e^{t_b Q} p_b over many terms, and Hessian-vector products.

One eigendecomposition serves all terms. With α_b = Vᵀa_b, β_b = V⁻¹p_b and f_b = exp(t_b ·),

    ∂F = Σ_ij G̃_ij (V⁻¹ dQ V)_ij,      G̃_ij = Σ_b α_bi f_b[λ_i, λ_j] β_bj,

and for separated eigenvalues the divided difference leaves the sum: two matrix products, O(N d²)
(Monti, Ji & Suchard 2025). For close ones the terms are summed with the stable φ₁ form. Where the
eigenbasis is ill-conditioned the same sums are made from Fréchet derivatives, one for every
distinct time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm

from .exact import block_triangular, frechet
from .operands import EPS, Array, DomainError, Result, double, matrices, real_if, times
from .spectral import (
    ACCURACY,
    ROUNDING_SAFETY,
    TAYLOR_SPREAD,
    TAYLOR_TERMS,
    Eigenbasis,
    divided_difference,
    eigenbasis,
    guard,
    second_divided_difference,
)

#: eigenvalues closer than this, relative to the largest, are never divided by: at most 2 digits go
CLOSE = 1e-2
#: an eigenbasis loses up to cond(V)²·eps in a sum of gradients and cond(V)³·eps in its derivative:
#: beyond these limits it is refused; below, a gradient by its own error (`_rounding`), while a
#: Hessian product is accepted (measured worst case at the limit: 1e-10)
GRADIENT_CONDITION = 1e3
HESSIAN_CONDITION = 3e2
#: the rounding of a sum is estimated from so many of its terms, the largest
SAMPLE = 96
#: scalars evaluated at once when close eigenvalues are summed term by term
CHUNK = 2**18


class Terms(NamedTuple):
    """The sum F(Q) = Σ_b a_bᵀ e^{t_b Q} p_b: ``left`` a (N, d), ``right`` p (N, d), ``t`` (N,)."""

    left: Array
    right: Array
    t: Array


def _terms(Q: ArrayLike, a: ArrayLike, p: ArrayLike, t: ArrayLike) -> tuple[Array, Terms]:
    Q, a, p, t = matrices("Q", Q), double("a", a), double("p", p), times("t", t)
    if Q.ndim != 2:
        raise ValueError(f"Q must be one matrix of shape (d, d), got {Q.shape}")
    d = len(Q)
    if a.ndim != 2 or a.shape[1] != d or p.shape != a.shape:
        raise ValueError(f"a and p must both have shape (N, {d}), got {a.shape} and {p.shape}")
    if t.ndim > 1 or (t.ndim == 1 and len(t) != len(a)):
        raise ValueError(f"t must be a number or have shape ({len(a)},), got {t.shape}")
    return Q, Terms(a, p, np.broadcast_to(t, len(a)))


def bilinear_sum(Q: ArrayLike, a: ArrayLike, p: ArrayLike, t: ArrayLike = 1.0) -> complex | float:
    """F(Q) = Σ_b a_bᵀ e^{t_b Q} p_b for Q (d, d), a and p (N, d), t (N,) or a number.

    One matrix exponential for every distinct time (any Q).
    """
    Q, terms = _terms(Q, a, p, t)
    distinct, groups = np.unique(terms.t, return_inverse=True)
    total = 0.0
    for k, s in enumerate(distinct):
        mine = groups == k
        total += np.sum(terms.left[mine] @ expm(s * Q) * terms.right[mine])
    return total


def bilinear_gradient(
    Q: ArrayLike,
    a: ArrayLike,
    p: ArrayLike,
    t: ArrayLike = 1.0,
    method: str = "auto",
    *,
    max_condition: float = GRADIENT_CONDITION,
    basis: Eigenbasis | None = None,
    accuracy: float | None = None,
    full_output: bool = False,
) -> Array | Result:
    """G_ij = ∂/∂Q_ij Σ_b a_bᵀ e^{t_b Q} p_b, exact, shape (d, d), in O(d³ + N d²).

    ``Q`` (d, d), ``a`` and ``p`` (N, d), ``t`` (N,) or a number. ``method``: "daleckii-krein" (the
    eigenbasis; DomainError beyond ``max_condition``), "frechet" (O(d³) for every distinct time,
    any Q), the surrogates "first-order" (Σ_b t_b (e^{t_b Q})ᵀ a_b p_bᵀ), "asymptotic" and
    "kernel-exact" (of order 0; both for a Q with one zero eigenvalue) in the same eigenbasis, or
    "auto": the eigenbasis if cond(V) ≤ ``max_condition`` and rounding, relative to the gradient,
    stays below ``accuracy`` (cond(V)·1e-14), else Fréchet. ``basis``: that of Q, where it is known.
    ``full_output`` gives a `Result`.
    """
    Q, terms = _terms(Q, a, p, t)
    asked = method
    known = ("daleckii-krein", "frechet", *SURROGATE_CORES)
    method, reason, basis = _route(Q, method, known, max_condition, basis)
    condition = error = None
    if basis is not None:
        condition = guard(basis, max_condition)
        core = SURROGATE_CORES.get(method, _exact_core)
        with np.errstate(over="ignore", invalid="ignore"):  # reported by _checked
            value = basis.inverse.T @ core(basis, _in_eigenbasis(basis, terms)) @ basis.vectors.T
            error = _rounding(basis, terms, value) if core is _exact_core else None
        limit = ACCURACY * condition if accuracy is None else accuracy
        if error is not None and not ROUNDING_SAFETY * error <= limit:
            refusal = f"rounding of about {error:.0e} in the eigenbasis, cond(V) = {condition:.1e}"
            if asked != "auto" and np.isfinite(value).all():
                raise DomainError(f"{refusal}; use method='frechet'")
            method, reason, basis, error = "frechet", refusal, None, None
    if basis is None:
        value = _gradient_by_times(Q, terms)
    value = _checked(value, Q, terms.left, terms.right)
    return Result(value, method, reason, condition, error) if full_output else value


def bilinear_hessian_product(
    Q: ArrayLike,
    a: ArrayLike,
    p: ArrayLike,
    D: ArrayLike,
    t: ArrayLike = 1.0,
    method: str = "auto",
    *,
    max_condition: float = HESSIAN_CONDITION,
    full_output: bool = False,
) -> Array | Result:
    """d/dε of `bilinear_gradient` along Q + εD at ε = 0, exact, shape (d, d).

    ``D`` (d, d); the rest as in `bilinear_gradient`. "daleckii-krein": second divided differences
    in the eigenbasis, O(N d³) in matrix products. "frechet" (any Q): the gradient of the same sum
    with the matrix [[Q, D], [0, Q]] (Higham & Relton, SIMAX 35, 2014), one for every distinct
    time.
    """
    Q, terms = _terms(Q, a, p, t)
    D = matrices("D", D)
    if D.shape != Q.shape:
        raise ValueError(f"D must have shape {Q.shape}, got {D.shape}")
    method, reason, basis = _route(Q, method, ("daleckii-krein", "frechet"), max_condition)
    condition = None
    if basis is not None:
        condition = guard(basis, max_condition)
        inner = basis.inverse @ D @ basis.vectors
        with np.errstate(over="ignore", invalid="ignore"):  # reported by _checked
            core = _second_core(basis, _in_eigenbasis(basis, terms), inner)
            value = basis.inverse.T @ core @ basis.vectors.T
    else:
        d = len(Q)
        zeros = np.zeros_like(terms.left)
        doubled = Terms(
            np.hstack([terms.left, zeros]),
            np.hstack([np.zeros_like(terms.right), terms.right]),
            terms.t,
        )
        G = _gradient_by_times(block_triangular(Q, D), doubled)
        value = G[:d, :d] + G[d:, d:]  # Q stands in both diagonal blocks
    value = _checked(value, Q, terms.left, terms.right, D)
    return Result(value, method, reason, condition) if full_output else value


def _route(
    Q: Array, method: str, known: tuple[str, ...], limit: float, basis: Eigenbasis | None = None
) -> tuple[str, str, Eigenbasis | None]:
    if method == "frechet":
        return method, "asked for", None
    if method in known:
        return method, "asked for", eigenbasis(Q) if basis is None else basis
    if method != "auto":
        raise ValueError(f"unknown method {method!r}; choose from auto, {', '.join(known)}")
    basis = eigenbasis(Q) if basis is None else basis
    if basis.condition <= limit:
        return "daleckii-krein", f"cond(V) = {basis.condition:.1e} <= {limit:.0e}", basis
    return "frechet", f"cond(V) = {basis.condition:.1e} > {limit:.0e}", None


def _in_eigenbasis(basis: Eigenbasis, terms: Terms) -> Terms:
    return Terms(terms.left @ basis.vectors, terms.right @ basis.inverse.T, terms.t)


def _rounding(basis: Eigenbasis, terms: Terms, value: Array) -> float:
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


def _gradient_by_times(Q: Array, terms: Terms) -> Array:
    distinct, groups = np.unique(terms.t, return_inverse=True)
    total = np.zeros(())
    for k, s in enumerate(distinct):
        mine = groups == k
        total = total + frechet(Q.T, terms.left[mine].T @ terms.right[mine], s[None, None]).value
    return total


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


def _kernel_exact_core(basis: Eigenbasis, terms: Terms) -> Array:
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
    "kernel-exact": _kernel_exact_core,
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


def _exact_core(basis: Eigenbasis, terms: Terms) -> Array:
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


def _second_core(basis: Eigenbasis, terms: Terms, D: Array) -> Array:
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
    C = _exact_core(basis, terms)[:, None, :]
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


def _checked(value: Array, Q: Array, *others: Array) -> Array:
    if not np.isfinite(value).all():
        raise OverflowError("the gradient is not representable in double precision")
    return real_if(value, Q, *others)
