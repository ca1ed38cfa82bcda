"""States of small generators in extended precision, by scaling and squaring, far below rounding.

The matrices are the stored ones.  Where the constants are conserved, that is held after each
squaring, so that times of any length are right.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from advdiff.algebra.generator import Generator
from tests import dense

LONG = np.longdouble
_TERMS = 22  # of the exponential's series, for norms up to 1/2


class Reference:
    """exp(tA)θ0 + tφ₁(tA)M⁻¹F with 64 bits of mantissa.

    Args:
        generator: with some hundred unknowns at most.
        closed: A1 = 0 and 1ᵀMA = 0, which rounding has disturbed in what is stored.
    """

    def __init__(self, generator: Generator, closed: bool):
        mass = generator.mass
        if mass.is_diagonal:
            self.mass = np.diag(dense.vector(mass.diagonal)).astype(LONG)
        else:
            self.mass = dense.matrix(mass.matrix).astype(LONG)
        stiffness = dense.matrix(generator.stiffness).astype(LONG)
        self.rates = solve(self.mass, stiffness)
        self.ones = dense.vector(generator.ones()).astype(LONG)
        self.weights = self.mass @ self.ones
        self.weights /= self.weights @ self.ones
        self.closed = closed
        if closed:
            self.rates = self._centred(self.rates)

    def _centred(self, matrix: np.ndarray) -> np.ndarray:
        """P·matrix·P, P = I − 1wᵀ."""
        matrix = matrix - np.outer(matrix @ self.ones, self.weights)
        return matrix - np.outer(self.ones, self.weights @ matrix)

    def states(
        self, initial: np.ndarray, times: Sequence[float], load: np.ndarray | None = None
    ) -> np.ndarray:
        """One row a time; equal steps are cheap."""
        start = initial.astype(LONG)
        source = np.zeros_like(start)
        if load is not None:
            source = solve(self.mass, load.astype(LONG)[:, None])[:, 0]
        if not self.closed:
            return self._propagated(start, source, times)
        mean, rate = self.weights @ start, self.weights @ source
        start, source = start - mean * self.ones, source - rate * self.ones
        means = np.array([mean + rate * LONG(t) for t in times])
        return np.outer(means, self.ones) + self._propagated(start, source, times)

    def _propagated(
        self, start: np.ndarray, source: np.ndarray, times: Sequence[float]
    ) -> np.ndarray:
        states, maps = [start], {}
        for step in np.diff(np.array(times, dtype=LONG), prepend=LONG(0)):
            if step not in maps:
                maps[step] = self._map(step, source)
            flow, shift = maps[step]
            states.append(flow @ states[-1] + shift)
        return np.array(states[1:])

    def _map(self, time: np.longdouble, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """exp(tA) and tφ₁(tA)f."""
        size = float(abs(self.rates).sum(axis=1).max() * time)
        squarings = max(0, int(np.ceil(np.log2(max(size, 1e-300)))) + 1)
        step = time / LONG(2) ** squarings
        n = len(source)
        flow, integral, power = np.eye(n, dtype=LONG), np.zeros((n, n), LONG), np.eye(n, dtype=LONG)
        for k in range(1, _TERMS):
            integral += power * (step / k)
            power = self.rates @ power * (step / k)
            flow += power
        shift = integral @ source
        for _ in range(squarings):
            shift = flow @ shift + shift
            flow = flow @ flow
            if self.closed:
                flow = self._centred(flow)
                shift = shift - self.weights @ shift * self.ones
        return flow, shift

    def norm(self, state: np.ndarray) -> float:
        """‖θ‖ in L²."""
        return float(np.sqrt(state @ self.mass @ state))


def solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """matrix⁻¹ right by elimination with pivots."""
    work = np.hstack([matrix, right]).astype(LONG)
    n = len(matrix)
    for k in range(n):
        pivot = k + int(np.argmax(abs(work[k:, k])))
        work[[k, pivot]] = work[[pivot, k]]
        work[k] /= work[k, k]
        factors = work[:, k].copy()
        factors[k] = 0.0
        work -= np.outer(factors, work[k])
    return work[:, n:]
