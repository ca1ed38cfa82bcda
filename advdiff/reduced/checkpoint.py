"""Where an estimate by reduced models stands, on disk beside the result."""

from __future__ import annotations

from dataclasses import fields

import h5py
import numpy as np

from advdiff.checkpoint import DAMAGE, Checkpoint
from advdiff.errors import InputError, on_root
from advdiff.reduced.trust import Progress


class ReducedCheckpoint(Checkpoint):
    """A :class:`~advdiff.reduced.trust.Progress`; rank 0 of the group that writes keeps it."""

    def save(self, progress: Progress) -> None:
        """Write it (collective), by a temporary name."""
        mark = self._mark()

        def write() -> None:
            temporary = self.path.with_name(f"{self.path.name}.partial")
            with h5py.File(temporary, "w") as file:
                file.attrs["mark"] = mark
                for entry in fields(progress):
                    value = getattr(progress, entry.name)
                    if value is not None:
                        file[entry.name] = value
            temporary.replace(self.path)

        if self.problem.writes:
            on_root(self.problem.comm, write)

    def load(self) -> Progress:
        """Read it (collective).

        Raises:
            InputError: where there is none, or it is of another problem, or damaged.
        """
        mark, size = self._mark(), self.problem.unknowns.size

        def read() -> Progress:
            if not self.path.is_file():
                raise InputError(f"--resume: no checkpoint {self.path}; run without --resume")
            damaged = InputError(f"--resume: {self.path} is damaged; run without --resume")
            try:
                with h5py.File(self.path, "r") as file:
                    saved = file.attrs["mark"]
                    data = {name: file[name][()] for name in file}
            except DAMAGE:
                raise damaged from None
            if saved != mark:
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
        if self.problem.writes:
            super().remove()

    def _mark(self) -> str:
        return f"{super()._mark()} reduced"
