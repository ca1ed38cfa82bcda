"""Every exact method's estimate of its error is at least the error, and not absurdly more.

References: 50 digits (mpmath). The kinds are those on which an estimate was once too small or
missing: units that differ, fast exchange beside slow loss, eigenbases that are bad or nearly so.
"""

import mpmath
import numpy as np
import pytest

from advdiff.matexp import (
    METHODS,
    DomainError,
    bilinear_gradient,
    bilinear_hessian_product,
    derivative,
    random_rate_matrix,
    trace_gradient,
)
from advdiff.matexp.balance import balancing, scaled, small_for

from .references import exact_derivative

pytestmark = pytest.mark.serial

EXACT = [name for name, method in METHODS.items() if not method.surrogate]
FEW = ["auto", "frechet", "daleckii-krein"]


def fast_exchange(rng, d):
    Q, rate = random_rate_matrix(rng, d), 10 ** rng.uniform(6, 12)
    Q[:2, :2] += rate * np.array([[-1.0, 1.0], [1.0, -1.0]])
    return Q - np.diag(rng.random(d)), 1.0


def units(rng, d):
    D = 10 ** rng.uniform(-9, 9, size=d)
    return scaled(rng.normal(size=(d, d)) - 2 * np.eye(d), D), 1.0


def cascade(rng, d):
    Q = -np.diag(10 ** rng.uniform(-2, 2, size=d))
    return Q + np.diag(10 ** rng.uniform(-9, 9, size=d - 1), k=-1), 1.0


def defective(rng, d):
    S = rng.integers(-3, 4, size=(d, d)) + 5.0 * np.eye(d)
    return S @ (rng.choice([1.0, 30.0]) * np.eye(d, k=1) - np.eye(d)) @ np.linalg.inv(S), 1.0


def nearly_defective(rng, d):
    return np.eye(d, k=1) + np.diag(rng.normal(size=d)) * 10 ** rng.uniform(-12, -2), 1.0


def symmetric(rng, d):
    A = rng.normal(size=(d, d))
    return -(10 ** rng.uniform(-3, 3)) * A @ A.T, 1.0


def skew(rng, d):
    A = rng.normal(size=(d, d)) * 10 ** rng.uniform(0, 2.5)
    return A - A.T, 1.0


def grcar(rng, d):
    return np.triu(np.tril(np.ones((d, d)), 3)) - np.eye(d, k=-1), 10 ** rng.uniform(-2, 1.5)


def kahan(rng, d):
    angle = rng.uniform(0.2, 1.4)
    Q = np.eye(d) - np.cos(angle) * np.triu(np.ones((d, d)), 1)
    return -(np.sin(angle) ** np.arange(d)[:, None]) * Q, 10 ** rng.uniform(-1, 2)


def rates(rng, d):
    return random_rate_matrix(rng, d, "cauchy"), 10 ** rng.uniform(-12, 3)


def growing(rng, d):
    return rng.normal(size=(d, d)) * 10 ** rng.uniform(-3, 1), -rng.uniform(0.1, 2)


def complex_entries(rng, d):
    return (rng.normal(size=(d, d)) + 1j * rng.normal(size=(d, d))) * 3.0, 0.7


KINDS = [fast_exchange, units, cascade, defective, nearly_defective, symmetric, skew, grcar]
KINDS += [kahan, rates, growing, complex_entries]


def errors(value, exact, Q, t):
    """Relative, in the units given and in balanced ones, Frobenius and spectral norm."""
    D = balancing(Q, small_for(t))
    pairs = [(value - exact, exact), (scaled(value - exact, D), scaled(exact, D))]
    return max(np.linalg.norm(a, p) / np.linalg.norm(b, p) for a, b in pairs for p in ("fro", 2))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_estimate_of_a_derivative_holds(kind):
    tried = set()
    for seed in range(6):
        rng = np.random.default_rng(seed)
        Q, t = kind(rng, int(rng.integers(2, 6)))
        J = rng.normal(size=Q.shape)
        exact = exact_derivative(Q, J, t)
        for method in ["auto", *EXACT]:
            try:
                found = derivative(Q, J, t, method, full_output=True)
            except DomainError:
                continue
            tried.add(method)
            error = errors(found.value, exact, Q, t)
            # 1e-16: the reference itself is rounded to double precision
            assert error <= found.error_estimate + 1e-16, (seed, method)
            least = np.finfo(float).eps * np.abs(t * scaled(Q, balancing(Q, small_for(t)))).max()
            assert found.error_estimate >= least, (seed, method)
    assert {"auto", "frechet", "block", "product-formula"} <= tried


@pytest.mark.parametrize("method", EXACT)
def test_the_estimate_of_a_benign_derivative_is_small(method):
    tolerance = 1e-10 if method == "product-formula" else 5e-14
    for seed in range(10):
        rng = np.random.default_rng(seed)
        A, J = rng.normal(size=(2, 5, 5))
        Q = -(A + A.T) / 2
        assert derivative(Q, J, 0.5, method, full_output=True).error_estimate < tolerance


def test_fast_exchange_beside_a_slow_leak():
    """Wrong in the fourth digit with an estimate of 2e-16, before."""
    Q = np.array([[-1e12 - 1, 1e12, 0.0], [1e12, -1e12 - 0.5, 0.5], [0.0, 0.5, -1.0]])
    J = np.diag([1.0, 0.0, 0.0])
    found = derivative(Q, J, 1.0, full_output=True)
    assert (
        1e-4 < errors(found.value, exact_derivative(Q, J, 1.0), Q, 1.0) < found.error_estimate < 0.1
    )


def test_a_truncated_series_says_what_it_lacks():
    rng = np.random.default_rng(1)
    Q, J = random_rate_matrix(rng, 4), rng.normal(size=(4, 4))
    found = derivative(Q, J, 0.3, "power-series", order=3, full_output=True)
    error = errors(found.value, exact_derivative(Q, J, 0.3), Q, 0.3)
    assert 1e-3 < error <= found.error_estimate < 2 * error


def test_a_stack_has_the_estimate_of_its_worst():
    Q = np.array([-np.eye(2), [[-1e9, 1e9], [1e9, -1e9 - 1.0]]])
    stack = derivative(Q, np.ones((2, 2)), 1.0, full_output=True).error_estimate
    each = [derivative(A, np.ones((2, 2)), 1.0, full_output=True).error_estimate for A in Q]
    assert each[0] < 1e-13 < 1e-8 < each[1] <= stack < 2 * each[1]


def test_a_surrogate_has_no_estimate():
    """It has a certificate."""
    Q = random_rate_matrix(np.random.default_rng(0), 3)
    assert derivative(Q, np.ones((3, 3)), 1.0, "midpoint", full_output=True).error_estimate is None


def test_where_no_digit_is_left_the_estimate_is_infinite():
    """e^{tQ} of a hidden nilpotent matrix: polynomial exactly, exponential in any rounding."""
    S = np.random.default_rng(1).normal(size=(5, 5))
    Q = S @ np.eye(5, k=1) @ np.linalg.inv(S)
    found = derivative(Q, np.eye(5)[::-1], 3e4, "frechet", full_output=True)
    exact = exact_derivative(Q, np.eye(5)[::-1], 3e4)
    assert not errors(found.value, exact, Q, 3e4) > found.error_estimate


def exact_sum(Q, a, p, times):
    """∂/∂Q of Σ_b a_bᵀ e^{t_b Q} p_b by 50 digits."""
    parts = [exact_derivative(Q.T, np.outer(x, y), t) for x, y, t in zip(a, p, times, strict=True)]
    return sum(parts), sum(np.abs(part) for part in parts)


@pytest.mark.parametrize("kind", KINDS[:-1], ids=lambda kind: kind.__name__)
def test_the_estimate_of_a_sum_holds(kind):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        Q, t = kind(rng, int(rng.integers(2, 5)))
        a, p = rng.normal(size=(2, 3, len(Q)))
        times = t * np.array([1.0, 0.5, 0.5])
        exact, size = exact_sum(Q, a, p, times)
        rounded = 2e-16 * np.linalg.norm(size) / np.linalg.norm(exact)  # of the reference's sum
        for method in FEW:
            try:
                found = bilinear_gradient(Q, a, p, times, method, full_output=True)
            except DomainError:
                continue
            error = np.linalg.norm(found.value - exact) / np.linalg.norm(exact)
            assert error <= found.error_estimate + rounded, (seed, method)
            assert found.error_estimate > 0


@pytest.mark.parametrize("method", FEW)
def test_the_estimate_of_a_hessian_product_holds(method):
    """The reference: central differences of 80-digit gradients."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        Q, D = (
            np.diag(-rng.random(3)) + np.triu(rng.normal(size=(3, 3)), 1),
            rng.normal(size=(3, 3)),
        )
        Q = Q * 10 ** rng.uniform(0, 1.5)
        a, p = rng.normal(size=(2, 2, 3))
        exact = np.zeros((3, 3))
        for x, y in zip(a, p, strict=True):
            with mpmath.workdps(80):
                zero, h = np.zeros((3, 3)), mpmath.mpf(10) ** -30
                sides = []
                for sign in (1, -1):
                    A = mpmath.matrix(Q.T.tolist()) + sign * h * mpmath.matrix(D.T.tolist())
                    block = mpmath.matrix(np.block([[zero, np.outer(x, y)], [zero, zero]]).tolist())
                    for i in range(3):
                        for j in range(3):
                            block[i, j] = block[3 + i, 3 + j] = A[i, j]
                    sides.append(mpmath.expm(block, method="taylor"))
                slope = (sides[0] - sides[1]) / (2 * h)
                exact += np.array([[float(slope[i, 3 + j]) for j in range(3)] for i in range(3)])
        try:
            found = bilinear_hessian_product(Q, a, p, D, 1.0, method, full_output=True)
        except DomainError:
            continue
        error = np.linalg.norm(found.value - exact) / np.linalg.norm(exact)
        assert error <= found.error_estimate + 1e-15 and found.error_estimate < 1e-6


def test_a_gradient_of_a_trace_has_the_estimate_too():
    assert trace_gradient(np.eye(3), -np.eye(3), full_output=True).error_estimate < 1e-13
