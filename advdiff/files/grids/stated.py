"""The units that a file states for a variable and its axes, against each other and what is wanted.

An experiment has no units of its own: the coordinates of its domain are those of the axes.  So a
velocity must count lengths as the axes do, and a diffusivity their squares.  Nothing is concluded
from units that are missing or not known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from advdiff.core.errors import InputError, shortened
from advdiff.files.grids.units import Unit, parse

ROUND = 360.0
RADIUS = 6371008.8
"""Of the globe in metres: the mean (IUGG)."""
SPACE = ("m", "degree")
NEAR = 1e-6
"""Relative difference up to which two factors are one."""
DIRECTIONS = {
    **dict.fromkeys(("eastward", "westward", "x"), "x"),
    **dict.fromkeys(("northward", "southward", "y"), "y"),
    **dict.fromkeys(("upward", "downward"), "z"),
}
"""Words of standard names."""
BACKWARD = ("westward", "southward", "downward")


class Read(NamedTuple):
    """How values are to be taken.

    Attributes:
        factor: value in the units that are wanted over that in the file's.
        unit: what they are in then, if that is known.
        clock: seconds of the unit of time that they count in, if they say.
        said: for the line that says what was read.
    """

    factor: float = 1.0
    unit: Unit | None = None
    clock: float | None = None
    said: str = ""


def compare(
    what: str,
    key: str,
    stated: object,
    wanted: str | None,
    axes: list[Unit | None],
    scale: float,
    velocity: bool,
    also: str = "",
) -> Read:
    """Convert the units of a variable, and hold them against those of the axes.

    Args:
        what: the variable, for messages.
        key: of the table, for messages.
        stated: attribute ``units`` of the variable.
        wanted: key ``units`` of the table.
        axes: units of x, y, z.
        scale: the user's factor; one that is not 1 is the user's own conversion.
        velocity: whether it is a component of one.
        also: what else is to be said in a complaint.

    Raises:
        InputError: where they do not fit.
    """
    unit, factor, said = parse(stated), 1.0, ""
    if wanted is not None:
        unit, factor = _convert(what, key, stated, wanted)
        said = f" in {stated}" if factor == 1 else f" from {stated} to {wanted}"
    elif unit is not None:
        said = f" in {unit.text}"
    if unit is None:
        return Read(factor, None, None, said)
    if scale != 1:
        return Read(factor, unit, None, said + f" times {scale:g}")
    if velocity and sorted(unit.powers.items()) not in [[(k, 1), ("s", -1)] for k in SPACE]:
        raise InputError(
            f"{key}: {what} is in {unit.text}, which is no velocity; name another variable, or "
            f"give its factor: scale{also}"
        )
    if not set(unit.powers) <= {*SPACE, "s"}:
        return Read(factor, unit, None, said)
    clock = unit.factors["s"] ** (1 / unit.powers["s"]) if "s" in unit.powers else None
    if set(unit.powers) & set(SPACE) and clock is not None and None not in axes:
        _hold(what, key, unit, axes, also)
        said += f" on axes in {axes[0].text}"
    return Read(factor, unit, clock, said)


def _convert(what: str, key: str, stated: object, wanted: str) -> tuple[Unit | None, float]:
    target, unit = parse(wanted), parse(stated)
    if stated == wanted:
        return target, 1.0
    if target is None:
        raise InputError(
            f"{key}.units = {shortened(wanted)}: not known; write it like 'm s-1' or 'km h-1', or "
            "give the factor: scale"
        )
    if unit is None:
        unstated = stated in (None, "")
        raise InputError(
            f"{key}.units = {shortened(wanted)}: {what} states "
            f"{'no units' if unstated else f'units {_shown(stated)}, which are not known'}; "
            "give the factor instead: scale"
        )
    factor = unit.to(target)
    if factor is None:
        raise InputError(
            f"{key}.units = {shortened(wanted)}: {what} is in {unit.text}, and no factor turns it; "
            "give others"
        )
    return target, factor


def _hold(what: str, key: str, unit: Unit, axes: list[Unit], also: str) -> None:
    """Raise where a variable counts lengths otherwise than the axes do."""
    first = axes[0]
    for other in axes[1:]:
        if other.to(first) is None or not _near(other.to(first), 1.0):
            raise InputError(
                f"{key}: the axes of {what} are in {first.text} and {other.text}; give a grid "
                f"whose axes are all lengths, and axis_units = 'm' for one unit of them{also}"
            )
    kind = next(k for k in SPACE if k in unit.powers)
    counted = "degrees" if first.powers == {"degree": 1} else first.text
    stands = f"the axes of {what} are in {counted}, its values in {unit.text}"
    if first.powers != {kind: 1}:
        if first.powers == {"degree": 1}:
            remedy = (
                "write plane = [longitude, latitude] of an origin, and the domain in lengths from "
                "there, or give the factor to degrees, scale"
            )
        else:
            remedy = "give a grid whose axes are lengths, or the factor: scale"
        raise InputError(f"{key}: {stands}; {remedy}{also}")
    power = unit.powers[kind]
    off = unit.factors[kind] * unit.factors.get("1", 1.0) / first.factor**power
    if not _near(off, 1.0):
        length = f"{first.text}{power if power != 1 else ''}"
        time = unit.text.replace("/", " ").split()[-1]
        raise InputError(
            f"{key}: {stands}, so that they stand {1 / off:g} × too large; write units = '{length} "
            f"{_per(time)}' (or another time) to convert them, or axis_units for the axes{also}"
        )


def _per(time: str) -> str:
    return time if time.endswith("-1") else f"{time}-1" if parse(time) else "s-1"


def _shown(stated: object) -> str:
    return "no units" if stated in (None, "") else shortened(stated)


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= NEAR * abs(b)


def require_direction(what: str, key: str, standard_name: object, letter: str | None) -> None:
    """Raise where a component points elsewhere than its axis (x, y or z, if that is known)."""
    for word in str(standard_name or "").split("_"):
        if letter is None or word not in DIRECTIONS:
            continue
        if DIRECTIONS[word] != letter:
            raise InputError(
                f"{key}.components: {what} ({standard_name}) stands where the one along {letter} "
                "belongs; give them in the order of x, y, z"
            )
        if word in BACKWARD:
            raise InputError(
                f"{key}.components: {what} ({standard_name}) counts against its axis; write "
                "velocity = [{ file = …, name = …, scale = -1.0 }, …]"
            )


def angle(label: str, standard_name: object) -> str | None:
    """Degrees, for the coordinate of an axis that by its name counts them and states no units."""
    names = (label.lower().rpartition("/")[2], str(standard_name).removeprefix("grid_"))
    return "degrees" if {"lon", "lat", "longitude", "latitude"}.intersection(names) else None


class Scale(NamedTuple):
    """How coordinates are taken: factor × (stated − origin).

    Attributes:
        unit: what they are in then, if that is known.
        turn: once round the globe, in that; None for what is no angle.
    """

    factor: float
    origin: float
    unit: Unit | None
    turn: float | None


def axis_scale(
    what: str,
    key: str,
    stated: object,
    wanted: str | None,
    plane: Sequence[float] | None,
    letter: str,
    said_to_be: str | None,
) -> Scale:
    """The coordinates of an axis in the units that are wanted, or on a plane.

    Args:
        what: the axis, for messages.
        key: of the table, for messages.
        stated: attribute ``units`` of the axis.
        wanted: key ``axis_units`` of the table.
        plane: where it touches the globe: longitude and latitude in degrees.
        letter: x, y or z, as which the axis is used.
        said_to_be: what the file says of that.

    Raises:
        InputError: where they are no lengths or angles.
    """
    unit = parse(stated)
    target = parse(wanted) if wanted is not None else None
    if wanted is not None and (target is None or target.powers not in ({"m": 1}, {"degree": 1})):
        raise InputError(
            f"{key}.axis_units = {shortened(wanted)}: no unit of length; write 'm', 'km' or so"
        )
    angle = unit is not None and unit.powers == {"degree": 1}
    turn = ROUND / unit.factor if angle else None
    if plane is not None and letter in "xy":
        target = target or parse("m")
        if not angle or said_to_be != letter or target.powers != {"m": 1}:
            raise InputError(
                f"{key}.plane: is for axes (longitude, latitude) in degrees, and axis_units of a "
                f"length; {what} is in {_shown(stated)}: remove it"
            )
        k = "xy".index(letter)
        radian = RADIUS / target.factor * (math.cos(math.radians(plane[1])) if k == 0 else 1.0)
        factor = math.radians(unit.factor) * radian
        return Scale(factor, plane[k] / unit.factor, target, turn * factor)
    factor = 1.0 if target is None else None if unit is None else unit.to(target)
    if factor is None:
        remedy = "write plane = [longitude, latitude]" if angle else "remove axis_units"
        raise InputError(
            f"{key}.axis_units = {shortened(wanted)}: {what} is in {_shown(stated)}, which is no "
            f"length that is known; {remedy}"
        )
    return Scale(factor, 0.0, target or unit, turn and turn * factor)


def stretch(ends: Sequence[float], unit: Unit, touching: float) -> float:
    """Largest relative error of lengths along parallels, on a plane that touches at a latitude."""
    true, radian = math.cos(math.radians(touching)), RADIUS / unit.factor
    angles = [math.radians(touching) + end / radian for end in ends]
    return max(abs(true / max(math.cos(angle), 1e-16) - 1) for angle in angles)
