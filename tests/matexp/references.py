"""References that owe nothing to the code under test, and the hypothesis profiles."""

from __future__ import annotations

import os

import mpmath
import numpy as np
from hypothesis import HealthCheck, settings

DIGITS = 50
LONG = np.longdouble

settings.register_profile(
    "matexp",
    derandomize=True,
    deadline=None,
    max_examples=50,
    database=None,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile("matexp-long", parent=settings.get_profile("matexp"), max_examples=1000)
PROFILE = settings.get_profile(os.environ.get("ADVDIFF_MATEXP_PROFILE", "matexp"))


def exact_derivative(Q, J, t=1.0):
    """The upper right block of exp(t [[Q, J], [0, Q]]) in 50 digits, for small d."""
    d = len(Q)
    with mpmath.workdps(DIGITS):
        block = mpmath.zeros(2 * d)
        for i in range(d):
            for j in range(d):
                block[i, j] = block[d + i, d + j] = mpmath.mpmathify(complex(Q[i, j]))
                block[i, d + j] = mpmath.mpmathify(complex(J[i, j]))
        X = mpmath.expm(mpmath.mpf(float(t)) * block, method="taylor")
        Y = np.array([[complex(X[i, d + j]) for j in range(d)] for i in range(d)])
    return Y if np.iscomplexobj(Q) or np.iscomplexobj(J) else Y.real


def long_derivative(Q, J, t):
    """Scaling and squaring of a Taylor series in 80-bit numbers: three more digits than double."""
    Q, J = np.asarray(Q, LONG) * LONG(t), np.asarray(J, LONG) * LONG(t)
    squarings = max(0, int(np.ceil(np.log2(max(float(np.abs(Q).sum(axis=1).max()), 1e-300)))) + 1)
    Q, J = Q / LONG(2) ** squarings, J / LONG(2) ** squarings
    eye = np.eye(len(Q), dtype=LONG)
    X, Y, P, D = eye + Q, J.copy(), Q.copy(), J.copy()
    for k in range(2, 24):
        D = (D @ Q + P @ J) / k
        P = P @ Q / k
        X, Y = X + P, Y + D
    for _ in range(squarings):
        Y = X @ Y + Y @ X
        X = X @ X
    return Y


def relative(a, b):
    """‖a − b‖_F/‖b‖_F, and ‖a‖_F if b = 0."""
    size = np.linalg.norm(np.asarray(b, complex if np.iscomplexobj(b) else float))
    distance = np.linalg.norm(np.asarray(a) - np.asarray(b).astype(np.asarray(a).dtype))
    return distance / size if size > 0 else distance
