"""Series and products: refusals, estimates, partial sums, the exponential integral."""

import numpy as np
import pytest

from advdiff.matexp import DomainError, certificate, derivative, partial_sums, random_rate_matrix
from advdiff.matexp.operands import stacks
from advdiff.matexp.series import exponential_and_integral
from tests.matexp.references import exact_derivative, relative

pytestmark = pytest.mark.serial


def problem(d=5, seed=0):
    rng = np.random.default_rng(seed)
    return random_rate_matrix(rng, d), rng.normal(size=(d, d))


@pytest.mark.parametrize("method", ["commutator-series", "power-series"])
def test_series_refuse_what_they_cannot_do(method):
    rng = np.random.default_rng(11)
    Q, J = random_rate_matrix(rng, 6), rng.normal(size=(6, 6))
    with pytest.raises(DomainError, match="frechet"):
        derivative(Q, J, 20.0, method)
    with pytest.raises(DomainError, match="frechet"):
        derivative(Q, J, 1e4, method)


@pytest.mark.parametrize("t", [0.3, 1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("method", ["commutator-series", "power-series", "product-formula"])
def test_error_estimates_are_not_optimistic(method, t):
    rng = np.random.default_rng(12)
    Q, J = random_rate_matrix(rng, 5), rng.normal(size=(5, 5))
    options = {} if method == "product-formula" else {"tol": 1.0}
    result = derivative(Q, J, t, method, full_output=True, **options)
    assert relative(result.value, exact_derivative(Q, J, t)) <= 10 * result.error_estimate


def test_product_formula_converges_like_one_over_N_and_richardson_removes_it():
    Q, J = problem()
    exact = exact_derivative(Q, J, 0.3)
    errors = [
        relative(derivative(Q, J, 0.3, "product-formula", factors=n, levels=0), exact)
        for n in (1024, 2048, 4096)
    ]
    assert np.allclose(np.array(errors[:-1]) / errors[1:], 2, atol=0.01)
    assert errors[-1] > 1e-5
    assert relative(derivative(Q, J, 0.3, "product-formula"), exact) < 1e-10


def test_partial_sums_are_the_orders_of_the_series():
    Q, J = problem()
    sums = partial_sums(*stacks(Q, J, 0.4), order=3)
    for n in range(4):
        assert relative(sums[n], derivative(Q, J, 0.4, "commutator-series", order=n)) < 1e-14


def test_error_of_truncations_against_certificate_order():
    """The partial sum of order n misses ∫ (t−r)^{n+1}/(n+1)! e^{(t−r)Q} C_{n+1} e^{rQ} dr."""
    from scipy.integrate import quad_vec
    from scipy.linalg import expm

    Q, J = problem(3)
    t, C = 0.6, J
    for n in range(3):
        C = C @ Q - Q @ C
        scale = float(np.prod(np.arange(1, n + 2)))
        integral = quad_vec(
            lambda r, C=C, n=n, s=scale: (
                (t - r) ** (n + 1) / s * expm((t - r) * Q) @ C @ expm(r * Q)
            ),
            0,
            t,
        )[0]
        missing = exact_derivative(Q, J, t) - derivative(Q, J, t, "commutator-series", order=n)
        assert relative(missing, integral) < 1e-9
    assert certificate(Q, J, t, "commutator-series", order=2).bound < 1e3


@pytest.mark.parametrize("t", [1e-8, 0.3, 50.0])
def test_exponential_and_its_integral(t):
    """Against the block exponential, for a singular, a nilpotent and a complex matrix."""
    from scipy.linalg import expm

    rng = np.random.default_rng(1)
    for Q in (random_rate_matrix(rng, 4), np.eye(4, k=1), 1j * rng.normal(size=(4, 4))):
        X, S = exponential_and_integral(Q, np.array(t))
        eye, zero = np.eye(4), np.zeros((4, 4))
        whole = expm(t * np.block([[Q, eye], [zero, zero]]))
        tolerance = 1e-14 * (1 + t * np.abs(Q).sum(axis=0).max())
        assert relative(X, whole[:4, :4]) < tolerance and relative(S, whole[:4, 4:]) < tolerance
