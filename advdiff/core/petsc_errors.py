"""PETSc's errors that a user can act on, as ours; all others are bugs and pass unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from petsc4py import PETSc

from advdiff.core.errors import SIZES, ConvergenceError, InputError

PETSC_ERRORS = (PETSc.Error, SystemError)
"""What a call of PETSc or SLEPc raises: slepc4py 3.25 wraps the first in the second."""
NOT_FINITE = {"nan", "-nan", "inf", "-inf", "nan,", "infinite", "infinity"}
OPTION_CODES = (62, 63, 83, 86, 92)
"""PETSc's codes for a wrong argument, one out of range, the user, an unknown type, a package."""


class Callbacks:
    """Keeps what is raised in callbacks, of which PETSc makes an error code of its own.

    callbacks = Callbacks()
    tao.setMonitor(callbacks(monitor))
    with callbacks.raising():
        tao.solve()
    """

    def __init__(self):
        self._raised: BaseException | None = None

    def __call__(self, callback: Callable) -> Callable:
        """The callback, the first of its exceptions kept."""

        def call(*arguments):
            try:
                return callback(*arguments)
            except BaseException as error:
                self._raised = self._raised or error
                raise

        return call

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Let PETSc's error be that of the callback, if it comes from one."""
        try:
            yield
        except PETSC_ERRORS:
            if self._raised is None:
                raise
            raise self._raised from None


@contextmanager
def good_options():
    """Let PETSc's complaints about its options, and only those, be an :class:`InputError`."""
    try:
        yield
    except PETSC_ERRORS as error:
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
    except PETSC_ERRORS as error:
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
