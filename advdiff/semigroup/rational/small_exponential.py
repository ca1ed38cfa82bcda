"""The reduced problem of a Krylov space: w' = A w + c, w(0) = 0, for a small dense A.

With Â = [[A, c], [0, 0]] the trajectory is a march x_k = e^{(t_k − t_{k−1}) Â} x_{k−1} from
x_0 = (0, 1), so that equidistant times need one exponential between them, whatever their number. It
is taken in units where c is no larger than A (``matexp.balance``).
Every rank computes the same few numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_SAME_STEP = 8 * np.finfo(float).eps


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
