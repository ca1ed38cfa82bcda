"""Matérn priors of fields by an elliptic equation."""

from __future__ import annotations

import math

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc as fem_petsc
from petsc4py import PETSc

from advdiff.algebra.direct import cholesky
from advdiff.algebra.numbering import node_labels
from advdiff.core import jit


def robin(power: int, dim: int) -> float:
    """ρ/κ that leaves a Matérn field at a plane wall the variance that it has inside.

    On a half space the eigenfunctions k cos kx + ρ sin kx give the variance at the wall; integrated
    over the frequencies along it, with κ = 1 and q = 2p − (d − 1)/2, it is that of the whole space
    where ∫ (2k²/(k² + ρ²) − 1) (1 + k²)^−q dk = 0 over k > 0; here k = tan φ.
    """
    from scipy.integrate import quad  # half a second that a solution without a prior does without
    from scipy.optimize import brentq

    exponent = 4.0 * power - dim - 1.0

    def excess(rho: float) -> float:
        def density(phi: float) -> float:
            sine, cosine = math.sin(phi) ** 2, math.cos(phi) ** 2
            return (2.0 * sine / (sine + rho**2 * cosine) - 1.0) * math.cos(phi) ** exponent

        return quad(density, 0.0, 0.5 * math.pi)[0]

    return brentq(excess, 1e-3, 10.0)


class Matern:
    """A Matérn field on a Lagrange space (each component of a vector one of its own), restricted to
    the free unknowns ``rows``.

    Args:
        space: the space.
        rows: global indices of the free unknowns; the field vanishes at the others.
        std: pointwise standard deviation.
        correlation_length: where the correlation has fallen to about 0.1.
        power: p, a positive integer.

    The standard deviation at a node is the norm of Lᵀ times its unit vector, in the units of
    ``std``; on a fine mesh it is ``std`` everywhere, by the walls too:

    >>> from mpi4py import MPI
    >>> from advdiff.domain.mesh import box
    >>> domain = box(MPI.COMM_SELF, [0.0], [1.0], [64])
    >>> space = fem.functionspace(domain.mesh, ("Lagrange", 1))
    >>> field = Matern(space, PETSc.IS().createStride(65, step=1), std=2.0, correlation_length=0.2)
    >>> unit, found = field.root.duplicate(), field.root.duplicate()
    >>> for node in (0, 32):
    ...     unit.set(0.0)
    ...     unit[node] = 1.0
    ...     field.color_transpose(unit, found)
    ...     print(round(found.norm(), 1))
    2.0
    2.0
    """

    def __init__(
        self,
        space: fem.FunctionSpace,
        rows: PETSc.IS,
        std: float,
        correlation_length: float,
        power: int = 1,
    ):
        dim = space.mesh.topology.dim
        self.power = power
        nu = 2.0 * power - dim / 2.0
        rate = math.sqrt(8.0 * nu) / correlation_length
        variance = math.gamma(nu) / (math.gamma(2.0 * power) * (4.0 * math.pi) ** (dim / 2.0))
        gamma = (variance / (rate ** (2.0 * nu) * std**2)) ** (0.5 / power)
        trial, test = ufl.TrialFunction(space), ufl.TestFunction(space)
        energy = rate**2 * ufl.inner(trial, test) + ufl.inner(ufl.grad(trial), ufl.grad(test))
        form = gamma * (
            energy * ufl.dx + rate * robin(power, dim) * ufl.inner(trial, test) * ufl.ds
        )
        full = fem_petsc.assemble_matrix(jit.form(form))
        full.assemble()
        self.matrix = full.createSubMatrix(rows, rows)
        mass = fem_petsc.assemble_matrix(jit.form(ufl.inner(trial, test) * ufl.dx))
        mass.assemble()
        # Scaling the diagonal keeps it positive for every degree, which row sums do not.
        diagonal = mass.getDiagonal()
        volume = space.mesh.comm.allreduce(
            fem.assemble_scalar(jit.form(fem.Constant(space.mesh, 1.0) * ufl.dx))
        )
        diagonal.scale(space.dofmap.index_map_bs * volume / diagonal.sum())
        part = diagonal.getSubVector(rows)
        self.root = self.matrix.createVecLeft()
        part.copy(self.root)
        diagonal.restoreSubVector(rows, part)
        self.root.sqrtabs()
        self._work = self.root.duplicate()
        size = space.dofmap.index_map_bs
        labels = node_labels(space)[:, None] * np.uint64(size) + np.arange(size, dtype=np.uint64)
        first = diagonal.getOwnershipRange()[0]
        self.labels = labels.ravel()[rows.getIndices() - first]
        self.ksp = cholesky(self.matrix, "advdiff_prior_")

    def color(self, x, y):
        self._work.pointwiseMult(self.root, x)
        self.ksp.solve(self._work, y)
        for _ in range(self.power - 1):
            self._weigh(y, self._work)
            self.ksp.solve(self._work, y)

    def color_transpose(self, x, y):
        self.ksp.solve(x, y)
        for _ in range(self.power - 1):
            self._weigh(y, self._work)
            self.ksp.solve(self._work, y)
        y.pointwiseMult(self.root, y)

    def whiten(self, x, y):
        self.matrix.mult(x, y)
        for _ in range(self.power - 1):
            self._unweigh(y, self._work)
            self.matrix.mult(self._work, y)
        y.pointwiseDivide(y, self.root)

    def whiten_transpose(self, x, y):
        self._work.pointwiseDivide(x, self.root)
        self.matrix.mult(self._work, y)
        for _ in range(self.power - 1):
            self._unweigh(y, self._work)
            self.matrix.mult(self._work, y)

    def _weigh(self, x, y):
        y.pointwiseMult(self.root, x)
        y.pointwiseMult(self.root, y)

    def _unweigh(self, x, y):
        y.pointwiseDivide(x, self.root)
        y.pointwiseDivide(y, self.root)
