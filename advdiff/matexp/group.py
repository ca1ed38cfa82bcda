"""The kernel of Q: spectral projector Π, group inverse Q^#, stationary distribution.

Π projects onto ker Q along range Q, and QQ^# = Q^#Q = I − Π. For a non-symmetric Q the
Moore–Penrose inverse has neither property. Both are functions of Q: they commute with it, and the
ones of Qᵀ are the transposes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.csgraph import connected_components

from advdiff.matexp.operands import EPS, Array, DomainError, matrices, real_matrix, transpose

#: row sums below this multiple of d·eps·max|Q_ij| count as zero
ROW_SUM_ULPS = 16.0
#: singular values below this multiple of d·eps·σ_max count as zero
RANK_ULPS = 4.0
#: a kernel whose left and right bases meet at a smaller cosine belongs to a Jordan block
INDEX_ONE_COSINE = 1e-8


def is_rate_matrix(Q: ArrayLike) -> bool:
    """Whether the real (d, d) matrix has off-diagonals ≥ 0 and row sums 0 (to rounding)."""
    Q = real_matrix("Q", Q)
    off_diagonal = Q - np.diag(np.diag(Q))
    tolerance = ROW_SUM_ULPS * len(Q) * EPS * np.abs(Q).max()
    return bool((off_diagonal >= 0).all() and (np.abs(Q.sum(axis=1)) <= tolerance).all())


def is_irreducible(Q: ArrayLike) -> bool:
    """Whether every state reaches every other along non-zero off-diagonal entries; Q is (d, d)."""
    graph = np.abs(matrices("Q", Q)) > 0
    return bool(connected_components(graph, directed=True, connection="strong")[0] == 1)


def stationary_distribution(Q: ArrayLike) -> Array:
    """π with πQ = 0, Σπ = 1 for an irreducible rate matrix (d, d), shape (d,).

    Grassmann, Taksar & Heyman (Oper. Res. 33, 1985): elimination without subtractions, so that
    every entry of π has a small relative error, whatever the conditioning. DomainError for other
    matrices.
    """
    Q = real_matrix("Q", Q)
    if not (is_rate_matrix(Q) and is_irreducible(Q)):
        raise DomainError(
            "stationary_distribution needs an irreducible rate matrix (zero row sums)"
        )
    return _gth(Q)


def _gth(Q: Array) -> Array:
    A = Q.copy()
    d = len(A)
    for n in range(d - 1, 0, -1):  # censor state n: its paths go through the remaining states
        A[:n, n] /= A[n, :n].sum()
        A[:n, :n] += np.outer(A[:n, n], A[n, :n])
    weights = np.ones(d)
    for n in range(1, d):
        weights[n] = weights[:n] @ A[:n, n]
    return weights / weights.sum()


def kernel_projector(Q: ArrayLike) -> Array:
    """The spectral projector Π on ker Q along range Q, for stacks; 0 if Q is invertible.

    For an irreducible rate matrix Π = 1πᵀ (or its transpose, for the transpose of one), accurate
    entry by entry; otherwise from the null spaces of a singular value decomposition. DomainError if
    0 is a defective eigenvalue: then no such projector, and no group inverse, exists.

    The rows are the stationary distribution, to which e^{tQ} tends:

    >>> import numpy as np
    >>> kernel_projector(np.array([[-1.0, 1.0], [3.0, -3.0]]))
    array([[0.75, 0.25],
           [0.75, 0.25]])
    """
    Q = matrices("Q", Q)
    d = Q.shape[-1]
    return np.array([_projector(A) for A in Q.reshape(-1, d, d)]).reshape(Q.shape)


def _projector(A: Array) -> Array:
    d = len(A)
    if not np.iscomplexobj(A) and is_irreducible(A):
        if is_rate_matrix(A):
            return np.outer(np.ones(d), _gth(A))
        if is_rate_matrix(A.T):
            return np.outer(_gth(A.T), np.ones(d))
    U, singular, Vh = np.linalg.svd(A)
    rank = int((singular > RANK_ULPS * d * EPS * singular[0]).sum()) if singular[0] > 0 else 0
    if rank == d:
        return np.zeros_like(A)
    right, left = Vh[rank:].conj().T, U[:, rank:]
    meeting = left.conj().T @ right
    if np.linalg.svd(meeting, compute_uv=False)[-1] < INDEX_ONE_COSINE:
        raise DomainError("0 is a defective eigenvalue of Q: it has no group inverse")
    return right @ np.linalg.solve(meeting, left.conj().T)


def group_inverse(Q: ArrayLike, projector: Array | None = None) -> Array:
    """Q^# = (Q − αΠ)⁻¹ + Π/α for stacks (..., d, d): QQ^# = Q^#Q = I − Π, Q^#Π = 0.

    α is of the size of Q, which keeps the formula accurate for any units of the rates (Meyer,
    SIAM Rev. 17, 1975, with α = 1). DomainError if 0 is a defective eigenvalue.

    >>> import numpy as np
    >>> Q = np.array([[-1.0, 1.0], [3.0, -3.0]])
    >>> group_inverse(Q).round(12)
    array([[-0.0625,  0.0625],
           [ 0.1875, -0.1875]])
    >>> bool(np.allclose(Q @ group_inverse(Q), np.eye(2) - kernel_projector(Q)))
    True
    """
    Q = matrices("Q", Q)
    Pi = kernel_projector(Q) if projector is None else projector
    d = Q.shape[-1]
    size = np.linalg.norm(Q, axis=(-2, -1))[..., None, None] / np.sqrt(d)
    alpha = np.where(size > 0, size, 1.0)
    outside = np.eye(d) - Pi
    # the projection removes what rounding has left of the kernel
    return outside @ (np.linalg.inv(Q - alpha * Pi) + Pi / alpha) @ outside


def stationary_derivative(Q: ArrayLike, J: ArrayLike) -> Array:
    """dπ = −π J Q^# along a J with zero row sums, shape (d,) (Golub & Meyer, SIADM 7, 1986).

    DomainError if J does not keep the row sums zero: then Q + εJ has no stationary distribution.
    """
    Q, J = real_matrix("Q", Q), real_matrix("J", J)
    pi = stationary_distribution(Q)
    if (np.abs(J.sum(axis=1)) > ROW_SUM_ULPS * len(J) * EPS * np.abs(J).max()).any():
        raise DomainError("J must have zero row sums")
    # one linear system instead of an inverse: x (Q − 1πᵀ) = −πJ, and Σx = 0 follows
    return np.linalg.solve(transpose(Q - np.outer(np.ones(len(Q)), pi)), -(pi @ J))
