"""PETSc's errors that a user can act on, as ours; all others are bugs and pass unchanged."""

from __future__ import annotations

from contextlib import contextmanager

from petsc4py import PETSc

from advdiff.errors import SIZES, ConvergenceError, InputError

NOT_FINITE = {"nan", "-nan", "inf", "-inf", "nan,", "infinite", "infinity"}
OPTION_CODES = (62, 63, 83, 86, 92)
"""PETSc's codes for a wrong argument, one out of range, the user, an unknown type, a package."""


@contextmanager
def good_options():
    """Let PETSc's complaints about its options, and only those, be an :class:`InputError`."""
    try:
        yield
    except PETSc.Error as error:
        if error.ierr not in OPTION_CODES:
            raise
        raise InputError(
            f"PETSc options: {petsc_message(error)}; mend or remove the option"
        ) from None


@contextmanager
def finite_numbers():
    """Let numbers that overflow in an iteration be a :class:`ConvergenceError`.

    The iterations meet them in an inner product, which all ranks see alike.
    """
    try:
        yield
    except (OverflowError, FloatingPointError) as error:
        raise ConvergenceError(f"{error}; {SIZES}") from None
    except PETSc.Error as error:
        if not set(petsc_message(error).lower().replace(".", " ").split()) & NOT_FINITE:
            raise
        raise ConvergenceError(f"{petsc_message(error).rstrip('.')}; {SIZES}") from None


def petsc_message(error: PETSc.Error) -> str:
    """What a PETSc error says, without where."""
    return " ".join((error._traceback_ or [str(error)])[-1].split())
