"""The numbers of a NetCDF variable as its attributes mean them: unpacked, and NaN where missing.

CF conventions, sections 2.5.1 (missing data) and 8.1 (packed data), and the attribute conventions
of the NetCDF user's guide, from which they come.  Missing is what equals ``_FillValue`` or a
``missing_value``, what lies outside ``valid_min``, ``valid_max`` or ``valid_range``, and, where
there is no ``_FillValue``, what equals NetCDF's own fill of the type.  All are compared with the
packed numbers.  Bounds of a floating-point type on packed integers are meant unpacked (user's
guide).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from advdiff.core.errors import InputError, shortened

FILL = {
    "i1": -127,
    "u1": 255,
    "i2": -32767,
    "u2": 65535,
    "i4": -2147483647,
    "u4": 4294967295,
    "i8": -9223372036854775806,
    "u8": 18446744073709551614,
    "f4": 15 * 2.0**119,
    "f8": 15 * 2.0**119,
}
"""NetCDF's own fill of each type (netcdf.h), 9.96921e36 for floating point."""


@dataclass(frozen=True)
class Packing:
    """How the numbers of a variable are stored.

    Attributes:
        scale, offset: value = stored × scale + offset.
        unsigned: whether signed integers are meant without sign.
        marks: stored numbers that say missing.
        stored: least and largest valid stored number.
        valid: least and largest valid value.
    """

    scale: float
    offset: float
    unsigned: bool
    marks: tuple
    stored: tuple[float, float]
    valid: tuple[float, float]

    @classmethod
    def of(cls, attributes: Mapping, dtype: np.dtype, what: str, own_fill: bool = True) -> Packing:
        """As the attributes of a variable of numbers say.

        Args:
            attributes: of the variable, undecoded.
            dtype: of its stored numbers.
            what: the beginning of a complaint, which ends in its name.
            own_fill: whether NetCDF's own fill says missing where there is no ``_FillValue``.

        Raises:
            InputError: for an attribute that is no number, or not as many as it takes.
        """
        found = {}
        counts = {"scale_factor": 1, "add_offset": 1, "valid_min": 1, "valid_max": 1}
        for name in (*counts, "valid_range", "_FillValue", "missing_value"):
            if name not in attributes:
                continue
            value = np.atleast_1d(np.asarray(attributes[name]))
            count = counts.get(name, 2 if name == "valid_range" else value.size)
            if value.dtype.kind not in "iufb" or value.size != count:
                wanted = {1: "no number", 2: "not two numbers"}.get(count, "no numbers")
                given = shortened(attributes[name])
                raise InputError(f"{what}: its {name} = {given} is {wanted}; mend the file")
            found[name] = value.ravel()
        scale, offset = (
            float(found.get(name, [default])[0])
            for name, default in (("scale_factor", 1.0), ("add_offset", 0.0))
        )
        if not (np.isfinite([scale, offset]).all() and scale):
            raise InputError(
                f"{what}: scale_factor = {scale:g}, add_offset = {offset:g} unpack no number; mend "
                "the file"
            )
        flag = str(attributes.get("_Unsigned", "false")).lower()
        unsigned = dtype.kind == "i" and flag == "true"
        dtype = _meant(dtype, unsigned)
        marks = [m for name in ("_FillValue", "missing_value") for m in found.get(name, ())]
        if own_fill and "_FillValue" not in found and f"{dtype.kind}{dtype.itemsize}" in FILL:
            marks.append(FILL[f"{dtype.kind}{dtype.itemsize}"])
        stored, valid = [[-np.inf, np.inf] for _ in range(2)]
        packed = "scale_factor" in found or "add_offset" in found
        for name, sides in (("valid_range", (0, 1)), ("valid_min", (0,)), ("valid_max", (1,))):
            for side, bound in zip(sides, found.get(name, ()), strict=False):
                loose = packed and dtype.kind in "iu" and bound.dtype.kind == "f"
                tighter = (max, min)[side]
                if loose:
                    valid[side] = tighter(valid[side], float(bound))
                else:
                    stored[side] = tighter(stored[side], _cast(bound, dtype))
        marks = tuple(_cast(mark, dtype) for mark in marks)
        return cls(scale, offset, unsigned, marks, tuple(stored), tuple(valid))

    def unpack(self, stored: np.ndarray) -> np.ndarray:
        """The values of stored numbers, in double precision."""
        stored = stored.view(_meant(stored.dtype, self.unsigned))
        missing = (stored < self.stored[0]) | (stored > self.stored[1])
        for mark in self.marks:
            missing |= stored == mark
        with np.errstate(over="ignore", invalid="ignore"):
            values = stored.astype(float) * self.scale + self.offset
        missing |= (values < self.valid[0]) | (values > self.valid[1])
        values[missing] = np.nan
        return values


def _meant(dtype: np.dtype, unsigned: bool) -> np.dtype:
    return np.dtype(dtype.str.replace("i", "u")) if unsigned else dtype


def _cast(number, dtype: np.dtype) -> int | float:
    """A number as the type holds it: 0.1 of double precision is none of single precision."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return float(np.asarray(number).astype(dtype))
    number = number.item() if isinstance(number, np.generic) else number
    if dtype.kind == "u" and number < 0:
        number += 2 ** (8 * dtype.itemsize)
    return number
