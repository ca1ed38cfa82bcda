"""The reduced problem of a Krylov space: w' = A w + c, w(0) = 0, for a small dense A.

Of a resolvent's Hessenberg matrix H it is A = (I − H⁻¹)/γ, c = H⁻¹e₁/γ.  Eigenvalues of H far below
1 are of parts that have died out before the first time; H⁻¹ would drown the slow ones in the
rounding of these.  They are split off: with an ordered Schur form and Sylvester's equation

    H = S diag(H₁, H₂) S⁻¹,      w = S (w₁, w₂),      w₂ = (I − H₂)⁻¹ (S⁻¹e₁)₂ at all times.

With Â = [[A, c], [0, 0]] the trajectory is a march x_k = e^{(t_k − t_{k−1}) Â} x_{k−1} from
x_0 = (0, 1), so that equidistant times need one exponential between them, whatever their number. It
is taken in units where c is no larger than A (``matexp.balance``).
Every rank computes the same few numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_SAME_STEP = 8 * np.finfo(float).eps


_DEAD = 100.0  # e-foldings
_SMALL = 1e-3  # of H; what is larger is not worth splitting off


def resolvent_increments(hessenberg: np.ndarray, pole: float, times: Sequence[float]) -> np.ndarray:
    """w(t_k) for A = (I − H⁻¹)/γ and c = H⁻¹e₁/γ.

    Args:
        hessenberg: H, m × m.
        pole: γ.
        times: 0 < t_1 < … < t_K.

    Returns:
        w(t_k) column by column, m × K.
    """
    from scipy.linalg import schur, solve_sylvester

    m = len(hessenberg)
    try:
        inverse = np.linalg.inv(hessenberg)
        limit = 0.0  # no eigenvalue is below 1/‖H⁻¹‖: mostly none need be found
    except np.linalg.LinAlgError:
        inverse = np.full_like(hessenberg, np.inf)
    if not np.linalg.norm(inverse) * _SMALL <= 1.0:
        limit = _limit(np.linalg.eigvals(hessenberg), pole, times[0])
    if limit == 0.0:
        return _slow(inverse, np.eye(m)[:, 0], pole, times)
    form, basis, slow = schur(hessenberg, sort=lambda re, im=0.0: np.hypot(re, im) > limit)
    first, second, coupling = form[:slow, :slow], form[slow:, slow:], form[:slow, slow:]
    mix = solve_sylvester(first, -second, coupling)
    source = basis[0]
    dead = np.linalg.solve(np.eye(m - slow) - second, source[slow:])[:, None]
    alive = _slow(np.linalg.inv(first), source[:slow] + mix @ source[slow:], pole, times)
    return basis[:, :slow] @ (alive - mix @ dead) + basis[:, slow:] @ dead


def _limit(eigenvalues: np.ndarray, pole: float, first: float) -> float:
    """In the widest gap below which all have died out; 0 where none is worth it."""
    order = np.argsort(-abs(eigenvalues))
    sizes = abs(eigenvalues[order])
    with np.errstate(divide="ignore", invalid="ignore"):
        dead = ((1.0 / eigenvalues[order]).real - 1.0) * first / pole > _DEAD
    dead = (dead | (sizes == 0.0)) & (sizes < _SMALL)
    alive = int(np.max(np.flatnonzero(~dead), initial=-1)) + 1
    if alive == len(sizes):
        return 0.0
    sizes = np.maximum(sizes, np.finfo(float).tiny)
    larger = np.concatenate([[1.0], sizes])[alive : len(sizes)]
    gap = alive + int(np.argmax(larger / sizes[alive:]))
    return float(np.sqrt(sizes[gap] * (sizes[gap - 1] if gap else 1.0)))


def _slow(
    inverse: np.ndarray, source: np.ndarray, pole: float, times: Sequence[float]
) -> np.ndarray:
    if len(inverse) == 0:
        return np.zeros((0, len(times)))
    matrix = (np.eye(len(inverse)) - inverse) / pole
    with np.errstate(over="ignore", invalid="ignore"):  # of what has not converged, and grows
        return small_increments(matrix, inverse @ source / pole, times)


def small_increments(matrix: np.ndarray, source: np.ndarray, times: Sequence[float]) -> np.ndarray:
    """w(t_k) = t_k φ₁(t_k A) c.

    Args:
        matrix: A, m × m.
        source: c, m.
        times: 0 < t_1 < … < t_K; steps that differ by rounding of the times share one exponential.

    Returns:
        w(t_k) column by column, m × K.
    """
    from advdiff.matexp.balance import expm  # long to load, and others have no use for it

    m = len(source)
    generator = np.zeros((m + 1, m + 1))
    generator[:m, :m] = matrix
    generator[:m, m] = source
    exponentials: dict[float, np.ndarray] = {}
    states = np.empty((m, len(times)))
    x = np.zeros(m + 1)
    x[m] = 1.0
    for k, step in enumerate(np.diff(times, prepend=0.0)):
        same = (known for known in exponentials if abs(step - known) <= _SAME_STEP * times[-1])
        known = next(same, step)
        if known not in exponentials:
            exponentials[known] = expm(known * generator)
        x = exponentials[known] @ x
        states[:, k] = x[:m]
    return states
