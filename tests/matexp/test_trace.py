"""Gradients of traces, and the convention by finite differences in every function."""

import numpy as np
import pytest
from scipy.linalg import expm

from advdiff.matexp import (
    DomainError,
    entrywise_gram_trace_gradient,
    gram_trace_gradient,
    trace_function,
    trace_function_gradient,
    trace_gradient,
)
from advdiff.matexp.operands import commutator
from tests.matexp.references import relative

pytestmark = pytest.mark.serial

RNG = np.random.default_rng(30)
A, X = RNG.normal(size=(2, 4, 4)) / 2
S, P = X + X.T, A @ A.T + np.eye(4)  # symmetric, symmetric positive definite


def finite_differences(F, X, step=1e-6):
    G = np.zeros_like(X)
    for index in np.ndindex(*X.shape):
        E = np.zeros_like(X)
        E[index] = step
        G[index] = (F(X + E) - F(X - E)) / (2 * step)
    return G


@pytest.mark.parametrize(("weight", "matrix"), [(A, X), (P, S), (A, S), (P, X)])
def test_trace_gradient_by_finite_differences(weight, matrix):
    G = finite_differences(lambda Y: np.trace(weight @ expm(Y)), matrix)
    assert relative(trace_gradient(weight, matrix), G) < 1e-8


@pytest.mark.parametrize(("weight", "matrix"), [(A, X), (P, S)])
def test_the_forms_of_the_answers_agree(weight, matrix):
    expected = trace_gradient(weight, matrix, "block")
    names = ["power-series", "commutator-series", "daleckii-krein", "frechet"]
    for name in names + (["eigenpair"] if matrix is S else []):
        assert relative(trace_gradient(weight, matrix, name), expected) < 1e-12


def test_phi1_of_ad_is_the_transpose():
    """φ₁(ad_X)[A e^X] = Σ_n ad_Xⁿ[A e^X]/(n+1)! is dF/dX read as dF = tr(G dX)."""
    term, total, factorial = A @ expm(X), 0.0, 1.0
    for n in range(40):
        factorial *= n + 1
        total = total + term / factorial
        term = commutator(X, term)
    assert relative(total.T, trace_gradient(A, X)) < 1e-12


def test_eigenpair_formula_of_the_answer_for_symmetric_matrices():
    """Σ_i e^{λ_i} [(v_i'dXv_i)(v_i'Av_i) + 2 Σ_{j≠i} (v_i'dXv_j)(v_i'Av_j)/(λ_i − λ_j)]."""
    dX = A + A.T
    values, V = np.linalg.eigh(S)
    K, L = V.T @ dX @ V, V.T @ P @ V
    total = 0.0
    for i in range(4):
        total += np.exp(values[i]) * K[i, i] * L[i, i]
        for j in range(4):
            if j != i:
                total += 2 * np.exp(values[i]) / (values[i] - values[j]) * K[i, j] * L[i, j]
    assert abs(total - np.sum(trace_gradient(P, S) * dX)) < 1e-11 * abs(total)


def test_the_commuting_case():
    weight = S @ S - S
    assert relative(trace_gradient(weight, S), weight @ expm(S)) < 1e-12


@pytest.mark.parametrize("shape", [(2, 5), (5, 2), (3, 3), (1, 4), (4, 1)])
def test_gram_trace_gradient(shape):
    Y = RNG.normal(size=shape) / 2
    G = finite_differences(lambda Z: np.trace(expm(Z @ Z.T)), Y)
    assert relative(gram_trace_gradient(Y), G) < 1e-8
    assert relative(2 * expm(Y @ Y.T) @ Y, 2 * Y @ expm(Y.T @ Y)) < 1e-13
    # the asker's 2 X^T e^{XX^T} is the same thing in the transposed convention
    assert relative(gram_trace_gradient(Y).T, 2 * Y.T @ expm(Y @ Y.T)) < 1e-12


@pytest.mark.parametrize("shape", [(2, 5), (5, 2)])
def test_entrywise_reading_is_another_function(shape):
    Y = RNG.normal(size=shape) / 2
    G = finite_differences(lambda Z: np.trace(np.exp(Z @ Z.T)), Y)
    assert relative(entrywise_gram_trace_gradient(Y), G) < 1e-8
    assert relative(gram_trace_gradient(Y), G) > 1e-2


def test_gram_stacks_and_errors():
    Y = RNG.normal(size=(3, 2, 4)) / 2
    for f in (gram_trace_gradient, entrywise_gram_trace_gradient):
        assert all(np.allclose(f(Y)[k], f(Y[k]), rtol=1e-13) for k in range(3))
        with pytest.raises(ValueError, match="real"):
            f(1j * Y)
        with pytest.raises(ValueError, match="shape"):
            f(np.ones(3))
        with pytest.raises(ValueError, match="NaN"):
            f(np.full((2, 2), np.nan))
        with pytest.raises(OverflowError):
            f(np.full((2, 2), 100.0))


FUNCTIONS = [
    ("exp", None),
    ("log", None),
    ("sqrt", None),
    ("inverse", None),
    ("power", 3),
    ("power", -2),
    ("power", 0),
    ("power", 0.4),
    ("power", -1.5),
]


@pytest.mark.parametrize(("f", "exponent"), FUNCTIONS)
def test_trace_of_functions_by_finite_differences(f, exponent):
    for Y in (P, P + 0.3 * X):
        G = finite_differences(lambda Z: trace_function(Z, f, exponent), Y)
        assert np.linalg.norm(trace_function_gradient(Y, f, exponent) - G) < 1e-7 * (
            1 + np.linalg.norm(G)
        )


def test_functions_refuse_what_is_not_differentiable():
    singular, negative = np.diag([1.0, 0.0]), np.diag([1.0, -1.0])
    for f, exponent in (
        ("log", None),
        ("sqrt", None),
        ("inverse", None),
        ("power", -1),
        ("power", 0.5),
    ):
        with pytest.raises(DomainError, match="singular"):
            trace_function_gradient(singular, f, exponent)
    for f, exponent in (("log", None), ("sqrt", None), ("power", 0.5)):
        with pytest.raises(DomainError, match="negative real axis"):
            trace_function_gradient(negative, f, exponent)
    assert np.allclose(trace_function_gradient(negative, "inverse"), -np.eye(2))
    assert np.allclose(trace_function_gradient(singular, "power", 2), 2 * singular)
    with pytest.raises(ValueError, match="unknown function"):
        trace_function_gradient(P, "cos")
    with pytest.raises(ValueError, match="exponent"):
        trace_function_gradient(P, "power")


def test_function_of_a_product_commutes_through():
    """f(ABᵀ) A = A f(BᵀA) for rectangular A, B."""
    left, right = RNG.normal(size=(2, 4, 2)) / 2
    assert relative(expm(left @ right.T) @ left, left @ expm(right.T @ left)) < 1e-13
