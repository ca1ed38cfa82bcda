"""The small matrices of a reduced model, and what its linearisations ask of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from advdiff.reduced.affine import Affine
from advdiff.reduced.bound import ResidualBound

SKEW = 1e-12
"""Relative size of what keeps a matrix from being skew, when it is rounding."""
SAME_STEP = 8 * np.finfo(float).eps
"""Relative difference of steps between times that are one step."""


@dataclass
class System:
    """Q(m) = Σ f_j(m) A_j, where it starts, and what is read of it when.

    Attributes:
        affine: the functions of m.
        stack: A_0, A_1, …, each flattened, shape (1 + parameter, d²).
        start: x(0), shape (d,).
        sensors: x ↦ values at the sensors, shape (sensor, d).
        times: when they are read, increasing, the first may be 0.
        sensor, time: indices of each reading, shape (reading,).
        bound: of the error of the state; None where its matrices were not made.
        method: of :data:`advdiff.matexp.METHODS`, for the derivative of each exponential; "pade"
            takes it backwards through the steps that made the exponential (``exponential``),
            "spectral" everything from one eigendecomposition (``spectral``); "auto" the latter
            for more than a few distinct steps where the eigenbasis is sound, else "pade".
        options: of the method.
    """

    affine: Affine
    stack: np.ndarray
    start: np.ndarray
    sensors: np.ndarray
    times: np.ndarray
    sensor: np.ndarray
    time: np.ndarray
    bound: ResidualBound | None = None
    method: str = "auto"
    options: dict | None = None

    @property
    def dimension(self) -> int:
        """d: the basis, and one where there are loads."""
        return len(self.start)

    @cached_property
    def steps(self) -> tuple[np.ndarray, np.ndarray]:
        """The distinct steps between times, and which of them leads to each positive time."""
        times = self.times[self.times > 0.0]
        widths = np.diff(times, prepend=0.0)
        distinct, which = [], []
        for width in widths:
            same = [i for i, h in enumerate(distinct) if abs(h - width) <= SAME_STEP * times[-1]]
            if not same:
                distinct.append(width)
            which.append(same[0] if same else len(distinct) - 1)
        return np.array(distinct), np.array(which)

    def generator(self, m: np.ndarray) -> np.ndarray:
        """Q(m), shape (d, d)."""
        return self.combine(self.affine.values(m))

    @cached_property
    def _halves(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Skew terms are half as much to read: which they are, their lower triangles, where.

        ``stack`` (of the others), those triangles, and the flat indices of lower and upper.
        """
        d = self.dimension
        rows, columns = np.tril_indices(d, -1)
        cubes = self.stack.reshape(-1, d, d)
        largest = np.abs(self.stack).max(axis=1)
        skew = np.array(
            [
                np.abs(cube + cube.T).max() <= SKEW * size
                for cube, size in zip(cubes, largest, strict=True)
            ]
        )
        packed = np.ascontiguousarray(cubes[skew][:, rows, columns])
        return skew, packed, self.stack[~skew], np.array([rows * d + columns, columns * d + rows])

    def combine(self, factors: np.ndarray) -> np.ndarray:
        """Σ_j factors_j A_j over all terms, shape (d, d)."""
        skew, packed, others, (lower, upper) = self._halves
        flat, half = factors[~skew] @ others, factors[skew] @ packed
        flat[lower] += half
        flat[upper] -= half
        return flat.reshape(self.dimension, self.dimension)

    def contract(self, matrix: np.ndarray) -> np.ndarray:
        """⟨A_j, matrix⟩ for every unknown, shape (parameter,)."""
        skew, packed, others, (lower, upper) = self._halves
        flat, found = matrix.ravel(), np.empty(len(skew))
        found[skew] = packed @ (flat[lower] - flat[upper])
        found[~skew] = others @ flat
        return found[1:]
