"""The certificate: never below the true error, over random chains of every kind."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from advdiff.matexp import (
    LAWS,
    DomainError,
    asymptotic_theorem,
    certificate,
    decay_norms,
    derivative,
    group_inverse,
    kernel_projector,
    random_nearly_reducible,
    random_rate_matrix,
    random_reversible,
    spectral_gap,
    unit_entry,
)
from tests.matexp.references import PROFILE, long_derivative

pytestmark = pytest.mark.serial

KINDS = (*LAWS, "reversible", "nearly-reducible")
CERTIFIED = ("asymptotic", "first-order", "midpoint", "truncated", "kernel-exact")


def chain(kind, d, rng, hardness):
    if kind == "reversible":
        return random_reversible(rng, d, spread=3 * hardness)
    if kind == "nearly-reducible":
        return random_nearly_reducible(rng, d, 10 ** (-12 * hardness))
    return random_rate_matrix(rng, d, kind)


chains = {
    "kind": st.sampled_from(KINDS),
    "d": st.integers(2, 60),
    "log_t": st.floats(-6, 3),
    "hardness": st.floats(0, 1),
    "unit": st.booleans(),
    "seed": st.integers(0, 2**32 - 1),
}


@given(**chains)
@settings(PROFILE)
def test_the_error_never_exceeds_the_certificate(kind, d, log_t, hardness, unit, seed):
    """No tolerance: the bound accounts for rounding by itself. Reference in 80-bit arithmetic."""
    rng = np.random.default_rng(seed)
    Q, t = chain(kind, d, rng, hardness), 10**log_t
    J = unit_entry(rng, d) if unit else rng.normal(size=(d, d))
    exact = long_derivative(Q, J, t)
    for method in CERTIFIED:
        error = (derivative(Q, J, t, method) - exact).astype(float)
        assert np.linalg.norm(error, 2) <= certificate(Q, J, t, method).bound, method


@given(**chains)
@settings(PROFILE)
def test_the_theorem_in_closed_form(kind, d, log_t, hardness, unit, seed):
    """(c₀ + c₁t) e^{−gt} ≤ C e^{−κt} (docs/theory.md, § 2), beside the certificate's round-off."""
    rng = np.random.default_rng(seed)
    Q, t = chain(kind, d, rng, hardness), 10**log_t
    J = unit_entry(rng, d) if unit else rng.normal(size=(d, d))
    error = (derivative(Q, J, t, "asymptotic") - long_derivative(Q, J, t)).astype(float)
    theorem = asymptotic_theorem(Q, J)
    C, kappa = theorem.constants(theorem.gap / 2)
    allowed = theorem.bound(t) + certificate(Q, J, t).roundoff
    assert np.linalg.norm(error, 2) <= allowed
    assert theorem.bound(t) <= C * np.exp(-kappa * t) * (1 + 1e-12)


@given(**chains)
@settings(PROFILE)
def test_every_hypothesis_bounds_the_decay(kind, d, log_t, hardness, unit, seed):
    rng = np.random.default_rng(seed)
    Q, t = chain(kind, d, rng, hardness), 10**log_t
    decaying = np.linalg.norm(expm(t * Q) - kernel_projector(Q), 2)
    rounding = 1e-14 * d**1.5 * (1 + t * np.abs(Q).sum(axis=1).max())
    for norm in decay_norms(Q):
        if norm.rate * t > -600:
            assert decaying <= norm.constant * np.exp(-norm.rate * t) + rounding
        assert norm.rate <= spectral_gap(Q) * (1 + 1e-6) + 1e-9


def test_reversible_chains_reach_the_gap_with_the_weighted_constant():
    """C₁ = 1 in the π-weighted norm: √(max π / min π) in the 2-norm, and the rate is the gap."""
    Q = random_reversible(np.random.default_rng(1), 7, spread=1.5)
    norm = {n.name: n for n in decay_norms(Q)}["poincare"]
    pi = kernel_projector(Q)[0]
    assert norm.rate == pytest.approx(spectral_gap(Q), rel=1e-10)
    assert norm.constant <= np.sqrt(pi.max() / pi.min()) * (1 + 1e-12)
    J = np.random.default_rng(2).normal(size=(7, 7))
    late = certificate(Q, J, 20 / norm.rate, "first-order")
    assert late.hypothesis != "stochastic" and late.rate == pytest.approx(norm.rate, rel=0.5)


def test_poincare_decays_for_every_irreducible_chain_and_log_norm_need_not():
    """A one-way chain that slows down from state to state."""
    Q = np.diag(10.0 ** -np.arange(5.0), 1) + 1e-3
    np.fill_diagonal(Q, 0.0)
    Q -= np.diag(Q.sum(axis=1))
    norms = {n.name: n for n in decay_norms(Q)}
    assert norms["poincare"].rate > 0 > norms["log-norm"].rate


@given(**chains)
@settings(PROFILE)
def test_the_short_bound_of_the_theory_page(kind, d, log_t, hardness, unit, seed):
    """‖Y − (tΠJΠ − ΠJQ^# − Q^#JΠ)‖ ≤ ‖J‖ C₁ (2‖Π‖‖Q^#‖ + C₁t) e^{−gt}, for every hypothesis."""
    rng = np.random.default_rng(seed)
    Q, t = chain(kind, d, rng, hardness), 10**log_t
    J = unit_entry(rng, d) if unit else rng.normal(size=(d, d))
    Pi, G = kernel_projector(Q), group_inverse(Q)
    limit = t * Pi @ J @ Pi - Pi @ J @ G - G @ J @ Pi
    rest = np.linalg.norm((long_derivative(Q, J, t) - limit).astype(float), 2)
    size_J, size_Pi, size_G = (np.linalg.norm(A, 2) for A in (J, Pi, G))
    rounding = certificate(Q, J, t).roundoff  # of an approximation made of the same Q^#
    for norm in decay_norms(Q):
        C1, decay = norm.constant, np.exp(min(-norm.rate * t, 600.0))
        assert rest <= size_J * C1 * (2 * size_Pi * size_G + C1 * t) * decay + rounding


def test_certificates_are_sharp_at_both_ends():
    """Within a factor 2 of the error for small t, and tiny for large t."""
    rng = np.random.default_rng(2)
    Q, J = random_rate_matrix(rng, 20), unit_entry(rng, 20)
    for method in CERTIFIED:
        for t in (1e-5, 1e-3):
            error = np.linalg.norm(derivative(Q, J, t, method) - derivative(Q, J, t, "frechet"), 2)
            assert certificate(Q, J, t, method).bound <= 2 * error + 1e-15
    assert certificate(Q, J, 5.0).bound < 1e-8


def test_certificates_for_many_times_and_their_report():
    rng = np.random.default_rng(3)
    Q, J = random_rate_matrix(rng, 6), unit_entry(rng, 6)
    t = np.array([[1e-6, 1.0], [10.0, 0.0]])
    many = certificate(Q, J, t, method="asymptotic")
    assert many.bound.shape == many.hypothesis.shape == (2, 2)
    one = certificate(Q, J, 1.0, method="asymptotic")
    assert one.bound == many.bound[0, 1] and 0 < one.roundoff < one.bound
    assert str(one.reference).startswith("kernel-exact") and one.rate > 0 and one.constant >= 1
    assert certificate(Q, J, 0.0, "first-order").bound == 0.0
    assert certificate([[0.0]], [[2.0]], 3.0).bound < 1e-10


def test_certificates_refuse_what_they_do_not_cover():
    with pytest.raises(DomainError, match="irreducible"):
        certificate(np.eye(3), np.eye(3))
    Q = random_rate_matrix(np.random.default_rng(4), 3)
    with pytest.raises(ValueError, match="t >= 0"):
        certificate(Q, np.eye(3), -1.0)
    with pytest.raises(ValueError, match="unknown method"):
        certificate(Q, np.eye(3), 1.0, "pade")
    with pytest.raises(ValueError, match="one matrix"):
        certificate(Q[None], np.eye(3))
    with pytest.raises(ValueError, match="kappa"):
        asymptotic_theorem(Q, np.eye(3)).constants(1e9)
