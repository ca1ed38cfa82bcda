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
LEAST = 90.0
"""Below which no number is a mark: 0.999 is data."""
APART = 3.0
LIMITS = (2**15 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31)
"""Of integers, of which the most negative or largest is often a mark."""
MOST = 16
"""Different marks looked for."""
_DIGITS = re.compile("9{3,}|" + "|".join(map(str, LIMITS)))


def _written(value: float) -> str:
    """The significant digits, as single precision has them where it is that."""
    single = np.float32(value) if abs(value) < 3e38 else value
    return np.format_float_scientific(single if float(single) == value else value, trim="-")


def looks_like_a_mark(value: float, negative: bool = False) -> bool:
    """Whether a number is written as marks of missing values are.

    Args:
        value: finite.
        negative: whether only a negative one may be: a release may be of 1e10.
    """
    if abs(value) >= HUGE:
        return True
    if abs(value) < LEAST or (negative and value > 0):
        return False
    mantissa, _, power = _written(abs(value)).partition("e")
    digits = mantissa.replace(".", "")
    return bool(_DIGITS.fullmatch(digits)) or (digits == "1" and int(power) >= 10)


def undeclared(
    values: np.ndarray, scale: float = 1.0, offset: float = 0.0, negative: bool = False
) -> float | None:
    """The number, of an array's, that can only mark missing values; None where there is none.

    Args:
        values: NaN where known to be missing.
        scale, offset: of its packing: −32768 times a factor is a mark, too.
        negative: as for :func:`looks_like_a_mark`.
    """
    sizes = np.abs(values[np.isfinite(values)])
    first = None
    for _ in range(MOST):
        size = sizes.max(initial=0.0)
        value = float(size if (values == size).any() else -size)
        stored = round(abs((value - offset) / scale)) if (scale, offset) != (1.0, 0.0) else 0
        if not (stored in LIMITS or looks_like_a_mark(value, negative)):
            return first if first is not None and abs(first) >= APART * size else None
        if size >= HUGE:
            return value
        first = value if first is None else first
        sizes = sizes[sizes < size]
    return first
