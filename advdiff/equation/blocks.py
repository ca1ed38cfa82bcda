"""Which entries of a matrix each cell and facet fills."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
from dolfinx import fem, mesh
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.domain.fields import broken_space

if TYPE_CHECKING:
    from advdiff.equation.operator import Operator


AT_ONCE = 10
"""Rows of a cell's block that go through the assembler together."""


class Blocks:
    """The blocks of Ḡ cell by cell, as functions that are discontinuous between cells.

    Attributes:
        nodes: of a cell.
        width: how many rows of a block the functions hold at once.
        rows: θ_a of ``width`` nodes a.
        basis: φ_a.
        across: θ_a in the neighbour of the facet of one colour.
        colours: a mesh tag for each colour, 1 on its facets.
    """

    def __init__(self, operator: Operator):
        self._operator = operator
        space, msh = operator.space, operator.domain.mesh
        self.nodes = space.dofmap.dof_layout.num_dofs
        self.width = min(self.nodes, AT_ONCE)
        broken = broken_space(space, (self.width,))
        self.rows, self.basis = fem.Function(broken), fem.Function(broken)
        self._places = broken.dofmap.list
        has_facets = operator.discretization.has_facets
        self.across = fem.Function(broken) if has_facets else None
        self.colours, self._pairs = _coloured_facets(msh) if has_facets else ([], [])
        index_map = msh.topology.index_map(operator.domain.dim)
        ghosts = index_map.num_ghosts if has_facets else 0
        self._cells = space.dofmap.list[: index_map.size_local + ghosts]
        self._local_pattern()

    def _local_pattern(self) -> None:
        """Where the local unknowns stand in the matrix of local rows."""
        numbering = self._operator.states.numbering
        own = np.flatnonzero(numbering >= 0)
        order = np.argsort(numbering[own])
        self._rows = PETSc.IS().createGeneral(
            numbering[own][order].astype(PETSc.IntType), comm=PETSc.COMM_SELF
        )
        # local degree of freedom → row of the overlapping submatrix (−1 where constrained)
        self._place = np.full(len(numbering), -1, dtype=np.int64)
        self._place[own[order]] = np.arange(len(own))

    def entries(self, matrix: PETSc.Mat, dual: fem.Function) -> tuple:
        """Ḡ on the local unknowns, ∂Φ/∂F and the constrained values (collective)."""
        (local,) = matrix.createSubMatrices(self._rows, self._rows)
        csr = [array.copy() for array in local.getValuesCSR()]
        local.destroy()
        return self._place, *csr, dual.x.array, self._operator.states.boundary.x.array

    def fill(self, first: int, entries: tuple) -> None:
        """Set θ_a and φ_a for nodes ``first`` onwards."""
        rows = self.rows.x.array.reshape(-1, self.width)
        _own_rows(self._cells, first, self._places, rows, *entries)
        basis = self.basis.x.array.reshape(-1, self.width)
        basis[:] = 0.0
        for a in range(first, min(first + self.width, self.nodes)):
            basis[self._places[:, a], a - first] = 1.0

    def fill_across(self, first: int, colour: int, entries: tuple) -> None:
        """Continue θ_a across the facets of a colour."""
        rows = self.across.x.array.reshape(-1, self.width)
        rows[:] = 0.0
        _rows_across(self._pairs[colour], self._cells, first, self._places, rows, *entries)


def _coloured_facets(msh: mesh.Mesh) -> tuple[list[mesh.MeshTags], list[np.ndarray]]:
    """Facets between cells, divided so that a cell has one of each colour at most (collective).

    Returns:
        For each colour the tags, and the pairs of local cells, shape (facet, 2).
    """
    dim = msh.topology.dim
    msh.topology.create_connectivity(dim - 1, dim)
    links = msh.topology.connectivity(dim - 1, dim)
    owned = msh.topology.index_map(dim - 1).size_local
    inside = np.flatnonzero(np.diff(links.offsets[: owned + 1]) == 2).astype(np.int32)
    pairs = links.array[links.offsets[inside][:, None] + np.arange(2)]
    cells = msh.topology.index_map(dim)
    colour = _colour(pairs, cells.size_local + cells.num_ghosts)
    count = msh.comm.allreduce(int(colour.max(initial=-1)) + 1, MPI.MAX)
    tags, divided = [], []
    for c in range(count):
        chosen = colour == c
        ones = np.ones(int(chosen.sum()), dtype=np.int32)
        tags.append(mesh.meshtags(msh, dim - 1, inside[chosen], ones))
        divided.append(pairs[chosen])
    return tags, divided


@numba.njit(cache=True)
def _colour(pairs, count):
    """The least colour that neither cell of the pair has yet."""
    taken = np.zeros(count, dtype=np.int64)
    colour = np.empty(len(pairs), dtype=np.int64)
    for f in range(len(pairs)):
        one, other = pairs[f, 0], pairs[f, 1]
        c = 0
        while (taken[one] | taken[other]) >> c & 1:
            c += 1
        taken[one] |= 1 << c
        taken[other] |= 1 << c
        colour[f] = c
    return colour


@numba.njit(cache=True)
def _entry(a, b, place, indptr, indices, values, dual, boundary):
    """Ḡ_ab; where b is constrained, (∂Φ/∂F)_a times its value."""
    row, column = place[a], place[b]
    if row < 0:
        return 0.0
    if column < 0:
        return dual[a] * boundary[b]
    first, last = indptr[row], indptr[row + 1]
    while last - first > 8:  # halved, then one by one: a slice and a call would cost ten times that
        middle = (first + last) // 2
        if indices[middle] <= column:
            first = middle
        else:
            last = middle
    while indices[first] < column:
        first += 1
    return values[first]


@numba.njit(cache=True)
def _own_rows(cells, first, places, rows, place, indptr, indices, values, dual, boundary):
    """rows[node b of the cell, a − first] = Ḡ_ab."""
    nodes = cells.shape[1]
    for cell in range(cells.shape[0]):
        for a in range(first, min(first + rows.shape[1], nodes)):
            for b in range(nodes):
                rows[places[cell, b], a - first] = _entry(
                    cells[cell, a],
                    cells[cell, b],
                    place,
                    indptr,
                    indices,
                    values,
                    dual,
                    boundary,
                )


@numba.njit(cache=True)
def _rows_across(pairs, cells, first, places, rows, place, indptr, indices, values, dual, boundary):
    """rows[node b of a cell, a − first] = Ḡ_ab, a a node of its neighbour in the pair."""
    nodes = cells.shape[1]
    for pair in range(pairs.shape[0]):
        for side in range(2):
            cell, neighbour = pairs[pair, side], pairs[pair, 1 - side]
            for a in range(first, min(first + rows.shape[1], nodes)):
                for b in range(nodes):
                    rows[places[cell, b], a - first] = _entry(
                        cells[neighbour, a],
                        cells[cell, b],
                        place,
                        indptr,
                        indices,
                        values,
                        dual,
                        boundary,
                    )
