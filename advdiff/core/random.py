"""Random numbers that are a function of where they are used: seed, chain, step and index.

Philox 4×64 with ten rounds (Salmon, Moraes, Dror & Shaw, SC 2011) turns a counter into random bits.
Every entry of a noise vector has a counter of its own, so that the vector does not depend on how it
is distributed, and a chain that goes on after a kill needs no saved generator.
"""

from __future__ import annotations

import numba
import numpy as np
from petsc4py import PETSc

MULTIPLIERS = np.array([0xD2E7470EE14C6C93, 0xCA5A826395121157], dtype=np.uint64)
WEYL = np.array([0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B], dtype=np.uint64)
LOW, HALF, DROP = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(11)
UNIT = 2.0**-53
VECTOR, SCALAR = 0, 1
"""The last word of a counter: what the number is for."""


@numba.njit(cache=True)
def _high(a, b):
    """The upper 64 bits of a·b."""
    a0, a1, b0, b1 = a & LOW, a >> HALF, b & LOW, b >> HALF
    middle = a1 * b0 + ((a0 * b0) >> HALF)
    other = a0 * b1 + (middle & LOW)
    return a1 * b1 + (middle >> HALF) + (other >> HALF)


@numba.njit(cache=True)
def _block(c0, c1, c2, c3, k0, k1):
    """Four random words for a counter of four words and a key of two."""
    for _ in range(10):
        high0, low0 = _high(MULTIPLIERS[0], c0), MULTIPLIERS[0] * c0
        high1, low1 = _high(MULTIPLIERS[1], c2), MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0 += WEYL[0]
        k1 += WEYL[1]
    return c0, c1, c2, c3


@numba.njit(cache=True)
def _normals(key, labels, draw, step, out):
    """Box and Muller's normals, one for each label."""
    for i in range(labels.size):
        bits, more, _, _ = _block(labels[i], draw, step, np.uint64(VECTOR), key[0], key[1])
        radius = np.sqrt(-2.0 * np.log(((bits >> DROP) + np.uint64(1)) * UNIT))
        out[i] = radius * np.cos(2.0 * np.pi * ((more >> DROP) * UNIT))


@numba.njit(cache=True)
def _uniform(key, draw, step):
    bits, _, _, _ = _block(np.uint64(0), draw, step, np.uint64(SCALAR), key[0], key[1])
    return (bits >> DROP) * UNIT


class Random:
    """The random numbers of one step of one chain; every call gives new ones.

    Args:
        seed, chain, step: any two steps have different numbers.
        labels: global identity of each local entry of a noise vector, shape (local,), uint64; None:
            its global index, which serves where the numbering does not depend on the ranks.

    >>> rng = Random(seed=0, chain=0, step=1)
    >>> noise = rng.white(PETSc.Vec().createSeq(10000))
    >>> abs(noise.sum() / 10000) < 0.03, abs(noise.norm() ** 2 / 10000 - 1.0) < 0.03
    (True, True)
    >>> rng.uniform() == rng.uniform(), Random(0, 0, 1).uniform() == Random(0, 0, 1).uniform()
    (False, True)
    """

    def __init__(self, seed: int, chain: int, step: int, labels: np.ndarray | None = None):
        self.key = np.array([seed, chain], dtype=np.uint64)
        self.step, self.labels, self._draw = np.uint64(step), labels, 0

    def _next(self) -> np.uint64:
        self._draw += 1
        return np.uint64(self._draw)

    def white(self, like: PETSc.Vec) -> PETSc.Vec:
        """A new vector of independent standard normals, laid out like ``like``."""
        labels = self.labels
        if labels is None:
            labels = np.arange(*like.getOwnershipRange(), dtype=np.uint64)
        result = like.duplicate()
        _normals(self.key, labels, self._next(), self.step, result.array_w)
        return result

    def uniform(self) -> float:
        """A number in [0, 1), the same on every rank."""
        return float(_uniform(self.key, self._next(), self.step))


GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: what tells numbers in a row apart."""


STAGES = ((30, np.uint64(0xBF58476D1CE4E5B9)), (27, np.uint64(0x94D049BB133111EB)))
"""Shift, multiplier."""


def mix(bits: np.ndarray) -> np.ndarray:
    """A hash of each of some words of 64 bits, uint64."""
    for shift, factor in STAGES:
        bits = (bits ^ (bits >> np.uint64(shift))) * factor
    return bits ^ (bits >> np.uint64(31))
