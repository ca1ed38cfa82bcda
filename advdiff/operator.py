"""The transport operator: UFL forms become M and K, dK in a direction, and gradients.

    k(θ, φ) = −∫κ∇θ·∇φ − ½∫(φ u·∇θ − θ u·∇φ) − ½∫_∂Ω (u·n) θφ

The advection term is skew-symmetric whatever the quadrature; its boundary term is what remains
where the flow passes the boundary.  K, its derivative dK and the gradient of any scalar of K come
from this one form through UFL's derivative, so they cannot disagree.

Steady Dirichlet values are eliminated: a *state* is a vector over the free unknowns alone, and the
constrained values enter through the constant load F = (f, φ) + k(g, φ).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc as fem_petsc
from petsc4py import PETSc

from advdiff.cotangent import ASSEMBLY, OperatorCotangent
from advdiff.domain import Domain
from advdiff.errors import InputError
from advdiff.expm.generator import Generator, Mass
from advdiff.fields import interpolate
from advdiff.velocity import Velocity

Field = Callable[[np.ndarray], np.ndarray]


class Operator:
    """M θ' = K θ + F for one velocity and diffusivity, which may change in place.

    Args:
        domain: mesh and boundary names.
        degree: of the Lagrange elements; 1 takes the lumped mass, 2 the consistent one.
        velocity: u, linear in its functions.
        diffusivity: κ, a P1 function, positive.
        source: f, or None.
        dirichlet: boundary part → value there; all others are natural.

    Attributes:
        space: the Lagrange space of θ.
        controls: the functions that may vary, by name: ``diffusivity``, and ``given`` and
            ``stream`` where the velocity has that part, ``source`` where there is one.
        numbering: local unknown of ``space``, ghosts too → its row in K, or −1 where constrained.
    """

    def __init__(
        self,
        domain: Domain,
        degree: int,
        velocity: Velocity,
        diffusivity: fem.Function,
        source: fem.Function | None = None,
        dirichlet: Mapping[str, Field] | None = None,
    ):
        self.domain, self.degree, self.velocity = domain, degree, velocity
        self.diffusivity, self.source = diffusivity, source
        self.space = fem.functionspace(domain.mesh, ("Lagrange", degree))
        self.controls = {"diffusivity": diffusivity}
        for name in ("given", "stream"):
            if getattr(velocity, name) is not None:
                self.controls[name] = getattr(velocity, name)
        if source is not None:
            self.controls["source"] = source
        self._constrain(dirichlet or {})
        trial, test = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        self._stiffness_form = fem.form(self.form(trial, test))
        self._directions = {n: fem.Function(c.function_space) for n, c in self.controls.items()}
        self._direction_forms = {
            name: fem.form(ufl.derivative(self.form(trial, test), control, self._directions[name]))
            for name, control in self.controls.items()
            if name != "source"
        }
        self._source_forms = {
            function: fem.form(function * test * domain.dx)
            for function in (source, self._directions.get("source"))
            if function is not None
        }
        self._full = fem_petsc.assemble_matrix(self._stiffness_form)
        self._full.assemble()
        self._full_direction = self._full.duplicate()
        self._full_vector = self._full.createVecLeft()
        self.mass = self._assemble_mass()
        self._peclet_bound = velocity.peclet_bound(diffusivity)
        self._stiffness: PETSc.Mat | None = None
        self.load: PETSc.Vec | None = None
        self.generator: Generator | None = None

    def form(self, theta, phi) -> ufl.Form:
        """k(θ, φ) as UFL."""
        dx, ds = self.domain.dx, self.domain.ds
        u, normal = self.velocity.expression, ufl.FacetNormal(self.domain.mesh)
        drift = phi * ufl.dot(u, ufl.grad(theta)) - theta * ufl.dot(u, ufl.grad(phi))
        return (
            -self.diffusivity * ufl.dot(ufl.grad(theta), ufl.grad(phi)) * dx
            - 0.5 * drift * dx
            - 0.5 * ufl.dot(u, normal) * theta * phi * ds
        )

    def _constrain(self, dirichlet: Mapping[str, Field]) -> None:
        self.boundary = fem.Function(self.space)
        dofmap = self.space.dofmap
        self._constrained = np.zeros(
            dofmap.index_map.size_local + dofmap.index_map.num_ghosts, dtype=bool
        )
        for name, value in dirichlet.items():
            key = f"physics.dirichlet.{name}"
            facets = self.domain.facets([name], key)
            dofs = fem.locate_dofs_topological(self.space, self.domain.dim - 1, facets)
            self._constrained[dofs] = True
            values = interpolate(value, self.space, key)
            self.boundary.x.array[dofs] = values.x.array[dofs]
        self.boundary.x.scatter_forward()
        owned = self._constrained[: dofmap.index_map.size_local]
        start = dofmap.index_map.local_range[0]
        free = np.flatnonzero(~owned).astype(PETSc.IntType) + start
        comm = self.domain.comm
        self.is_constrained = comm.allreduce(int(owned.sum())) > 0
        number = fem.Function(self.space)
        number.x.array[:] = -1.0
        number.x.array[free - start] = comm.exscan(len(free)) or 0
        number.x.array[free - start] += np.arange(len(free))
        number.x.scatter_forward()
        self.numbering = np.rint(number.x.array).astype(np.int64)
        self.free = PETSc.IS().createGeneral(free, comm=comm)
        if self.free.getSize() == 0:
            raise InputError("physics.dirichlet: every unknown is constrained; nothing is left")

    def _assemble_source(self, source: fem.Function | None) -> PETSc.Vec | None:
        if source is None:
            return None
        load = fem_petsc.assemble_vector(self._source_forms[source])
        load.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
        return load

    def _assemble_mass(self) -> Mass:
        dx, test = self.domain.dx, ufl.TestFunction(self.space)
        if self.degree == 1:
            # Row sums: for P1 the same as vertex quadrature, and positive on any mesh.
            diagonal = fem_petsc.assemble_vector(fem.form(test * dx))
            diagonal.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
            return Mass(self._restrict_vector(diagonal))
        trial = ufl.TrialFunction(self.space)
        matrix = fem_petsc.assemble_matrix(fem.form(trial * test * dx))
        matrix.assemble()
        return Mass(self._restrict_matrix(matrix))

    def _restrict_matrix(self, matrix: PETSc.Mat, out: PETSc.Mat | None = None) -> PETSc.Mat:
        if not self.is_constrained:
            return matrix
        return matrix.createSubMatrix(self.free, self.free, submat=out)

    def _restrict_vector(self, vector: PETSc.Vec, out: PETSc.Vec | None = None) -> PETSc.Vec:
        part = vector.getSubVector(self.free)
        out = part.duplicate() if out is None else out
        part.copy(out)
        vector.restoreSubVector(self.free, part)
        return out

    # -- states ---------------------------------------------------------------------------------

    def restrict(self, function: fem.Function, out: PETSc.Vec | None = None) -> PETSc.Vec:
        """The state (free unknowns) of a function of ``space`` (collective)."""
        return self._restrict_vector(function.x.petsc_vec, out)

    def extend(
        self, state: PETSc.Vec, out: fem.Function | None = None, *, boundary: bool = True
    ) -> fem.Function:
        """The function of a state, with the Dirichlet values, or zero there (collective)."""
        out = fem.Function(self.space) if out is None else out
        vector = out.x.petsc_vec
        if self.is_constrained:
            if boundary:
                self.boundary.x.petsc_vec.copy(vector)
            else:
                vector.set(0.0)
        part = vector.getSubVector(self.free)
        state.copy(part)
        vector.restoreSubVector(self.free, part)
        out.x.scatter_forward()
        return out

    def state(self, field: Field, key: str) -> PETSc.Vec:
        """The state that interpolates a field (collective)."""
        return self.restrict(interpolate(field, self.space, key))

    # -- the matrix, its derivative, and the gradient -------------------------------------------

    def assemble(self) -> Generator:
        """K and F for the present controls (collective); also kept in ``generator``, ``load``.

        Raises:
            InputError: if κ is not positive everywhere.
        """
        smallest = self.diffusivity.x.petsc_vec.min()[1]
        if not smallest > 0.0:
            raise InputError(
                f"physics.diffusivity: {smallest:g} somewhere in the domain; it must be positive"
            )
        with ASSEMBLY:
            self._full.zeroEntries()
            fem_petsc.assemble_matrix(self._full, self._stiffness_form)
            self._full.assemble()
            self._stiffness = self._restrict_matrix(self._full, self._stiffness)
            self.load = self._lift(self._full, self._assemble_source(self.source))
            bound = self._peclet_bound()
        self.generator = Generator(self._stiffness, self.mass, bound)
        return self.generator

    def _lift(self, matrix: PETSc.Mat, load: PETSc.Vec | None) -> PETSc.Vec | None:
        if not self.is_constrained and load is None:
            return None
        total = self._full_vector
        if self.is_constrained:
            matrix.mult(self.boundary.x.petsc_vec, total)
        else:
            total.set(0.0)
        if load is not None:
            total.axpy(1.0, load)
        return self._restrict_vector(total)

    def push(
        self, directions: Mapping[str, fem.Function]
    ) -> tuple[PETSc.Mat | None, PETSc.Vec | None]:
        """dK and dF along directions of the controls (collective).

        Args:
            directions: control → direction, a function of the control's space.

        Returns:
            dK over the free unknowns (overwritten by the next call; None without a direction), and
            dF (None without Dirichlet values and source).
        """
        if not directions:
            return None, None
        with ASSEMBLY:
            self._full_direction.zeroEntries()
            for name, direction in directions.items():
                direction.x.petsc_vec.copy(self._directions[name].x.petsc_vec)
                self._directions[name].x.scatter_forward()
                if name == "source":
                    continue
                fem_petsc.assemble_matrix(self._full_direction, self._direction_forms[name])
                self._full_direction.assemble()
            source = self._directions["source"] if "source" in directions else None
            load = self._lift(self._full_direction, self._assemble_source(source))
        return self._restrict_matrix(self._full_direction), load

    def cotangent(self, names: Sequence[str]) -> OperatorCotangent:
        """A receiver of an engine's Ḡ that turns it into gradients of the named controls."""
        return OperatorCotangent(self, names)
