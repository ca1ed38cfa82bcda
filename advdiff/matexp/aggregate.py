"""Exact gradients of F(Q) = Σ_b a_bᵀ e^{t_b Q} p_b over many terms, and Hessian-vector products.

One eigendecomposition serves all terms. With α_b = Vᵀa_b, β_b = V⁻¹p_b and f_b = exp(t_b ·),

    ∂F = Σ_ij G̃_ij (V⁻¹ dQ V)_ij,      G̃_ij = Σ_b α_bi f_b[λ_i, λ_j] β_bj,

and for separated eigenvalues the divided difference leaves the sum: two matrix products, O(N d²)
(Monti, Ji & Suchard 2025). For close ones the terms are summed with the stable φ₁ form. Where the
eigenbasis is ill-conditioned the same sums are made from Fréchet derivatives, one for every
distinct time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from advdiff.matexp.balance import balancing, expm, scaled, small_for, unscaled
from advdiff.matexp.eigensums import (
    SURROGATE_CORES,
    Terms,
    exact_core,
    in_eigenbasis,
    rounding,
    second_core,
)
from advdiff.matexp.exact import block_triangular, frechet
from advdiff.matexp.operands import Array, DomainError, Result, double, matrices, real_if, times
from advdiff.matexp.rounding import Part, View, both_units, error_of_sum
from advdiff.matexp.spectral import ACCURACY, ROUNDING_SAFETY, Eigenbasis, eigenbasis, guard

#: an eigenbasis loses up to cond(V)²·eps in a sum of gradients and cond(V)³·eps in its derivative:
#: beyond these limits it is refused; below, a gradient by its own error (`rounding`), while a
#: Hessian product is accepted (measured worst case at the limit: 1e-10)
GRADIENT_CONDITION = 1e3
HESSIAN_CONDITION = 3e2


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
    ``full_output`` gives a `Result`, for an exact method with an estimate of its relative error
    (which takes a Fréchet derivative for every distinct time).
    """
    Q, terms = _terms(Q, a, p, t)
    asked = method
    known = ("daleckii-krein", "frechet", *SURROGATE_CORES)
    method, reason, basis = _route(Q, terms, method, known, max_condition, basis)
    condition = None
    if basis is not None:
        condition = guard(basis, max_condition)
        core = SURROGATE_CORES.get(method, exact_core)
        with np.errstate(over="ignore", invalid="ignore"):  # reported by _checked
            value = _gradient_in_basis(basis, terms, core)
            lost = rounding(basis, terms, value) if core is exact_core else 0.0
        limit = ACCURACY * condition if accuracy is None else accuracy
        if not ROUNDING_SAFETY * lost <= limit:
            refusal = f"rounding of about {lost:.0e} in the eigenbasis, cond(V) = {condition:.1e}"
            if asked != "auto" and np.isfinite(value).all():
                raise DomainError(f"{refusal}; use method='frechet'")
            method, reason, basis = "frechet", refusal, None
    if basis is None:
        value = _gradient_by_times(Q, terms)
    value = _checked(value, Q, terms.left, terms.right)
    if not full_output:
        return value
    error = None
    if method not in SURROGATE_CORES and len(terms.t):
        D, Qt = _balanced_transpose(Q, terms)
        error = error_of_sum(Qt, _parts(terms, D), both_units(scaled(value, D), D))
    return Result(value, method, reason, condition, error)


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
    known = ("daleckii-krein", "frechet")
    method, reason, basis = _route(Q, terms, method, known, max_condition)
    condition = None
    doubled, doubled_terms = block_triangular(Q, D), _doubled(terms)
    with np.errstate(over="ignore", invalid="ignore"):  # reported by _checked
        if basis is not None:
            condition = guard(basis, max_condition)
            inner = basis.inverse @ D @ basis.vectors
            core = second_core(basis, in_eigenbasis(basis, terms), inner)
            value = basis.inverse.T @ core @ basis.vectors.T
        else:
            value = _folded(_gradient_by_times(doubled, doubled_terms))
    value = _checked(value, Q, terms.left, terms.right, D)
    if not full_output:
        return value
    error = None
    if len(terms.t):
        units, Qt = _balanced_transpose(doubled, doubled_terms)
        view = View(lambda A: _folded(unscaled(A, units)), value)
        error = error_of_sum(Qt, _parts(doubled_terms, units), [view])
    return Result(value, method, reason, condition, error)


def _basis(Q: Array, terms: Terms) -> Eigenbasis:
    return eigenbasis(Q, small_for(terms.t))


def _gradient_in_basis(basis: Eigenbasis, terms: Terms, core: Callable[..., Array]) -> Array:
    return basis.inverse.T @ core(basis, in_eigenbasis(basis, terms)) @ basis.vectors.T


def _doubled(terms: Terms) -> Terms:
    """(a, 0) and (0, p): with [[Q, D], [0, Q]] their sum is the derivative of F along D."""
    zeros = np.zeros_like(terms.left)
    right = np.hstack([np.zeros_like(terms.right), terms.right])
    return Terms(np.hstack([terms.left, zeros]), right, terms.t)


def _folded(G: Array) -> Array:
    """The gradient for Q, which stands in both diagonal blocks."""
    d = G.shape[-1] // 2
    return G[..., :d, :d] + G[..., d:, d:]


def _route(
    Q: Array,
    terms: Terms,
    method: str,
    known: tuple[str, ...],
    limit: float,
    basis: Eigenbasis | None = None,
) -> tuple[str, str, Eigenbasis | None]:
    if method == "frechet":
        return method, "asked for", None
    if method in known:
        return method, "asked for", _basis(Q, terms) if basis is None else basis
    if method != "auto":
        raise ValueError(f"unknown method {method!r}; choose from auto, {', '.join(known)}")
    basis = _basis(Q, terms) if basis is None else basis
    if basis.condition <= limit:
        return "daleckii-krein", f"cond(V) = {basis.condition:.1e} <= {limit:.0e}", basis
    return "frechet", f"cond(V) = {basis.condition:.1e} > {limit:.0e}", None


def _gradient_by_times(Q: Array, terms: Terms) -> Array:
    D, Qt = _balanced_transpose(Q, terms)
    values = [frechet(Qt, part.J, part.t).value for part in _parts(terms, D)]
    return unscaled(sum(values), D) if values else np.zeros_like(Q)


def _balanced_transpose(Q: Array, terms: Terms) -> tuple[Array, Array]:
    D = balancing(Q.T, small_for(terms.t))
    return D, scaled(Q.T, D)


def _parts(terms: Terms, D: Array) -> Iterator[Part]:
    """A derivative in direction Σ_b a_b p_bᵀ for every distinct time, in the units of D."""
    distinct, groups = np.unique(terms.t, return_inverse=True)
    for k, s in enumerate(distinct):
        left, right = terms.left[groups == k], terms.right[groups == k]
        size = np.abs(left).T @ np.abs(right)
        yield Part(scaled(left.T @ right, D), s[None, None], scaled(size, D))


def _checked(value: Array, Q: Array, *others: Array) -> Array:
    if not np.isfinite(value).all():
        raise OverflowError("the gradient is not representable in double precision")
    return real_if(value, Q, *others)
