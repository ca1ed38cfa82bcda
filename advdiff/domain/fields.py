"""Fields as a user writes them: numbers, expressions in x, y, z, or Python callables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import basix
import basix.ufl
import numpy as np
from dolfinx import fem, mesh
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.config.expression import Expression
from advdiff.core.errors import InputError
from advdiff.core.ranks import agreed
from advdiff.domain.periodic import PeriodicMesh

SEAM = 1e-2
"""Jump across a seam, relative to the largest value, that is more than the tail of a bump."""

FINER = 4
BETWEEN = 0.05
"""Of its range on a lattice finer by that factor, along each axis, a polynomial of one variable may
leave it: (1/cos(π/2·FINER) − 1)/2 (Ehlich and Zeller 1964)."""
NOTABLE = 0.1
"""Relative difference of two interpolants that is worth a word."""
AT_ONCE = 4096
"""Cells that are looked at together."""

ON_AXIS = 1e-14
"""A coordinate below this part of the largest along its axis is 0."""

Field = Callable[[np.ndarray], np.ndarray]
"""Of coordinates (3, n): values (n,), or (dim, n) of a vector field."""
FieldLike = float | int | str | Field


def scalar_field(value: FieldLike, key: str, dim: int) -> Field:
    """A callable of coordinates (3, n) with values (n,), from a number, expression or callable."""
    if isinstance(value, str):
        return Expression(value, key, dim)
    if callable(value):
        return value
    return Uniform(float(value))


def vector_field(value: Sequence[FieldLike] | Field, key: str, dim: int) -> Field:
    """A callable of coordinates (3, n) with values (dim, n)."""
    if callable(value):
        return value
    if len(value) != dim:
        raise InputError(f"{key}: {len(value)} components in {dim} dimensions; give {dim}")
    components = [scalar_field(c, f"{key}[{i}]", dim) for i, c in enumerate(value)]
    return Components(tuple(components))


@dataclass(frozen=True)
class Uniform:
    """The same value everywhere."""

    value: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.full(x.shape[1], self.value)


@dataclass(frozen=True)
class Components:
    """A vector field of scalar ones: a callable of coordinates (3, n) with values (dim, n)."""

    parts: tuple[Field, ...]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.stack([part(x) for part in self.parts])


def interpolate(field: Field, space: fem.FunctionSpace, key: str) -> fem.Function:
    """Nodal interpolation of a callable (collective).

    Raises:
        InputError: where a value is not finite.
    """
    function = fem.Function(space, name=key)
    if isinstance(field, Uniform) and space.element.interpolation_ident:
        function.x.array[:] = field.value
    elif space.element.interpolation_ident:
        _take_nodal_values(function, field)
    else:
        with agreed(space.mesh.comm):
            function.interpolate(lambda x: field(_clean(x)))
    _require_finite(function, key, field)
    if isinstance(space.mesh, PeriodicMesh) and not space.element.basix_element.discontinuous:
        _require_periodic(function, key, field)
    return function


def _take_nodal_values(function: fem.Function, field: Field) -> None:
    """Values at the nodes, each asked for once and not by every cell around it (collective)."""
    space = function.function_space
    size = space.dofmap.index_map_bs
    with agreed(space.mesh.comm):
        x = _clean(np.ascontiguousarray(space.tabulate_dof_coordinates().T))
        values = np.asarray(field(x))
        if values.shape not in ((size, x.shape[1]), x.shape[size:]):
            raise ValueError(f"values of shape {values.shape} at {x.shape[1]} points")
        function.x.array[:] = values.reshape(size, -1).T.ravel()
    function.x.scatter_forward()


def interpolate_positive(
    field: Field, msh: mesh.Mesh, degree: int, key: str
) -> tuple[fem.Function, float]:
    """Interpolation of a field that is nowhere negative, to a function that is so too (collective).

    Between nodes where it is positive a polynomial of degree 2 or more may be negative.  It is
    taken where it is proved to be positive in every cell, else the linear one of the vertices.

    Returns:
        The function, and the share of cells in which a linear one had to do and is another.

    Raises:
        InputError: where a value is not finite.
    """
    function = interpolate(field, fem.functionspace(msh, ("Lagrange", degree)), key)
    if degree == 1:
        return function, 0.0
    linear = interpolate(field, fem.functionspace(msh, ("Lagrange", 1)), key)
    cells = msh.topology.index_map(msh.topology.dim).size_local
    lattice = basix.create_lattice(
        function.function_space.element.basix_element.cell_type,
        FINER * degree,
        basix.LatticeType.gll,
        True,
        basix.LatticeSimplexMethod.isaac,
    )
    doubtful, different = 0, 0
    for first in range(0, cells, AT_ONCE):
        some = slice(first, min(first + AT_ONCE, cells))
        values, other = (_tabulated(f, lattice, some) for f in (function, linear))
        low, high = values.min(axis=1), values.max(axis=1)
        bad = low - BETWEEN * msh.topology.dim * (high - low) < 0.0
        doubtful += int(bad.sum())
        far = np.abs(values - other).max(axis=1) > NOTABLE * np.abs(values).max(axis=1)
        different += int((bad & far).sum())
    doubtful, different, cells = msh.comm.allreduce(np.array([doubtful, different, cells]))
    return (linear, different / cells) if doubtful else (function, 0.0)


def _tabulated(function: fem.Function, points: np.ndarray, cells: slice) -> np.ndarray:
    """Values at reference points of some local cells, shape (cell, point)."""
    space = function.function_space
    basis = space.element.basix_element.tabulate(0, points)[0, :, :, 0]
    return function.x.array[space.dofmap.list[cells]] @ basis.T


def broken_space(space: fem.FunctionSpace, shape: tuple[int, ...] = ()) -> fem.FunctionSpace:
    """The same functions cell by cell, free to jump between cells, with values of ``shape``."""
    element = space.element.basix_element
    broken = basix.ufl.element(
        element.family,
        element.cell_type,
        element.degree,
        element.lagrange_variant,
        discontinuous=True,
        shape=shape or None,
    )
    return fem.functionspace(space.mesh, broken)


def _clean(x: np.ndarray) -> np.ndarray:
    """Coordinates (3, n), with 0 where they are its rounding: 1/x has a pole there alone."""
    size = np.abs(x).max(axis=1, keepdims=True, initial=0.0)
    return np.where(np.abs(x) < ON_AXIS * size, 0.0, x)


def _require_periodic(function: fem.Function, key: str, field: Callable) -> None:
    """Raise on all ranks where the two sides of a seam have different values."""
    space = function.function_space
    apart = broken_space(space, function.ufl_shape)
    here, there = fem.Function(apart), fem.Function(apart)
    here.interpolate(field)
    there.interpolate(function)
    there.x.petsc_vec.axpy(-1.0, here.x.petsc_vec)
    jump, scale = (f.x.petsc_vec.norm(PETSc.NormType.INFINITY) for f in (there, here))
    if jump > SEAM * scale:
        periods = space.mesh.periods
        along = ", ".join(f"{length:g} in {'xyz'[axis]}" for axis, length in periods.items())
        raise InputError(
            f"{key}: not periodic, its values at the two ends differ by {jump:.3g}; give a field "
            f"that repeats after {along}"
        )


def _require_finite(function: fem.Function, key: str, field: Callable) -> None:
    """Raise on all ranks where a nodal value is not finite, naming the first such point."""
    space = function.function_space
    comm, dim = space.mesh.comm, space.mesh.geometry.dim
    owned = space.dofmap.index_map.size_local
    size = space.dofmap.index_map_bs
    values = function.x.array[: owned * size].reshape(owned, size)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    count = comm.allreduce(len(bad), MPI.SUM)
    if count == 0:
        return
    points = _clean(space.tabulate_dof_coordinates().T)[:dim, bad].T.tolist() if len(bad) else []
    where = min(point for part in comm.allgather(points) for point in part)
    raise InputError(
        f"{key}: not finite at {count} points, first at ({', '.join(f'{v:g}' for v in where)})"
        f"{_reason(field, where)}; give values that are finite in the whole domain"
    )


def _reason(field: Callable, point: Sequence[float]) -> str:
    """Why a field has no value at a point, where it (or a component) can say: ``field.why``."""
    x = np.pad(np.asarray(point, dtype=float), (0, 3 - len(point)))[:, None]
    for part in getattr(field, "parts", [field]):
        if hasattr(part, "why") and not np.isfinite(part(x)).all():
            return f" ({part.why(point)})"
    return ""
