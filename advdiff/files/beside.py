"""The hidden file beside a result from which ``--resume`` goes on, whatever is in it."""

from __future__ import annotations

from pathlib import Path

from mpi4py import MPI

from advdiff.core.errors import InputError
from advdiff.core.ranks import on_root


class Beside:
    """A hidden file beside a result, from which ``--resume`` goes on.

    Args:
        comm: the ranks that keep it.
        path: of the result.
        kind: what it holds, the end of its name.

    Attributes:
        path: of the file.
    """

    def __init__(self, comm: MPI.Comm, path: Path, kind: str = "checkpoint"):
        self.comm, self.kind = comm, kind
        self.path = path.with_name(f".{path.name}.{kind}")
        self._temporary = self.path.with_name(f"{self.path.name}.partial")

    def require(self) -> None:
        """Raise :class:`InputError` where there is none (local)."""
        if not self.path.is_file():
            raise InputError(f"--resume: no {self.kind} {self.path}; run without --resume")

    def damaged(self) -> InputError:
        """What to raise where it cannot be read."""
        return InputError(f"--resume: {self.path} is damaged; run without --resume")

    def foreign(self) -> InputError:
        """What to raise where it is of another problem."""
        return InputError(f"--resume: {self.path} is of another experiment; run without --resume")

    def remove(self) -> None:
        """Forget it (collective)."""

        def unlink() -> None:
            for path in (self.path, self._temporary):
                path.unlink(missing_ok=True)

        on_root(self.comm, unlink)
