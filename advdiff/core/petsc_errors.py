"""PETSc's errors that a user can act on, as ours; all others are bugs and pass unchanged."""

from __future__ import annotations

from contextlib import contextmanager

from petsc4py import PETSc

from advdiff.core.errors import SIZES, ConvergenceError, InputError

NOT_FINITE = {"nan", "-nan", "inf", "-inf", "nan,", "infinite", "infinity"}
OPTION_CODES = (62, 63, 83, 86, 92)
"""PETSc's codes for a wrong argument, one out of range, the user, an unknown type, a package."""


@contextmanager
def good_options():
    """Let PETSc's complaints about its options, and only those, be an :class:`InputError`."""
    try:
        yield
    except (PETSc.Error, SystemError) as error:
        cause = _petsc_error(error)
        if cause is None or cause.ierr not in OPTION_CODES:
            raise
        raise InputError(
            f"PETSc options: {petsc_message(cause)}; mend or remove the option"
        ) from None


@contextmanager
def good_values(prefix: str):
    """Let what our own options classes refuse of PETSc's options be an :class:`InputError`."""
    try:
        yield
    except ValueError as error:
        raise InputError(f"PETSc options: -{prefix}{error}; mend or remove the option") from None


@contextmanager
def finite_numbers():
    """Let numbers that overflow in an iteration be a :class:`ConvergenceError`.

    The iterations meet them in an inner product, which all ranks see alike.
    """
    try:
        yield
    except (OverflowError, FloatingPointError) as error:
        raise ConvergenceError(f"{error}; {SIZES}") from None
    except (PETSc.Error, SystemError) as error:
        cause = _petsc_error(error)
        words = set(petsc_message(cause).lower().replace(".", " ").split()) if cause else set()
        if not words & NOT_FINITE:
            raise
        raise ConvergenceError(f"{petsc_message(cause).rstrip('.')}; {SIZES}") from None


def _petsc_error(error: Exception) -> PETSc.Error | None:
    """The PETSc error itself, or the one that slepc4py 3.25 wraps in a SystemError."""
    cause = error if isinstance(error, PETSc.Error) else error.__cause__
    return cause if isinstance(cause, PETSc.Error) else None


def petsc_message(error: PETSc.Error) -> str:
    """What a PETSc error says, without where."""
    # petsc4py 3.22 calls it _traceback_, 3.25 _traceback
    stack = getattr(error, "_traceback_", None) or getattr(error, "_traceback", None)
    return " ".join((stack or [str(error)])[-1].split())
