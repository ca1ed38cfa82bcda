"""Orders, limits and domains of the surrogates."""

import numpy as np
import pytest

from advdiff.matexp import (
    DomainError,
    derivative,
    first_order_error,
    first_order_error_series,
    random_rate_matrix,
    spectral_gap,
)
from advdiff.matexp.operands import stacks
from tests.matexp.references import exact_derivative, relative

pytestmark = pytest.mark.serial


def problem(d=5, seed=0):
    rng = np.random.default_rng(seed)
    return random_rate_matrix(rng, d), rng.normal(size=(d, d))


def observed_order(method, ts=(2e-2, 1e-2), **options):
    Q, J = problem()
    errors = [
        np.linalg.norm(derivative(Q, J, t, method, **options) - derivative(Q, J, t, "frechet"))
        for t in ts
    ]
    return np.log2(errors[0] / errors[1])


@pytest.mark.parametrize(
    ("method", "options", "order"),
    [
        ("first-order", {}, 2),
        ("midpoint", {}, 3),
        ("truncated", {"order": 0}, 2),
        ("truncated", {"order": 1}, 3),
        ("truncated", {"order": 2}, 4),
        ("commutator-series", {"order": 1}, 3),
        ("commutator-series", {"order": 2}, 4),
        ("power-series", {"order": 2}, 3),
        ("kernel-exact", {"order": 0}, 2),
        ("kernel-exact", {"order": 1}, 3),
        ("kernel-exact", {"order": 2}, 4),
    ],
)
def test_order_in_time(method, options, order):
    assert abs(observed_order(method, **options) - order) < 0.15


def test_first_order_is_exact_when_Q_and_J_commute():
    Q, _ = problem()
    J = Q @ Q - 3 * Q + np.eye(5)
    for method in ("first-order", "midpoint"):
        assert relative(derivative(Q, J, 0.9, method), exact_derivative(Q, J, 0.9)) < 1e-12


def test_truncated_order_one_is_its_formula():
    """e^{tQ} (tJ + t²/2 (JQ − QJ) − t³/3 QJQ)."""
    from scipy.linalg import expm

    Q, J = problem()
    t = 0.3
    formula = expm(t * Q) @ (t * J + t**2 / 2 * (J @ Q - Q @ J) - t**3 / 3 * Q @ J @ Q)
    assert relative(derivative(Q, J, t, "truncated"), formula) < 1e-13
    zero, first = (
        derivative(Q, J, t, m, **o) for m, o in (("truncated", {"order": 0}), ("first-order", {}))
    )
    assert relative(zero, first) < 1e-15


def test_truncated_converges_to_the_exact_derivative():
    Q, J = problem()
    assert (
        relative(derivative(Q, J, 0.5, "truncated", order=40), exact_derivative(Q, J, 0.5)) < 1e-12
    )


def test_asymptotic_and_kernel_exact_errors_decay_at_the_gap():
    Q, J = problem(6, 3)
    gap = spectral_gap(Q)
    ts = np.array([2.0, 3.0, 4.0])
    for method in ("asymptotic", "kernel-exact"):
        errors = [
            np.linalg.norm(derivative(Q, J, t, method) - derivative(Q, J, t, "frechet")) / t
            for t in ts
        ]
        rates = -np.diff(np.log(errors))
        assert np.all(np.abs(rates - gap) < 0.25 * gap)
    assert np.linalg.norm(derivative(Q, J, 40.0, "asymptotic") - derivative(Q, J, 40.0)) < 1e-11


def test_kernel_exact_is_exact_where_the_fourth_block_vanishes():
    """J = Π K + K Π touches the kernel only."""
    from advdiff.matexp import kernel_projector

    Q, K = problem()
    Pi = kernel_projector(Q)
    J = Pi @ K + K @ Pi
    for t in (1e-6, 0.1, 3.0):
        for order in (-1, 0):
            assert (
                relative(
                    derivative(Q, J, t, "kernel-exact", order=order), exact_derivative(Q, J, t)
                )
                < 1e-12
            )


def test_surrogates_of_the_kernel_need_index_one():
    nilpotent = np.eye(3, k=1)
    for method in ("asymptotic", "kernel-exact"):
        with pytest.raises(DomainError, match="defective"):
            derivative(nilpotent, np.eye(3), 1.0, method)


@pytest.mark.parametrize("t", [1e-8, 1e-3, 0.5, 5.0])
def test_first_order_error_from_its_own_equation(t):
    """Without cancellation: full relative accuracy where the difference Y − tXJ has none left."""
    import mpmath

    Q, J = problem(3)
    Z = first_order_error(*stacks(Q, J, t))
    with mpmath.workdps(50):
        mQ, mJ, s = mpmath.matrix(Q.tolist()), mpmath.matrix(J.tolist()), mpmath.mpf(t)
        block = mpmath.zeros(6)
        for i in range(3):
            for j in range(3):
                block[i, j] = block[3 + i, 3 + j] = mQ[i, j]
                block[i, 3 + j] = mJ[i, j]
        X = mpmath.expm(s * block, method="taylor")
        exact = X[0:3, 3:6] - s * X[0:3, 0:3] * mJ
        exact = np.array(exact.tolist(), dtype=float)
    assert relative(Z, exact) < 1e-13


def test_first_order_error_solves_the_notes_ode_and_its_series():
    """Z' = QZ + J e^{tQ} − e^{tQ} J by an ODE solver; its series by partial sums."""
    from scipy.integrate import solve_ivp
    from scipy.linalg import expm

    Q, J = problem(4)
    t = 0.4

    def rhs(s, z):
        X = expm(s * Q)
        return (Q @ z.reshape(4, 4) + J @ X - X @ J).ravel()

    ode = solve_ivp(rhs, (0, t), np.zeros(16), rtol=1e-11, atol=1e-13, method="DOP853").y[:, -1]
    Z = first_order_error(*stacks(Q, J, t))
    assert relative(ode.reshape(4, 4), Z) < 1e-9
    assert relative(first_order_error_series(*stacks(Q, J, t), order=50), Z) < 1e-11


def test_midpoint_misses_a_double_commutator_and_converges_relatively():
    """t³/24 e^{tQ/2} [[J, Q], Q] e^{tQ/2} for small t; tΠJΠ, relative error O(1/t), for large t."""
    from scipy.linalg import expm

    Q, J = problem()
    t = 1e-3
    half, C = expm(t / 2 * Q), J @ Q - Q @ J
    leading = t**3 / 24 * half @ (C @ Q - Q @ C) @ half
    assert relative(exact_derivative(Q, J, t) - derivative(Q, J, t, "midpoint"), leading) < 1e-3
    errors = [
        relative(derivative(Q, J, t, "midpoint"), derivative(Q, J, t, "frechet"))
        for t in (20.0, 40.0, 80.0)
    ]
    assert np.allclose(np.array(errors[:-1]) / errors[1:], 2, rtol=0.1)
