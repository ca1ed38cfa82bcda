"""The command line in this process: what it answers, without the seconds that a process starts in.

What it changes in a process is put back.  Real processes, one for every way to end, are left to
``commands/test_bad_commands.py``, ``whole/test_faults.py`` and ``whole/test_readme.py``.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from click import get_current_context
from petsc4py import PETSc

from advdiff.commands import cli


class Answer(NamedTuple):
    """What this rank has answered: exit code, stdout, stderr."""

    code: object
    out: str
    error: str

    @property
    def lines(self) -> list[str]:
        """Those of ours on stderr."""
        return [line for line in self.error.splitlines() if "advdiff: " in line]


def advdiff(folder: Path, *arguments: str) -> Answer:
    """``advdiff ARGUMENT …``, typed in ``folder`` (collective)."""
    code: object = None
    with (
        captured() as said,
        contextlib.chdir(folder),
        restored(),
        mock.patch.object(sys, "argv", ["advdiff", *arguments]),
        mock.patch.object(cli, "_start_petsc", _insert_options),
    ):
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
    return Answer(code, *said)


def _insert_options() -> None:
    """The command line's options, for a PETSc that has been started before."""
    PETSc.Options().insertString(" ".join(get_current_context().obj))


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Hooks, filters of warnings and PETSc's options are left as they were."""
    hooks = {"excepthook": sys.excepthook, "unraisablehook": sys.unraisablehook}
    options = PETSc.Options()
    before = options.getAll()
    with mock.patch.multiple(sys, **hooks), warnings.catch_warnings():
        try:
            yield
        finally:
            for name in options.getAll():  # petsc4py's clear() leaves them all
                options.delValue(name)
            for name, value in before.items():
                options.setValue(name, value)


@contextlib.contextmanager
def captured() -> Iterator[list[str]]:
    """What is written to stdout and stderr, by C code too: two texts, once the block has ended."""
    said: list[str] = []
    sys.stdout.flush()
    sys.stderr.flush()
    saved, streams = [os.dup(1), os.dup(2)], (sys.stdout, sys.stderr)
    with tempfile.TemporaryFile("w+b") as out, tempfile.TemporaryFile("w+b") as error:
        os.dup2(out.fileno(), 1)
        os.dup2(error.fileno(), 2)
        ours = [
            io.TextIOWrapper(os.fdopen(os.dup(n), "wb"), "utf-8", "backslashreplace")
            for n in (1, 2)
        ]
        sys.stdout, sys.stderr = ours
        try:
            yield said
        finally:
            for stream in ours:
                stream.close()
            sys.stdout, sys.stderr = streams
            for number, file in zip((1, 2), (out, error), strict=True):
                os.dup2(saved[number - 1], number)
                os.close(saved[number - 1])
                file.seek(0)
                said.append(file.read().decode("utf-8", "backslashreplace"))
