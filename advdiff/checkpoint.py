"""The optimiser's iterate on disk beside the result, so that a killed run can go on."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
from petsc4py import PETSc

from advdiff.errors import InputError, on_root
from advdiff.problem import Problem

DAMAGE = (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile)


class Checkpoint:
    """m, the first gradient norm, and a mark of the experiment they belong to.

    Rank 0 reads and writes it whole: a damaged file must not leave the others waiting.

    Args:
        problem: gives the layout of m.
        path: of the result.
    """

    def __init__(self, problem: Problem, path: Path):
        self.problem = problem
        self.path = path.with_name(f".{path.name}.checkpoint")

    def save(self, m: PETSc.Vec, reference: float) -> None:
        """Write m and where the run is (collective), by a temporary name."""
        mark = self._mark()
        scatter, whole = PETSc.Scatter.toZero(m)
        scatter.scatter(m, whole)

        def write() -> None:
            temporary = self.path.with_name(f"{self.path.name}.partial")
            with open(temporary, "wb") as file:
                np.savez(file, m=whole.array_r, reference=reference, mark=mark)
            temporary.replace(self.path)

        on_root(self.problem.comm, write)
        scatter.destroy()
        whole.destroy()

    def load(self) -> tuple[PETSc.Vec, float]:
        """The saved m, and the gradient norm at the first guess (collective).

        Raises:
            InputError: where there is none, or it is of another problem, or damaged.
        """
        mark, m = self._mark(), self.problem.unknowns.vector()
        scatter, whole = PETSc.Scatter.toZero(m)

        def read() -> float:
            if not self.path.is_file():
                raise InputError(f"--resume: no checkpoint {self.path}; run without --resume")
            try:
                with np.load(self.path, allow_pickle=False) as file:
                    saved = {name: file[name] for name in ("m", "reference", "mark")}
                reference = float(saved["reference"])
                if not (reference > 0 and np.isfinite(saved["m"]).all()):
                    raise ValueError("not numbers to go on from")
            except DAMAGE:
                raise InputError(
                    f"--resume: {self.path} is damaged; run without --resume"
                ) from None
            if str(saved["mark"]) != mark or saved["m"].shape != (whole.getSize(),):
                raise InputError(
                    f"--resume: {self.path} is of another experiment or number of ranks; run "
                    "without --resume"
                )
            whole.setArray(saved["m"])
            return reference

        reference = on_root(self.problem.comm, read)
        scatter.scatter(whole, m, mode=PETSc.ScatterMode.REVERSE)
        scatter.destroy()
        whole.destroy()
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
            digest.update(str(problem.comm.size).encode())
        return digest.hexdigest()
