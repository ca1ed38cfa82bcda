"""Sine and Fourier modes of a stream function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

from advdiff.domain.fields import Field
from advdiff.domain.mesh import Domain


def sine_modes(domain: Domain, counts: Sequence[int]) -> tuple[list[Field], np.ndarray]:
    """Stream functions sin(πj x̃) sin(πk ỹ), 1 ≤ j ≤ counts[0], 1 ≤ k ≤ counts[1], on a rectangle.

    x̃, ỹ run from 0 to 1 across the bounding box.  Each is scaled so that its velocity has root mean
    square 1: a coefficient is the speed that its mode contributes.

    Returns:
        The fields (callables), and the wave numbers (j, k), shape (count, 2).
    """
    lower, upper = domain.bounds
    size = upper - lower
    waves = np.array(list(product(range(1, counts[0] + 1), range(1, counts[1] + 1))))

    def mode(j: int, k: int) -> Field:
        a, b = np.pi * j / size[0], np.pi * k / size[1]
        scale = 2.0 / np.hypot(a, b)
        return lambda x: scale * np.sin(a * (x[0] - lower[0])) * np.sin(b * (x[1] - lower[1]))

    return [mode(j, k) for j, k in waves], waves


def fourier_modes(domain: Domain, largest: float) -> tuple[list[Field], np.ndarray]:
    """Divergence-free Fourier modes √2 cos(2πk·x̃) k^⊥/|k| and √2 sin(2πk·x̃) k^⊥/|k|, |k| ≤ largest.

    x̃ runs from 0 to 1 across the torus; on one with different periods k^⊥/|k| is formed with k
    divided by them.  Each mode has root mean square 1.  One wave vector of each pair ±k is taken.

    Returns:
        The fields (callables with values (2, n)), and the wave vectors k, shape (count, 2); cosine
        and sine of one k follow each other.
    """
    lower, upper = domain.bounds
    size = upper - lower
    reach = int(np.floor(largest))
    steps = range(-reach, reach + 1)
    half = [
        (j, k) for j, k in product(steps, steps) if (k, j) > (0, 0) and np.hypot(j, k) <= largest
    ]
    half.sort(key=lambda wave: (np.hypot(*wave), wave))

    def mode(wave: tuple[int, int], function: Callable) -> Field:
        k = np.array(wave) / size
        across = np.sqrt(2.0) * np.array([-k[1], k[0]]) / np.hypot(*k)

        def field(x: np.ndarray) -> np.ndarray:
            phase = 2.0 * np.pi * (k[0] * (x[0] - lower[0]) + k[1] * (x[1] - lower[1]))
            return across[:, None] * function(phase)

        return field

    modes = [mode(wave, function) for wave in half for function in (np.cos, np.sin)]
    return modes, np.repeat(np.array(half, dtype=float), 2, axis=0)
