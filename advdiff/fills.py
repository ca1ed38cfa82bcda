"""Numbers that mark missing values and are not declared to: 9999, 1e35, 327.67.

A number is taken for a mark only by its digits and its place together: it is written as marks are
(a row of nines, the limit of a 16- or 32-bit integer in any packing, a power of ten from 1e10), and
it is ``APART`` times as large as all that is not.  From ``HUGE`` no number is data, whatever its
digits: light takes 3e17 nm/s.  An outlier of other digits may be a jet, and is let be.
"""

from __future__ import annotations

import re

import numpy as np

HUGE = 1e30
APART = 10.0
_MARKS = re.compile(r"9{3,}|32767|32768|65535|2147483647|2147483648|21474836(47|48)?")
LIMITS = (2**15 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31)
"""Of integers, of which the most negative or largest is often a mark."""
MOST = 1000
"""Largest numbers looked at: marks are few different ones."""


def _written(value: float) -> str:
    """The significant digits, as single precision has them where it is that."""
    short = np.float32(value) if abs(value) < 3e38 else value
    exact = float(short) == value
    return np.format_float_scientific(short if exact else value, trim="-")


def looks_like_a_mark(value: float, signed: bool) -> bool:
    """Whether a number is written as marks of missing values are.

    Args:
        value: finite.
        signed: whether only a negative one may be: a release may be of 1e10.
    """
    if abs(value) >= HUGE:
        return True
    if signed and value > 0:
        return False
    mantissa, _, power = _written(abs(value)).partition("e")
    digits = mantissa.replace(".", "")
    return bool(_MARKS.fullmatch(digits)) or (digits == "1" and int(power) >= 10)


def undeclared(values: np.ndarray, packing: tuple[float, float], signed: bool) -> float | None:
    """The number, of an array's, that can only mark missing values; None where there is none.

    Args:
        values: NaN where known to be missing.
        packing: scale_factor and add_offset: −32768 times a factor is a mark, too.
        signed: as for :func:`looks_like_a_mark`.
    """
    scale, offset = packing
    sizes = np.unique(np.abs(values[np.isfinite(values)]))[-MOST:][::-1]
    first = None
    for size in sizes:
        value = float(size if (values == size).any() else -size)
        stored = round(abs((value - offset) / scale)) if packing != (1.0, 0.0) else 0
        if not (stored in LIMITS or looks_like_a_mark(value, signed)):
            return first if first is not None and abs(first) >= min(APART * size, HUGE) else None
        first = value if first is None else first
    return first
