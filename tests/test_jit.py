"""What a killed run left half made in the cache of compiled forms does not stop the next one."""

import fcntl
import os

import pytest
from dolfinx import fem
from mpi4py import MPI

from advdiff import jit
from advdiff.domain import box

pytestmark = pytest.mark.serial
OLD = 1e9


def half_made(folder, name="libffcx_forms_a", when=OLD):
    source = folder / f"{name}.c"
    source.touch()
    os.utime(source, (when, when))
    return source


def test_what_a_killed_run_left_is_taken_away(tmp_path):
    left, done = half_made(tmp_path), half_made(tmp_path, "libffcx_forms_b")
    done.with_suffix(".c.cached").touch()
    assert jit._share(tmp_path) is not None
    assert not left.exists()
    assert done.exists()


def test_what_others_are_making_is_left_to_them(tmp_path):
    making = half_made(tmp_path)
    with open(tmp_path / "advdiff.lock", "a") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_SH)
        assert jit._share(tmp_path) is not None
        assert making.exists()


def test_a_young_one_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(jit, "YOUNG", 0.5)
    made = tmp_path / "libffcx_forms_c.c"
    made.touch()
    jit._share(tmp_path)
    assert not made.exists()


def test_a_lock_is_held_while_the_process_lives(tmp_path):
    held = jit._share(tmp_path)
    with open(tmp_path / "advdiff.lock", "a") as other, pytest.raises(OSError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    held.close()


def test_a_form_is_loaded_once_in_a_process():
    def compiled(cells):
        domain = box(MPI.COMM_SELF, (0.0, 0.0), (1.0, 1.0), (cells, cells))
        return fem.form(fem.Constant(domain.mesh, 2.0) * domain.dx)

    one, other = compiled(2), compiled(3)
    assert one.module is other.module
    assert fem.assemble_scalar(one) == pytest.approx(2.0)
    assert fem.assemble_scalar(other) == pytest.approx(2.0)
