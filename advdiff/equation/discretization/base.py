"""What every discretisation offers, and the vocabulary of forms on facets between cells."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import ClassVar, NamedTuple, Protocol

import ufl
import ufl.geometry
from basix.ufl import _ElementBase
from dolfinx import fem
from dolfinx.fem import petsc as fem_petsc
from petsc4py import PETSc
from ufl.algorithms import estimate_total_polynomial_degree, extract_coefficients
from ufl.algorithms.apply_integral_scaling import compute_integrand_scaling_factor

from advdiff.core import jit
from advdiff.core.memory import Size
from advdiff.domain.mesh import Domain


class Medium(Protocol):
    """What carries the tracer in a cell, or on a facet on average of both sides, as UFL.

    Attributes:
        velocity: u.
    """

    velocity: ufl.core.expr.Expr

    def flux(self, slope):
        """What a gradient drives, as κ∇θ; of a vector's gradient, row by row."""

    def across(self, normal):
        """How strongly the tracer spreads along a unit vector, as n·κn."""


Storage = Callable[[ufl.core.expr.Expr], ufl.core.expr.Expr]
"""θ → what a volume holds of it."""


class Sides(NamedTuple):
    """A function on a facet, seen from its two cells: values and gradients."""

    plus: ufl.core.expr.Expr
    minus: ufl.core.expr.Expr
    slope_plus: ufl.core.expr.Expr
    slope_minus: ufl.core.expr.Expr

    @property
    def jump(self):
        """θ⁺ − θ⁻."""
        return self.plus - self.minus

    @property
    def average(self):
        """(θ⁺ + θ⁻)/2."""
        return 0.5 * (self.plus + self.minus)

    @property
    def slope_jump(self):
        """∇θ⁺ − ∇θ⁻."""
        return self.slope_plus - self.slope_minus

    @property
    def slope_average(self):
        """(∇θ⁺ + ∇θ⁻)/2."""
        return 0.5 * (self.slope_plus + self.slope_minus)


def sides(left, right=None) -> Sides:
    """Both sides of a function; or ``left`` on the plus side and ``right`` on the minus side."""
    right = left if right is None else right
    return Sides(left("+"), right("-"), ufl.grad(left)("+"), ufl.grad(right)("-"))


def one_sided(function, side: str) -> Sides:
    """A function on one side (``"+"`` or ``"-"``), zero on the other."""
    both = sides(function)
    if side == "+":
        return Sides(both.plus, 0 * both.plus, both.slope_plus, 0 * both.slope_plus)
    return Sides(0 * both.minus, both.minus, 0 * both.slope_minus, both.slope_minus)


class Discretization:
    """A space and the forms of the equation in it.

    The forms k(θ, φ) take vectors too, and are then the sum over their components.

    Args:
        domain: mesh and boundary names.
        degree: of the polynomials.

    Attributes:
        method: name in the experiment file.
        space: of θ.
        dx, ds, dS: measures of cells, boundary facets and facets between cells.
        is_discontinuous: whether θ may jump between cells.
        has_facets: whether k has terms on facets between cells.
        reads_nodes: whether cells and boundary are looked at in the nodes of the degree alone.
        is_damped: whether it damps what the mesh does not resolve, instead of oscillating.
        flow_factor: the numerical range lies in |Im z|² ≤ factor·P·|Re z|, P = max |u|²/κ.

    >>> from mpi4py import MPI
    >>> from advdiff.domain.mesh import box
    >>> from advdiff.equation.discretization import make
    >>> domain = box(MPI.COMM_WORLD, [0.0], [1.0], [8])
    >>> linear = make(domain, "cg", degree=1)
    >>> linear.space.dofmap.index_map.size_global, linear.is_discontinuous
    (9, False)
    >>> linear.has_diagonal_mass(1), linear.has_diagonal_mass(2)  # lumped, and consistent
    (True, False)
    """

    method: ClassVar[str]
    is_discontinuous = False
    has_facets = False
    reads_nodes = False
    is_damped = False
    flow_factor = 1.0

    def __init__(self, domain: Domain, degree: int):
        self.domain, self.degree = domain, degree
        self.space = fem.functionspace(domain.mesh, self.element())
        # one rule for all that meets on a facet; for cells see :func:`ruled`
        rule = {"quadrature_degree": 2 * degree + max(2, degree)}
        self.dx, self.ds = domain.dx, domain.ds(metadata=rule)
        self.dS = ufl.Measure("dS", domain=domain.mesh, metadata=rule)

    @cached_property
    def data_space(self) -> fem.FunctionSpace:
        """Of what is given at the boundary."""
        return fem.functionspace(self.domain.mesh, ("Lagrange", max(1, self.degree)))

    def element(self) -> _ElementBase:
        """The element of θ."""
        raise NotImplementedError

    def mass(self, storage: Storage) -> PETSc.Vec | PETSc.Mat:
        """M over all unknowns: its diagonal where it is one, else a matrix (collective)."""
        raise NotImplementedError

    @classmethod
    def has_diagonal_mass(cls, degree: int) -> bool:
        """Whether :meth:`mass` is a diagonal."""
        raise NotImplementedError

    @classmethod
    def sizes(cls, size: Size, degree: int) -> tuple[float, float]:
        """About how many unknowns θ has on a mesh, and how many entries K."""
        raise NotImplementedError

    def has_energy(self) -> bool:
        """Whether xᵀKx = −∫κ|∇x|² in one quadrature that K and its derivatives share, where nothing
        crosses the boundary.
        """
        return False

    def largest_at(self, is_linear: bool) -> int | None:
        """Degree of the nodes where |v|²/κ is as large as the forms see it anywhere, None where no
        nodes tell; asked where :meth:`has_energy`.

        Args:
            is_linear: whether v is, as κ, in each cell.
        """
        return None

    def cells(self, theta, phi, medium: Medium) -> ufl.Form:
        """−∫κ∇θ·∇φ − ½∫(φ u·∇θ − θ u·∇φ) on the cells."""
        u, slope, weight = medium.velocity, ufl.grad(theta), ufl.grad(phi)
        drift = ufl.inner(ufl.dot(slope, u), phi) - ufl.inner(theta, ufl.dot(weight, u))
        return -(ufl.inner(medium.flux(slope), weight) + 0.5 * drift) * self.dx

    def facets(self, theta: Sides, phi: Sides, medium: Medium, dS: ufl.Measure) -> ufl.Form:
        """The terms on facets between cells; none here."""
        return ufl.Form([])

    def dirichlet(self, theta, phi, medium: Medium, ds: ufl.Measure) -> ufl.Form:
        """What a value imposed weakly adds to k; nothing where it is imposed strongly."""
        return ufl.Form([])

    def dirichlet_load(self, phi, value, medium: Medium, ds: ufl.Measure) -> ufl.Form:
        """What it adds to the load."""
        return ufl.Form([])

    def height(self):
        """How far a cell reaches from a facet: the altitude of a simplex, the side of a box.

        A UFL expression, one on each side of the facet.
        """
        msh = self.domain.mesh
        volume = abs(ufl.JacobianDeterminant(msh))
        if self.domain.dim == 1:
            return volume
        return volume / abs(ufl.geometry.FacetJacobianDeterminant(msh))

    def thickness(self):
        """|T|/|F|, the size of a cell across a facet (a UFL expression, one on each side)."""
        return self.height() / (self.domain.dim if self.domain.is_simplicial else 1)

    def _row_sums(self, storage: Storage) -> PETSc.Vec:
        """∫φ_a, the lumped mass."""
        phi = ufl.TestFunction(self.space)
        diagonal = fem_petsc.assemble_vector(jit.form(storage(phi) * self.dx))
        diagonal.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
        return diagonal

    def _gram(self, storage: Storage) -> PETSc.Mat:
        """∫φ_a φ_b."""
        theta, phi = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        matrix = fem_petsc.assemble_matrix(jit.form(storage(theta) * phi * self.dx))
        matrix.assemble()
        return matrix


def upwind(u_n, kappa, height):
    """|u·n| for facets that the flow crosses fast, (u·n)²h/2κ for those that diffusion resolves.

    √((u·n)² + (κ/h)²) − κ/h: smooth in u and κ, so that gradients exist where the flow turns.
    """
    diffusion = kappa / height
    return ufl.sqrt(u_n**2 + diffusion**2) - diffusion


def ruled(form: ufl.Form) -> ufl.Form:
    """The same form, with the degree that UFL estimates for each integral written into it.

    UFL estimates it anew for a derivative, and may find another: of a term that is no polynomial
    (as on cells that are not affine) the derivative would then not be that of what is assembled.
    Integrals that have a rule keep it.
    """

    def fix(part: ufl.Integral) -> ufl.Integral:
        metadata = part.metadata()
        if "quadrature_degree" in metadata:
            return part
        _, scaling = compute_integrand_scaling_factor(part)
        degree = estimate_total_polynomial_degree(part.integrand()) + scaling
        return part.reconstruct(metadata={**metadata, "quadrature_degree": degree})

    return ufl.Form([fix(part) for part in form.integrals()])


def derivative(form: ufl.Form, control: fem.Function, direction=None) -> ufl.Form:
    """The derivative of a form along a direction (or a test function), empty where it is zero.

    UFL carries it out when the form is compiled, which is done once.
    """
    moved = [part for part in form.integrals() if control in extract_coefficients(part)]
    return ufl.derivative(ufl.Form(moved), control, direction) if moved else ufl.Form([])
