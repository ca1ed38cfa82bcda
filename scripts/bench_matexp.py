#!/usr/bin/env python3
"""Accuracy and time of every method of `advdiff.matexp`, and of the aggregated gradient.

    python3 scripts/bench_matexp.py [--quick] [--json FILE]

Random rate matrices Q/d with Exp(1) rates (norm about 2), a Gaussian direction, t = 1. Reference:
50 digits (mpmath) up to d = 8, `scipy.linalg.expm_frechet` beyond (there frechet is its own
reference). The eigenpair method, which needs a symmetric matrix, gets (Q + Qᵀ)/2d.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import mpmath
import numpy as np
from scipy.linalg import expm_frechet

from advdiff.matexp import METHODS, bilinear_gradient, derivative, random_rate_matrix
from advdiff.matexp import gradient as one_gradient

DIMENSIONS = (4, 8, 16, 32, 64, 128, 256, 512)
QUICK_DIMENSIONS = (4, 16, 44)
MPMATH_UP_TO = 8
DIGITS = 50
#: a method is timed until this much time is spent, the best run counts
TIME_BUDGET = 0.2
SUM_DIMENSION, SUM_TERMS = 44, 568


def reference(Q: np.ndarray, J: np.ndarray) -> np.ndarray:
    d = len(Q)
    if d > MPMATH_UP_TO:
        return expm_frechet(Q, J, compute_expm=False)
    with mpmath.workdps(DIGITS):
        block = mpmath.matrix(np.block([[Q, J], [np.zeros_like(Q), Q]]).tolist())
        X = mpmath.expm(block, method="taylor")
        return np.array([[float(X[i, d + j]) for j in range(d)] for i in range(d)])


def timed(run: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    best, spent, value = np.inf, 0.0, None
    while spent < TIME_BUDGET:
        start = time.perf_counter()
        value = run()
        seconds = time.perf_counter() - start
        best, spent = min(best, seconds), spent + seconds
    return value, best


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def methods_table(dimensions: tuple[int, ...]) -> list[dict]:
    rows = []
    for d in dimensions:
        rng = np.random.default_rng(d)
        Q, J = random_rate_matrix(rng, d) / d, rng.normal(size=(d, d))
        symmetric = (Q + Q.T) / 2
        exact = {False: reference(Q, J), True: reference(symmetric, J)}
        for name, method in METHODS.items():
            hermitian = name == "eigenpair"
            A = symmetric if hermitian else Q
            value, seconds = timed(lambda A=A, J=J, name=name: derivative(A, J, 1.0, name))
            error = relative(value, exact[hermitian])
            rows.append(
                {"d": d, "method": name, "exact": method.exact, "error": error, "seconds": seconds}
            )
            print(f"{d:5d}  {name:18s} {error:9.1e} {1e3 * seconds:11.3f} ms", flush=True)
    return rows


def sum_row() -> dict:
    """The gradient of Σ_b a_bᵀ e^{t_b Q} p_b, N terms, in every way that is on offer."""
    d, N = SUM_DIMENSION, SUM_TERMS
    rng = np.random.default_rng(0)
    Q = random_rate_matrix(rng, d) / d
    a, p, t = rng.random((N, d)), rng.random((N, d)), rng.exponential(size=N)

    def one_by_one() -> np.ndarray:
        return sum(
            expm_frechet(s * Q.T, s * np.outer(x, y), compute_expm=False)
            for x, y, s in zip(a, p, t, strict=True)
        )

    def surrogate_one_by_one() -> np.ndarray:
        return one_gradient(Q, a[:, :, None] * p[:, None, :], t, "first-order").sum(axis=0)

    exact, seconds = timed(lambda: bilinear_gradient(Q, a, p, t))
    expected, frechet_seconds = timed(one_by_one)
    _, basis_seconds = timed(lambda: bilinear_gradient(Q, a, p, t, "first-order"))
    _, plain_seconds = timed(surrogate_one_by_one)
    row = {
        "d": d,
        "terms": N,
        "error": relative(exact, expected),
        "exact_seconds": seconds,
        "expm_frechet_seconds": frechet_seconds,
        "first_order_same_basis_seconds": basis_seconds,
        "first_order_expm_seconds": plain_seconds,
        "faster_than_expm_frechet": frechet_seconds / seconds,
        "over_first_order_same_basis": seconds / basis_seconds,
        "over_first_order_expm": seconds / plain_seconds,
    }
    print(
        f"\nsum of {N} terms, d = {d}: exact {1e3 * seconds:.1f} ms (error {row['error']:.1e})\n"
        f"  one expm_frechet per term {1e3 * frechet_seconds:.0f} ms: "
        f"{row['faster_than_expm_frechet']:.0f} times faster (at least 15 wanted)\n"
        f"  first-order surrogate, same eigenbasis {1e3 * basis_seconds:.1f} ms: exact takes "
        f"{row['over_first_order_same_basis']:.2f} times as long (at most 2 wanted)\n"
        f"  first-order surrogate, one expm per term {1e3 * plain_seconds:.0f} ms: exact takes "
        f"{row['over_first_order_expm']:.3f} times as long"
    )
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three sizes only, some seconds")
    parser.add_argument("--json", metavar="FILE", help="also write the numbers to FILE")
    options = parser.parse_args()
    print("    d  method          rel. error        time")
    rows = methods_table(QUICK_DIMENSIONS if options.quick else DIMENSIONS)
    total = sum_row()
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"methods": rows, "sum": total}, file, indent=1)


if __name__ == "__main__":
    main()
