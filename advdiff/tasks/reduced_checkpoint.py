"""Where an estimate by reduced models stands, on disk beside the result."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from advdiff.core.disk import room
from advdiff.core.ranks import on_root
from advdiff.files.beside import Beside
from advdiff.problem.problem import Problem
from advdiff.reduced.offline.trust import Progress
from advdiff.results.checkpoint import DAMAGE, mark


class ReducedCheckpoint(Beside):
    """A :class:`~advdiff.reduced.offline.trust.Progress`; rank 0 of the group that writes keeps it.

    Args:
        problem: whose estimate it is.
        path: of the result.
    """

    def __init__(self, problem: Problem, path: Path):
        super().__init__(problem.comm, path)
        self.problem = problem
        self._mark = f"{mark(problem)} reduced"

    def save(self, progress: Progress) -> None:
        """Write it (collective), by a temporary name."""

        def write() -> None:
            values = {k: v for k, v in asdict(progress).items() if v is not None}
            whole = io.BytesIO()
            np.savez(whole, mark=self._mark, **values)
            with room(self.path), self._temporary.open("wb") as file:
                file.write(whole.getvalue())
                file.flush()
                os.fsync(file.fileno())
            self._temporary.replace(self.path)

        if self.problem.writes:
            on_root(self.comm, write)

    def load(self) -> Progress:
        """Read it (collective).

        Raises:
            InputError: where there is none, or it is of another problem, or damaged.
        """
        size = self.problem.unknowns.size

        def read() -> Progress:
            self.require()
            try:
                with np.load(self.path) as file:
                    data = {name: file[name][()] for name in file}
                saved = str(data.pop("mark"))
            except (*DAMAGE, EOFError, zipfile.BadZipFile):
                raise self.damaged() from None
            if saved != self._mark:
                raise self.foreign()
            try:
                progress = Progress(**({"inverse": None} | data))
                sound = progress.m.shape == (size,) == progress.points.shape[1:]
                sound &= all(np.isfinite(values).all() for values in data.values())
            except DAMAGE:
                sound = False
            if not sound or not progress.reference > 0.0:
                raise self.damaged()
            return progress

        return on_root(self.comm, read)

    def remove(self) -> None:
        """Forget it (collective)."""
        if self.problem.writes:
            super().remove()
