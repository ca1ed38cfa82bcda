"""The infinitesimal generator A = M⁻¹K and the inner product it lives in.

Finite elements give M θ' = K θ.  Two kinds of vectors occur, and it pays to keep them apart:

* *states* θ (nodal values), with the inner product ⟨x, y⟩ = xᵀ M y of L²(Ω);
* *loads* or *residuals* (dual vectors: ∂Φ/∂θ, an assembled source), with M⁻¹ between the two.

``A = M⁻¹K`` acts on states, its plain transpose ``Aᵀ = KᵀM⁻¹`` on residuals; the adjoint in the
M inner product is ``A* = M⁻¹Kᵀ = M⁻¹ Aᵀ M``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.algebra.direct import cholesky
from advdiff.core.errors import T


class Mass:
    """The mass matrix M: a diagonal (lumped, or collocated) or a consistent sparse matrix.

    Args:
        matrix: a ``Vec`` holding the diagonal, or a symmetric positive definite ``Mat``.
        prefix: options prefix of the solver for a consistent mass (Cholesky by default).

    Raises:
        ValueError: if a diagonal has an entry that is not positive (collective).
    """

    def __init__(self, matrix: PETSc.Vec | PETSc.Mat, prefix: str = "advdiff_mass_"):
        self.diagonal: PETSc.Vec | None = None
        self.matrix: PETSc.Mat | None = None
        if isinstance(matrix, PETSc.Vec):
            smallest = matrix.min()[1]
            if not smallest > 0.0:
                raise ValueError(
                    f"the lumped mass has an entry {smallest:g}, which is not positive; "
                    "use the consistent mass for this element"
                )
            self.diagonal = matrix
            self.inverse = matrix.duplicate()
            matrix.copy(self.inverse)
            self.inverse.reciprocal()
            return
        self.matrix = matrix
        self._work = matrix.createVecRight()
        self.ksp = cholesky(matrix, prefix)

    @property
    def is_diagonal(self) -> bool:
        """True where M⁻¹ is free, so that A is an explicit sparse matrix."""
        return self.diagonal is not None

    def mult(self, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """y = M x (collective); x and y must differ."""
        if self.diagonal is not None:
            y.pointwiseMult(self.diagonal, x)
        else:
            self.matrix.mult(x, y)

    def solve(self, b: PETSc.Vec, x: PETSc.Vec) -> None:
        """x = M⁻¹ b (collective); x and b may be the same where M is diagonal."""
        if self.diagonal is not None:
            x.pointwiseMult(self.inverse, b)
        else:
            self.ksp.solve(b, x)

    def norm(self, x: PETSc.Vec) -> float:
        """‖x‖ = √(xᵀMx), the L² norm of a state (collective)."""
        if self.diagonal is not None:
            work = x.duplicate()
            work.pointwiseMult(self.diagonal, x)
            value = x.dot(work)
            work.destroy()
        else:
            self.matrix.mult(x, self._work)
            value = x.dot(self._work)
        return max(value, 0.0) ** 0.5


@dataclass
class Generator:
    """A = M⁻¹K on the free (unconstrained) unknowns.

    Attributes:
        stiffness: K, a distributed AIJ matrix, n × n.
        mass: M.
        flow_bound: P = max |u|²/κ, the parabola |Im z|² ≤ P |Re z| that contains the numerical
            range (|∫(u·∇x)x̄| ≤ max(|u|/√κ) ‖√κ∇x‖ ‖x‖); infinite where unknown.
        dimension: of the mesh, where there is one.
        constant: the state of the function 1; None: all entries 1, as for nodal values.
        points: where the local unknowns stand, shape (row, dim), for who sorts them; None: unknown.
        made: what was made once for the pattern of K, by name; K changes in place.

    A is a rate: one over your unit of time.

    Two rooms of volume 1 and 3 that exchange air:

    >>> K = PETSc.Mat().createAIJ(2, csr=([0, 2, 4], [0, 1, 0, 1], [-1.0, 1.0, 1.0, -1.0]))
    >>> A = Generator(K, Mass(PETSc.Vec().createWithArray([1.0, 3.0])))
    >>> theta, slope = A.vector(), A.vector()
    >>> theta.setArray([1.0, 0.0])
    >>> A.mult(theta, slope)
    >>> slope.array.round(6)
    array([-1.      ,  0.333333])
    """

    stiffness: PETSc.Mat
    mass: Mass
    flow_bound: float = float("inf")
    dimension: int | None = None
    constant: PETSc.Vec | None = None
    points: np.ndarray | None = None
    made: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def comm(self) -> MPI.Comm:
        return self.stiffness.comm.tompi4py()

    @property
    def size(self) -> int:
        """Global number of unknowns n."""
        return self.stiffness.getSize()[0]

    def once(self, name: str, make: Callable[[], T]) -> T:
        """``make()`` for K as it stands, made again only where K has changed (collective)."""
        state = self.stiffness.stateGet()
        known, value = self.made.get(name, (None, None))
        if not self.comm.allreduce(known == state, MPI.LAND):
            value = make()
            self.made[name] = state, value
        return value

    def vector(self) -> PETSc.Vec:
        """A new zero vector with the row layout of K."""
        return self.stiffness.createVecLeft()

    def ones(self) -> PETSc.Vec:
        """A new state, the function 1."""
        if self.constant is not None:
            return self.constant.copy()
        ones = self.vector()
        ones.set(1.0)
        return ones

    def norm_bound(self) -> float:
        """max_i Σ_j |K_ij| / M_ii (collective): ‖A‖ in the maximum norm where M is diagonal.

        For a consistent mass it is an estimate of the same size.
        """
        diagonal = self.mass.diagonal if self.mass.is_diagonal else self.mass.matrix.getDiagonal()
        inverse = diagonal.copy()
        inverse.reciprocal()
        scaled = self.stiffness.copy()
        scaled.diagonalScale(inverse, None)
        value = scaled.norm(PETSc.NormType.NORM_INFINITY)
        inverse.destroy()
        scaled.destroy()
        return value

    def bound_of(self, matrix: PETSc.Mat) -> float:
        """A bound on ‖M⁻¹J‖ in L² for a matrix J like K (collective): √(‖D⁻¹J‖ ‖D⁻¹Jᵀ‖) in the
        maximum norm, with D the diagonal of M.

        For a consistent mass it is an estimate of the same size.
        """
        diagonal = self.mass.diagonal if self.mass.is_diagonal else self.mass.matrix.getDiagonal()
        inverse = diagonal.copy()
        inverse.reciprocal()
        rows, columns = matrix.copy(), matrix.copy()
        rows.diagonalScale(inverse, None)
        columns.diagonalScale(None, inverse)
        largest = rows.norm(PETSc.NormType.NORM_INFINITY) * columns.norm(PETSc.NormType.NORM_1)
        for work in (inverse, rows, columns):
            work.destroy()
        return largest**0.5

    def mult(self, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """y = A x (collective); x and y must differ."""
        if self.mass.is_diagonal:
            self.stiffness.mult(x, y)
            self.mass.solve(y, y)
        else:
            work = self.vector()
            self.stiffness.mult(x, work)
            self.mass.solve(work, y)
            work.destroy()
