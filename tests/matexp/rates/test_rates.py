"""Rate matrices: classes, kernel, group inverse, decay, coordinates."""

import numpy as np
import pytest
from scipy.linalg import expm

from advdiff.matexp import (
    LAWS,
    decay_constants,
    from_log_rates,
    gradient,
    group_inverse,
    is_irreducible,
    is_rate_matrix,
    is_reversible,
    log_rates,
    log_rates_log_jacobian,
    log_rates_pullback,
    log_rates_pushforward,
    membership,
    random_nearly_reducible,
    random_rate_matrix,
    random_reversible,
    spectral_gap,
    unit_entry,
)
from tests.matexp.references import relative

pytestmark = pytest.mark.serial


@pytest.mark.parametrize("law", LAWS)
def test_laws_are_in_R_and_D(law):
    Q = random_rate_matrix(np.random.default_rng(1), 8, law)
    classes = membership(Q)
    assert classes.rate and classes.irreducible and classes.in_R and classes.in_D
    assert not classes.reversible and classes.reasons == ("not reversible: detailed balance fails",)


def test_membership_says_why_not():
    ring = np.roll(np.eye(4), 1, axis=1) - np.eye(4)
    classes = membership(ring)
    assert classes.irreducible and not classes.in_R and "zero" in classes.reasons[0]
    assert "row sums" in membership(np.eye(3)).reasons[0]
    assert "negative rate at (0, 1)" in membership([[1.0, -1.0], [1.0, -1.0]]).reasons[0]
    blocks = np.kron(np.eye(2), [[-1.0, 1.0], [1.0, -1.0]])
    assert "reducible" in membership(blocks).reasons[0]
    assert membership(random_reversible(np.random.default_rng(2), 6)).reversible
    # a defective member of R: two equal eigenvalues −4 in one Jordan block
    defective = np.array([[-3.0, 1.0, 2.0], [2.0, -3.0, 1.0], [0.75, 1.25, -2.0]])
    V = np.array([[1.0, 1.0, 0.0], [1.0, -1.0, 1.0], [1.0, 0.0, -1.0]])
    defective = V @ np.array([[0, 0, 0], [0, -4.0, 0.5], [0, 0, -4.0]]) @ np.linalg.inv(V)
    assert is_rate_matrix(defective) and membership(defective).in_R
    assert not membership(defective).in_D and "cond(V)" in " ".join(membership(defective).reasons)


def test_reversible_and_gap():
    rng = np.random.default_rng(8)
    Q = random_reversible(rng, 6, spread=2.0)
    assert is_reversible(Q) and not is_reversible(random_rate_matrix(rng, 6))
    values = np.sort(np.linalg.eigvals(Q).real)
    assert spectral_gap(Q) == pytest.approx(-values[-2], rel=1e-10)
    assert spectral_gap([[0.0]]) == np.inf
    assert spectral_gap([[-1.0, 1.0], [2.0, -2.0]]) == pytest.approx(3.0, rel=1e-14)


@pytest.mark.parametrize("seed", range(5))
def test_decay_constants_bound_what_they_say(seed):
    """docs/theory.md, (2.3) and (2.9), with the gap as the rate."""
    Q = random_rate_matrix(np.random.default_rng(seed), 6)
    constants = decay_constants(Q)
    G = group_inverse(Q)
    for t in (0.0, 0.1, 1.0, 3.0):
        X = expm(t * Q)
        slack = 1 + 1e-8 * np.exp(constants.gap * t)  # the products lose digits as they decay
        assert np.linalg.norm(Q @ X) <= constants.generator_bound(t) * slack
        assert np.linalg.norm(G @ X) <= constants.group_inverse_bound(t) * slack


def test_log_rates_are_coordinates():
    rng = np.random.default_rng(9)
    x = rng.normal(size=(2, 5, 5)) * (1 - np.eye(5))
    Q = from_log_rates(x)
    assert all(membership(A).in_R for A in Q)
    assert np.allclose(log_rates(Q), x, atol=1e-14)
    with pytest.raises(ValueError, match="positive"):
        log_rates(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="shape"):
        from_log_rates(np.ones(3))


def test_log_rates_push_and_pull_by_finite_differences():
    rng = np.random.default_rng(10)
    x, dx = rng.normal(size=(2, 4, 4)) * (1 - np.eye(4))
    B, h = rng.normal(size=(4, 4)), 1e-6
    slope = (from_log_rates(x + h * dx) - from_log_rates(x - h * dx)) / (2 * h)
    assert relative(log_rates_pushforward(x, dx), slope) < 1e-8
    F = [np.sum(B * expm(from_log_rates(x + s * dx))) for s in (h, -h)]
    g = log_rates_pullback(x, gradient(from_log_rates(x), B))
    assert abs(np.sum(g * dx) - (F[0] - F[1]) / (2 * h)) < 1e-7
    assert not np.diag(g).any() and g.shape == x.shape
    # the rates' volume element is Π e^{x_ij}
    jacobian = [
        (lambda E: log_rates_pushforward(x, E))(np.eye(16)[4 * i + j].reshape(4, 4))[i, j]
        for i in range(4)
        for j in range(4)
        if i != j
    ]
    assert log_rates_log_jacobian(x) == pytest.approx(np.log(jacobian).sum(), rel=1e-13)


def test_random_matrices_are_what_they_claim():
    rng = np.random.default_rng(11)
    for Q in (random_nearly_reducible(rng, 6, 1e-6), random_reversible(rng, 6)):
        assert is_rate_matrix(Q) and is_irreducible(Q)
    assert spectral_gap(random_nearly_reducible(rng, 6, 1e-6)) < 1e-4
    J = unit_entry(rng, 5, size=(3,))
    assert J.shape == (3, 5, 5) and np.array_equal(J.sum(axis=(1, 2)), np.ones(3))
    assert not np.diagonal(J, axis1=1, axis2=2).any()
    with pytest.raises(ValueError, match="unknown law"):
        random_rate_matrix(rng, 3, "levy")
