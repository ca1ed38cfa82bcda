"""Rate matrices: their classes R and D, decay constants, and coordinates for a sampler."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import null_space

from advdiff.matexp.group import is_irreducible, is_rate_matrix, stationary_distribution
from advdiff.matexp.operands import EPS, Array, DomainError, double, real_matrix
from advdiff.matexp.spectral import MAX_CONDITION, eigenbasis

#: flows π_i Q_ij and π_j Q_ji that agree to this multiple of d·eps count as equal
REVERSIBLE_ULPS = 64.0


class Membership(NamedTuple):
    """Which classes a matrix belongs to; ``reasons`` says, for every "no", why.

    ``rate``: off-diagonals ≥ 0, zero row sums. ``irreducible``. ``in_R``: also every
    off-diagonal > 0. ``in_D``: in R, diagonalisable, and all eigenvalues but one with negative real
    part (docs/theory.md, (2.1) and (2.2)). ``reversible``: detailed balance π_i Q_ij = π_j Q_ji.
    """

    rate: bool
    irreducible: bool
    in_R: bool
    in_D: bool
    reversible: bool
    reasons: tuple[str, ...]


def membership(Q: ArrayLike, max_condition: float = MAX_CONDITION) -> Membership:
    """Test one real matrix (d, d); "diagonalisable" means cond₂(V) ≤ ``max_condition``."""
    Q = real_matrix("Q", Q)
    d = len(Q)
    reasons = []
    rate = is_rate_matrix(Q)
    if not rate:
        negative = np.argwhere(Q - np.diag(np.diag(Q)) < 0)
        where = f"negative rate at {tuple(map(int, negative[0]))}" if len(negative) else ""
        reasons.append(where or "row sums not zero")
    irreducible = is_irreducible(Q)
    if not irreducible:
        reasons.append("reducible: some state cannot be reached from every other")
    positive = bool((Q + np.diag(np.full(d, np.inf)) > 0).all()) if d > 1 else True
    if rate and irreducible and not positive:
        reasons.append("not in R: an off-diagonal rate is zero (irreducible all the same)")
    condition = float(eigenbasis(Q).condition)
    if condition > max_condition:
        reasons.append(f"not in D: cond(V) = {condition:.1e}, numerically not diagonalisable")
    in_R = rate and positive
    # irreducible: 0 is a simple eigenvalue and Re λ < 0 for all others (Perron and Frobenius)
    in_D = in_R and condition <= max_condition
    reversible = rate and irreducible and is_reversible(Q)
    if rate and irreducible and not reversible:
        reasons.append("not reversible: detailed balance fails")
    return Membership(rate, irreducible, in_R, in_D, reversible, tuple(reasons))


def is_reversible(Q: ArrayLike) -> bool:
    """Whether π_i Q_ij = π_j Q_ji (to rounding, entry by entry) for an irreducible rate matrix."""
    Q = real_matrix("Q", Q)
    flow = stationary_distribution(Q)[:, None] * Q
    size = np.maximum(np.abs(flow), np.abs(flow.T))
    return bool((np.abs(flow - flow.T) <= REVERSIBLE_ULPS * len(Q) * EPS * size).all())


def complement(pi: Array) -> tuple[Array, Array]:
    """(W, P) with PW = I, WP = I − 1πᵀ, P1 = 0, πᵀW = 0; orthonormal in ⟨x, y⟩ = Σ π_i x_i y_i."""
    root = np.sqrt(pi)
    U = null_space(root[None, :])
    return U / root[:, None], U.T * root


def spectral_gap(Q: ArrayLike) -> float:
    """g = min |Re λ| over the eigenvalues other than the zero one; inf if d = 1.

    ``Q``: one irreducible rate matrix (d, d), DomainError otherwise. The zero eigenvalue is removed
    by restriction to range Q, not by guessing which one it was.
    """
    values = nonzero_eigenvalues(Q)
    return float(-values.real.max()) if len(values) else np.inf


def nonzero_eigenvalues(Q: ArrayLike) -> Array:
    """The d − 1 eigenvalues of an irreducible rate matrix other than the simple 0."""
    Q = real_matrix("Q", Q)
    W, P = complement(stationary_distribution(Q))
    return np.linalg.eigvals(P @ Q @ W)


class DecayConstants(NamedTuple):
    """What bounds ‖Q e^{tQ}‖ and ‖Q^# e^{tQ}‖: the rate is the gap, min |Re λ|, in both.

    ``gap``; ``modulus_min`` e_m = min |λ| and ``modulus_max`` e_M = max |λ| over λ ≠ 0;
    ``condition`` = ‖M‖₂‖M⁻¹‖₂ of the eigenvectors; ``dimension`` d.
    """

    gap: float
    modulus_min: float
    modulus_max: float
    condition: float
    dimension: int

    def generator_bound(self, t: ArrayLike) -> Array:
        """A bound on ‖Q e^{tQ}‖_F: √(d−1) cond e_M e^{−gt}."""
        return self._scale() * self.modulus_max * np.exp(-self.gap * np.asarray(t))

    def group_inverse_bound(self, t: ArrayLike) -> Array:
        """A bound on ‖Q^# e^{tQ}‖_F: √(d−1) cond e^{−gt} / e_m."""
        return self._scale() / self.modulus_min * np.exp(-self.gap * np.asarray(t))

    def _scale(self) -> float:
        return np.sqrt(self.dimension - 1) * self.condition


def decay_constants(Q: ArrayLike) -> DecayConstants:
    """The constants of an irreducible diagonalisable rate matrix, d ≥ 2; DomainError otherwise."""
    Q = real_matrix("Q", Q)
    values = nonzero_eigenvalues(Q)
    if len(values) == 0:
        raise DomainError("decay_constants needs d >= 2")
    basis = eigenbasis(Q)
    if basis.condition > MAX_CONDITION:
        raise DomainError(f"cond(V) = {basis.condition:.1e}: numerically not diagonalisable")
    V = basis.vectors
    condition = float(np.linalg.cond(V / np.linalg.norm(V, axis=0)))  # of Q itself, not balanced
    modulus = np.abs(values)
    gap = float(-values.real.max())
    return DecayConstants(gap, float(modulus.min()), float(modulus.max()), condition, len(Q))


def from_log_rates(x: ArrayLike) -> Array:
    """The rate matrix with Q_ij = e^{x_ij} for i ≠ j and zero row sums, for stacks (..., d, d).

    x lives in a linear space, the matrices with zero diagonal (the diagonal is not looked at), and
    every x gives a matrix of the class R, all rates positive, and every such matrix has one x.
    """
    x = _log_rates("x", x)
    Q = _off_diagonal(np.exp(x))
    return Q - _diagonal(Q.sum(axis=-1))


def log_rates(Q: ArrayLike) -> Array:
    """The inverse of `from_log_rates`, zero on the diagonal; ValueError if a rate is not > 0."""
    Q = _log_rates("Q", Q)
    off = ~np.eye(Q.shape[-1], dtype=bool)
    if (Q[..., off] <= 0).any():
        raise ValueError("log_rates needs every off-diagonal rate to be positive")
    return np.log(np.where(off, Q, 1.0))


def log_rates_pushforward(x: ArrayLike, dx: ArrayLike) -> Array:
    """The direction J = dQ of `from_log_rates` along dx (..., d, d): zero row sums."""
    J = _off_diagonal(np.exp(_log_rates("x", x)) * _log_rates("dx", dx))
    return J - _diagonal(J.sum(axis=-1))


def log_rates_pullback(x: ArrayLike, G: ArrayLike) -> Array:
    """∂F/∂x_ij = e^{x_ij} (G_ij − G_ii) from G_ij = ∂F/∂Q_ij (..., d, d); zero on the diagonal."""
    G = _log_rates("G", G)
    return _off_diagonal(np.exp(_log_rates("x", x)) * (G - _diagonal_of(G)[..., :, None]))


def log_rates_log_jacobian(x: ArrayLike) -> Array:
    """log |det ∂(rates)/∂x| = Σ_{i≠j} x_ij: add it to a log density of the rates to sample x."""
    return _off_diagonal(_log_rates("x", x)).sum(axis=(-2, -1))


def _log_rates(name: str, value: ArrayLike) -> Array:
    array = double(name, value)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2] or np.iscomplexobj(array):
        raise ValueError(f"{name} must be real with shape (..., d, d), got {array.shape}")
    return array


def _diagonal_of(A: Array) -> Array:
    return np.diagonal(A, axis1=-2, axis2=-1)


def _diagonal(v: Array) -> Array:
    return v[..., None] * np.eye(v.shape[-1])


def _off_diagonal(A: Array) -> Array:
    return np.where(np.eye(A.shape[-1], dtype=bool), 0.0, A)
