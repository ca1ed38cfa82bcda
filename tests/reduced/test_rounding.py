"""What a reduced model says of its rounding holds, against 50 digits."""

from functools import lru_cache

import mpmath
import numpy as np
import pytest

from advdiff.matexp import DomainError
from advdiff.reduced import Affine, ReducedModel, ResidualBound

pytestmark = pytest.mark.serial

TIMES = np.array([0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4])


def dissipative(rng, d):
    A = rng.standard_normal((2, d, d))
    return A[0] - A[0].T - A[1] @ A[1].T


def stiff(rng, d):
    rate = 10.0 ** rng.uniform(4.0, 11.0)
    Q = dissipative(rng, d)
    Q[:2, :2] += rate * np.array([[-1.0, 1.0], [1.0, -1.0]])
    return Q


def nearly_defective(rng, d):
    return 3.0 * np.eye(d, k=1) - np.diag(1.0 + 10.0 ** rng.uniform(-6.0, -1.0) * np.arange(d))


def unlike_units(rng, d):
    units = 10.0 ** rng.uniform(-6.0, 6.0, d)
    return dissipative(rng, d) * units[None, :] / units[:, None]


def model(Q, start, method="pade", bound=None) -> ReducedModel:
    zero = np.zeros(1, int)
    stack = np.array([Q.ravel(), 0.0 * Q.ravel()])
    affine = Affine(np.zeros(1), *np.zeros((2, 1), bool))
    return ReducedModel(
        affine, stack, start, np.eye(len(Q)), TIMES, zero, zero, bound=bound, method=method
    )


@lru_cache
def problem(kind, seed):
    """Q, x(0) and the states at the times."""
    rng = np.random.default_rng(seed)
    Q, start = kind(rng, 4), rng.standard_normal(4)
    with mpmath.workdps(50):
        matrix, x = mpmath.matrix(Q.tolist()), mpmath.matrix(start.tolist())
        states = [mpmath.expm(mpmath.mpf(float(t)) * matrix, method="taylor") * x for t in TIMES]
    return Q, start, np.array([[float(v) for v in state] for state in states])


@pytest.mark.parametrize("method", ["pade", "spectral", "auto"])
@pytest.mark.parametrize("kind", [dissipative, stiff, nearly_defective, unlike_units])
def test_the_rounding_of_the_states_is_at_most_the_estimate(kind, method):
    tried = 0
    for seed in range(4):
        Q, start, exact = problem(kind, seed)
        reduced = model(Q, start, method)
        try:
            at, estimate = reduced.linearise(np.zeros(1)), reduced.rounding(np.zeros(1))
        except DomainError:
            continue
        tried += 1
        error = np.linalg.norm(at.states[1:] - exact, axis=1).max()
        error /= np.linalg.norm(at.states, axis=1).max()
        assert error <= estimate + 1e-16, seed
        if kind is dissipative:
            assert estimate < 1e-12
    assert tried or (kind, method) == (nearly_defective, "spectral")


def test_the_bound_contains_it():
    """No residual, nothing left out at the start: what remains is t‖Q‖ε."""
    Q, start, exact = problem(stiff, 1)
    nothing = ResidualBound(np.zeros((2, 16)), 0.0, np.ones(4), 0.0)
    reduced = model(Q, start, "spectral", nothing)
    error = np.linalg.norm(reduced.linearise(np.zeros(1)).states[1:] - exact, axis=1)
    assert error.max() > 1e-13 and (error <= reduced.state_bound(np.zeros(1))).all()
