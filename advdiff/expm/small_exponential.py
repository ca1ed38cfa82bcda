"""The reduced problem of a Krylov engine: w' = A w + c, w(0) = 0, for a small dense A.

With Â = [[A, c], [0, 0]] the trajectory is a march x_k = e^{(t_k − t_{k−1}) Â} x_{k−1} from
x_0 = (0, 1), so that equidistant times need one exponential between them, whatever their number,
and its Fréchet derivative (Al-Mohy & Higham 2009, scipy) serves all of them: the cotangents of the
steps are summed before they are pulled back.  Every rank computes the same few numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import expm, expm_frechet

_SAME_STEP = 8 * np.finfo(float).eps


class SmallFlow:
    """w(t_k) = t_k φ₁(t_k A) c for all k, with the exact derivatives along and to (A, c).

    Args:
        matrix: A, m × m.
        source: c, m.
        times: 0 < t_1 < … < t_K; steps that differ by rounding of the times share one exponential.

    Attributes:
        states: w(t_k), m × K.
    """

    def __init__(self, matrix: np.ndarray, source: np.ndarray, times: Sequence[float]):
        m = len(source)
        self._generator = np.zeros((m + 1, m + 1))
        self._generator[:m, :m] = matrix
        self._generator[:m, m] = source
        self._steps, self._step_of = _distinct_steps(times)
        self._exponentials = [expm(step * self._generator) for step in self._steps]
        self._trajectory = np.zeros((m + 1, len(times) + 1))
        self._trajectory[m, 0] = 1.0
        for k, step in enumerate(self._step_of):
            self._trajectory[:, k + 1] = self._exponentials[step] @ self._trajectory[:, k]
        self.states = self._trajectory[:m, 1:]

    def push(self, d_matrix: np.ndarray, d_source: np.ndarray) -> np.ndarray:
        """Derivative of the states along (dA, dc), m × K."""
        m = len(d_source)
        direction = np.zeros_like(self._generator)
        direction[:m, :m] = d_matrix
        direction[:m, m] = d_source
        derivatives = [
            expm_frechet(step * self._generator, step * direction, compute_expm=False)
            for step in self._steps
        ]
        tangent = np.zeros_like(self._trajectory)
        for k, step in enumerate(self._step_of):
            tangent[:, k + 1] = (
                self._exponentials[step] @ tangent[:, k]
                + derivatives[step] @ self._trajectory[:, k]
            )
        return tangent[:m, 1:]

    def pull(self, cotangents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cotangents of A (m × m) and c (m) from those of the states (m × K)."""
        m = len(cotangents)
        steps = [np.zeros_like(self._generator) for _ in self._steps]
        adjoint = np.zeros(m + 1)
        for k in reversed(range(len(self._step_of))):
            adjoint[:m] += cotangents[:, k]
            steps[self._step_of[k]] += np.outer(adjoint, self._trajectory[:, k])
            adjoint = self._exponentials[self._step_of[k]].T @ adjoint
        total = np.zeros_like(self._generator)
        for step, cotangent in zip(self._steps, steps, strict=True):
            total += step * expm_frechet(step * self._generator.T, cotangent, compute_expm=False)
        return total[:m, :m], total[:m, m]


def _distinct_steps(times: Sequence[float]) -> tuple[list[float], list[int]]:
    """The different t_k − t_{k−1} (t_0 = 0) and which of them leads to t_k."""
    distinct: list[float] = []
    which = []
    for step in np.diff(times, prepend=0.0):
        for i, known in enumerate(distinct):
            if abs(step - known) <= _SAME_STEP * times[-1]:
                which.append(i)
                break
        else:
            which.append(len(distinct))
            distinct.append(float(step))
    return distinct, which
