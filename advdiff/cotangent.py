"""From a sparse cotangent of K to the gradient of every control.

An engine hands over Ḡ = Σ λθᵀ on the pattern of K (:mod:`advdiff.expm.pattern`) and dΦ/dF.  For a
scalar Φ of K and F,

    dΦ = Σ_ab Ḡ_ab dK_ab + (dΦ/dF)·dF = Σ_cells Σ_ab Ḡ_ab dk_ab(cell) + …,

and dk_ab is UFL's derivative of the one form k(θ, φ).  Its two arguments become functions that are
discontinuous between cells, one pair for each node a of a cell: φ_a the a-th basis function of
every cell at once, θ_a the a-th row of every cell's block of Ḡ.  Then Σ_a k(θ_a, φ_a), through the
same form and the same assembler as K, once a gradient, gives ∂Φ/∂control for every control, however
many parameters stand behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numba
import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc as fem_petsc
from petsc4py import PETSc

from advdiff.expm.pattern import PatternCotangent

if TYPE_CHECKING:
    from advdiff.operator import Operator

ASSEMBLY = PETSc.Log.Event("advdiff.assembly")


class OperatorCotangent:
    """Receives Ḡ from an engine, and turns it into gradients of the named controls.

    Args:
        operator: assembled; its pattern is that of Ḡ.
        names: controls to differentiate with respect to (``diffusivity``, ``given``, ``stream``,
            ``source``).
    """

    def __init__(self, operator: Operator, names: Sequence[str]):
        self._operator = operator
        self._names = [name for name in names if name != "source"]
        self.pattern = PatternCotangent(operator.generator.stiffness) if self._names else None
        self.gradient: dict[str, PETSc.Vec] = {
            name: operator.controls[name].x.petsc_vec.duplicate() for name in names
        }
        self._dual = fem.Function(operator.space)
        if "source" in names:
            test = ufl.TestFunction(operator.controls["source"].function_space)
            self._source_form = fem.form(self._dual * test * operator.domain.dx)
        if not self._names:
            return
        nodes = operator.space.dofmap.dof_layout.num_dofs
        broken = fem.functionspace(operator.domain.mesh, ("DG", operator.degree, (nodes,)))
        self._rows_of_blocks, basis = fem.Function(broken), fem.Function(broken)
        self._broken = broken.dofmap.list
        for a in range(nodes):
            basis.x.array[nodes * self._broken[:, a] + a] = 1.0
        value = sum(operator.form(self._rows_of_blocks[a], basis[a]) for a in range(nodes))
        self._forms = {
            name: fem.form(ufl.derivative(value, operator.controls[name])) for name in self._names
        }
        self._local_pattern()

    def _local_pattern(self) -> None:
        """Where the entries of each owned cell's block stand in the matrix of local rows."""
        operator = self._operator
        index_map = operator.space.dofmap.index_map
        count = index_map.size_local + index_map.num_ghosts
        free = operator.numbering
        self._own = np.flatnonzero(free >= 0)
        order = np.argsort(free[self._own])
        self._rows = PETSc.IS().createGeneral(
            free[self._own][order].astype(PETSc.IntType), comm=PETSc.COMM_SELF
        )
        # local degree of freedom → row of the overlapping submatrix (−1 where constrained)
        self._place = np.full(count, -1, dtype=np.int64)
        self._place[self._own[order]] = np.arange(len(self._own))
        owned = operator.domain.mesh.topology.index_map(operator.domain.dim).size_local
        self._cells = operator.space.dofmap.list[:owned]

    def reset(self) -> None:
        """Ḡ = 0 and all gradients 0."""
        if self.pattern is not None:
            self.pattern.clear()
        for vector in self.gradient.values():
            vector.set(0.0)

    def add(
        self, left: Sequence[PETSc.Vec], right: Sequence[PETSc.Vec], weight: float = 1.0
    ) -> None:
        """Ḡ += weight · Σ_j left[j] right[j]ᵀ (collective)."""
        if self.pattern is not None:
            self.pattern.add(left, right, weight)

    def pull(self, load: PETSc.Vec | None) -> dict[str, PETSc.Vec]:
        """∂Φ/∂(nodal values) of every named control, dual vectors (collective).

        Args:
            load: ∂Φ/∂F, a vector over the free unknowns; None where F is absent.
        """
        operator = self._operator
        with ASSEMBLY:
            if load is None:
                self._dual.x.array[:] = 0.0
            else:
                operator.extend(load, self._dual, boundary=False)
            if "source" in self.gradient:
                self._assemble(self.gradient["source"], self._source_form)
            if self._names:
                self._pull_pattern()
        return self.gradient

    def _pull_pattern(self) -> None:
        operator = self._operator
        matrix = self.pattern.matrix()
        (local,) = matrix.createSubMatrices(self._rows, self._rows)
        indptr, indices, values = local.getValuesCSR()
        _gather(
            self._cells,
            self._place,
            indptr,
            indices,
            values,
            self._dual.x.array,
            operator.boundary.x.array,
            self._broken,
            self._rows_of_blocks.x.array.reshape(-1, self._cells.shape[1]),
        )
        matrix.destroy()
        local.destroy()
        for name, form in self._forms.items():
            self._assemble(self.gradient[name], form)

    @staticmethod
    def _assemble(vector: PETSc.Vec, form: fem.Form) -> None:
        with vector.localForm() as local:
            local.set(0.0)
        fem_petsc.assemble_vector(vector, form)
        vector.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)


@numba.njit(cache=True)
def _gather(cells, place, indptr, indices, values, dual, boundary, broken, rows):
    """rows[node b of the cell, a] = Ḡ_ab; where b is constrained, (∂Φ/∂F)_a times its value."""
    for cell in range(cells.shape[0]):
        for a in range(cells.shape[1]):
            row = place[cells[cell, a]]
            for b in range(cells.shape[1]):
                column = place[cells[cell, b]]
                entry = 0.0
                if row >= 0 and column >= 0:
                    first, last = indptr[row], indptr[row + 1]
                    entry = values[first + np.searchsorted(indices[first:last], column)]
                elif row >= 0:
                    entry = dual[cells[cell, a]] * boundary[cells[cell, b]]
                rows[broken[cell, b], a] = entry
