"""`derivative` and its adjoint `gradient`: every method under one name.

Convention of the whole room: a derivative in direction J is linear in J; a gradient G of a scalar
F has G_ij = ∂F/∂Q_ij, so that dF = Σ_ij G_ij dQ_ij – same shape as Q, nothing transposed, nothing
conjugated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from advdiff.matexp import exact, series, surrogate
from advdiff.matexp.balance import balancing, scaled, small_for, unscaled
from advdiff.matexp.operands import Array, DomainError, Result, matrices, real_if, stacks, transpose
from advdiff.matexp.rounding import relative_error
from advdiff.matexp.spectral import AUTO_CONDITION, eigenbasis


class Method(NamedTuple):
    """A row of the table: what runs, whether it is exact, and where it is meant to be used.

    ``surrogate``: an approximation whose error does not vanish with more work; see `certificate`.
    """

    run: Callable[..., Result]
    exact: bool
    domain: str
    surrogate: bool = False


METHODS: dict[str, Method] = {
    "frechet": Method(exact.frechet, True, "any Q"),
    "block": Method(exact.block, True, "any Q"),
    "daleckii-krein": Method(exact.daleckii_krein, True, "diagonalisable Q, cond(V) moderate"),
    "eigenpair": Method(exact.eigenpair, True, "Hermitian Q"),
    "commutator-series": Method(series.commutator_series, True, "any Q, small t·norm(Q)"),
    "power-series": Method(series.power_series, True, "any Q, small t·norm(Q)"),
    "product-formula": Method(series.product_formula, False, "any Q; teaching and tests"),
    "quadrature": Method(exact.quadrature, True, "any Q"),
    "complex-step": Method(exact.complex_step, True, "real Q and J"),
    "first-order": Method(surrogate.first_order, False, "surrogate, error O(t²)", True),
    "midpoint": Method(surrogate.midpoint, False, "surrogate, error O(t³)", True),
    "truncated": Method(surrogate.truncated, False, "surrogate, error O(t^(order+2))", True),
    "asymptotic": Method(surrogate.asymptotic, False, "surrogate for large t, simple kernel", True),
    "kernel-exact": Method(surrogate.kernel_exact, False, "surrogate for small and large t", True),
}


def of_reduced_model(name: str) -> str:
    """``name``, where a reduced model can be differentiated by it.

    Raises:
        ValueError: where it cannot; the message lists what it could have been.
    """
    known = ("auto", "pade", "spectral", *METHODS)
    if name not in known:
        raise ValueError(f"must be one of {', '.join(known)}")
    return name


def derivative(
    Q: ArrayLike,
    J: ArrayLike,
    t: ArrayLike = 1.0,
    method: str = "auto",
    *,
    full_output: bool = False,
    **options: Any,
) -> Array | Result:
    """∇_J e^{tQ} = d/dε exp(t(Q + εJ)) at ε = 0, or a surrogate's whole approximation of it.

    ``Q``, ``J``: stacks (..., d, d); ``t``: real times (...); the three broadcast against each
    other. Real input gives a real result; the arithmetic is double precision.

    ``method`` is a key of `METHODS`, or "auto": daleckii-krein if every eigenbasis has cond(V) ≤
    `AUTO_CONDITION` and amplifies no rounding, else frechet. ``options`` go to the method
    (``order``, ``tol``, ``nodes``, ``factors``, ``levels``, ``max_condition``). An exact method
    works in balanced units, so that the units of Q cost no digits. With ``full_output`` a `Result`
    says which method ran, and why, and for an exact one how large its relative error may be (at the
    price of a few derivatives; see `rounding`).

    Raises ValueError for a wrong shape, NaN, or an unknown method; its subclass DomainError where
    the method is not valid for this input; OverflowError if the result exceeds double precision.

    A chain that leaves state 0 at rate 1 and state 1 at rate 2; what a faster first rate does:

    >>> import numpy as np
    >>> Q = np.array([[-1.0, 1.0], [2.0, -2.0]])
    >>> J = np.array([[-1.0, 1.0], [0.0, 0.0]])
    >>> derivative(Q, J, t=1.0).round(6)
    array([[-0.227754,  0.227754],
           [-0.177967,  0.177967]])
    >>> found = derivative(Q, J, t=1.0, full_output=True)
    >>> found.method, found.error_estimate < 1e-12
    ('daleckii-krein', True)
    """
    Q, J, t = stacks(Q, J, t)
    shape = np.broadcast_shapes(Q.shape, J.shape, (*t.shape[:-2], 1, 1))
    if method != "auto" and method not in METHODS:
        raise ValueError(f"unknown method {method!r}; choose from auto, {', '.join(METHODS)}")
    if 0 in shape:
        result = Result(np.zeros(shape, dtype=np.result_type(Q, J)), method, "an empty stack")
        return result if full_output else result.value
    with np.errstate(over="ignore", invalid="ignore"):
        if method != "auto" and METHODS[method].surrogate:  # some need Q itself, a rate matrix
            result = METHODS[method].run(Q, J, t, **options)
        else:
            result = _exact(Q, J, t, method, options, estimated=full_output)
        if method != "auto":
            result = result._replace(method=method, reason="asked for")
    value = real_if(result.value, Q, J)
    if not np.isfinite(value).all():
        raise OverflowError(f"{result.method}: the result is not representable in double precision")
    value = np.array(np.broadcast_to(value, shape))
    return result._replace(value=value) if full_output else value


def gradient(
    Q: ArrayLike,
    B: ArrayLike,
    t: ArrayLike = 1.0,
    method: str = "auto",
    *,
    full_output: bool = False,
    **options: Any,
) -> Array | Result:
    """The gradient G of F(Q) = Σ_ij B_ij (e^{tQ})_ij: G_ij = ∂F/∂Q_ij, all d² of them in O(d³).

    It is the derivative at Qᵀ in direction B, and with a surrogate ``method`` the exact adjoint of
    the surrogate: Σ B ∘ derivative(Q, J) = Σ G ∘ J for every method. Stacks, options and errors as
    in `derivative`; for a sum over many rank-one B see `bilinear_gradient`.

    One gradient gives the slope in every direction:

    >>> import numpy as np
    >>> Q = np.array([[-1.0, 1.0], [2.0, -2.0]])
    >>> B = np.array([[0.0, 1.0], [0.0, 0.0]])  # F is the probability of getting from 0 to 1
    >>> G = gradient(Q, B, t=1.0)
    >>> J = np.array([[-1.0, 1.0], [0.0, 0.0]])
    >>> bool(np.isclose(np.sum(G * J), derivative(Q, J, t=1.0)[0, 1]))
    True
    """
    Qt = transpose(matrices("Q", Q))
    return derivative(Qt, matrices("B", B), t, method, full_output=full_output, **options)


def _exact(
    Q: Array, J: Array, t: Array, method: str, options: dict[str, Any], estimated: bool
) -> Result:
    """An exact method in balanced units, with an estimate of its error if that is wanted."""
    D = balancing(Q, small_for(t))
    Q, J = scaled(Q, D), scaled(J, D)
    run = _automatic if method == "auto" else METHODS[method].run
    result = run(Q, J, t, **options)
    if estimated:
        error = relative_error(Q, J, t, result.value, D)
        result = result._replace(error_estimate=error)
    return result._replace(value=unscaled(result.value, D))


def _automatic(Q: Array, J: Array, t: Array, **options: Any) -> Result:
    """daleckii-krein if its own guards accept it, else frechet, with the reason."""
    basis = eigenbasis(Q, small_for(t))
    try:
        limit = {"max_condition": AUTO_CONDITION, **options}
        result = exact.daleckii_krein(Q, J, t, basis=basis, **limit)
    except DomainError as refusal:
        worst = float(np.max(basis.condition))
        refused = exact.frechet(Q, J, t)
        return refused._replace(method="frechet", reason=str(refusal), condition=worst)
    reason = f"cond(V) = {result.condition:.1e} <= {limit['max_condition']:.0e}"
    return result._replace(method="daleckii-krein", reason=reason)
