"""The optimiser's iterate on disk beside the result, so that a killed run can go on."""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.errors import InputError, on_root
from advdiff.problem import Problem
from advdiff.result import open_parallel

DAMAGE = (OSError, KeyError, TypeError, ValueError)


class Checkpoint:
    """m, the first gradient norm, and a mark of the experiment they belong to.

    Every rank writes and reads its own share.  Rank 0 looks at the file first: a damaged one must
    not leave the others waiting.

    Args:
        problem: gives the layout of m.
        path: of the result.
    """

    def __init__(self, problem: Problem, path: Path):
        self.problem = problem
        self.path = path.with_name(f".{path.name}.checkpoint")

    def save(self, m: PETSc.Vec, reference: float) -> None:
        """Write m and where the run is (collective), by a temporary name."""
        temporary = self.path.with_name(f"{self.path.name}.partial")
        start, stop = m.getOwnershipRange()
        with open_parallel(temporary, self.problem.comm) as file:
            file.attrs["reference"], file.attrs["mark"] = reference, self._mark()
            file.create_dataset("m", shape=(m.getSize(),), dtype="f8")[start:stop] = m.array_r
        on_root(self.problem.comm, lambda: temporary.replace(self.path))

    def load(self) -> tuple[PETSc.Vec, float]:
        """The saved m, and the gradient norm at the first guess (collective).

        Raises:
            InputError: where there is none, or it is of another problem, or damaged.
        """
        comm, mark, m = self.problem.comm, self._mark(), self.problem.unknowns.vector()
        damaged = InputError(f"--resume: {self.path} is damaged; run without --resume")

        def look() -> float:
            if not self.path.is_file():
                raise InputError(f"--resume: no checkpoint {self.path}; run without --resume")
            try:
                with h5py.File(self.path, "r") as file:
                    reference, saved = float(file.attrs["reference"]), file.attrs["mark"]
                    shape = file["m"].shape
            except DAMAGE:
                raise damaged from None
            if saved != mark or shape != (m.getSize(),):
                raise InputError(
                    f"--resume: {self.path} is of another experiment or division among ranks; run "
                    "without --resume"
                )
            if not reference > 0:
                raise damaged
            return reference

        reference = on_root(comm, look)
        start, stop = m.getOwnershipRange()
        try:
            with h5py.File(self.path, "r") as file:
                m.setArray(file["m"][start:stop])
            whole = bool(np.isfinite(m.array_r).all())
        except DAMAGE:
            whole = False
        if not comm.allreduce(whole, MPI.LAND):
            raise damaged
        return m, reference

    def remove(self) -> None:
        """Forget it (collective)."""
        on_root(self.problem.comm, lambda: self.path.unlink(missing_ok=True))

    def _mark(self) -> str:
        """Text that differs where m would mean something else (collective)."""
        problem = self.problem
        parts = {"domain", "physics", "unknowns", "prior"}
        digest = hashlib.sha256(problem.experiment.model_dump_json(include=parts).encode())
        readings = problem.readings
        for array in (readings.points, readings.times, readings.values, readings.std):
            digest.update(np.ascontiguousarray(array).tobytes())
        if not problem.unknowns.is_small:  # fields are in the order of the ranks
            space = problem.operator.space
            owned = space.dofmap.index_map.size_local
            mine = hashlib.sha256(space.tabulate_dof_coordinates()[:owned].tobytes()).digest()
            digest.update(b"".join(problem.comm.allgather(mine)))
        return digest.hexdigest()
