"""Numbers of a space's nodes that do not depend on how the mesh is divided among ranks."""

from __future__ import annotations

import numpy as np
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc


def node_labels(space: fem.FunctionSpace) -> np.ndarray:
    """The least of cell × nodes + node over all cells that have the node, cells in the order of the
    mesh as it was made or read; one for each owned node, shape (owned,), uint64 (collective).
    """
    msh, dofmap = space.mesh, space.dofmap
    owned = msh.topology.index_map(msh.topology.dim).size_local
    nodes = dofmap.list[:owned]
    numbers = msh.topology.original_cell_index[:owned, None] * nodes.shape[1]
    numbers = (numbers + np.arange(nodes.shape[1])).ravel()
    source = PETSc.Vec().createMPI((numbers.size, PETSc.DECIDE), comm=msh.comm)
    source.setArray(-numbers.astype(float))
    target = PETSc.Vec().createMPI((dofmap.index_map.size_local, PETSc.DECIDE), comm=msh.comm)
    target.set(-np.inf)
    places = dofmap.index_map.local_to_global(nodes.ravel().astype(np.int32))
    rows = PETSc.IS().createGeneral(places.astype(PETSc.IntType), comm=msh.comm)
    scatter = PETSc.Scatter().create(source, None, target, rows)
    scatter.scatter(source, target, addv=PETSc.InsertMode.MAX_VALUES)
    labels = (-target.array_r).astype(np.uint64)
    for thing in (scatter, rows, source, target):
        thing.destroy()
    return labels


def places(labels: np.ndarray, comm: PETSc.Comm) -> np.ndarray:
    """How many of all labels are smaller, for each of this rank's: shape (local,) (collective)."""
    last = comm.tompi4py().allreduce(int(labels.max(initial=0)), MPI.MAX)
    line = PETSc.Vec().createMPI((PETSc.DECIDE, last + 1), comm=comm)
    line.setValues(labels.astype(PETSc.IntType), np.ones(len(labels)))
    line.assemble()
    counts = np.cumsum(line.array_r)
    mine = counts[-1] if len(counts) else 0.0
    line.setArray(counts + comm.tompi4py().scan(mine) - mine - 1.0)
    rows = PETSc.IS().createGeneral(labels.astype(PETSc.IntType), comm=comm)
    target = PETSc.Vec().createMPI((len(labels), PETSc.DECIDE), comm=comm)
    scatter = PETSc.Scatter().create(line, rows, target, None)
    scatter.scatter(line, target)
    found = target.array_r.astype(PETSc.IntType)
    for thing in (scatter, rows, target, line):
        thing.destroy()
    return found
