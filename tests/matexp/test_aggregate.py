"""The adjoint: its convention, the pairing for every method, and sums of terms."""

import numpy as np
import pytest
from scipy.linalg import expm

from advdiff.matexp import (
    DomainError,
    bilinear_gradient,
    bilinear_hessian_product,
    bilinear_sum,
    gradient,
    random_rate_matrix,
)
from advdiff.matexp.spectral import eigenbasis
from tests.matexp.references import relative

pytestmark = pytest.mark.serial


def finite_differences(F, Q, step=1e-6):
    """(∂F/∂Q_ij) entry by entry, central."""
    G = np.zeros_like(Q)
    for i, j in np.ndindex(*Q.shape):
        E = np.zeros_like(Q)
        E[i, j] = step
        G[i, j] = (F(Q + E) - F(Q - E)) / (2 * step)
    return G


def terms(d, N, seed=0, t=1.0):
    rng = np.random.default_rng(seed)
    a, p = rng.normal(size=(2, N, d))
    return a, p, t * rng.uniform(0.1, 1.0, size=N)


def matrices(d=5):
    rng = np.random.default_rng(20)
    S = rng.normal(size=(d, d))
    return {
        "rates": random_rate_matrix(rng, d) / 2,
        "symmetric": (S + S.T) / 2,
        "repeated": np.ones((d, d)) - d * np.eye(d),
        "skew": S - S.T,
        "jordan": np.eye(d, k=1) - np.eye(d),
        "zero": np.zeros((d, d)),
    }


@pytest.mark.parametrize("name", list(matrices()))
def test_gradient_convention_by_finite_differences(name):
    Q, B = matrices()[name], np.random.default_rng(1).normal(size=(5, 5))
    G = finite_differences(lambda A: np.sum(B * expm(0.7 * A)), Q)
    assert relative(gradient(Q, B, 0.7), G) < 1e-8


@pytest.mark.parametrize("name", list(matrices()))
@pytest.mark.parametrize("scale", [1e-6, 1.0, 20.0])
@pytest.mark.parametrize("method", ["auto", "frechet", "daleckii-krein"])
def test_sum_of_terms_is_the_sum_of_gradients(name, scale, method):
    Q = matrices()[name]
    a, p, t = terms(5, 7, t=scale)
    if name == "jordan" and method == "daleckii-krein":
        with pytest.raises(DomainError, match=r"cond\(V\)"):
            bilinear_gradient(Q, a, p, t, method)
        return
    expected = gradient(Q, a[:, :, None] * p[:, None, :], t, "block").sum(axis=0)
    tolerance = 1e-13 * (1 + np.abs(Q).sum(axis=1).max() * scale)
    assert relative(bilinear_gradient(Q, a, p, t, method), expected) < tolerance


def test_sum_of_terms_by_finite_differences():
    Q = matrices()["rates"]
    a, p, t = terms(5, 6)
    G = finite_differences(lambda A: bilinear_sum(A, a, p, t), Q)
    assert relative(bilinear_gradient(Q, a, p, t), G) < 1e-8


def test_surrogate_sum_is_the_first_order_adjoint():
    Q = matrices()["rates"]
    a, p, t = terms(5, 6)
    expected = gradient(Q, a[:, :, None] * p[:, None, :], t, "first-order").sum(axis=0)
    assert relative(bilinear_gradient(Q, a, p, t, "first-order"), expected) < 1e-12


def test_terms_of_very_different_times_and_close_eigenvalues():
    """Times from 1e-8 to 1e2 and eigenvalue gaps from 1e-12 in one sum."""
    rng = np.random.default_rng(4)
    V, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    V = V + 0.1 * rng.normal(size=(6, 6))
    values = np.array([-1.0, -1.0 - 1e-12, -1.0 - 1e-7, -1.01, -0.2, -3.0])
    Q = V @ np.diag(values) @ np.linalg.inv(V)
    for keep in (slice(0, 3), slice(None)):
        t = np.array([1e-8, 1e-6, 1e-4, 1e-2, 1.0, 10.0, 100.0])[keep]
        a, p = rng.normal(size=(2, len(t), 6))
        assert (
            relative(bilinear_gradient(Q, a, p, t), bilinear_gradient(Q, a, p, t, "frechet"))
            < 1e-11
        )


def test_graded_eigenbases_are_routed_before_they_lose_much():
    """Triangular matrices, cond(V) from 10 to 1e7: what is lost where an eigenbasis is accepted.

    A gradient at most cond(V)·1e-14, a Hessian product (which has no estimate) 7 digits of 16.
    """
    routed = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        d = int(rng.integers(3, 14))
        Q, D = np.triu(rng.normal(size=(d, d))), rng.normal(size=(d, d))
        a, p, t = terms(d, 4, seed, 0.3)
        for function, more in ((bilinear_gradient, ()), (bilinear_hessian_product, (D,))):
            result = function(Q, a, p, *more, t, full_output=True)
            routed.add((function.__name__, result.method))
            error = relative(result.value, function(Q, a, p, *more, t, "frechet"))
            accepted = result.method == "daleckii-krein"
            assert error <= ((1e-9 if more else 1e-14 * result.condition) if accepted else 0.0)
    assert len(routed) == 4


def test_a_gradient_that_loses_too_much_is_refused_below_the_limit_of_the_condition():
    """Some triangular matrices with cond(V) < 1e3: cond(V)² is at work."""
    refused = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        d = int(rng.integers(3, 14))
        Q = np.triu(rng.normal(size=(d, d)))
        a, p, t = terms(d, 4, seed, 0.3)
        result = bilinear_gradient(Q, a, p, t, full_output=True)
        if result.method == "frechet" and "rounding" in result.reason:
            refused += 1
            assert result.condition < 1e3
            with pytest.raises(DomainError, match="use method='frechet'"):
                bilinear_gradient(Q, a, p, t, "daleckii-krein")
    assert refused > 1


def test_routing_is_reported():
    a, p, t = terms(5, 3)
    good = bilinear_gradient(matrices()["rates"], a, p, t, full_output=True)
    bad = bilinear_gradient(matrices()["jordan"], a, p, t, full_output=True)
    assert good.method == "daleckii-krein" and good.condition > 1 and "cond(V)" in good.reason
    assert bad.method == "frechet" and "cond(V)" in bad.reason


@pytest.mark.parametrize("name", list(matrices()))
@pytest.mark.parametrize("scale", [1e-6, 1e-2, 1.0, 20.0])
def test_hessian_product_in_the_eigenbasis_and_by_blocks_agree(name, scale):
    Q, D = matrices()[name], np.random.default_rng(5).normal(size=(5, 5))
    a, p, t = terms(5, 7, t=scale)
    expected = bilinear_hessian_product(Q, a, p, D, t, "frechet")
    result = bilinear_hessian_product(Q, a, p, D, t, full_output=True)
    assert result.method == ("frechet" if name == "jordan" else "daleckii-krein")
    assert relative(result.value, expected) < 1e-12 * (1 + np.abs(Q).sum(axis=1).max() * scale)


@pytest.mark.parametrize("name", ["rates", "repeated", "jordan"])
def test_hessian_product_by_finite_differences_and_symmetry(name):
    Q = matrices()[name]
    D, K = np.random.default_rng(6).normal(size=(2, 5, 5))
    a, p, t = terms(5, 6)
    h = 1e-6
    slope = (
        bilinear_gradient(Q + h * D, a, p, t, "frechet")
        - bilinear_gradient(Q - h * D, a, p, t, "frechet")
    ) / (2 * h)
    HD, HK = (bilinear_hessian_product(Q, a, p, X, t) for X in (D, K))
    assert relative(HD, slope) < 1e-7
    assert abs(np.sum(HD * K) - np.sum(HK * D)) < 1e-11 * np.linalg.norm(HD) * np.linalg.norm(K)


def test_no_terms_and_one_state():
    assert not bilinear_gradient(np.eye(3), np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0)).any()
    G = bilinear_gradient([[-0.5]], [[2.0], [1.0]], [[3.0], [1.0]], [1.0, 2.0])
    assert abs(G[0, 0] - (6 * np.exp(-0.5) + 2 * np.exp(-1.0))) < 1e-14
    H = bilinear_hessian_product([[-0.5]], [[2.0], [1.0]], [[3.0], [1.0]], [[1.0]], [1.0, 2.0])
    assert abs(H[0, 0] - (6 * np.exp(-0.5) + 4 * np.exp(-1.0))) < 1e-14


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.eye(3)[None], np.ones((1, 3)), np.ones((1, 3)), 1.0), "Q must be one matrix"),
        ((np.eye(3), np.ones((1, 2)), np.ones((1, 3)), 1.0), "a and p must both"),
        ((np.eye(3), np.ones((2, 3)), np.ones((2, 3)), np.ones(3)), "t must be a number"),
        ((np.eye(3), np.ones((2, 3)), np.full((2, 3), np.nan), 1.0), "p contains NaN"),
    ],
)
def test_bad_terms(arguments, words):
    with pytest.raises(ValueError, match=words):
        bilinear_gradient(*arguments)
    with pytest.raises(ValueError, match="unknown method"):
        bilinear_gradient(np.eye(2), np.ones((1, 2)), np.ones((1, 2)), 1.0, "block")
    with pytest.raises(OverflowError):
        bilinear_gradient(np.eye(2), np.ones((1, 2)), np.ones((1, 2)), 1e4)


@pytest.mark.parametrize("method", ["first-order", "asymptotic", "kernel-exact"])
@pytest.mark.parametrize("d", [2, 6])
def test_surrogates_of_a_sum_are_sums_of_surrogates(method, d):
    rng = np.random.default_rng(d)
    Q = random_rate_matrix(rng, d)
    a, p, t = rng.normal(size=(7, d)), rng.normal(size=(7, d)), rng.uniform(0.01, 3.0, 7)
    each = [gradient(Q, np.outer(u, v), s, method) for u, v, s in zip(a, p, t, strict=True)]
    found = bilinear_gradient(Q, a, p, t, method)
    np.testing.assert_allclose(found, sum(each), rtol=1e-9, atol=1e-10)


def test_a_known_basis_and_an_accuracy_are_taken():
    rng = np.random.default_rng(3)
    Q = random_rate_matrix(rng, 12)
    a, p, t = rng.normal(size=(9, 12)), rng.normal(size=(9, 12)), rng.uniform(0.01, 0.1, 9)
    plain = bilinear_gradient(Q, a, p, t)
    np.testing.assert_array_equal(plain, bilinear_gradient(Q, a, p, t, basis=eigenbasis(Q)))
    strict = bilinear_gradient(Q, a, p, t, accuracy=0.0, full_output=True)
    assert strict.method == "frechet" or strict.error is None or strict.error == 0.0
    lax = bilinear_gradient(Q, a, p, t, accuracy=1e-6, full_output=True)
    assert lax.method == "daleckii-krein"
    np.testing.assert_allclose(lax.value, strict.value, rtol=1e-7)
