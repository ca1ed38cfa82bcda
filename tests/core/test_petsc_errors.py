"""What is raised inside callbacks comes out as it was, whatever PETSc or SLEPc make of it."""

import pytest
from petsc4py import PETSc

from advdiff.core.petsc_errors import Callbacks
from advdiff.inverse import laplace


class Stopped(BaseException):
    """Something that only its own kind may catch."""


def fails(*_):
    raise Stopped("here")


@pytest.mark.parametrize("kind", [PETSc.Error, SystemError])
def test_the_callback_s_own_exception_is_raised(kind):
    """slepc4py 3.22 raises the first kind, 3.25 the second."""
    callbacks = Callbacks()
    callback = callbacks(fails)
    with pytest.raises(Stopped, match="here"), callbacks.raising():
        try:
            callback(1, 2)
        except Stopped as error:
            raise kind(98) from error


@pytest.mark.parametrize("kind", [PETSc.Error, SystemError])
def test_errors_of_petsc_alone_pass(kind):
    callbacks = Callbacks()
    assert callbacks(lambda x: x)(1) == 1
    with pytest.raises(kind), callbacks.raising():
        raise kind(62)


def test_a_failing_operator_of_laplace_says_what_failed():
    start = PETSc.Vec().createMPI(8)
    start.set(1.0)
    with pytest.raises(Stopped, match="here"):
        laplace.dominant(fails, start)


def test_the_eigensolver_s_system_error_does_not_hide_it(monkeypatch):
    """As slepc4py 3.25 has it, on every version."""
    solve = laplace.SLEPc.EPS.solve

    class EPS(laplace.SLEPc.EPS):
        def solve(self):
            try:
                solve(self)
            except (PETSc.Error, SystemError) as error:
                raise SystemError("returned a result with an exception set") from error

    monkeypatch.setattr(laplace.SLEPc, "EPS", EPS)
    start = PETSc.Vec().createMPI(8)
    start.set(1.0)
    with pytest.raises(Stopped, match="here"):
        laplace.dominant(fails, start)
