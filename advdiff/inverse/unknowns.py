"""What is unknown, as one parameter vector m made of parts.

Each part owns a slice of every rank's share of m.  A handful of coefficients lives on rank 0; a
field is distributed like its degrees of freedom.  ``assign`` sets the model's controls from m,
``push`` turns dm into their directions, ``pull`` gradients of them into that of m.  What a control
is, and what a direction of it, is between the parts and their model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from petsc4py import PETSc

from advdiff.core import compat


class Part(Protocol):
    """One unknown, or a few of one kind.

    Attributes:
        name: of its coordinates, e.g. ``velocity`` or ``log_diffusivity``.
        control: what of the model it moves.
        template: a vector with its layout.
        is_field: False for a few coefficients, all on rank 0.
        is_exponential: True where the control is affine in eᵐ, False where in m; one for all
            coefficients, or one each.

    ``assign`` sets the control, or adds to what another part of the same control has set.
    """

    name: str
    control: str
    template: PETSc.Vec
    is_field: bool
    is_exponential: bool | np.ndarray

    def assign(self, m: PETSc.Vec, add: bool = False) -> None: ...
    def push(self, dm: PETSc.Vec) -> Any: ...
    def pull(self, gradient: PETSc.Vec, out: PETSc.Vec) -> None: ...


class Unknowns:
    """The parameter vector m: its parts one behind the other on each rank.

    Args:
        parts: at least one; those that move one control add up.

    Making it is collective; each part has a unit of its own.

    >>> from mpi4py import MPI
    >>> from advdiff.models.coefficients import Coefficients
    >>> waves, rates = (Coefficients(n, k, MPI.COMM_WORLD) for n, k in (("waves", 2), ("rates", 1)))
    >>> unknowns = Unknowns([waves, rates])
    >>> m = unknowns.from_numpy([1.0, 2.0, 3.0])
    >>> unknowns.size, unknowns.extract(m, 0).sum(), unknowns.to_numpy(m)
    (3, 3.0, array([1., 2., 3.]))
    >>> unknowns.from_numpy([1.0])
    Traceback (most recent call last):
    ValueError: a parameter vector of shape (1,); it has (3,)
    """

    def __init__(self, parts: Sequence[Part]):
        self.parts = list(parts)
        names = [part.name for part in parts]
        if len(set(names)) < len(names):
            raise ValueError(f"two parts have one name: {', '.join(names)}")
        self.comm = parts[0].template.comm
        local = [part.template.getLocalSize() for part in self.parts]
        compat.steady_sums()  # of optimisers, which can be gone on with bit for bit
        self._template = PETSc.Vec().createMPI((sum(local), PETSc.DECIDE), comm=self.comm)
        start, _ = self._template.getOwnershipRange()
        self._rows = []
        for size in local:
            self._rows.append(PETSc.IS().createStride(size, start, 1, comm=self.comm))
            start += size

    @property
    def size(self) -> int:
        """Global number of unknowns."""
        return self._template.getSize()

    @property
    def controls(self) -> list[str]:
        """What moves, part by part."""
        return [part.control for part in self.parts]

    def vector(self) -> PETSc.Vec:
        """A new zero parameter vector."""
        vector = self._template.duplicate()
        vector.set(0.0)
        return vector

    def extract(self, m: PETSc.Vec, index: int, out: PETSc.Vec | None = None) -> PETSc.Vec:
        """A copy of one part of m (collective)."""
        out = self.parts[index].template.duplicate() if out is None else out
        part = m.getSubVector(self._rows[index])
        part.copy(out)
        m.restoreSubVector(self._rows[index], part)
        return out

    def insert(self, part: PETSc.Vec, index: int, m: PETSc.Vec) -> None:
        """Set one part of m (collective)."""
        target = m.getSubVector(self._rows[index])
        part.copy(target)
        m.restoreSubVector(self._rows[index], target)

    def assign(self, m: PETSc.Vec) -> None:
        """Set the controls (collective)."""
        done = set()
        for i, part in enumerate(self.parts):
            more = {"add": True} if part.control in done else {}
            part.assign(self.extract(m, i), **more)
            done.add(part.control)

    def push(self, dm: PETSc.Vec) -> dict[str, Any]:
        """Control → its direction (collective)."""
        moved = {}
        for i, part in enumerate(self.parts):
            change = part.push(self.extract(dm, i))
            if part.control in moved:
                moved[part.control].x.array[:] += change.x.array
            else:
                moved[part.control] = change
        return moved

    def pull(self, gradient: Mapping[str, PETSc.Vec]) -> PETSc.Vec:
        """The gradient with respect to m (collective).

        Args:
            gradient: control → dual vector.
        """
        result = self.vector()
        for i, part in enumerate(self.parts):
            out = part.template.duplicate()
            part.pull(gradient[part.control], out)
            self.insert(out, i, result)
            out.destroy()
        return result

    @property
    def is_small(self) -> bool:
        """True where m is a handful of coefficients, fit for a numpy array."""
        return not any(part.is_field for part in self.parts)

    def to_numpy(self, m: PETSc.Vec) -> np.ndarray:
        """All coefficients on every rank (collective; only where ``is_small``)."""
        return self.comm.tompi4py().bcast(m.array.copy() if self.comm.rank == 0 else None)

    def coefficients(self, m: PETSc.Vec) -> dict[str, np.ndarray]:
        """Name of a part that is no field → its coefficients, on every rank (collective)."""
        comm, found = self.comm.tompi4py(), {}
        for i, part in enumerate(self.parts):
            if not part.is_field:
                local = self.extract(m, i).array
                found[part.name] = comm.bcast(local if comm.rank == 0 else None)
        return found

    def from_numpy(self, values: np.ndarray) -> PETSc.Vec:
        """The parameter vector of coefficients known on every rank."""
        vector = self.vector()
        values = np.asarray(values, dtype=float)
        if values.shape != (self.size,):
            raise ValueError(f"a parameter vector of shape {values.shape}; it has ({self.size},)")
        vector.setArray(values if self.comm.rank == 0 else values[:0])
        return vector
