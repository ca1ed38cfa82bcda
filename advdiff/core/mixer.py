"""Bits mixed so that each depends on all: hashes that do not depend on the ranks.

Steele, Lea and Flood's splitmix64 (OOPSLA 2014).
"""

from __future__ import annotations

import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: what tells numbers in a row apart."""
STAGES = ((30, np.uint64(0xBF58476D1CE4E5B9)), (27, np.uint64(0x94D049BB133111EB)))
"""Shift, multiplier."""


def mix(bits: np.ndarray) -> np.ndarray:
    """A hash of each of some words of 64 bits, uint64."""
    for shift, factor in STAGES:
        bits = (bits ^ (bits >> np.uint64(shift))) * factor
    return bits ^ (bits >> np.uint64(31))
