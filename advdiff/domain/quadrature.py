"""Numbers at the quadrature points: where they are, what they weigh, how they are numbered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import basix.ufl
import numpy as np
import ufl
from dolfinx import fem, mesh
from dolfinx.fem import petsc as fem_petsc
from mpi4py import MPI

from advdiff.core import jit
from advdiff.domain.mesh import Domain


def points_of(msh: mesh.Mesh, rule: Mapping[str, Any]) -> np.ndarray:
    """The points of a rule in the reference cell, shape (point, dim)."""
    name, degree = rule.get("quadrature_rule", "default"), rule["quadrature_degree"]
    element = basix.ufl.quadrature_element(msh.basix_cell(), scheme=name, degree=degree)
    return element.custom_quadrature()[0]


def maximum(
    domain: Domain, quantity: ufl.core.expr.Expr, points: np.ndarray
) -> Callable[[], float]:
    """A collective function that returns the present maximum of a quantity ≥ 0 at reference points
    of all cells.
    """
    msh = domain.mesh
    cells = np.arange(msh.topology.index_map(domain.dim).size_local, dtype=np.int32)
    compiled = jit.expression(quantity, points)

    def found() -> float:
        values = np.asarray(compiled.eval(msh, cells))
        return msh.comm.allreduce(float(values.max(initial=0.0)), MPI.MAX)

    return found


def largest(domain: Domain, quantity: ufl.core.expr.Expr, points: np.ndarray) -> float:
    """The present one of :func:`maximum` (collective)."""
    return maximum(domain, quantity, points)()


class Quadrature:
    """The points of a rule on the cells of this rank (collective).

    Args:
        msh: the mesh.
        rule: ``quadrature_rule`` and ``quadrature_degree``.
        slots: numbers at each point.

    Attributes:
        places: in the reference cell, shape (point, dim).
        dx: the measure.
        space: of functions with so many numbers at each point.
        template: a vector of ``space``.
        weights: of the local points, shape (local point,).
        cells: of this rank.
        order: number of each point, cell by cell, shape (local point,).
    """

    def __init__(self, msh: mesh.Mesh, rule: Mapping[str, Any], slots: int):
        element = basix.ufl.quadrature_element(
            msh.basix_cell(),
            value_shape=(slots,),
            scheme=rule["quadrature_rule"],
            degree=rule["quadrature_degree"],
        )
        self.places = element.custom_quadrature()[0]
        self.dx = ufl.dx(domain=msh, metadata=dict(rule))
        self.space = fem.functionspace(msh, element)
        weights = jit.form(ufl.TestFunction(self.space)[0] * self.dx)
        self.template = fem_petsc.assemble_vector(weights)
        self.weights = self.template.array_r[::slots].copy()
        count = msh.topology.index_map(msh.topology.dim).size_local
        self.cells = np.arange(count, dtype=np.int32)
        self.order = self.space.dofmap.list[:count].ravel()
