"""K and F where they are affine in a few numbers: kept as arrays, and not assembled any more.

    K(c) = K₀ + Σ c_i K_i,    F(c) = F₀ + Σ c_i F_i,    ∂Φ/∂c_i = ⟨Ḡ, K_i⟩ + ⟨∂Φ/∂F, F_i⟩,

with c_i a coefficient of m, or e to it.  So it is for modes of a velocity and one diffusivity with
elements that have no upwind; whether it is, is tried.
"""

from __future__ import annotations

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.equation.operator import ASSEMBLY, Operator
from advdiff.inverse.unknowns import Unknowns

MOST_BYTES = 2**25
"""Of a rank, for all K_i."""
MOST = 150
"""Coefficients: with more, products with all K_i take longer than assembly."""
ROUNDING = 1e-12
"""Relative to the sum of the terms' sizes: what is affine but for rounding."""
NOTHING = 1e-300
"""A coefficient that has a logarithm, and counts as 0."""


class Affine:
    """K and F of an operator as functions of m (collective); see :func:`affine`.

    Attributes:
        pattern: receives Ḡ.
    """

    def __init__(self, operator: Operator, unknowns: Unknowns):
        from advdiff.algebra.pattern import PatternCotangent

        self._operator, self._unknowns = operator, unknowns
        parts = [np.full(p.template.getSize(), p.is_exponential) for p in unknowns.parts]
        self._exponential = np.concatenate(parts)
        self._base = self._at(np.zeros(len(self._exponential)))
        # derivatives, for in a difference what is large drowns what is small
        self._at(self._exponential.astype(float))
        self._columns = np.array([self._along(unit) for unit in np.eye(len(self._exponential))])
        self.pattern = PatternCotangent(operator.generator.stiffness)
        self._entries = len(self.pattern.values)

    def _at(self, c: np.ndarray) -> np.ndarray:
        """The entries of K and F, by assembly."""
        m = np.where(self._exponential, np.log(np.maximum(c, NOTHING)), c)
        self._unknowns.assign(self._unknowns.from_numpy(m))
        generator, load = self._operator.assemble(), self._operator.load
        values = generator.stiffness.getValuesCSR()[2]
        return np.concatenate([values, [] if load is None else load.array_r])

    def _along(self, unit: np.ndarray) -> np.ndarray:
        """Those of ∂K and ∂F where every coefficient that is positive is 1."""
        operator = self._operator
        change = operator.push(self._unknowns.push(self._unknowns.from_numpy(unit)))
        load = [] if operator.load is None else np.zeros(operator.load.getLocalSize())
        if change.load is not None:
            load = change.load.array_r
        return np.concatenate([change.stiffness.getValuesCSR()[2], load])

    def holds(self, seed: int) -> bool:
        """Whether K and F are what they should be at a point by chance, where all terms of K are of
        one size."""
        comm = self._operator.domain.comm
        terms = np.vstack([self._columns, self._base])[:, : self._entries]
        maxima = np.abs(terms).max(axis=1, initial=0.0)
        comm.Allreduce(MPI.IN_PLACE, maxima, MPI.MAX)
        sizes, largest = maxima[:-1], maxima[-1]
        if largest <= np.sqrt(NOTHING) * sizes.max():  # nothing but what counts as 0
            largest = sizes.max()
        c = np.random.default_rng(seed).uniform(0.5, 1.5, len(sizes))
        signs = np.where(np.arange(len(c)) % 2 == seed % 2, 1.0, -1.0)
        c = np.where(self._exponential, c, c * signs)
        c *= np.where(sizes > 0.0, largest / np.where(sizes > 0.0, sizes, 1.0), 1.0)
        difference = np.abs(self._at(c) - self._base - c @ self._columns)
        size = np.abs(self._base) + np.abs(c) @ np.abs(self._columns)
        good = all(
            np.all(difference[part] <= ROUNDING * max(size[part].max(initial=0.0), NOTHING))
            for part in (slice(self._entries), slice(self._entries, None))
        )
        return comm.allreduce(bool(good), MPI.LAND)

    def _coefficients(self, m: PETSc.Vec) -> np.ndarray:
        values = self._unknowns.to_numpy(m)
        return np.where(self._exponential, np.exp(values * self._exponential), values)

    def assemble(self, m: PETSc.Vec) -> Generator:
        """K and F at m, whose controls are assigned (collective)."""
        with ASSEMBLY:
            self._c = self._coefficients(m)
            found = self._base + self._c @ self._columns
            csr = self.pattern.indptr, self.pattern.indices, found[: self._entries]
            return self._operator.replace(csr, found[self._entries :])

    def pull(self, load: PETSc.Vec | None) -> PETSc.Vec:
        """∂Φ/∂m from the pattern's Ḡ and ∂Φ/∂F, where K was assembled last (collective)."""
        dual = [] if load is None else load.array_r
        slopes = self._columns @ np.concatenate([self.pattern.values, dual])
        slopes = self._operator.domain.comm.allreduce(slopes)
        return self._unknowns.from_numpy(np.where(self._exponential, self._c * slopes, slopes))


def affine(operator: Operator, unknowns: Unknowns) -> Affine | None:
    """K and F as affine functions of m; None where they are not, or assembly is cheaper
    (collective).

    The controls and K are afterwards what they were.
    """
    moved = set(unknowns.controls) <= set(operator.controls)
    if not (unknowns.is_small and moved and unknowns.size <= MOST):
        return None
    matrix = operator.generator.stiffness
    entries = matrix.getInfo(PETSc.Mat.InfoType.GLOBAL_MAX)["nz_used"] + matrix.getLocalSize()[0]
    entries = operator.domain.comm.allreduce(entries, MPI.MAX)
    if 8.0 * entries * unknowns.size > MOST_BYTES:
        return None
    vectors = [operator.controls[name].x.petsc_vec for name in unknowns.controls]
    before = [vector.copy() for vector in vectors]
    found = Affine(operator, unknowns)
    holds = found.holds(0) and found.holds(1)
    for name, vector, kept in zip(unknowns.controls, vectors, before, strict=True):
        kept.copy(vector)
        operator.controls[name].x.scatter_forward()
        kept.destroy()
    operator.assemble()
    return found if holds else None
