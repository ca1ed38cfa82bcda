"""The slips that docs/theory.md lists (§ 9), by its numbers of formulas: each shown by a number."""

import numpy as np
import pytest
from scipy.linalg import expm

from advdiff.matexp import (
    certificate,
    decay_constants,
    decay_norms,
    derivative,
    group_inverse,
    kernel_projector,
    nonzero_eigenvalues,
    random_rate_matrix,
    trace_gradient,
)
from tests.matexp.references import relative

pytestmark = pytest.mark.serial


def problem(d=8, seed=0, t=8.0):
    rng = np.random.default_rng(seed)
    Q, J = random_rate_matrix(rng, d), rng.normal(size=(d, d))
    return Q, J, kernel_projector(Q), group_inverse(Q), expm(t * Q), t


def test_sign_of_the_correction_term():
    """(2.10) prints + Q⁺J(I − QQ⁺): with a plus the error is 2Q^#JΠ for ever."""
    Q, J, Pi, G, X, t = problem()
    Z = derivative(Q, J, t, "frechet") - t * X @ J
    base = -X @ J @ G @ (np.eye(8) + t * Q)
    assert np.linalg.norm(base - G @ J @ Pi - Z) < 1e-11
    assert relative(base + G @ J @ Pi - Z, 2 * G @ J @ Pi) < 1e-9
    assert np.linalg.norm(2 * G @ J @ Pi) > 0.1


def test_moore_penrose_is_not_the_inverse_that_is_needed():
    """With Q⁺ of Moore and Penrose neither Q = Q⁺Q² nor the theorem holds."""
    Q, J, _, G, X, t = problem()
    plus, eye = np.linalg.pinv(Q), np.eye(8)
    assert relative(G @ Q @ Q, Q) < 1e-12 and relative(plus @ Q @ Q, Q) > 1e-2
    Z = derivative(Q, J, t, "frechet") - t * X @ J
    errors = [
        np.linalg.norm(-X @ J @ A @ (eye + t * Q) - A @ J @ (eye - Q @ A) - Z) for A in (G, plus)
    ]
    assert errors[0] < 1e-11 and errors[1] > 1e-2


def test_decay_rate_is_the_gap_and_not_the_largest_modulus():
    """(2.9) prints e_M in place of the gap, twice: the bound printed is violated."""
    Q, _, _, G, _, _ = problem(t=1.0)
    c = decay_constants(Q)
    printed = np.sqrt(7) * c.condition / c.modulus_max * np.exp(-1.0 * c.modulus_max)
    true = np.linalg.norm(G @ expm(Q) - G @ kernel_projector(Q))
    assert true > printed and true <= c.group_inverse_bound(1.0)


def test_decay_rate_is_the_real_part_and_not_the_modulus():
    """(2.3) with e_m = min |λ|: a nearly cyclic chain rotates faster than it decays."""
    ring = 5 * (np.roll(np.eye(5), 1, axis=1) - np.eye(5))
    Q = ring + 1e-3 * (np.ones((5, 5)) - 5 * np.eye(5))
    c = decay_constants(Q)
    printed = 2 * c.condition * c.modulus_max * np.exp(-3.0 * c.modulus_min)
    true = np.linalg.norm(Q @ expm(3.0 * Q))
    assert true > printed and true <= c.generator_bound(3.0)
    assert np.abs(nonzero_eigenvalues(Q)).min() > 1.5 * c.gap


def test_singular_value_bound_holds_for_the_projector_of_norm_one_only():
    """§3.2: ‖Q^#J(I−QQ^#)‖₂ ≤ ‖J‖₂/σ_m fails; Q^# = (I−Π)Q⁺(I−Π) gives ‖J‖ ‖Π‖³/σ_m."""
    # nearly absorbing in the first state: an oblique projector
    Q = np.array([[-0.01, 0.005, 0.005], [1.0, -1.01, 0.01], [1.0, 0.01, -1.01]])
    Pi, G = kernel_projector(Q), group_inverse(Q)
    J = np.ones((3, 3))
    sigma = np.linalg.svd(Q, compute_uv=False)[-2]
    outside = np.eye(3) - Pi
    assert relative(outside @ np.linalg.pinv(Q) @ outside, G) < 1e-12
    rng = np.random.default_rng(1)
    ratios = []
    for _ in range(200):
        J = np.outer(rng.normal(size=3), rng.normal(size=3))
        ratios.append(np.linalg.norm(G @ J @ Pi, 2) / np.linalg.norm(J, 2) * sigma)
    assert 1.0 < max(ratios) <= np.linalg.norm(Pi, 2) ** 3


def test_printed_perturbation_of_the_exponential():
    """Before (1.3): X^ε = exp(tQ + εJ) should read exp(t(Q + εJ)); they differ by a factor t."""
    Q, J, _, _, _, t = problem(d=4, t=2.0)
    h = 1e-6
    slope = [(expm(t * Q + h * s * J) - expm(t * Q - h * s * J)) / (2 * h) for s in (1.0, t)]
    assert relative(slope[1], derivative(Q, J, t)) < 1e-7
    assert relative(t * slope[0], derivative(Q, J, t)) < 1e-7


def test_the_convolution_uses_the_basis_the_other_way_round():
    """After (2.2) Q = M⁻¹DM, but T₂ is written with J̄ = M⁻¹JM, M(·)M⁻¹, which needs Q = MDM⁻¹."""
    Q, J, _, _, _, t = problem(d=4, t=0.7)
    values, V = np.linalg.eig(Q)  # Q = V D V⁻¹, so that M = V⁻¹ in (2.2)
    gap = values[:, None] - values[None, :] + np.eye(4)
    Phi = (np.exp(t * values)[:, None] - np.exp(t * values)[None, :]) / gap
    Phi += np.diag(t * np.exp(t * values))
    for M, right in ((V, True), (np.linalg.inv(V), False)):
        value = M @ ((np.linalg.inv(M) @ J @ M) * Phi) @ np.linalg.inv(M)
        assert (relative(value.real, derivative(Q, J, t)) < 1e-11) == right


def test_product_formula_is_first_order():
    """One page writes e^X = (I + X/N)^N + O(N⁻²); the error is X²e^X/(2N)."""
    X = np.random.default_rng(2).normal(size=(4, 4)) / 2
    errors = [
        np.linalg.norm(np.linalg.matrix_power(np.eye(4) + X / n, n) - expm(X)) for n in (256, 512)
    ]
    assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.02)
    assert 512 * errors[1] == pytest.approx(np.linalg.norm(X @ X @ expm(X)) / 2, rel=0.02)


def test_product_formula_sum_starts_at_one():
    """One page sums (I+X/N)^{N−k} H (I+X/N)^{k−1} from k = 0; the derivative needs k = 1 … N."""
    rng = np.random.default_rng(3)
    X, H = rng.normal(size=(2, 4, 4)) / 2
    n, power = 8, np.linalg.matrix_power
    F = np.eye(4) + X / n
    exact = derivative(X, H, 1.0, "product-formula", factors=n, levels=0)
    for first, right in ((1, True), (0, False)):
        ks = range(first, first + n)
        total = sum(power(F, n - k) @ H @ power(F, k - 1) for k in ks) / n
        assert (relative(total, exact) < 1e-13) == right


def test_trace_gradients_need_their_transpose():
    """One page's ∂tr(Xᵏ)/∂X_ij = (kX^{k−1})_ji and φ₁(ad_X)[Ae^X] are right for dF = tr(G dX)."""
    A, X = np.random.default_rng(4).normal(size=(2, 3, 3))
    G = trace_gradient(A, X)
    E = np.zeros((3, 3))
    E[0, 2] = 1e-6
    slope = (np.trace(A @ expm(X + E)) - np.trace(A @ expm(X - E))) / 2e-6
    assert abs(slope - G[0, 2]) < 1e-6 * abs(slope) and abs(slope - G[2, 0]) > 1e-2 * abs(slope)


def test_velocity_sensitivity_has_a_minus_and_its_own_operator():
    """(4.6)–(4.7) print + v·∇θ: on the circle, by Fourier differentiation, ρ = −∫ S v·∇S θ0."""
    n, kappa, t = 15, 0.05, 0.4
    x = 2 * np.pi * np.arange(n) / n
    k = np.fft.fftfreq(n, 1 / n)
    modes = np.exp(1j * np.outer(x, k)) / n
    D = (modes @ np.diag(1j * k) @ np.exp(-1j * np.outer(k, x))).real
    Q, J, theta = kappa * D @ D - 0.7 * D, -np.diag(np.sin(x)) @ D, np.exp(np.cos(x))
    h = 1e-6
    slope = (expm(t * (Q + h * J)) - expm(t * (Q - h * J))) @ theta / (2 * h)
    rho = derivative(Q, J, t) @ theta
    assert relative(rho, slope) < 1e-8
    assert relative(-rho, slope) > 1.9


def test_a_term_by_term_certificate_misses_a_term():
    """Bounding the four blocks one by one does not bound `asymptotic`: ‖(I−Π)JQ^#‖ is missing.

    It bounds t e^{tQ}J − tΠJ(I−Π) − ΠJQ^# − Q^#JΠ instead. For symmetric Q (C₁ = 1) and a J on the
    complement it is 0 at t = 0, where the asymptotic surrogate is off by JQ^#.
    """
    rng = np.random.default_rng(5)
    A = rng.exponential(size=(5, 5))
    Q = A + A.T
    np.fill_diagonal(Q, 0.0)
    Q -= np.diag(Q.sum(axis=1))
    Pi, G, eye = kernel_projector(Q), group_inverse(Q), np.eye(5)
    J = (eye - Pi) @ rng.normal(size=(5, 5)) @ (eye - Pi)
    gap, t = -np.sort(np.linalg.eigvalsh(Q))[-2], 1e-3
    norm = lambda M: np.linalg.norm(M, 2)  # noqa: E731
    printed = np.exp(-gap * t) * (
        t * norm(J) + norm(Pi @ J @ G) + norm(G @ J @ Pi) + t * norm((eye - Pi) @ J)
    )
    exact = derivative(Q, J, t, "frechet")
    error = norm(derivative(Q, J, t, "asymptotic") - exact)
    assert error > 10 * printed and error <= certificate(Q, J, t).bound
    X = expm(t * Q)
    other = t * X @ J - t * Pi @ J @ (eye - Pi) - Pi @ J @ G - G @ J @ Pi
    assert norm(other - exact) <= printed
    assert {n.name for n in decay_norms(Q)} == {"poincare", "log-norm", "eigenbasis"}


def test_last_line_of_T1_has_the_wrong_sign():
    """−e^{tQ}(JQ^# + ∫ (I−P)JPe^{sQ} + e^{−sQ}PJ(I−P) ds), P = QQ^#, ends in + Q^#J(I−P), not −."""
    from scipy.integrate import quad_vec

    Q, J, Pi, G, X, t = problem(d=4, t=0.8)
    P = np.eye(4) - Pi
    integral = quad_vec(lambda s: Pi @ J @ P @ expm(s * Q) + expm(-s * Q) @ P @ J @ Pi, 0, t)[0]
    T1 = -X @ (J @ G + integral)
    rest = -X @ (P @ J @ G + Pi @ J @ G @ X + G @ J @ Pi)
    assert relative(T1 - rest, G @ J @ Pi) < 1e-9
