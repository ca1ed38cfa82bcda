"""Two numerical studies, as pure functions from a seeded generator to arrays (docs/theory.md).

`surrogate_errors` (§§ 4, 5 there): how far each surrogate is from the exact derivative, and what
the certificate promises. `random_rates` (§ 3 there): eigenvalues, singular values and the
correction term of random rate matrices against d. Writing and plotting belong to the experiments
that call them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammainccinv, gammaincinv

from advdiff.matexp.group import stationary_distribution
from advdiff.matexp.methods import derivative
from advdiff.matexp.operands import Array, times
from advdiff.matexp.rates.certificate import certificates
from advdiff.matexp.rates.laws import LAWS, random_rate_matrix, unit_entry

SURROGATES = ("first-order", "midpoint", "truncated", "asymptotic", "kernel-exact")
#: numbers held at once by a stack of replicates
STACK = 2**23


class SurrogateErrors(NamedTuple):
    """Errors of one law and one d, arrays (method, replicate, time) unless said otherwise.

    ``frobenius`` and ``spectral``: ‖surrogate − exact‖ in the two norms; ``size`` ‖exact‖_F and
    ``spectral_size`` ‖exact‖₂, both (replicate, time); ``bound``: the certificate, for
    ``spectral``, nan beyond the replicates certified; ``methods``, ``times`` the labels.
    """

    methods: tuple[str, ...]
    times: Array
    frobenius: Array
    spectral: Array
    size: Array
    spectral_size: Array
    bound: Array


def surrogate_errors(
    rng: np.random.Generator,
    law: str,
    d: int,
    t: ArrayLike,
    replicates: int = 20,
    methods: Sequence[str] = SURROGATES,
    certified: int | None = None,
) -> SurrogateErrors:
    """Errors of ``replicates`` pairs (Q of the ``law``, J a random unit entry) at times ``t`` (n,).

    The exact derivative is frechet. ``certified``: how many replicates get a certificate (None:
    all).
    """
    t = np.atleast_1d(times("t", t))
    Q = random_rate_matrix(rng, d, law, size=(replicates, 1))
    J = unit_entry(rng, d, size=(replicates, 1))
    exact = derivative(Q, J, t, "frechet")
    shape = (len(methods), replicates, len(t))
    frobenius, spectral, bound = np.empty(shape), np.empty(shape), np.full(shape, np.nan)
    certified = replicates if certified is None else certified
    for m, method in enumerate(methods):
        error = derivative(Q, J, t, method) - exact
        frobenius[m] = np.linalg.norm(error, axis=(-2, -1))
        spectral[m] = np.linalg.norm(error, 2, axis=(-2, -1))
    for r in range(certified):
        found = certificates(Q[r, 0], J[r, 0], t, methods)
        bound[:, r] = [found[method].bound for method in methods]
    size = np.linalg.norm(exact, axis=(-2, -1))
    spectral_size = np.linalg.norm(exact, 2, axis=(-2, -1))
    return SurrogateErrors(tuple(methods), t, frobenius, spectral, size, spectral_size, bound)


class RandomRates(NamedTuple):
    """One law and one d, arrays (replicate,).

    ``modulus_min`` e_m and ``modulus_max`` e_M over the non-zero eigenvalues, ``gap`` min |Re λ|,
    ``sigma_min`` the smallest non-zero singular value; ``correction`` = ‖Q^#J(I − QQ^#)‖₂ for one
    random unit entry J, with ``printed_bound`` 1/σ_m (right for symmetric Q only, docs/theory.md
    § 3), ``mended_bound`` ‖Π‖₂³/σ_m and ``eigen_bound`` √(d−1)‖M‖_F‖M⁻¹‖_F‖Π‖_F/e_m (nan where the
    eigenvectors were not asked for).
    """

    modulus_min: Array
    modulus_max: Array
    gap: Array
    sigma_min: Array
    correction: Array
    printed_bound: Array
    mended_bound: Array
    eigen_bound: Array


def random_rates(
    rng: np.random.Generator, law: str, d: int, replicates: int = 20, eigenvectors: bool = False
) -> RandomRates:
    """Spectra and correction terms of ``replicates`` random rate matrices, d ≥ 2 (tried to 1000).

    ``eigenvectors`` adds ``eigen_bound``, at several times the cost.
    """
    stacks = [
        _random_rates(random_rate_matrix(rng, d, law, size=(n,)), rng, eigenvectors)
        for n in _chunks(replicates, d)
    ]
    return RandomRates(*(np.concatenate(part) for part in zip(*stacks, strict=True)))


def predicted_moduli(law: str, d: ArrayLike) -> tuple[Array, Array]:
    """Typical e_m and e_M of a law at large d, from its row sums alone (arrays of d's shape).

    Row sums are minus the diagonal; the rest moves the non-zero eigenvalues less than the row sums
    differ. "exponential": medians of the extremes of d sums Gamma(d − 1). "effects": row i has the
    mean (d − 1)(2 + r_i), the extremes of d numbers r_i ~ Exp(1). "cauchy": sums of d have the
    size (2/π) d log d, the lowest of d the less by log log d; the largest of d² entries rules e_M.
    """
    d = np.asarray(d, dtype=float)
    if law == "exponential":
        tail = -np.expm1(-np.log(2) / d)  # of one sum, if the median of the extreme is there
        return gammaincinv(d - 1, tail), gammainccinv(d - 1, tail)
    if law == "effects":
        return 2 * (d - 1), (d - 1) * (2 + np.log(d / np.log(2)))
    if law == "cauchy":
        return 2 / np.pi * d * (np.log(d) - np.log(np.log(d))), 2 / np.pi * d**2 / np.log(2)
    raise ValueError(f"unknown law {law!r}; choose from {', '.join(LAWS)}")


def _random_rates(Q: Array, rng: np.random.Generator, eigenvectors: bool) -> RandomRates:
    n, d = Q.shape[:2]
    if eigenvectors:
        values, V = np.linalg.eig(Q)
        condition = np.linalg.norm(V, axis=(1, 2)) * np.linalg.norm(np.linalg.inv(V), axis=(1, 2))
    else:
        values, condition = np.linalg.eigvals(Q), np.full(n, np.nan)
    # the zero eigenvalue is simple and far from the others: drop the smallest
    order = np.argsort(np.abs(values), axis=1)
    values = np.take_along_axis(values, order, axis=1)[:, 1:]
    sigma = np.linalg.svd(Q, compute_uv=False)[:, -2]
    pi = np.array([stationary_distribution(A) for A in Q])
    # J = e_i e_j^T: Q^#JΠ = (Q^# e_i) π^T, and Q^# e_i = (Q − αΠ)⁻¹(e_i − 1π_i), one solve
    entry = rng.integers(d, size=n)
    alpha = np.linalg.norm(Q, axis=(1, 2))[:, None, None] / np.sqrt(d)
    rows = np.arange(n)
    e = -np.repeat(pi[rows, entry][:, None], d, axis=1)
    e[rows, entry] += 1.0
    column = np.linalg.solve(Q - alpha * pi[:, None, :], e[..., None])[..., 0]
    norm_pi = np.linalg.norm(pi, axis=1)
    norm_Pi = np.sqrt(d) * norm_pi
    modulus = np.abs(values)
    return RandomRates(
        modulus.min(axis=1),
        modulus.max(axis=1),
        np.abs(values.real).min(axis=1),
        sigma,
        np.linalg.norm(column, axis=1) * norm_pi,
        1 / sigma,
        norm_Pi**3 / sigma,
        np.sqrt(d - 1) * condition * norm_Pi / modulus.min(axis=1),
    )


def _chunks(replicates: int, d: int) -> Iterator[int]:
    step = max(1, STACK // d**2)
    for start in range(0, replicates, step):
        yield min(step, replicates - start)
