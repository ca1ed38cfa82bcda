"""Gradients of traces: tr(A e^X), tr e^{XXᵀ} and tr f(Y).

Convention: (∂F/∂X)_ij = ∂F/∂X_ij, the shape of X, so that dF = Σ_ij (∂F/∂X)_ij dX_ij. Texts that
write dF = tr(G dX) mean the transpose of it. On symmetric matrices the same G serves: its
symmetric part is the gradient within that space.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import fractional_matrix_power, logm, sqrtm

from advdiff.matexp.balance import expm
from advdiff.matexp.methods import gradient
from advdiff.matexp.operands import (
    EPS,
    Array,
    DomainError,
    Result,
    double,
    matrices,
    real_if,
    transpose,
)

#: a singular value below this multiple of d·eps·σ_max makes the matrix singular
SINGULAR_ULPS = 4.0


def trace_gradient(
    A: ArrayLike,
    X: ArrayLike,
    method: str = "auto",
    *,
    full_output: bool = False,
    **options: Any,
) -> Array | Result:
    """∂ tr(A e^X)/∂X_ij, the transpose of φ₁(ad_X)[A e^X] = ∫₀¹ e^{sX}A e^{(1−s)X} ds; (..., d, d).

    Any X; ``method`` as in `derivative`: "commutator-series" is φ₁(ad), "power-series" and
    "daleckii-krein" two other forms of it, "eigenpair" perturbs the eigenpairs of a Hermitian X.
    Where A and X commute it is (A e^X)ᵀ. Errors as in `derivative`.

    >>> import numpy as np
    >>> trace_gradient(np.diag([1.0, 2.0]), np.zeros((2, 2)))
    array([[1., 0.],
           [0., 2.]])
    """
    return gradient(X, transpose(matrices("A", A)), 1.0, method, full_output=full_output, **options)


def gram_trace_gradient(X: ArrayLike) -> Array:
    """∂ tr e^{XXᵀ}/∂X = 2 e^{XXᵀ} X = 2 X e^{XᵀX} for real X (..., n, m), on the smaller side.

    ValueError for complex X; OverflowError if it exceeds double precision.

    >>> import numpy as np
    >>> gram_trace_gradient(np.array([[1.0, 2.0]])) / np.exp(5.0)  # e^{‖x‖²} for a single row x
    array([[2., 4.]])
    """
    X = _real_rectangle(X)
    n, m = X.shape[-2:]
    with np.errstate(over="ignore", invalid="ignore"):
        left = n <= m
        value = 2 * (expm(X @ transpose(X)) @ X if left else X @ expm(transpose(X) @ X))
    return _finite(value)


def entrywise_gram_trace_gradient(X: ArrayLike) -> Array:
    """∂/∂X Σ_i exp((XXᵀ)_ii) = 2 diag(e^{‖x_i‖²}) X, x_i the rows of the real X (..., n, m).

    F is the trace of the matrix whose entries are exp((XXᵀ)_ij), the entry-wise exponential.
    """
    X = _real_rectangle(X)
    with np.errstate(over="ignore", invalid="ignore"):
        return _finite(2 * np.exp(np.sum(X**2, axis=-1, keepdims=True)) * X)


def trace_function(Y: ArrayLike, f: str, exponent: float | None = None) -> complex | float | Array:
    """tr f(Y), f = "exp", "log", "sqrt", "inverse" or "power" (with ``exponent``); (..., d, d).

    Principal branches. DomainError where f is not analytic: see `trace_function_gradient`.
    """
    Y, (value, _) = matrices("Y", Y), _function(f, exponent)
    _check_domain(Y, f, exponent)
    return np.trace(_each(value, Y), axis1=-2, axis2=-1)[()]


def trace_function_gradient(Y: ArrayLike, f: str, exponent: float | None = None) -> Array:
    """∂ tr f(Y)/∂Y_ij = f'(Y)_ji, i.e. f'(Yᵀ), for the functions of `trace_function`; (..., d, d).

    DomainError if Y is singular (log, sqrt, inverse, powers that need it), or has an eigenvalue on
    the negative axis (log, sqrt, fractional powers), where the principal branch jumps.
    """
    Y, (_, slope) = matrices("Y", Y), _function(f, exponent)
    _check_domain(Y, f, exponent)
    return transpose(_each(slope, Y))


def _function(f: str, exponent: float | None) -> tuple[Callable[[Array], Array], ...]:
    """f and f' as functions of one matrix."""
    if (f == "power") != (exponent is not None):
        raise ValueError("exponent belongs to f='power', and f='power' needs one")
    if f == "power":
        return (
            lambda Y: _power(Y, exponent),
            lambda Y: exponent * _power(Y, exponent - 1) if exponent else np.zeros_like(Y),
        )
    known = {
        "exp": (expm, expm),
        "log": (logm, np.linalg.inv),
        "sqrt": (sqrtm, lambda Y: np.linalg.inv(sqrtm(Y)) / 2),
        "inverse": (np.linalg.inv, lambda Y: -np.linalg.matrix_power(np.linalg.inv(Y), 2)),
    }
    if f not in known:
        raise ValueError(f"unknown function {f!r}; choose from power, {', '.join(known)}")
    return known[f]


def _power(Y: Array, exponent: float) -> Array:
    if float(exponent).is_integer():
        return np.linalg.matrix_power(Y, int(exponent))
    return fractional_matrix_power(Y, exponent)


def _each(function: Callable[[Array], Array], Y: Array) -> Array:
    d = Y.shape[-1]
    values = np.array([function(A) for A in Y.reshape(-1, d, d)]).reshape(Y.shape)
    if np.iscomplexobj(values) and (np.abs(values.imag) <= d * EPS * np.abs(values).max()).all():
        return real_if(values, Y)
    return values


def _check_domain(Y: Array, f: str, exponent: float | None) -> None:
    whole = exponent is not None and float(exponent).is_integer()
    if f == "exp" or (whole and exponent >= 0):
        return
    singular = np.linalg.svd(Y, compute_uv=False)
    tolerance = SINGULAR_ULPS * Y.shape[-1] * EPS
    if (singular[..., -1] <= tolerance * singular[..., 0]).any():
        raise DomainError(f"tr {f}(Y) is not differentiable: Y is singular")
    if f == "inverse" or whole:
        return
    values = np.linalg.eigvals(Y)
    on_cut = (values.real < 0) & (np.abs(values.imag) <= tolerance * np.abs(values))
    if on_cut.any():
        raise DomainError(f"tr {f}(Y) jumps here: Y has an eigenvalue on the negative real axis")


def _real_rectangle(X: ArrayLike) -> Array:
    X = double("X", X)
    if X.ndim < 2 or 0 in X.shape[-2:]:
        raise ValueError(f"X must have shape (..., n, m), got {X.shape}")
    if np.iscomplexobj(X):
        raise ValueError("X must be real")
    return X


def _finite(value: Array) -> Array:
    if not np.isfinite(value).all():
        raise OverflowError("the gradient is not representable in double precision")
    return value
