"""Velocity fields: given ones, and stream functions ψ with u = (∂ψ/∂y, −∂ψ/∂x).

A stream function of degree 2 gives an exactly divergence-free velocity, and no flow through any
boundary part on which it is constant, on any mesh.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc as fem_petsc
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.algebra.direct import cholesky
from advdiff.core import compat, jit
from advdiff.core.errors import InputError
from advdiff.domain.fields import Field, interpolate
from advdiff.domain.mesh import Domain
from advdiff.domain.samples import Samples

DEGREE = 2
VANISHING = 1e-10
"""Relative size below which a gradient or divergence is but rounding."""
DIVERGENCE = 1e-3
"""Of |∇u|; less is what interpolation leaves."""


def curl(stream: fem.Function) -> ufl.core.expr.Expr:
    """The velocity (∂ψ/∂y, −∂ψ/∂x) of a stream function."""
    return ufl.as_vector((stream.dx(1), -stream.dx(0)))


@dataclass
class Velocity:
    """u = given + curl ψ; either part may be absent (both absent: no flow).

    Attributes:
        domain: where it lives.
        given: a vector Lagrange function, or None.
        stream: a scalar Lagrange function ψ of degree 2, or None (two dimensions only).
    """

    domain: Domain
    given: fem.Function | None = None
    stream: fem.Function | None = None

    @property
    def expression(self) -> ufl.core.expr.Expr:
        """u as UFL, linear in its functions."""
        parts = [] if self.given is None else [self.given]
        if self.stream is not None:
            parts.append(curl(self.stream))
        if not parts:
            zero = fem.Constant(self.domain.mesh, np.zeros(self.domain.dim))
            return zero
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    def peclet_bound(self, diffusivity: fem.Function) -> Callable[[], float]:
        """A collective function that returns P = max |u|²/κ for the present u and κ.

        Sampled at the nodes of the degree of u on each cell: exact where u is linear there (a
        stream function), an estimate otherwise.
        """
        u = self.expression
        return self._largest(ufl.dot(u, u) / diffusivity)

    def _largest(self, quantity: ufl.core.expr.Expr) -> Callable[[], float]:
        degree = 1
        if self.given is not None:
            degree = self.given.function_space.element.basix_element.degree
        space = fem.functionspace(self.domain.mesh, ("DG", degree))
        values = jit.expression(quantity, compat.interpolation_points(space))
        sample = fem.Function(space)

        def largest() -> float:
            sample.interpolate(values)
            return self.domain.comm.allreduce(float(sample.x.array.max(initial=0.0)), MPI.MAX)

        return largest

    def sampled(self, samples: Samples) -> list[PETSc.Vec]:
        """The components of u at sample points (collective)."""
        return self.sampler(samples)()

    def sampler(self, samples: Samples) -> Callable[[], list[PETSc.Vec]]:
        """A collective function that returns the components of the present u at sample points."""
        u, part = self.expression, fem.Function(samples.space)
        points = compat.interpolation_points(samples.space)
        axes = [jit.expression(u[axis], points) for axis in range(self.domain.dim)]

        def sample() -> list[PETSc.Vec]:
            components = []
            for axis in axes:
                part.interpolate(axis)
                components.append(samples.values(part))
            return components

        return sample

    def largest_speed(self) -> float:
        """max |u|, sampled like :meth:`peclet_bound` (collective)."""
        u = self.expression
        return float(np.sqrt(self._largest(ufl.dot(u, u))()))

    def norm(self) -> float:
        """‖u‖ in L² (collective)."""
        u = self.expression
        return self.domain.norm(u)

    def relative_error(self, truth: Velocity) -> float:
        """‖u − truth‖ / ‖truth‖ in L² (collective)."""
        size = truth.norm()
        error = self.domain.norm(self.expression - truth.expression)
        return error / size if size > 0 else error

    def divergence(self) -> float:
        """‖∇·u‖ in L² (collective); 0 where it is rounding error."""
        if self.given is None:
            return 0.0
        value = self.domain.norm(ufl.div(self.given))
        scale = self.domain.norm(ufl.grad(self.given)) + self._size()
        return value if value > VANISHING * scale else 0.0

    def relative_divergence(self) -> float:
        """‖∇·u‖ / ‖∇u‖ of the given part, in L² (collective); 0 where it is constant."""
        value = self.divergence()
        return value / self.domain.norm(ufl.grad(self.given)) if value > 0.0 else 0.0

    def _size(self) -> float:
        """‖u‖ of the given part over the size of the domain."""
        return self.domain.norm(self.given) / self.domain.measure ** (1 / self.domain.dim)


def vector_space(domain: Domain, degree: int = DEGREE) -> fem.FunctionSpace:
    """The space of given velocities."""
    return fem.functionspace(domain.mesh, ("Lagrange", degree, (domain.dim,)))


def stream_space(domain: Domain, key: str = "velocity") -> fem.FunctionSpace:
    """The space of stream functions.

    Raises:
        InputError: where the domain is not two-dimensional.
    """
    if domain.dim != 2:
        raise InputError(
            f"{key}: a stream function needs two dimensions, the domain has {domain.dim}; "
            "give the components of the velocity"
        )
    return fem.functionspace(domain.mesh, ("Lagrange", DEGREE))


def given(domain: Domain, field: Field, key: str, degree: int = DEGREE) -> fem.Function:
    """Interpolate a vector field (collective)."""
    return interpolate(field, vector_space(domain, degree), key)


def wall_dofs(domain: Domain, space: fem.FunctionSpace, open_parts: Sequence[str]) -> np.ndarray:
    """Local stream-function unknowns on every boundary facet that is not in an open part."""
    msh = domain.mesh
    fdim = domain.dim - 1
    msh.topology.create_connectivity(fdim, domain.dim)
    from dolfinx.mesh import exterior_facet_indices

    boundary = exterior_facet_indices(msh.topology)
    walls = np.setdiff1d(boundary, domain.facets(open_parts, "domain.open"))
    return fem.locate_dofs_topological(space, fdim, walls)


def solve_stream(
    domain: Domain,
    vorticity: Field,
    walls: Mapping[str, float | str],
    key: str = "physics.velocity",
) -> fem.Function:
    """The stream function of −Δψ = ω with ψ constant on each named wall (collective).

    Args:
        vorticity: ω, a callable of coordinates.
        walls: name of a boundary part → the value of ψ there, or ``"free"``: the value that leaves
            no circulation around that wall (an island).  Parts not named are open: the flow
            passes them at right angles.

    Raises:
        InputError: for an unknown name, or where no wall has a value.
    """
    space = stream_space(domain, key)
    fixed = {name: float(v) for name, v in walls.items() if v != "free"}
    free = [name for name, value in walls.items() if value == "free"]
    if not fixed:
        raise InputError(f"{key}.walls: no wall has a number; give at least one, e.g. 0.0")
    dofs = {
        name: fem.locate_dofs_topological(
            space, domain.dim - 1, domain.facets([name], f"{key}.walls")
        )
        for name in walls
    }
    psi, phi = ufl.TrialFunction(space), ufl.TestFunction(space)
    energy = ufl.inner(ufl.grad(psi), ufl.grad(phi)) * domain.dx
    omega = interpolate(vorticity, space, f"{key}.vorticity")
    zero = fem.Function(space)

    def solve(load, values: Mapping[str, float]) -> fem.Function:
        bcs = [
            fem.dirichletbc(PETSc.ScalarType(values.get(name, 0.0)), dofs[name], space)
            for name in walls
        ]
        matrix = fem_petsc.assemble_matrix(jit.form(energy), bcs=bcs)
        matrix.assemble()
        rhs = fem_petsc.assemble_vector(jit.form(load * phi * domain.dx))
        fem_petsc.apply_lifting(rhs, [jit.form(energy)], [bcs])
        rhs.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
        fem_petsc.set_bc(rhs, bcs)
        ksp = cholesky(matrix, "advdiff_stream_")
        solution = fem.Function(space)
        ksp.solve(rhs, solution.x.petsc_vec)
        solution.x.scatter_forward()
        for thing in (ksp, matrix, rhs):
            thing.destroy()
        return solution

    def circulation(left: fem.Function, right: fem.Function, load) -> float:
        form = ufl.inner(ufl.grad(left), ufl.grad(right)) * domain.dx - load * left * domain.dx
        return domain.comm.allreduce(fem.assemble_scalar(jit.form(form)), MPI.SUM)

    stream = solve(omega, fixed)
    if free:
        unit = [solve(zero, {name: 1.0}) for name in free]
        matrix = np.array([[circulation(a, b, zero) for b in unit] for a in unit])
        excess = np.array([circulation(a, stream, omega) for a in unit])
        for value, part in zip(np.linalg.solve(matrix, -excess), unit, strict=True):
            stream.x.petsc_vec.axpy(value, part.x.petsc_vec)
        stream.x.scatter_forward()
    return stream


def sine_modes(domain: Domain, counts: Sequence[int]) -> tuple[list[Field], np.ndarray]:
    """Stream functions sin(πj x̃) sin(πk ỹ), 1 ≤ j ≤ counts[0], 1 ≤ k ≤ counts[1], on a rectangle.

    x̃, ỹ run from 0 to 1 across the bounding box.  Each is scaled so that its velocity has root mean
    square 1: a coefficient is the speed that its mode contributes.

    Returns:
        The fields (callables), and the wave numbers (j, k), shape (count, 2).
    """
    lower, upper = domain.bounds
    size = upper - lower
    waves = np.array(list(product(range(1, counts[0] + 1), range(1, counts[1] + 1))))

    def mode(j: int, k: int) -> Field:
        a, b = np.pi * j / size[0], np.pi * k / size[1]
        scale = 2.0 / np.hypot(a, b)
        return lambda x: scale * np.sin(a * (x[0] - lower[0])) * np.sin(b * (x[1] - lower[1]))

    return [mode(j, k) for j, k in waves], waves


def fourier_modes(domain: Domain, largest: float) -> tuple[list[Field], np.ndarray]:
    """Divergence-free Fourier modes √2 cos(2πk·x̃) k^⊥/|k| and √2 sin(2πk·x̃) k^⊥/|k|, |k| ≤ largest.

    x̃ runs from 0 to 1 across the torus; on one with different periods k^⊥/|k| is formed with k
    divided by them.  Each mode has root mean square 1.  One wave vector of each pair ±k is taken.

    Returns:
        The fields (callables with values (2, n)), and the wave vectors k, shape (count, 2); cosine
        and sine of one k follow each other.
    """
    lower, upper = domain.bounds
    size = upper - lower
    reach = int(np.floor(largest))
    steps = range(-reach, reach + 1)
    half = [
        (j, k) for j, k in product(steps, steps) if (k, j) > (0, 0) and np.hypot(j, k) <= largest
    ]
    half.sort(key=lambda wave: (np.hypot(*wave), wave))

    def mode(wave: tuple[int, int], function: Callable) -> Field:
        k = np.array(wave) / size
        across = np.sqrt(2.0) * np.array([-k[1], k[0]]) / np.hypot(*k)

        def field(x: np.ndarray) -> np.ndarray:
            phase = 2.0 * np.pi * (k[0] * (x[0] - lower[0]) + k[1] * (x[1] - lower[1]))
            return across[:, None] * function(phase)

        return field

    modes = [mode(wave, function) for wave in half for function in (np.cos, np.sin)]
    return modes, np.repeat(np.array(half, dtype=float), 2, axis=0)
