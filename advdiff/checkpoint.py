"""The optimiser's iterate on disk beside the result, so that a killed run can go on."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from petsc4py import PETSc

from advdiff.errors import InputError, on_root
from advdiff.problem import Problem


class Checkpoint:
    """m, the first gradient norm, and a mark of the experiment they belong to.

    Args:
        problem: gives the layout of m.
        path: of the result.
    """

    def __init__(self, problem: Problem, path: Path):
        self.problem = problem
        self.path = path.with_name(f".{path.name}.checkpoint")

    def save(self, m: PETSc.Vec, reference: float) -> None:
        """Write m and where the run is (collective), by a temporary name."""
        comm = self.problem.comm
        temporary = self.path.with_name(f"{self.path.name}.partial")
        viewer = PETSc.Viewer().createBinary(str(temporary), "w", comm=comm)
        head = self._head(reference)
        head.view(viewer)
        m.view(viewer)
        viewer.destroy()
        head.destroy()

        def move() -> None:
            temporary.replace(self.path)
            temporary.with_name(f"{temporary.name}.info").unlink(missing_ok=True)

        on_root(comm, move)

    def load(self) -> tuple[PETSc.Vec, float]:
        """The saved m, and the gradient norm at the first guess (collective).

        Raises:
            InputError: where there is none, or it is of another problem, or damaged.
        """
        comm = self.problem.comm
        if not on_root(comm, self.path.is_file):
            raise InputError(f"--resume: no checkpoint {self.path}; run without --resume")
        mine = self._head(0.0)
        head, m = mine.duplicate(), self.problem.unknowns.vector()
        viewer = PETSc.Viewer().createBinary(str(self.path), "r", comm=comm)
        try:
            head.load(viewer)
            mine.axpy(-1.0, head)
            reference = comm.bcast(None if comm.rank else float(head.array_r[0]))
            same = comm.bcast(None if comm.rank else bool(mine.array_r[1] == 0.0))
            if same:
                m.load(viewer)
        except PETSc.Error:
            raise InputError(f"--resume: {self.path} is damaged; run without --resume") from None
        finally:
            viewer.destroy()
        if not same:
            raise InputError(
                f"--resume: {self.path} is of another experiment or number of ranks; run without "
                "--resume"
            )
        if not np.isfinite(m.norm()) or not reference > 0:
            raise InputError(f"--resume: {self.path} is damaged; run without --resume")
        return m, reference

    def remove(self) -> None:
        """Forget it (collective)."""
        on_root(self.problem.comm, lambda: self.path.unlink(missing_ok=True))

    def _head(self, reference: float) -> PETSc.Vec:
        comm = self.problem.comm
        head = PETSc.Vec().createMPI((0 if comm.rank else 2, 2), comm=comm)
        mark = self._mark()
        if comm.rank == 0:
            head.setArray([reference, mark])
        head.assemble()
        return head

    def _mark(self) -> float:
        """A number that differs where m would mean something else (collective)."""
        problem = self.problem
        parts = {"domain", "physics", "unknowns", "prior"}
        digest = hashlib.sha256(problem.experiment.model_dump_json(include=parts).encode())
        readings = problem.readings
        for array in (readings.points, readings.times, readings.values, readings.std):
            digest.update(np.ascontiguousarray(array).tobytes())
        if not problem.unknowns.is_small:  # fields are in the order of the ranks
            digest.update(str(problem.comm.size).encode())
        return float(int.from_bytes(digest.digest()[:6], "big"))
