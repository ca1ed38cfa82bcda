"""Tall matrices whose columns are states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from petsc4py import PETSc
from slepc4py import SLEPc


def small(values: np.ndarray) -> PETSc.Mat:
    """A dense matrix of every rank's own, as BV operations take it."""
    values = np.asfortranarray(values, dtype=float)
    matrix = PETSc.Mat().createDense(values.shape, comm=PETSc.COMM_SELF)
    matrix.setUp()
    matrix.getDenseArray()[:] = values
    matrix.assemble()
    return matrix


def plain(like: SLEPc.BV, columns: int) -> SLEPc.BV:
    """A BV for the same vectors without inner product, all its columns active."""
    block = like.duplicateResize(max(1, columns))
    block.setMatrix(None, False)
    block.setActiveColumns(0, columns)
    return block


@contextmanager
def column(block: SLEPc.BV, i: int) -> Iterator[PETSc.Vec]:
    """A column of a BV."""
    vector = block.getColumn(i)
    try:
        yield vector
    finally:
        block.restoreColumn(i, vector)


@contextmanager
def local_array(block: SLEPc.BV) -> Iterator[np.ndarray]:
    """This rank's entries of the active columns, shape (local row, column)."""
    matrix = block.getMat()
    try:
        yield matrix.getDenseArray()
    finally:
        block.restoreMat(matrix)
