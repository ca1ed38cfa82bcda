"""Is this the environment that wheels.txt asks for, and does it solve on two ranks?

`mpirun -n 2 python3 verify.py wheels.txt` exits with 0 if so, else with a line that says why.
"""

import re
import sys
from importlib import metadata

import numpy as np
import ufl
from dolfinx import fem, mesh
from dolfinx.fem import petsc
from mpi4py import MPI
from petsc4py import PETSc


def wrong_versions(file):
    """Return the pins of a requirements file that are not what is installed."""
    with open(file) as lines:
        pins = re.findall(r"^([\w-]+)==([^\s\\]+)", lines.read(), re.MULTILINE)
    return [f"{name}=={pin}" for name, pin in pins if metadata.version(name) != pin]


def error_of_a_solve():
    """Return how far a linear function is missed that P1 elements hold exactly, by MUMPS."""
    domain = mesh.create_unit_square(MPI.COMM_WORLD, 8, 8)
    space = fem.functionspace(domain, ("Lagrange", 1))
    u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
    form = fem.form(ufl.inner(ufl.grad(u), ufl.grad(v)) * ufl.dx)
    exact = fem.Function(space)
    exact.interpolate(lambda x: 1 + x[0] + 2 * x[1])
    domain.topology.create_connectivity(1, 2)
    facets = mesh.exterior_facet_indices(domain.topology)
    boundary = fem.dirichletbc(exact, fem.locate_dofs_topological(space, 1, facets))
    matrix = petsc.assemble_matrix(form, bcs=[boundary])
    matrix.assemble()
    load, found = exact.x.petsc_vec.duplicate(), matrix.createVecRight()
    load.set(0.0)
    petsc.apply_lifting(load, [form], [[boundary]])
    load.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
    petsc.set_bc(load, [boundary])
    solver = PETSc.KSP().create(domain.comm)
    solver.setOperators(matrix)
    solver.setType("preonly")
    solver.getPC().setType("lu")
    solver.getPC().setFactorSolverType("mumps")
    solver.solve(load, found)
    found.axpy(-1.0, exact.x.petsc_vec)
    return found.norm(PETSc.NormType.NORM_INFINITY)


def main():
    wrong = wrong_versions(sys.argv[1])
    if wrong:
        sys.exit(f"installed are other versions than {', '.join(wrong)}")
    if MPI.COMM_WORLD.size != 2:
        sys.exit(f"mpirun -n 2 started {MPI.COMM_WORLD.size} ranks that know of each other")
    if PETSc.ScalarType != np.float64:
        sys.exit(f"PETSc's scalars are {PETSc.ScalarType}")
    error = error_of_a_solve()
    if not error < 1e-12:
        sys.exit(f"a solve on two ranks is wrong by {error}")


if __name__ == "__main__":
    main()
