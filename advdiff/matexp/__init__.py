"""Gradients of a matrix exponential, for dense matrices: numpy and scipy only.

derivative(Q, J, t)            ∇_J e^{tQ}, by every method of METHODS
gradient(Q, B, t)              its adjoint: all ∂/∂Q_ij of Σ B ∘ e^{tQ}
bilinear_gradient(Q, a, p, t)  the same for Σ_b a_bᵀ e^{t_b Q} p_b, all terms at once
trace_gradient(A, X)           ∂ tr(A e^X)/∂X, and its relatives
certificate(Q, J, t, method)   a rigorous bound on a surrogate's error, for rate matrices

With ``full_output=True`` the first three, and trace_gradient, give a `Result`: the value, the
method that ran and why, and an estimate of its relative error.
"""

from advdiff.matexp.aggregate import bilinear_gradient, bilinear_hessian_product, bilinear_sum
from advdiff.matexp.group import (
    group_inverse,
    is_irreducible,
    is_rate_matrix,
    kernel_projector,
    stationary_derivative,
    stationary_distribution,
)
from advdiff.matexp.methods import METHODS, Method, derivative, gradient
from advdiff.matexp.operands import DomainError, Result
from advdiff.matexp.rates.certificate import (
    Certificate,
    DecayNorm,
    Theorem,
    asymptotic_theorem,
    certificate,
    decay_norms,
)
from advdiff.matexp.rates.laws import (
    LAWS,
    random_nearly_reducible,
    random_rate_matrix,
    random_reversible,
    unit_entry,
)
from advdiff.matexp.rates.rates import (
    DecayConstants,
    Membership,
    decay_constants,
    from_log_rates,
    is_reversible,
    log_rates,
    log_rates_log_jacobian,
    log_rates_pullback,
    log_rates_pushforward,
    membership,
    nonzero_eigenvalues,
    spectral_gap,
)
from advdiff.matexp.series import partial_sums
from advdiff.matexp.surrogate import first_order_error, first_order_error_series
from advdiff.matexp.trace import (
    entrywise_gram_trace_gradient,
    gram_trace_gradient,
    trace_function,
    trace_function_gradient,
    trace_gradient,
)

__all__ = [
    "LAWS",
    "METHODS",
    "Certificate",
    "DecayConstants",
    "DecayNorm",
    "DomainError",
    "Membership",
    "Method",
    "Result",
    "Theorem",
    "asymptotic_theorem",
    "bilinear_gradient",
    "bilinear_hessian_product",
    "bilinear_sum",
    "certificate",
    "decay_constants",
    "decay_norms",
    "derivative",
    "entrywise_gram_trace_gradient",
    "first_order_error",
    "first_order_error_series",
    "from_log_rates",
    "gradient",
    "gram_trace_gradient",
    "group_inverse",
    "is_irreducible",
    "is_rate_matrix",
    "is_reversible",
    "kernel_projector",
    "log_rates",
    "log_rates_log_jacobian",
    "log_rates_pullback",
    "log_rates_pushforward",
    "membership",
    "nonzero_eigenvalues",
    "partial_sums",
    "random_nearly_reducible",
    "random_rate_matrix",
    "random_reversible",
    "spectral_gap",
    "stationary_derivative",
    "stationary_distribution",
    "trace_function",
    "trace_function_gradient",
    "trace_gradient",
    "unit_entry",
]
