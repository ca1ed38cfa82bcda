"""The stream function of a vorticity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc as fem_petsc
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.algebra.direct import cholesky
from advdiff.core import jit
from advdiff.core.errors import InputError
from advdiff.domain.fields import Field, interpolate
from advdiff.domain.mesh import Domain
from advdiff.equation.velocity import stream_space


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
