"""Eigenbases, their guard, and divided differences."""

import mpmath
import numpy as np
import pytest

from advdiff.matexp import DomainError, derivative
from advdiff.matexp.spectral import divided_difference, second_divided_difference
from tests.matexp.references import exact_derivative, long_derivative, relative

WELL = 1e-12

pytestmark = pytest.mark.serial


def close_pair(rng, gap):
    V = rng.normal(size=(4, 4)) + 3 * np.eye(4)
    return V @ np.diag([-1.0, -1.0 + gap, -0.3, -2.0]) @ np.linalg.inv(V)


@pytest.mark.parametrize("gap", [1e-4, 1e-3, 1e-2])
def test_where_the_eigenbasis_is_accepted_the_error_is_at_most_cond_times_1e14(gap):
    """Random similarity transforms, some nearly defective."""
    checked = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        Q = close_pair(rng, gap) + gap * np.triu(rng.normal(size=(4, 4)), 1)
        J = rng.normal(size=(4, 4))
        try:
            result = derivative(Q, J, 1.0, "daleckii-krein", full_output=True)
        except DomainError:
            continue
        checked += 1
        assert relative(result.value, exact_derivative(Q, J)) <= result.condition * 1e-14
    assert checked >= 15


def test_graded_eigenbases_are_refused_before_they_lose_more_than_cond():
    """Triangular matrices: cond(V)²·eps is their loss; what is accepted keeps cond(V)·1e-14."""
    accepted, refused = 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        d = int(rng.integers(3, 14))
        Q, J, t = np.triu(rng.normal(size=(d, d))), rng.normal(size=(d, d)), 0.3
        try:
            result = derivative(Q, J, t, "daleckii-krein", full_output=True)
        except DomainError as refusal:
            assert "cond(V)" in str(refusal) and "frechet" in str(refusal)
            refused += 1
            continue
        accepted += 1
        assert relative(result.value, long_derivative(Q, J, t)) <= result.condition * 1e-14
    assert accepted >= 15 and refused >= 15


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_defective_eigenbasis_is_refused_by_name_and_routed_by_auto(size):
    Q = np.eye(size, k=1) - np.eye(size)
    S = np.random.default_rng(1).normal(size=(size, size)) + 3 * np.eye(size)
    J = np.ones((size, size)) + np.diag(np.arange(size))
    for A in (Q, S @ Q @ np.linalg.inv(S)):
        if size > 2 or A is Q:
            with pytest.raises(DomainError, match=r"cond\(V\).*frechet"):
                derivative(A, J, method="daleckii-krein")
        assert relative(derivative(A, J, 1.1), exact_derivative(A, J, 1.1)) < WELL


def test_skew_hermitian_and_normal_use_a_unitary_basis():
    rng = np.random.default_rng(13)
    A = rng.normal(size=(5, 5)) + 1j * rng.normal(size=(5, 5))
    skew, J = A - A.conj().T, rng.normal(size=(5, 5))
    circulant = np.array([[[2.0, -1.0, 0.5][(j - i) % 3] for j in range(3)] for i in range(3)])
    for Q, direction in ((skew, J), (circulant, J[:3, :3]), (1j * skew, J)):
        result = derivative(Q, direction, 0.4, "daleckii-krein", full_output=True)
        assert result.condition == 1.0
        assert relative(result.value, exact_derivative(Q, direction, 0.4)) < WELL


@pytest.mark.parametrize("t", [1e-6, 0.5, 40.0])
def test_divided_differences_meet_50_digits(t):
    """First and second, for equal, close and distant complex arguments."""
    rng = np.random.default_rng(15)
    triples = [-rng.exponential(size=3) + 1j * rng.normal(size=3) for _ in range(6)]
    for base in list(triples):
        for gap in (0.0, 1e-14, 1e-7, 1e-3):
            triples.append(np.array([base[0], base[0] + gap, base[2]]))
            triples.append(base[0] + gap * np.array([0.0, 1.0, 1j]))
    for a, b, c in triples:
        with mpmath.workdps(80):
            # tiny shifts make the textbook formula safe in 80 digits
            x, y, z = (
                mpmath.mpc(complex(v)) + k * mpmath.mpf(10) ** -25 for k, v in enumerate((a, b, c))
            )
            ex, ey, ez = (mpmath.exp(t * v) for v in (x, y, z))
            first = (ex - ey) / (x - y)
            second = (first - (ey - ez) / (y - z)) / (x - z)
            scale = [t * max(abs(ex), abs(ey)), t**2 * max(abs(ex), abs(ey), abs(ez)) / 2]
        errors = (
            abs(divided_difference(a, b, t) - complex(first)) / float(scale[0]),
            abs(second_divided_difference(a, b, c, t) - complex(second)) / float(scale[1]),
        )
        assert max(errors) < 1e-13 * (1 + t)
