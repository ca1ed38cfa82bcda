"""States: the free unknowns of θ, and how they and functions become each other.

Steady Dirichlet values of continuous elements are eliminated: a *state* is a vector over the free
unknowns alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from dolfinx import fem
from petsc4py import PETSc

from advdiff.core.errors import InputError
from advdiff.domain.fields import Field, interpolate
from advdiff.domain.mesh import Domain


class States:
    """The free unknowns of a space (collective).

    Args:
        domain: of the space.
        space: of θ.
        held: boundary part → the values held there, callables of coordinates.

    Attributes:
        boundary: the function that has the held values, 0 at the free unknowns.
        free: the global numbers of this rank's free unknowns in ``space``.
        own: their local numbers.
        is_constrained: whether any unknown is held.
        numbering: local unknown of ``space``, ghosts too → its place in a state, −1 where held.

    Raises:
        InputError: where no unknown is free.
    """

    def __init__(self, domain: Domain, space: fem.FunctionSpace, held: Mapping[str, Field]):
        self.space, self.boundary = space, fem.Function(space)
        cells = space.dofmap.index_map
        constrained = np.zeros(cells.size_local + cells.num_ghosts, dtype=bool)
        for name, value in held.items():
            key = f"physics.dirichlet.{name}"
            facets = domain.facets([name], key)
            dofs = fem.locate_dofs_topological(space, domain.dim - 1, facets)
            constrained[dofs] = True
            values = interpolate(value, space, key)
            self.boundary.x.array[dofs] = values.x.array[dofs]
        self.boundary.x.scatter_forward()
        owned, start, comm = constrained[: cells.size_local], cells.local_range[0], domain.comm
        self.own = np.flatnonzero(~owned)
        free = self.own.astype(PETSc.IntType) + start
        self.is_constrained = comm.allreduce(int(owned.sum())) > 0
        number = fem.Function(space)
        number.x.array[:] = -1.0
        number.x.array[free - start] = comm.exscan(len(free)) or 0
        number.x.array[free - start] += np.arange(len(free))
        number.x.scatter_forward()
        self.numbering = np.rint(number.x.array).astype(np.int64)
        self.free = PETSc.IS().createGeneral(free, comm=comm)
        if self.free.getSize() == 0:
            raise InputError("physics.dirichlet: every unknown is constrained; nothing is left")

    def rows(self, vector: PETSc.Vec, out: PETSc.Vec | None = None) -> PETSc.Vec:
        """The free entries of a vector over all unknowns, in a vector of their own (collective)."""
        if out is not None and not self.is_constrained:
            vector.copy(out)
            return out
        part = vector.getSubVector(self.free)
        out = part.duplicate() if out is None else out
        part.copy(out)
        vector.restoreSubVector(self.free, part)
        return out

    def block(self, matrix: PETSc.Mat, out: PETSc.Mat | None = None) -> PETSc.Mat:
        """Free rows and columns of a matrix over all unknowns, itself where none is held
        (collective)."""
        if not self.is_constrained:
            return matrix
        return matrix.createSubMatrix(self.free, self.free, submat=out)

    def restrict(self, function: fem.Function, out: PETSc.Vec | None = None) -> PETSc.Vec:
        """The state of a function of ``space`` (collective)."""
        return self.rows(function.x.petsc_vec, out)

    def extend(
        self, state: PETSc.Vec, out: fem.Function | None = None, *, boundary: bool = True
    ) -> fem.Function:
        """The function of a state, with the held values, or zero there (collective)."""
        out = fem.Function(self.space) if out is None else out
        vector = out.x.petsc_vec
        if not self.is_constrained:
            state.copy(vector)
        else:
            if boundary:
                self.boundary.x.petsc_vec.copy(vector)
            else:
                vector.set(0.0)
            part = vector.getSubVector(self.free)
            state.copy(part)
            vector.restoreSubVector(self.free, part)
        out.x.scatter_forward()
        return out

    def state(self, field: Field, key: str) -> PETSc.Vec:
        """The state that interpolates a field (collective)."""
        return self.restrict(interpolate(field, self.space, key))
