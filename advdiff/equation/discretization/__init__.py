"""Discretisations in space: what becomes of κΔ − u·∇ on a mesh.

Each gives a space, the bilinear form k(θ, φ) in two parts (cells, and facets between cells), and a
mass.  All share the skew-symmetric advection, so that the flow neither creates nor destroys the
norm in L², whatever the quadrature:

* ``cg``: Lagrange elements of degree 1 (lumped mass), 2 and 3 (consistent mass);
* ``spectral``: Lagrange elements of degree 2 … 8 on Gauss-Lobatto-Legendre points (diagonal mass);
* ``cip``: cg with a penalty on the jumps of the normal derivative (mass as cg);
* ``dg``: discontinuous, degree 0 … 3: upwind flux, symmetric interior penalty (diagonal mass).

A diagonal mass makes A = M⁻¹K an explicit sparse matrix.
"""

from __future__ import annotations

from advdiff.config.tables.space import ELEMENTS
from advdiff.core.errors import InputError
from advdiff.domain.mesh import Domain
from advdiff.equation.discretization.base import Discretization
from advdiff.equation.discretization.continuous import InteriorPenalty, Lagrange, Spectral
from advdiff.equation.discretization.discontinuous import Discontinuous

__all__ = ["METHODS", "Discretization", "damped", "make"]

METHODS: dict[str, type[Discretization]] = {
    kind.method: kind for kind in (Lagrange, Spectral, InteriorPenalty, Discontinuous)
}


def make(domain: Domain, method: str = "cg", degree: int = 1, **options) -> Discretization:
    """A discretisation by name (collective).

    Args:
        options: ``stabilization`` of cip.

    Raises:
        InputError: for a degree or a kind of cell that the method does not have.

    Lengths are those of the mesh.

    >>> from mpi4py import MPI
    >>> from advdiff.domain.mesh import box
    >>> domain = box(MPI.COMM_WORLD, [0.0], [1.0], [8])
    >>> make(domain, "dg", degree=1).space.dofmap.index_map.size_global
    16
    >>> make(domain, "cg", degree=7)
    Traceback (most recent call last):
    advdiff.core.errors.InputError: discretization.degree = 7: method = 'cg' has degrees 1 to 3
    """
    kind, allowed = METHODS[method], ELEMENTS[method]
    if not allowed.lowest <= degree <= allowed.highest:
        raise InputError(
            f"discretization.degree = {degree}: method = '{method}' has degrees {allowed.lowest} "
            f"to {allowed.highest}"
        )
    return kind(domain, degree, **options)


def damped() -> str:
    """The methods that damp what the mesh does not resolve, for messages: ``'cip' or 'dg'``."""
    return " or ".join(f"'{name}'" for name, kind in METHODS.items() if kind.is_damped)
