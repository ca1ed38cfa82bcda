"""Terms that are never assembled: K_j = Bᵀ D_j B with B the values at the quadrature points.

A form of first order is Σ_p w_p (φ, ∇φ)ᵀ D_j(p) (θ, ∇θ) over the quadrature points p.  B takes the
unknowns to (θ, ∇θ) there and is the same for every term; D_j, a few numbers a point, is all that
the terms differ in.  V is taken to the points once, and VᵀK_jV is one or two dense products.  For
high degree a term has far fewer points than entries, and the assembly of the K_j would cost more
than an inversion.
"""

from __future__ import annotations

import basix.ufl
import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc as fem_petsc
from dolfinx.mesh import exterior_facet_indices
from mpi4py import MPI
from petsc4py import PETSc
from slepc4py import SLEPc
from ufl.algorithms import expand_derivatives, replace

from advdiff.algebra.columns import local_array
from advdiff.core import jit
from advdiff.domain.quadrature import Quadrature
from advdiff.equation.discretization.base import derivative, sides
from advdiff.equation.operator import Operator
from advdiff.reduced.offline.assembled import SYMMETRIC

Weights = dict[tuple[int, int], np.ndarray]
"""(slot of φ, slot of θ) → w_p D(p), shape (local point,); slot 0: the value, 1 …: ∂/∂x …"""


class Points:
    """B of an operator, and the D_j of its form (collective).

    Args:
        operator: see :meth:`suit`; its controls may change.
    """

    def __init__(self, operator: Operator):
        self._operator = operator
        self._slots = 1 + operator.domain.dim
        mesh, space = operator.domain.mesh, operator.space
        self._theta, self._phi = fem.Function(space), fem.Function(space)
        self._form = operator.form(self._theta, self._phi)
        self._directions = {n: fem.Function(c.function_space) for n, c in operator.controls.items()}
        rule = _cells(self._form)[0].metadata()
        points = Quadrature(mesh, rule, self._slots)
        trial, test = ufl.TrialFunction(space), ufl.TestFunction(points.space)
        slope = ufl.as_vector([test[1 + i] for i in range(operator.domain.dim)])
        values = test[0] * trial + ufl.dot(slope, ufl.grad(trial))
        self._matrix = fem_petsc.assemble_matrix(jit.form(values * points.dx))
        self._matrix.assemble()
        self._points, self._weights = points, points.weights
        self._expressions: dict[str | None, tuple] = {}

    @staticmethod
    def suit(operator: Operator) -> bool:
        """Whether cells alone contribute, by fewer numbers than K has entries (collective)."""
        theta = fem.Function(operator.space)
        form = operator.form(theta, theta)
        facets = operator.facet_form(sides(theta), sides(theta), operator.discretization.dS)
        cells, mesh = _cells(form), operator.domain.mesh
        if operator.load is not None or not facets.empty() or len(cells) != 1:
            return False
        rule = cells[0].metadata()
        if not {"quadrature_rule", "quadrature_degree"} <= set(rule):
            return False
        dim = operator.domain.dim
        mesh.topology.create_connectivity(dim - 1, dim)
        outside = len(exterior_facet_indices(mesh.topology))
        if len(form.integrals()) > 1 and mesh.comm.allreduce(outside) > 0:
            return False
        element = basix.ufl.quadrature_element(
            mesh.basix_cell(), scheme=rule["quadrature_rule"], degree=rule["quadrature_degree"]
        )
        count = len(element.custom_quadrature()[0]) * mesh.topology.index_map(dim).size_global
        entries = operator.generator.stiffness.getInfo(PETSc.Mat.InfoType.GLOBAL_SUM)["nz_used"]
        return count * (1 + dim) < entries

    # -- the terms ------------------------------------------------------------------------------

    def reference(self) -> tuple[Weights, None]:
        """D of K for the present controls; there are no loads (collective)."""
        return self._evaluate(None), None

    def along(self, control: str, direction: fem.Function) -> tuple[Weights, None]:
        """D of K's derivative along a direction of a control (collective)."""
        mine = self._directions[control]
        direction.x.petsc_vec.copy(mine.x.petsc_vec)
        mine.x.scatter_forward()
        return self._evaluate(control), None

    def scale(self, weights: Weights, factor: float) -> None:
        """D ← factor D."""
        for weight in weights.values():
            weight *= factor

    def _evaluate(self, control: str | None) -> Weights:
        if control not in self._expressions:
            self._expressions[control] = self._entries(control)
        slots, expression = self._expressions[control]
        values = expression.eval(self._operator.domain.mesh, self._points.cells)
        found = np.empty((len(self._points.order), len(slots)))
        found[self._points.order] = np.reshape(values, found.shape)
        found *= self._weights[:, None]
        largest = self._largest(np.abs(found).max(axis=0, initial=0.0))
        return {
            slot: np.ascontiguousarray(found[:, i])
            for i, slot in enumerate(slots)
            if largest[i] > 0.0
        }

    def _largest(self, mine: np.ndarray) -> np.ndarray:
        self._operator.domain.comm.Allreduce(MPI.IN_PLACE, mine, MPI.MAX)
        return mine

    def _entries(self, control: str | None) -> tuple[list[tuple[int, int]], fem.Expression]:
        """The slots where D may have an entry, and those entries as one expression."""
        form = expand_derivatives(self._form)
        if control is not None:
            form = derivative(
                self._form, self._operator.controls[control], self._directions[control]
            )
        integrand = _cells(form)[0].integrand()
        slots, entries = [], []
        for beta in range(self._slots):
            for alpha in range(self._slots):
                units = self._unit(self._phi, beta) | self._unit(self._theta, alpha)
                entry = replace(integrand, units)
                if not isinstance(entry, ufl.constantvalue.Zero):
                    slots.append((beta, alpha))
                    entries.append(entry)
        return slots, jit.expression(ufl.as_vector(entries), self._points.places)

    def _unit(self, function: fem.Function, slot: int) -> dict:
        """(θ, ∇θ) is the unit vector of a slot."""
        slope = [float(slot == 1 + i) for i in range(self._slots - 1)]
        return {function: ufl.as_ufl(float(slot == 0)), ufl.grad(function): ufl.as_vector(slope)}

    def sign(self, weights: Weights) -> int:
        """−1 where Kᵀ = −K, 1 where Kᵀ = K, 0 elsewhere (collective)."""
        if not weights:
            return 1
        slots = list(weights)
        if any((alpha, beta) not in weights for beta, alpha in slots):
            return 0
        size = self._largest(np.array([np.abs(weights[s]).max(initial=0.0) for s in slots]))
        # what multiplies θφ, a slope, or two of them has a unit of its own
        unit = np.array([(alpha > 0) + (beta > 0) for beta, alpha in slots])
        size = np.array([size[unit == u].max() for u in unit])
        for sign in (-1, 1):
            rest = [np.abs(weights[s] - sign * weights[s[::-1]]).max(initial=0.0) for s in slots]
            if (self._largest(np.array(rest)) <= SYMMETRIC * size).all():
                return sign
        return 0

    # -- products -------------------------------------------------------------------------------

    def side(self, block: SLEPc.BV) -> np.ndarray:
        """B X: (θ, ∇θ) at the local points, shape (slot, point, column) (collective)."""
        columns = block.getActiveColumns()[1]
        if columns == 0:
            return np.zeros((self._slots, len(self._weights), 0))
        image = self._block(columns)
        block.matMult(self._matrix, image)
        with local_array(image) as values:
            values = values.reshape(-1, self._slots, columns).transpose(1, 0, 2)
            result = values / self._weights[:, None]
        image.destroy()
        return np.ascontiguousarray(result)

    def columns(
        self, weights: Weights, sign: int, left: np.ndarray, right: np.ndarray
    ) -> np.ndarray:
        """[L, X]ᵀ K X, shape (columns of L and X, columns of X) (collective).

        Args:
            sign: of K; half of XᵀKX follows from it.
            left, right: what :meth:`side` made of L and X.
        """
        before, count = left.shape[2], right.shape[2]
        total = np.zeros((before + count, count))
        self._add(weights, left, right, total[:before])
        own = total[before:]
        if sign:
            upper = {slots: w for slots, w in weights.items() if slots[0] < slots[1]}
            self._add(upper, right, right, own)
            own += sign * own.T.copy()
            self._add({s: w for s, w in weights.items() if s[0] == s[1]}, right, right, own)
        else:
            self._add(weights, right, right, own)
        self._operator.domain.comm.Allreduce(MPI.IN_PLACE, total)
        return total

    def below(self, weights: Weights, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Xᵀ K L (collective)."""
        total = np.zeros((right.shape[2], left.shape[2]))
        self._add(weights, right, left, total)
        self._operator.domain.comm.Allreduce(MPI.IN_PLACE, total)
        return total

    @staticmethod
    def _add(weights: Weights, left: np.ndarray, right: np.ndarray, total: np.ndarray) -> None:
        """total += Lᵀ K X of this rank: what a row of D weighs is X, what a column weighs is L."""
        for slot, others, by_row in _lines(list(weights)):
            side, weighted = right if by_row else left, 0.0
            for other in others:
                weight = weights[(slot, other) if by_row else (other, slot)]
                part = weight[:, None] * side[other]
                weighted = part if other == others[0] else np.add(weighted, part, out=weighted)
            total += left[slot].T @ weighted if by_row else weighted.T @ right[slot]

    def image(self, weights: Weights, block: SLEPc.BV, out: SLEPc.BV) -> None:
        """out = K X (collective)."""
        values = self.side(block)
        products = np.zeros_like(values)
        for (beta, alpha), weight in weights.items():
            products[beta] += (weight / self._weights)[:, None] * values[alpha]
        columns = values.shape[2]
        points = self._block(columns)
        with local_array(points) as target:
            target[:] = products.transpose(1, 0, 2).reshape(-1, columns)
        points.matMultHermitianTranspose(self._matrix, out)
        points.destroy()

    def _block(self, columns: int) -> SLEPc.BV:
        block = SLEPc.BV().create(self._points.template.comm)
        block.setSizesFromVec(self._points.template, columns)
        block.setOptionsPrefix("advdiff_reduced_points_")
        block.setFromOptions()
        block.setActiveColumns(0, columns)
        return block


def _cells(form: ufl.Form) -> list:
    return [part for part in form.integrals() if part.integral_type() == "cell"]


def _lines(slots: list[tuple[int, int]]) -> list[tuple[int, list[int], bool]]:
    """Few rows and columns that cover all entries: index, the others' indices, whether a row."""
    left, lines = set(slots), []
    while left:
        rows = {(b, True): sorted(a for x, a in left if x == b) for b, _ in left}
        columns = {(a, False): sorted(b for b, x in left if x == a) for _, a in left}
        (slot, by_row), others = max((rows | columns).items(), key=lambda item: len(item[1]))
        lines.append((slot, others, by_row))
        left -= {(slot, o) if by_row else (o, slot) for o in others}
    return lines
