"""Errors a user can act on, raised on every rank or on none."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")

SIZES = "mind the sizes of velocity, diffusivity, source, initial state, time, or tighten the prior"
"""The remedy where numbers overflow."""
SHOWN = 20
"""Known names that a message lists at most."""


class InputError(ValueError):
    """Something the user typed or supplied is wrong.

    The message is one line that names the key (or file and row), the value and the remedy.
    """


class NoRoom(InputError):
    """A file cannot grow: the disk or a quota is full."""


class NotFinite(ValueError, FloatingPointError):
    """A matrix or vector has entries that are not finite numbers."""


class NoCompiler(RuntimeError):
    """C of ours cannot be compiled here; the message is one line that says why."""


class ConvergenceError(RuntimeError):
    """An iteration stopped short of its tolerance; the message says what was reached."""


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name that was probably meant."""
    lower, name = {k.lower(): k for k in known}, name.strip().lower()
    close = get_close_matches(name, list(lower), n=1)
    close = close or [k for k in lower if len(name) > 1 and k.startswith(name)]
    return lower[close[0]] if close else None


def suggestion(name: str, known: Sequence[str]) -> str:
    """``"did you mean 'x'?"`` where a known name is close, else the first of the known names."""
    close = nearest(name, known)
    if close is not None:
        return f"did you mean '{close}'?"
    shown, more = sorted(known)[:SHOWN], len(known) - SHOWN
    return "known: " + ", ".join(shown or ["none"]) + (f" and {more} more" if more > 0 else "")


def shortened(value: object, longest: int = 60) -> str:
    """``repr(value)`` for a message: one line, cut in the middle where it is long."""
    text = repr(value)
    half = longest // 2 - 2
    return text if len(text) <= longest else f"{text[:half]}...{text[-half:]}"
