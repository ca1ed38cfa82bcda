"""Small distributed objects as numpy arrays on every rank, for tests against dense references."""

from __future__ import annotations

import numpy as np
from petsc4py import PETSc

from advdiff.algebra.generator import Generator


def matrix(mat: PETSc.Mat) -> np.ndarray:
    """All of a small matrix."""
    comm = mat.comm.tompi4py()
    start, stop = mat.getOwnershipRange()
    rows = np.zeros((stop - start, mat.getSize()[1]))
    for i in range(start, stop):
        columns, values = mat.getRow(i)
        rows[i - start, columns] = values
    return np.vstack(comm.allgather(rows))


def vector(vec: PETSc.Vec) -> np.ndarray:
    """All of a small vector."""
    return np.concatenate(vec.comm.tompi4py().allgather(vec.array.copy()))


def like(vec: PETSc.Vec, values: np.ndarray) -> PETSc.Vec:
    """A vector laid out like ``vec`` from values known on every rank."""
    result = vec.duplicate()
    start, stop = result.getOwnershipRange()
    result.setArray(values[start:stop])
    return result


def random(vec: PETSc.Vec, seed: int) -> PETSc.Vec:
    """Normal entries by global index of ``vec``'s layout."""
    return like(vec, np.random.default_rng(seed).standard_normal(vec.getSize()))


def generator(gen: Generator) -> np.ndarray:
    """A = M⁻¹K."""
    k = matrix(gen.stiffness)
    if gen.mass.is_diagonal:
        return k / vector(gen.mass.diagonal)[:, None]
    return np.linalg.solve(matrix(gen.mass.matrix), k)
