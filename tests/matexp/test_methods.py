"""Every method of `derivative` against 50-digit references, Taylor tests and each other."""

import numpy as np
import pytest

from advdiff.matexp import METHODS, DomainError, derivative, gradient, random_rate_matrix
from tests.matexp.references import exact_derivative, long_derivative, relative

pytestmark = pytest.mark.serial

WELL = 1e-12
EXACT = [name for name, method in METHODS.items() if method.exact]
ANY_Q = [name for name in EXACT if name not in ("eigenpair",)]
SURROGATES = ["first-order", "midpoint", "truncated", "asymptotic", "kernel-exact"]


def hermitian(rng, d):
    A = rng.normal(size=(d, d))
    return (A + A.T) / np.sqrt(d)


@pytest.mark.parametrize("method", ANY_Q)
@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_exact_methods_meet_50_digits_on_rate_matrices(method, d):
    rng = np.random.default_rng(d)
    Q = random_rate_matrix(rng, d) / d if d > 1 else np.array([[-0.7]])
    J = rng.normal(size=(d, d))
    assert relative(derivative(Q, J, 0.8, method), exact_derivative(Q, J, 0.8)) < WELL


@pytest.mark.parametrize("method", [m for m in METHODS if not m.endswith("series")])
def test_short_times_keep_their_digits_beside_long_ones(method):
    """A stack is no less accurate than its members one by one."""
    rng = np.random.default_rng(6)
    Q = hermitian(rng, 5) if method == "eigenpair" else random_rate_matrix(rng, 5)
    J, t = rng.normal(size=(5, 5)), np.array([1e-8, 1e-3, 1.0, 200.0])
    stack = derivative(Q, J, t, method)
    for value, s in zip(stack, t, strict=True):
        assert relative(value, derivative(Q, J, s, method)) < 1e-14


@pytest.mark.parametrize("method", EXACT)
def test_exact_methods_meet_50_digits_on_symmetric_matrices(method):
    rng = np.random.default_rng(4)
    Q, J = hermitian(rng, 5), rng.normal(size=(5, 5))
    assert relative(derivative(Q, J, -0.6, method), exact_derivative(Q, J, -0.6)) < WELL


@pytest.mark.parametrize("method", [m for m in ANY_Q if m != "complex-step"])
def test_complex_matrices(method):
    rng = np.random.default_rng(5)
    Q, J = rng.normal(size=(2, 4, 4)) / 2 + 1j * rng.normal(size=(2, 4, 4)) / 2
    Y = derivative(Q, J, 0.9, method)
    assert np.iscomplexobj(Y)
    assert relative(Y, exact_derivative(Q, J, 0.9)) < WELL


@pytest.mark.parametrize("method", ["auto", "frechet", "block", "quadrature", "complex-step"])
def test_triangular_matrices(method):
    """Where scipy's expm, with its own path for them, loses up to four digits."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        Q, J = np.triu(rng.normal(size=(2, 2))), rng.normal(size=(2, 2))
        t = rng.uniform(1, 8)
        assert relative(derivative(Q, J, t, method), long_derivative(Q, J, t)) < 2e-13


@pytest.mark.parametrize("gap", [0.0, 1e-15, 1e-12, 1e-9, 1e-6, 1e-3])
@pytest.mark.parametrize("method", ["auto", "frechet", "block", "daleckii-krein", "quadrature"])
def test_close_and_repeated_eigenvalues(method, gap):
    """A close pair with an honest eigenbasis, and a Hermitian one: no digits lost."""
    rng = np.random.default_rng(6)
    Q = hermitian(rng, 4)
    values, V = np.linalg.eigh(Q)
    values[1] = values[0] + gap
    Q = (V * values) @ V.T
    Q, J = (Q + Q.T) / 2, rng.normal(size=(4, 4))
    assert relative(derivative(Q, J, 1.3, method), exact_derivative(Q, J, 1.3)) < WELL


@pytest.mark.parametrize("d", [20, 60])
@pytest.mark.parametrize("law", ["exponential", "effects", "cauchy"])
def test_auto_meets_80_bit_arithmetic(d, law):
    rng = np.random.default_rng(d)
    Q, J = random_rate_matrix(rng, d, law), rng.normal(size=(d, d))
    result = derivative(Q, J, 0.5, full_output=True)
    size = 1 + 0.5 * np.abs(Q).sum(axis=1).max()  # eps·t·norm(Q) is what e^{tQ} itself loses
    assert relative(result.value, long_derivative(Q, J, 0.5)) <= 1e-15 * (
        size + 10 * result.condition
    )


def test_auto_says_what_it_chose_and_why():
    good = derivative(np.diag([-1.0, -2.0]), np.ones((2, 2)), full_output=True)
    assert good.method == "daleckii-krein" and "cond(V)" in good.reason and good.condition == 1.0
    defective = derivative(np.eye(3, k=1), np.ones((3, 3)), full_output=True)
    assert defective.method == "frechet" and "cond(V)" in defective.reason


@pytest.mark.parametrize("method", EXACT)
def test_taylor_remainder_is_quadratic(method):
    """‖e^{t(Q+εJ)} − e^{tQ} − ε ∇_J e^{tQ}‖ falls by 4 when ε is halved."""
    from scipy.linalg import expm

    rng = np.random.default_rng(8)
    Q, J = hermitian(rng, 5), hermitian(rng, 5)
    Y, X = derivative(Q, J, 0.7, method), expm(0.7 * Q)
    remainders = [
        np.linalg.norm(expm(0.7 * (Q + e * J)) - X - e * Y) for e in (2e-2, 1e-2, 5e-3, 2.5e-3)
    ]
    ratios = np.array(remainders[:-1]) / remainders[1:]
    assert np.all(np.abs(ratios - 4) < 0.15)


@pytest.mark.parametrize("method", [*ANY_Q, "product-formula", *SURROGATES])
def test_stacks_broadcast_as_in_numpy(method):
    rng = np.random.default_rng(9)
    Q = random_rate_matrix(rng, 3, size=(2, 1)) / 2
    J, t = rng.normal(size=(4, 3, 3)), np.array([[[0.2]], [[0.5]]])
    Y = derivative(Q, J, t, method)
    assert Y.shape == (2, 2, 4, 3, 3)
    for a, b, c in np.ndindex(2, 2, 4):
        single = derivative(Q[b, 0], J[c], t[a, 0, 0], method)
        assert relative(Y[a, b, c], single) < 1e-11


@pytest.mark.parametrize("method", list(METHODS))
def test_zero_direction_and_zero_time_give_zero(method):
    Q = np.array([[-2.0, 1.0, 1.0], [1.0, -2.0, 1.0], [1.0, 1.0, -2.0]])
    J = np.arange(9.0).reshape(3, 3)
    assert not derivative(Q, np.zeros((3, 3)), 0.5, method).any()
    Y = derivative(Q, J, 0.0, method)
    if method == "asymptotic":  # right at infinity only
        assert np.linalg.norm(Y) > 0.1
    else:
        assert not Y.any()


@pytest.mark.parametrize("method", list(METHODS))
def test_zero_matrix_gives_tJ(method):
    J = np.arange(9.0).reshape(3, 3)
    assert relative(derivative(np.zeros((3, 3)), J, 2.5, method), 2.5 * J) < 1e-14


@pytest.mark.parametrize("method", list(METHODS))
def test_one_by_one(method):
    expected = 0.3 * np.exp(-0.7 * 0.3) * 5.0
    value = derivative([[-0.7]], [[5.0]], 0.3, method)
    # the truncated series and the expansion at infinity are approximations even here
    assert (relative(value, [[expected]]) < 1e-11) == (method not in ("truncated", "asymptotic"))


@pytest.mark.parametrize("method", ["auto", "frechet", "block", "daleckii-krein", "quadrature"])
def test_huge_norm(method):
    """t·norm(Q) = 1e4: the rounding of tQ itself is amplified by as much, and no more."""
    rng = np.random.default_rng(10)
    Q, J = random_rate_matrix(rng, 6), rng.normal(size=(6, 6))
    t = 1e4 / np.abs(Q).sum(axis=1).max()
    assert relative(derivative(Q, J, t, method), long_derivative(Q, J, t)) < 1e4 * 1e-15


@pytest.mark.parametrize("method", ANY_Q)
def test_nilpotent(method):
    Q, J = np.eye(4, k=1), np.arange(16.0).reshape(4, 4)
    if method == "daleckii-krein":
        with pytest.raises(DomainError):
            derivative(Q, J, 1.5, method)
    else:
        assert relative(derivative(Q, J, 1.5, method), exact_derivative(Q, J, 1.5)) < WELL


@pytest.mark.parametrize("method", list(METHODS))
def test_float32_and_integers_are_computed_in_double(method):
    Q = np.array([[-2, 1, 1], [1, -2, 1], [1, 1, -2]])
    J = np.arange(9).reshape(3, 3)
    expected = derivative(Q.astype(float), J.astype(float), 0.5, method)
    for kind in (np.float32, int):
        Y = derivative(Q.astype(kind), J.astype(kind), np.float32(0.5), method)
        assert Y.dtype == np.float64 and np.array_equal(Y, expected)


@pytest.mark.parametrize(
    ("Q", "J", "t", "words"),
    [
        (np.ones((2, 3)), np.ones((2, 2)), 1.0, "Q must have shape"),
        (np.eye(2), np.ones(4), 1.0, "J must have shape"),
        (np.eye(2), np.eye(3), 1.0, "J is"),
        (np.array([[np.nan, 0], [0, 1]]), np.eye(2), 1.0, "Q contains NaN"),
        (np.eye(2), np.eye(2), np.inf, "t contains NaN or infinity"),
        (np.eye(2), np.eye(2), 1j, "t must be real"),
        (np.ones((2, 2, 2)), np.ones((3, 2, 2)), 1.0, "do not broadcast"),
        (np.zeros((0, 0)), np.zeros((0, 0)), 1.0, "Q must have shape"),
        (np.array([["a"]]), np.eye(1), 1.0, "must be numeric"),
    ],
)
def test_bad_input_is_one_clear_line(Q, J, t, words):
    with pytest.raises(ValueError, match=words) as error:
        derivative(Q, J, t)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("method", ["auto", "frechet", "daleckii-krein", "kernel-exact"])
def test_an_empty_stack_gives_an_empty_stack(method):
    assert derivative(np.zeros((0, 3, 3)), np.eye(3), 1.0, method).shape == (0, 3, 3)
    assert derivative(np.eye(3), np.eye(3), np.zeros((0, 2)), method).shape == (0, 2, 3, 3)


def test_unknown_method_and_overflow():
    with pytest.raises(ValueError, match="unknown method 'pade'"):
        derivative(np.eye(2), np.eye(2), method="pade")
    with pytest.raises(OverflowError, match="double precision"):
        derivative(np.eye(2), np.eye(2), 1000.0)
    with pytest.raises(DomainError, match="Hermitian"):
        derivative(np.eye(2, k=1), np.eye(2), method="eigenpair")
    with pytest.raises(DomainError, match="real"):
        derivative(1j * np.eye(2), np.eye(2), method="complex-step")
    with pytest.raises(ValueError, match="power of two"):
        derivative(np.eye(2), np.eye(2), method="product-formula", factors=10)
    with pytest.raises(ValueError, match="order"):
        derivative(np.eye(2), np.eye(2), method="power-series", order=0)


def test_negative_time_is_the_derivative_of_the_inverse():
    rng = np.random.default_rng(14)
    Q, J = rng.normal(size=(2, 4, 4))
    for method in ("frechet", "daleckii-krein", "quadrature"):
        assert relative(derivative(Q, J, -0.8, method), exact_derivative(Q, J, -0.8)) < WELL


def test_import_needs_numpy_and_scipy_only():
    import subprocess
    import sys

    code = (
        "import sys, advdiff.matexp; bad = {'petsc4py', 'slepc4py', 'dolfinx', 'mpi4py', 'ufl', "
        "'matplotlib', 'h5py'} & set(sys.modules); sys.exit(repr(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("method", list(METHODS))
def test_gradient_is_the_adjoint_of_every_method(method):
    rng = np.random.default_rng(2)
    Q, (J, B) = random_rate_matrix(rng, 4), rng.normal(size=(2, 4, 4))
    if method == "eigenpair":
        Q = Q + Q.T
    left = np.sum(B * derivative(Q, J, 0.3, method))
    right = np.sum(gradient(Q, B, 0.3, method) * J)
    assert abs(left - right) < 1e-11 * np.linalg.norm(B) * np.linalg.norm(J)


def test_complex_gradient_is_the_holomorphic_derivative():
    from scipy.linalg import expm

    rng = np.random.default_rng(3)
    Q, B, D = rng.normal(size=(3, 4, 4)) + 1j * rng.normal(size=(3, 4, 4))
    h = 1e-6
    slope = (np.sum(B * expm(Q + h * D)) - np.sum(B * expm(Q - h * D))) / (2 * h)
    assert abs(np.sum(gradient(Q, B) * D) - slope) < 1e-7 * abs(slope)
