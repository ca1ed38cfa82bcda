"""Where an estimate by reduced models stands, on disk beside the result."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from advdiff.checkpoint import DAMAGE, mark
from advdiff.errors import InputError, on_root, room
from advdiff.problem import Problem
from advdiff.reduced.trust import Progress


class ReducedCheckpoint:
    """A :class:`~advdiff.reduced.trust.Progress`; rank 0 of the group that writes keeps it.

    Args:
        problem: whose estimate it is.
        path: of the result.
    """

    def __init__(self, problem: Problem, path: Path):
        self.problem = problem
        self.path = path.with_name(f".{path.name}.checkpoint")
        self._partial = self.path.with_name(f"{self.path.name}.partial")
        self._mark = f"{mark(problem)} reduced"

    def save(self, progress: Progress) -> None:
        """Write it (collective), by a temporary name."""

        def write() -> None:
            values = {k: v for k, v in asdict(progress).items() if v is not None}
            whole = io.BytesIO()
            np.savez(whole, mark=self._mark, **values)
            with room(self.path), self._partial.open("wb") as file:
                file.write(whole.getvalue())
                file.flush()
                os.fsync(file.fileno())
            self._partial.replace(self.path)

        if self.problem.writes:
            on_root(self.problem.comm, write)

    def load(self) -> Progress:
        """Read it (collective).

        Raises:
            InputError: where there is none, or it is of another problem, or damaged.
        """
        size = self.problem.unknowns.size

        def read() -> Progress:
            if not self.path.is_file():
                raise InputError(f"--resume: no checkpoint {self.path}; run without --resume")
            damaged = InputError(f"--resume: {self.path} is damaged; run without --resume")
            try:
                with np.load(self.path) as file:
                    data = {name: file[name][()] for name in file}
                saved = str(data.pop("mark"))
            except (*DAMAGE, EOFError, zipfile.BadZipFile):
                raise damaged from None
            if saved != self._mark:
                raise InputError(
                    f"--resume: {self.path} is of another experiment; run without --resume"
                )
            try:
                progress = Progress(**({"inverse": None} | data))
                sound = progress.m.shape == (size,) == progress.points.shape[1:]
                sound &= all(np.isfinite(values).all() for values in data.values())
            except DAMAGE:
                sound = False
            if not sound or not progress.reference > 0.0:
                raise damaged
            return progress

        return on_root(self.problem.comm, read)

    def remove(self) -> None:
        """Forget it (collective)."""

        def unlink() -> None:
            for path in (self.path, self._partial):
                path.unlink(missing_ok=True)

        if self.problem.writes:
            on_root(self.problem.comm, unlink)
