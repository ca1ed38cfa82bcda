"""Units of measurement as files write them, as far as lengths, times and their products go.

A small part of UDUNITS: ``m s-1``, ``m/s``, ``cm s**-1``, ``km.h^-1``, ``degrees_east``, ``knots``.
What is not known is None, and nothing is concluded from it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

DEGREE = 180 / math.pi
LONGEST = 60
"""Characters of the units of anything."""
_DAY = 86400.0

_SPELLINGS = {
    ("m", 1.0): "m meter meters metre metres",
    ("m", 1852.0): "nmi nautical_mile nautical_miles",
    ("m", 0.3048): "ft foot feet",
    ("m", 1609.344): "mi mile miles",
    ("s", 1.0): "s sec secs second seconds",
    ("s", 60.0): "min minute minutes",
    ("s", 3600.0): "h hr hrs hour hours",
    ("s", _DAY): "d day days",
    ("s", 7 * _DAY): "week weeks",
    ("s", 365.2425 * _DAY): "a yr year years",
    (
        "degree",
        1.0,
    ): "degree degrees deg degrees_east degree_east degrees_e degree_e degreese degreee"
    " degrees_north degree_north degrees_n degree_n degreesn degreen °",
    ("degree", DEGREE): "rad radian radians",
    ("kg", 1.0): "kg kilogram kilograms",
    ("kg", 1e-3): "g gram grams",
    ("K", 1.0): "K kelvin degk",
    ("°C", 1.0): "degc celsius degree_celsius degrees_celsius °c",
    ("mol", 1.0): "mol mole moles",
}
_KNOWN = {name: (kind, of) for (kind, of), names in _SPELLINGS.items() for name in names.split()}
_PREFIXED = re.compile(
    r"(?:(n|nano)|(u|µ|μ|micro)|(m|milli)|(c|centi)|(d|deci)|(k|kilo))"
    r"(m|s|g|meters?|metres?|seconds?|grams?|mol)"
)
_PREFIXES = (1e-9, 1e-6, 1e-3, 1e-2, 1e-1, 1e3)
_COMPOUND = {
    **dict.fromkeys(("knot", "knots", "kt", "kts"), "nmi h-1"),
    **dict.fromkeys(("pa", "pascal", "pascals"), "kg m-1 s-2"),
    "mph": "mi h-1",
    "kph": "km h-1",
    "mps": "m s-1",
    "hpa": "100 kg m-1 s-2",
    "mbar": "100 kg m-1 s-2",
    "millibar": "100 kg m-1 s-2",
    "N": "kg m s-2",
    "J": "kg m2 s-2",
    "W": "kg m2 s-3",
    "hz": "s-1",
    "sv": "1000000 m3 s-1",
}
_TERM = re.compile(r"((?:[^\W\d]|°)+)(?:(?:\*\*|\^)?([+-]?\d+))?")
_PLAIN = str.maketrans("⁻¹²³", "-123", "{}")
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Unit:
    """A product of powers.

    Attributes:
        text: as it was written.
        powers: kind of quantity (m, s, degree, kg, K …) → its power, none of them 0.
        factors: the same kinds → the part of the factor to the base units that is its own.
    """

    text: str
    powers: dict[str, int]
    factors: dict[str, float]

    @property
    def factor(self) -> float:
        """How many of the base units it is."""
        return math.prod(self.factors.values())

    def to(self, other: Unit) -> float | None:
        """The factor from this to another of the same kinds, None for others."""
        return self.factor / other.factor if self.powers == other.powers else None


def parse(text: object) -> Unit | None:
    """What a text says; None where it is none, no unit that is known, or a pure number."""
    if not isinstance(text, str) or not 0 < len(text.strip()) <= LONGEST or " since " in text:
        return None
    powers, factors = {}, {}
    if not _collect(text.strip(), 1, powers, factors):
        return None
    powers = {kind: power for kind, power in powers.items() if power}
    if not powers:
        return None
    return Unit(" ".join(text.split()), powers, factors)


def _collect(text: str, sign: int, powers: dict, factors: dict) -> bool:
    """Multiply by the terms of a text; whether all are known."""
    text = re.sub(r"\s*(/| per )\s*", " /", text.translate(_PLAIN))
    text = re.sub(r"(?<=[^\d*\s])[.·](?=\D)|(?<!\*)\*(?!\*)|·", " ", text)
    for term in text.split():
        over = -sign if term.startswith("/") else sign
        term = term.lstrip("/")
        if _NUMBER.fullmatch(term):
            factors["1"] = factors.get("1", 1.0) * float(term) ** over
            continue
        match = _TERM.fullmatch(term)
        if match is None or term.startswith("ms-1"):  # which many write for m s-1
            return False
        name, power = _spelt(match[1]), over * int(match[2] or 1)
        if name in _COMPOUND:
            inner: tuple[dict, dict] = {}, {}
            _collect(_COMPOUND[name], 1, *inner)
            for kind, n in inner[0].items():
                powers[kind] = powers.get(kind, 0) + n * power
            for kind, f in inner[1].items():
                factors[kind] = factors.get(kind, 1.0) * f**power
            continue
        found = _simple(name)
        if found is None:
            return False
        kind, factor = found
        powers[kind] = powers.get(kind, 0) + power
        factors[kind] = factors.get(kind, 1.0) * factor**power
    return True


def _spelt(name: str) -> str:
    """In lower case where case tells nothing: S is no second, M no metre."""
    return name if len(name) == 1 or name.startswith("M") else name.lower()


def _simple(name: str) -> tuple[str, float] | None:
    """Kind and factor of one name, with or without a prefix."""
    if name in _KNOWN:
        return _KNOWN[name]
    match = _PREFIXED.fullmatch(name)
    if match is None:
        return None
    prefix = next(i for i in range(len(_PREFIXES)) if match[i + 1])
    kind, factor = _KNOWN[match[7]]
    return kind, _PREFIXES[prefix] * factor
