"""Compiled forms: whatever ends a compile leaves nothing behind that another waits for."""

import ast
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import ffcx.compiler
import numpy as np
import pytest
import ufl
from dolfinx import fem
from dolfinx import jit as dolfinx_jit
from mpi4py import MPI

import advdiff
from advdiff.core import jit
from advdiff.core.errors import InputError
from advdiff.domain.mesh import box
from tests.command_line import advdiff as command
from tests.commands.test_bad_commands import SMALL

pytestmark = pytest.mark.serial
LIMIT = 60
SLOW = """
import sys, time, advdiff, ffcx.compiler
from pathlib import Path
from tests.core import test_jit
test_jit.use(Path(sys.argv[1]))
compile = ffcx.compiler.compile_ufl_objects
def slowly(*args, **options):
    print("at work", flush=True)
    time.sleep(600)
ffcx.compiler.compile_ufl_objects = slowly
test_jit.integral(2)
"""


def use(folder: Path) -> None:
    dolfinx_jit.DOLFINX_DEFAULT_JIT_OPTIONS["cache_dir"] = (folder, "of a test")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    options = dolfinx_jit.DOLFINX_DEFAULT_JIT_OPTIONS
    monkeypatch.setitem(options, "cache_dir", (tmp_path, "of a test"))
    return tmp_path / "advdiff"


def integral(cells: int, value: float = 2.0) -> float:
    domain = box(MPI.COMM_SELF, (0.0, 0.0), (1.0, 1.0), (cells, cells))
    constant = fem.Constant(domain.mesh, value)
    return fem.assemble_scalar(jit.form(constant * ufl.exp(constant) * domain.dx))


EXACT = 2 * np.exp(2)


class Late(BaseException):
    """As a test's time limit raises."""


@pytest.mark.parametrize("error", [KeyboardInterrupt, Late, TimeoutError])
def test_an_interrupted_compile_leaves_nothing(cache, monkeypatch, error):
    def interrupted(*args, **options):
        raise error

    handlers = logging.getLogger().handlers[:]
    with monkeypatch.context() as patch:
        patch.setattr(ffcx.compiler, "compile_ufl_objects", interrupted)
        with pytest.raises(error):
            integral(2)
    assert list(cache.iterdir()) == []
    assert logging.getLogger().handlers == handlers
    began = time.monotonic()
    assert integral(2) == pytest.approx(EXACT)
    assert time.monotonic() - began < LIMIT


def test_an_alarm_while_the_compiler_runs(cache, monkeypatch):
    """In C, too, and in a process that lives on."""

    def ring(*_):
        raise Late

    before = signal.signal(signal.SIGALRM, ring)
    monkeypatch.setenv("CC", "sh -c 'sleep 600'")
    try:
        signal.setitimer(signal.ITIMER_REAL, 2.0)
        with pytest.raises(Late):
            integral(2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert list(cache.iterdir()) == []
    monkeypatch.delenv("CC")
    assert integral(2) == pytest.approx(EXACT)


def test_nobody_waits_for_a_killed_maker(cache, monkeypatch):
    maker = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(cache.parent)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    )
    assert maker.stdout.readline() == "at work\n"
    (left,) = cache.iterdir()
    monkeypatch.setattr(jit, "YOUNG", -1.0)
    jit._sweep(cache)
    assert left.exists()  # its maker lives
    maker.kill()
    maker.communicate()
    began = time.monotonic()
    assert integral(2) == pytest.approx(EXACT)
    assert time.monotonic() - began < LIMIT
    assert not left.exists()


def test_a_new_folder_is_left_to_its_maker(tmp_path):
    new, old = tmp_path / "making-new", tmp_path / "making-old"
    for folder in (new, old):
        folder.mkdir()
    os.utime(old, (1e9, 1e9))
    jit._sweep(tmp_path)
    assert new.exists() and not old.exists()


def test_a_folder_is_locked_while_it_is_made(tmp_path):
    with jit._workshop(tmp_path) as place:
        lock = os.open(place, os.O_RDONLY)
        with pytest.raises(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(lock)
    assert not place.exists()


def test_the_faster_of_two_is_taken(cache, monkeypatch):
    made = dolfinx_jit.ffcx_jit

    def slower(comm, what, *options):
        made(comm, what, *options)
        (cache / jit._name(what)).mkdir()
        made(comm, what, options[0], {"cache_dir": cache / jit._name(what)})

    monkeypatch.setattr(jit.jit, "ffcx_jit", slower)
    domain = box(MPI.COMM_SELF, (0.0, 0.0), (1.0, 1.0), (2, 2))
    folder = jit._compiled(fem.Constant(domain.mesh, 3.0) * domain.dx)
    assert list(cache.iterdir()) == [folder]


def test_a_form_is_compiled_once(cache):
    assert integral(2) == pytest.approx(EXACT)
    (folder,) = cache.iterdir()
    when = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert integral(3, 1.0) == pytest.approx(np.e)
    assert list(cache.iterdir()) == [folder]
    assert when == {path: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_points_that_differ_in_the_last_digits_are_others(cache):
    """FFCx's own name for an expression has 8 digits of them."""
    domain = box(MPI.COMM_SELF, (0.0, 0.0), (1.0, 1.0), (1, 1))
    x = ufl.SpatialCoordinate(domain.mesh)
    points = np.array([[0.25, 0.5]])
    cells = np.arange(1, dtype=np.int32)
    values = [
        jit.expression(1e9 * x[0] + x[1], points + shift).eval(domain.mesh, cells)[0, 0]
        for shift in (0.0, 1e-9)
    ]
    assert values[1] - values[0] == pytest.approx(2.0, rel=0.1)  # the cell has x = X + Y


def test_all_forms_are_compiled_so():
    for path in Path(advdiff.__file__).parent.rglob("*.py"):
        calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        names = {ast.unparse(called) for called in calls}
        assert path.samefile(jit.__file__) or not names & {"fem.form", "fem.Expression"}, path


def compiler(folder: Path, monkeypatch, then: str) -> None:
    """A C compiler that has something to say."""
    script = folder / "cc"
    script.write_text(f'#!/bin/sh\necho "x.c:1: warning: a word of mine" >&2\n{then}\n')
    script.chmod(0o755)
    monkeypatch.setenv("CC", str(script))


def test_no_compiler_is_said_before_anything_else(tmp_path, cache, monkeypatch):
    (tmp_path / "e.toml").write_text(SMALL.format(task="solve"))
    monkeypatch.setenv("CC", "no-such-cc")
    answer = command(tmp_path, "check", "e.toml")
    assert answer.code == 2 and "no C compiler (no-such-cc)" in answer.error
    assert answer.out == ""
    with pytest.raises(InputError, match="no C compiler"):
        integral(2)
    monkeypatch.delenv("CC")
    integral(2)
    monkeypatch.setenv("CC", "no-such-cc")
    jit.require_compiler()  # what has been compiled may be all
    assert integral(2) == pytest.approx(EXACT)


def test_what_the_compiler_says_is_not_among_the_lines_of_a_run(
    tmp_path, cache, monkeypatch, capfd
):
    compiler(tmp_path, monkeypatch, 'exec cc "$@"')
    assert integral(2) == pytest.approx(EXACT)
    assert capfd.readouterr() == ("", "")
    os.write(2, b"again")
    assert capfd.readouterr().err == "again"


def test_what_the_compiler_says_is_shown_where_it_fails(tmp_path, cache, monkeypatch, capfd):
    compiler(tmp_path, monkeypatch, "exit 1")
    with pytest.raises(Exception, match="cc"):
        integral(2)
    assert "a word of mine" in capfd.readouterr().err
