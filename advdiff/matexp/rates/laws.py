"""Random rate matrices: three laws of the surrogate-trajectory literature, two harder kinds.

Didier, Glatt-Holtz, Holbrook, Magee & Suchard (PNAS 2024) draw the off-diagonals independently.
"""

from __future__ import annotations

import numpy as np

from advdiff.matexp.operands import Array

LAWS = ("exponential", "effects", "cauchy")


def random_rate_matrix(
    rng: np.random.Generator, d: int, law: str = "exponential", size: tuple[int, ...] = ()
) -> Array:
    """Rate matrices of shape (*size, d, d) with off-diagonals drawn from one of `LAWS`.

    "exponential": Exp(1). "effects": Exp(1) + r_i + c_j with row and column effects r_i, c_j ~
    Exp(1). "cauchy": |Cauchy|. ValueError for another name.
    """
    shape = (*size, d, d)
    if law == "exponential":
        rates = rng.exponential(size=shape)
    elif law == "effects":
        rates = rng.exponential(size=shape)
        rates += rng.exponential(size=(*size, d, 1)) + rng.exponential(size=(*size, 1, d))
    elif law == "cauchy":
        rates = np.abs(rng.standard_cauchy(size=shape))
    else:
        raise ValueError(f"unknown law {law!r}; choose from {', '.join(LAWS)}")
    return close_rows(rates)


def random_reversible(rng: np.random.Generator, d: int, spread: float = 1.0) -> Array:
    """Q_ij = s_ij √(π_j/π_i), s symmetric Exp(1), log π normal with std ``spread``; (d, d)."""
    s = np.triu(rng.exponential(size=(d, d)), 1)
    log_pi = spread * rng.normal(size=d)
    return close_rows((s + s.T) * np.exp((log_pi[None, :] - log_pi[:, None]) / 2))


def random_nearly_reducible(
    rng: np.random.Generator, d: int, coupling: float = 1e-4, blocks: int = 2
) -> Array:
    """Exp(1) rates within ``blocks`` groups of states, ``coupling``·Exp(1) between them; (d, d)."""
    rates = rng.exponential(size=(d, d))
    group = np.arange(d) * blocks // d
    return close_rows(np.where(group[:, None] == group[None, :], rates, coupling * rates))


def unit_entry(rng: np.random.Generator, d: int, size: tuple[int, ...] = ()) -> Array:
    """J with one entry 1 at a random place off the diagonal (d ≥ 2), shape (*size, d, d)."""
    J = np.zeros((*size, d, d))
    for index in np.ndindex(*size):
        i, j = rng.choice(d, size=2, replace=False)
        J[(*index, i, j)] = 1.0
    return J


def close_rows(rates: Array) -> Array:
    """The rate matrices with these off-diagonals: the diagonal makes every row sum zero."""
    eye = np.eye(rates.shape[-1])
    Q = rates * (1 - eye)
    return Q - Q.sum(axis=-1)[..., None] * eye
