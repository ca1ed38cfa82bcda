"""Balancing: the units in which a matrix is smallest, and exponentials taken in them.

With D diagonal, Q = D B D⁻¹ gives e^{tQ} = D e^{tB} D⁻¹, and the same for every derivative. Powers
of two in D make the change of units exact in floating point. What an algorithm loses by ‖tQ‖ or by
the condition of eigenvectors it then loses by those of B (Osborne, J. ACM 7, 1960; Parlett &
Reinsch, Numer. Math. 13, 1969).

Balancing may go too far: an entry that is only rounding lets it change the units by 1e8 and gain
nothing, and digits are lost on the way back. So LAPACK's balancing says how small each row and
column can be made, and D is the mildest change of units that makes no entry larger than that.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from scipy.linalg.lapack import dgebal
from scipy.sparse.csgraph import connected_components

from advdiff.matexp.operands import TINY, Array

#: exponents of D stay within ± this, so that nothing over- or underflows on the way
LARGEST_EXPONENT = 150


def balancing(Q: Array, small: float = 0.0) -> Array:
    """The diagonal of D, powers of two, for a stack (..., d, d): shape (..., d).

    Entries up to ``small`` are small enough. All ones where no entry is larger than that, or than
    those of the diagonal in its row and column, as for rate matrices.
    """
    d = Q.shape[-1]
    return np.array([_diagonal(A, small) for A in Q.reshape(-1, d, d)]).reshape(Q.shape[:-1])


def small_for(t: Array) -> float:
    """Size up to which an entry of Q need not be made smaller: 1 over the longest of the times."""
    longest = float(np.abs(t).max(initial=0.0))
    return 1 / longest if longest > TINY else np.inf


def scaled(A: Array, D: Array) -> Array:
    """D⁻¹ A D: the matrix A in the units of D, for broadcasting stacks."""
    return A if (D == 1).all() else A * (D[..., None, :] / D[..., :, None])


def unscaled(A: Array, D: Array) -> Array:
    """D A D⁻¹: back from the units of D."""
    return A if (D == 1).all() else A * (D[..., :, None] / D[..., None, :])


def expm(A: Array) -> Array:
    """e^A for a stack (..., d, d), computed in balanced units."""
    D = balancing(A, small=1.0)
    return unscaled(scipy.linalg.expm(scaled(A, D)), D)


def _diagonal(A: Array, small: float) -> Array:
    size = np.abs(A)
    least = np.maximum(np.diagonal(size), small)
    if _within(size, least) or not np.isfinite(size).all():
        return np.ones(len(A))
    least = np.maximum(_least(size), small)
    if _within(size, least):
        return np.ones(len(A))
    with np.errstate(divide="ignore", invalid="ignore"):  # log 0
        wanted = np.log2(np.maximum.outer(least, least)) + 1
        excess = np.log2(size) - wanted
    excess[(size == 0) | np.isneginf(wanted)] = -np.inf
    exponents = np.zeros(len(A))
    for _ in range(len(A)):  # the longest path of e_i >= e_j + excess_ij: no cycle is positive
        further = np.maximum(0.0, (excess + exponents[None, :]).max(axis=1))
        if np.array_equal(further, exponents):
            break
        exponents = further
    exponents -= np.round((exponents.max() + exponents.min()) / 2)
    return np.exp2(np.clip(np.ceil(exponents), -LARGEST_EXPONENT, LARGEST_EXPONENT))


def _within(size: Array, least: Array) -> bool:
    """Whether no entry is more than twice as large as the larger of its row's and its column's."""
    return bool((size <= 2 * np.maximum.outer(least, least)).all())


def _least(size: Array) -> Array:
    """The largest entry of each row and column, the diagonal's included, after LAPACK's balancing.

    Couplings between parts of which one acts on the other and not back do not count: they could be
    made as small as one likes.
    """
    if (size > 0).all():
        count, member = 1, np.zeros(len(size), dtype=int)
    else:
        count, member = connected_components(size > 0, directed=True, connection="strong")
    least = np.diagonal(size).copy()
    for k in np.flatnonzero(np.bincount(member, minlength=count) > 1):
        mine = np.flatnonzero(member == k)
        part = dgebal(size[np.ix_(mine, mine)], scale=1, permute=0)[0]
        least[mine] = np.maximum(part.max(axis=0), part.max(axis=1))
    return least
