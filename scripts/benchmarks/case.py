"""The benchmark's problem: cellular flow on the unit square or cube, P1 with lumped mass.

u = curl(sin πx sin πy)/π, |u| ≤ 1, u·n = 0, given by its nodal values; K = −κS − C(u) with the skew
form C; a bump as initial state; ten output times; values at 7^d inner points as data.  Parameters
are κ and the amplitudes of sixteen stream functions sin(iπx) sin(jπy) (seventeen numbers), or every
nodal velocity; both gradients follow from the sparse cotangent Ḡ = ∂Φ/∂K.
"""

from __future__ import annotations

import time

import numba
import numpy as np
import ufl
from dolfinx import fem, mesh
from dolfinx.fem.petsc import assemble_matrix, assemble_vector
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.algebra.generator import Generator, Mass
from advdiff.algebra.pattern import PatternCotangent

OUTPUTS = 10
MODES = 4


class Case:
    """One matrix and everything a method needs (collective).

    Attributes:
        generator, initial: A and θ0.
        seconds: of mesh, forms and assembly.
    """

    def __init__(self, dim: int, n: int, kappa: float, comm: MPI.Comm = MPI.COMM_WORLD):
        start = time.perf_counter()
        self.dim, self.n, self.kappa = dim, n, kappa
        domain = (
            mesh.create_unit_square(comm, n, n)
            if dim == 2
            else mesh.create_unit_cube(comm, n, n, n)
        )
        self.space = fem.functionspace(domain, ("Lagrange", 1))
        flow = fem.Function(fem.functionspace(domain, ("Lagrange", 1, (dim,))))
        flow.interpolate(lambda x: _curl(x)[:dim])
        trial, test = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        drift = test * ufl.dot(flow, ufl.grad(trial)) - trial * ufl.dot(flow, ufl.grad(test))
        diffusivity = fem.Constant(domain, kappa)
        spread = diffusivity * ufl.dot(ufl.grad(trial), ufl.grad(test))
        stiffness = assemble_matrix(fem.form(-(spread + 0.5 * drift) * ufl.dx))
        stiffness.assemble()
        lumped = assemble_vector(fem.form(test * ufl.dx))
        lumped.ghostUpdate(PETSc.InsertMode.ADD, PETSc.ScatterMode.REVERSE)
        diagonal = stiffness.createVecLeft()
        rows = diagonal.local_size
        diagonal.array[:] = lumped.array[:rows]
        self.nodes = self.space.tabulate_dof_coordinates()
        points = self.nodes[:rows, :dim]
        self.generator = Generator(stiffness, Mass(diagonal), 1.0 / kappa, dim, points=points)
        self.initial = self.generator.vector()
        away = self.nodes[:rows, :dim] - np.array([0.35, 0.5, 0.5])[:dim]
        self.initial.array[:] = np.exp(-np.sum(away**2, axis=1) / 0.02)
        inner = np.abs(8.0 * self.nodes[:rows, :dim] - np.round(8.0 * self.nodes[:rows, :dim]))
        inside = np.all((self.nodes[:rows, :dim] > 0.06) & (self.nodes[:rows, :dim] < 0.94), axis=1)
        self.sensors = np.flatnonzero(inside & np.all(inner < 1e-9, axis=1))
        waves = np.pi * np.arange(1, MODES + 1)[:, None]
        self._waves = [(np.sin(waves * x), np.cos(waves * x)) for x in self.nodes[:rows, :2].T]
        self._domain = domain
        self.seconds = time.perf_counter() - start

    def times(self, final: float) -> tuple[float, ...]:
        return tuple(final * (k + 1) / OUTPUTS for k in range(OUTPUTS))

    def norm(self, values: np.ndarray) -> float:
        """L² norm of owned nodal values (collective)."""
        square = float(np.dot(values * self.generator.mass.diagonal.array_r, values))
        return self.generator.comm.allreduce(square) ** 0.5

    def error(self, states: list, reference: list[np.ndarray]) -> float:
        """max_k ‖y_k − reference_k‖ / ‖θ0‖."""
        difference = [np.asarray(a) - b for a, b in zip(states, reference, strict=True)]
        return max(map(self.norm, difference)) / self.norm(self.initial.array_r)

    def residuals(self, states: list[PETSc.Vec]) -> list[PETSc.Vec]:
        """∂Φ/∂y_k of Φ = ½ Σ_k Σ_sensors y_k²."""
        found = []
        for state in states:
            found.append(self.generator.vector())
            found[-1].array[self.sensors] = state.array_r[self.sensors]
        return found

    def directions(self) -> list[PETSc.Mat]:
        """∂A/∂ log κ and ∂A/∂ amplitude as matrices (one rank), for who differentiates so."""
        trial, test = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        flow = fem.Function(fem.functionspace(self._domain, ("Lagrange", 1, (self.dim,))))
        drift = test * ufl.dot(flow, ufl.grad(trial)) - trial * ufl.dot(flow, ufl.grad(test))
        spread = fem.Constant(self._domain, self.kappa) * ufl.dot(ufl.grad(trial), ufl.grad(test))
        found = [assemble_matrix(fem.form(-spread * ufl.dx))]
        form = fem.form(-0.5 * drift * ufl.dx)
        for i in range(1, MODES + 1):
            for j in range(1, MODES + 1):
                flow.interpolate(lambda x, i=i, j=j: _curl(x, i, j)[: self.dim])
                found.append(assemble_matrix(form))
        for matrix in found:
            matrix.assemble()
            matrix.diagonalScale(self.generator.mass.inverse)
        return found

    def gradient(self, cotangent: PatternCotangent) -> tuple[np.ndarray, np.ndarray]:
        """∂/∂ log κ and sixteen amplitudes; all owned nodal velocities; from Ḡ (collective)."""
        comm, index_map = self.generator.comm, self.space.dofmap.index_map
        owned, local = index_map.size_local, index_map.size_local + index_map.num_ghosts
        indptr, indices, values = cotangent.indptr, cotangent.indices, cotangent.values
        if comm.size > 1:  # a cell's rows may be those of other ranks
            numbers = index_map.local_to_global(np.arange(local, dtype=np.int32))
            rows = PETSc.IS().createGeneral(numbers.astype(PETSc.IntType), comm=PETSc.COMM_SELF)
            (part,) = cotangent.matrix().createSubMatrices([rows], [rows])
            indptr, indices, values = part.getValuesCSR()
        topology = self._domain.topology
        cells = topology.index_map(self.dim).size_local
        velocity = np.zeros((local, self.dim))
        kappa = _pull_cells(
            self.space.dofmap.list[:cells],
            self.nodes[:, : self.dim].copy(),
            indptr,
            indices,
            values,
            velocity,
        )
        if comm.size > 1:
            whole = self._ghosted(velocity, owned)
            velocity = whole.reshape(-1, self.dim)
        (sin_x, cos_x), (sin_y, cos_y) = self._waves
        number = np.arange(1.0, MODES + 1.0)
        along = (sin_x * velocity[:owned, 0]) @ cos_y.T * number
        across = (cos_x * velocity[:owned, 1]) @ sin_y.T * number[:, None]
        few = comm.allreduce(np.append(self.kappa * kappa, along - across))
        return few, velocity[:owned]

    def _ghosted(self, velocity: np.ndarray, owned: int) -> np.ndarray:
        """Sum what cells of several ranks gave to a node; the owned part."""
        index_map, dim = self.space.dofmap.index_map, self.dim
        ghosts = index_map.ghosts.astype(PETSc.IntType)
        sizes = (dim * owned, dim * index_map.size_global)
        vector = PETSc.Vec().createGhost(ghosts, sizes, bsize=dim, comm=self.generator.comm)
        with vector.localForm() as everything:
            everything.array[:] = velocity.ravel()
        vector.ghostUpdate(PETSc.InsertMode.ADD, PETSc.ScatterMode.REVERSE)
        return vector.array.copy()


def _curl(x: np.ndarray, i: int = 1, j: int = 1) -> np.ndarray:
    """Of sin(iπx) sin(jπy)/π, at points of shape (3, nodes)."""
    a, b = np.pi * i * x[0], np.pi * j * x[1]
    return np.stack([j * np.sin(a) * np.cos(b), -i * np.cos(a) * np.sin(b), 0.0 * a])


@numba.njit(cache=True)
def _pull_cells(cells, nodes, indptr, indices, values, velocity):
    """∂Φ/∂u (added) and ∂Φ/∂κ of the element matrices −κ∫∇φ_a·∇φ_b − ½∫u·(φ_a∇φ_b − φ_b∇φ_a)."""
    dim = nodes.shape[1]
    corners = dim + 1
    edges = np.empty((dim, dim))
    slopes = np.empty((corners, dim))
    entries = np.empty((corners, corners))
    kappa = 0.0
    factorial = 2.0 if dim == 2 else 6.0
    for cell in cells:
        for a in range(dim):
            for d in range(dim):
                edges[d, a] = nodes[cell[a + 1], d] - nodes[cell[0], d]
        if dim == 2:
            det = edges[0, 0] * edges[1, 1] - edges[0, 1] * edges[1, 0]
            slopes[1, 0], slopes[1, 1] = edges[1, 1] / det, -edges[0, 1] / det
            slopes[2, 0], slopes[2, 1] = -edges[1, 0] / det, edges[0, 0] / det
        else:
            for a in range(3):
                p, q = (a + 1) % 3, (a + 2) % 3
                for d in range(3):
                    e, f = (d + 1) % 3, (d + 2) % 3
                    slopes[a + 1, d] = edges[e, p] * edges[f, q] - edges[f, p] * edges[e, q]
            det = 0.0
            for d in range(3):
                det += edges[d, 0] * slopes[1, d]
            for a in range(3):
                for d in range(3):
                    slopes[a + 1, d] /= det
        volume = abs(det) / factorial
        for d in range(dim):
            slopes[0, d] = 0.0
            for a in range(1, corners):
                slopes[0, d] -= slopes[a, d]
        for a in range(corners):
            for b in range(corners):
                place = indptr[cell[a]]
                while indices[place] != cell[b]:
                    place += 1
                entries[a, b] = values[place]
        share = 0.5 * volume / ((dim + 1) * (dim + 2))
        for d in range(dim):
            total = 0.0
            for a in range(corners):
                part = 0.0
                for b in range(corners):
                    part += (entries[a, b] - entries[b, a]) * slopes[b, d]
                    kappa -= volume * entries[a, b] * slopes[a, d] * slopes[b, d]
                total += part
                velocity[cell[a], d] -= share * part
            for a in range(corners):
                velocity[cell[a], d] -= share * total
    return kappa
