"""Small generators for the tests of the engines, assembled with DOLFINx directly.

P1 with lumped mass; K = −κS − C with the skew form C(u)[θ,φ] = ½(u·∇θ, φ) − ½(θ, u·∇φ).  Vectors
are compared across ranks in the order of their coordinates, never in that of their dofs.
"""

from __future__ import annotations

import numpy as np
import ufl
from dolfinx import fem, mesh
from dolfinx.fem.petsc import assemble_matrix, assemble_vector
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.algebra.generator import Generator, Mass
from advdiff.core import jit
from advdiff.core.compat import gmsh_to_mesh

# A DOLFINx function space must outlive its matrices (they live on its communicator).
_SPACES: dict[int, tuple[Generator, fem.FunctionSpace, np.ndarray]] = {}


def cellular(domain: mesh.Mesh):
    """Divergence-free, |u| ≤ 1, u·n = 0 on the unit square or (two-dimensional) cube."""
    x = ufl.SpatialCoordinate(domain)
    u = [
        ufl.sin(np.pi * x[0]) * ufl.cos(np.pi * x[1]),
        -ufl.cos(np.pi * x[0]) * ufl.sin(np.pi * x[1]),
    ]
    return ufl.as_vector(u + [0.0 * x[0]] * (domain.geometry.dim - 2))


def skew(u, trial, test):
    return 0.5 * (ufl.dot(u, ufl.grad(trial)) * test - ufl.dot(u, ufl.grad(test)) * trial)


def assemble(
    domain: mesh.Mesh,
    kappa: float,
    u=None,
    *,
    boundary: bool = False,
    fixed=None,
    flow_bound: float | None = None,
) -> Generator:
    """K and lumped M; ``boundary`` adds −½∫(u·n)θφ, ``fixed`` marks a part of the boundary whose
    unknowns are eliminated."""
    space = fem.functionspace(domain, ("Lagrange", 1))
    trial, test = ufl.TrialFunction(space), ufl.TestFunction(space)
    form = -kappa * ufl.inner(ufl.grad(trial), ufl.grad(test)) * ufl.dx
    if u is not None:
        form -= skew(u, trial, test) * ufl.dx
        if boundary:
            form -= 0.5 * ufl.dot(u, ufl.FacetNormal(domain)) * trial * test * ufl.ds
    matrix = assemble_matrix(jit.form(form))
    matrix.assemble()
    lumped = assemble_vector(jit.form(test * ufl.dx))
    lumped.ghostUpdate(PETSc.InsertMode.ADD, PETSc.ScatterMode.REVERSE)
    free = np.arange(space.dofmap.index_map.size_local, dtype=PETSc.IntType)
    if fixed is not None:
        facets = mesh.locate_entities_boundary(domain, domain.topology.dim - 1, fixed)
        dofs = fem.locate_dofs_topological(space, domain.topology.dim - 1, facets)
        free = np.setdiff1d(free, dofs).astype(PETSc.IntType)
    first = space.dofmap.index_map.local_range[0]
    rows = PETSc.IS().createGeneral(free + PETSc.IntType(first), comm=domain.comm)
    matrix = matrix.createSubMatrix(rows, rows)
    diagonal = matrix.createVecLeft()
    diagonal.array[:] = lumped.array[free]
    bound = (0.0 if u is None else 1.0 / kappa) if flow_bound is None else flow_bound
    points = space.tabulate_dof_coordinates()[free, : domain.geometry.dim]
    generator = Generator(matrix, Mass(diagonal), bound, points=points)
    _SPACES[id(generator)] = (generator, space, free)
    return generator


def unit_square(
    n: int, kappa: float = 1e-2, comm=MPI.COMM_WORLD, *, flow: bool = True
) -> Generator:
    domain = mesh.create_unit_square(comm, n, n)
    return assemble(domain, kappa, cellular(domain) if flow else None)


def quadrilaterals(n: int, kappa: float, comm=MPI.COMM_WORLD) -> Generator:
    """No flow, bilinear elements on squares: sums of products of one-dimensional matrices."""
    return assemble(mesh.create_unit_square(comm, n, n, mesh.CellType.quadrilateral), kappa)


def irregular(
    n: int, kappa: float = 1e-2, comm=MPI.COMM_WORLD, *, flow_bound: float | None = None
) -> Generator:
    """Cells of size 1 : 30 in both directions, sheared where they are small."""
    domain = mesh.create_unit_square(comm, n, n)
    x = domain.geometry.x
    graded = (30.0 ** x[:, :2] - 1.0) / 29.0
    bubble = np.prod(np.sin(np.pi * x[:, :2]), axis=1)
    graded[:, 0] += 0.15 * bubble * np.sin(9.0 * x[:, 1]) / n
    x[:, :2] = graded
    return assemble(domain, kappa, cellular(domain), flow_bound=flow_bound)


def holes(size: float, kappa: float = 1e-2, comm=MPI.COMM_WORLD) -> Generator:
    """The unit square without two discs, by gmsh."""
    import gmsh

    gmsh.initialize()
    gmsh.option.setNumber("General.Terminal", 0)
    if comm.rank == 0:
        occ = gmsh.model.occ
        plate = occ.addRectangle(0.0, 0.0, 0.0, 1.0, 1.0)
        discs = [occ.addDisk(0.3, 0.35, 0.0, 0.12, 0.12), occ.addDisk(0.7, 0.6, 0.0, 0.05, 0.05)]
        occ.cut([(2, plate)], [(2, disc) for disc in discs])
        occ.synchronize()
        gmsh.model.addPhysicalGroup(2, [tag for _, tag in gmsh.model.getEntities(2)], 1)
        gmsh.option.setNumber("Mesh.MeshSizeMax", size)
        gmsh.option.setNumber("Mesh.MeshSizeFromCurvature", 10)
        gmsh.model.mesh.generate(2)
    domain, _ = gmsh_to_mesh(gmsh.model, comm, 2)
    gmsh.finalize()
    return assemble(domain, kappa, cellular(domain))


def box(n: int, kappa: float = 1e-2, comm=MPI.COMM_WORLD) -> Generator:
    domain = mesh.create_unit_cube(comm, n, n, n)
    return assemble(domain, kappa, cellular(domain))


def _shear(domain: mesh.Mesh):
    x = ufl.SpatialCoordinate(domain)
    return ufl.as_vector([4.0 * x[1] * (1.0 - x[1]), 0.0 * x[0]])


def through_flow(n: int, kappa: float = 1e-2, comm=MPI.COMM_WORLD) -> Generator:
    """A channel: Dirichlet at the inflow, eliminated; free outflow with its boundary term."""
    domain = mesh.create_unit_square(comm, n, n)
    return assemble(
        domain, kappa, _shear(domain), boundary=True, fixed=lambda x: np.isclose(x[0], 0.0)
    )


def open_inflow(n: int, kappa: float = 1e-2, comm=MPI.COMM_WORLD) -> Generator:
    """The same channel with a natural condition at the inflow: the symmetric part is indefinite."""
    domain = mesh.create_unit_square(comm, n, n)
    return assemble(domain, kappa, _shear(domain), boundary=True, flow_bound=float("inf"))


def share(generator: Generator, other: Generator) -> None:
    """``other`` has the unknowns of ``generator``."""
    _, space, free = _SPACES[id(generator)]
    _SPACES[id(other)] = (other, space, free)


def field(generator: Generator, function) -> PETSc.Vec:
    """A state from nodal values ``function(x)``, x of shape (3, nodes)."""
    vector = generator.vector()
    vector.array[:] = function(_coordinates(generator).T)
    return vector


def rough(generator: Generator, seed: int = 0) -> PETSc.Vec:
    """A state with all wave lengths, the same for any number of ranks."""
    a = np.random.default_rng(seed).uniform(50.0, 900.0, (4, 3))
    return field(generator, lambda x: np.sum(np.sin(a @ x + a[:, :1]), axis=0))


def bump(generator: Generator) -> PETSc.Vec:
    return field(generator, lambda x: np.exp(-((x[0] - 0.35) ** 2 + (x[1] - 0.5) ** 2) / 0.02))


def direction(generator: Generator, seed: int = 0) -> PETSc.Mat:
    """A random matrix on the pattern of K, M^{-1/2} dK M^{-1/2} with entries up to 1, the same for
    any number of ranks."""
    a = np.random.default_rng(seed).uniform(1.0, 8.0, (2, 3))
    matrix = generator.stiffness.copy()
    points = _coordinates(generator)
    everywhere = np.concatenate(generator.comm.allgather(points))
    start, columns, _ = matrix.getValuesCSR()
    values = np.sin(np.repeat(points, np.diff(start), axis=0) @ a[0] + everywhere[columns] @ a[1])
    matrix.setValuesCSR(start, columns, values)
    matrix.assemble()
    root = generator.mass.diagonal.copy()
    root.sqrtabs()
    matrix.diagonalScale(root, root)
    return matrix


def gathered(generator: Generator, vector: PETSc.Vec) -> np.ndarray:
    """All values on every rank, ordered by coordinates (small problems only)."""
    values = np.concatenate(generator.comm.allgather(vector.array.copy()))
    return values[_order(generator)]


def dense(generator: Generator, matrix: PETSc.Mat | None = None) -> np.ndarray:
    """K (or another matrix) as an array in the order of :func:`gathered`."""
    matrix = generator.stiffness if matrix is None else matrix
    start, columns, values = matrix.getValuesCSR()
    rows = np.zeros((start.size - 1, generator.size))
    rows[np.repeat(np.arange(start.size - 1), np.diff(start)), columns] = values
    order = _order(generator)
    return np.concatenate(generator.comm.allgather(rows))[order][:, order]


def dense_generator(generator: Generator) -> np.ndarray:
    """A = M⁻¹K as an array."""
    return dense(generator) / gathered(generator, generator.mass.diagonal)[:, None]


def _coordinates(generator: Generator) -> np.ndarray:
    _, space, free = _SPACES[id(generator)]
    return space.tabulate_dof_coordinates()[free]


def _order(generator: Generator) -> np.ndarray:
    points = np.concatenate(generator.comm.allgather(_coordinates(generator)))
    return np.lexsort(np.round(points, 9).T)
