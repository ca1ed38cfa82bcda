"""The Faber recurrence with a given ellipse: forwards, its tangent, and backwards.

With B = (2/(a+b))(A − c₀I), B* = M⁻¹BᵀM and s = (a−b)/(a+b),

    x_1 = B x_0,  x_2 = B x_1 − 2s x_0,  x_{j+1} = B x_j − s x_{j−1},
    x'_{j+1} = B x'_j − s x'_{j−1} + (2/(a+b)) M⁻¹dK x_j,
    λ_j = Σ_k g_j(t_k) M⁻¹r_k + B* λ_{j+1} − s λ_{j+2}     (2s for x'_2 and for λ_0).

All vectors are states, so A = M⁻¹K and A* = M⁻¹Kᵀ are formed once as sparse matrices, and nothing
but products with them and sums of vectors is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.semigroup.engine import Cotangent
from advdiff.semigroup.faber.checkpoints import CHUNK, Recurrence
from advdiff.semigroup.faber.ellipse import Ellipse

_BOUND = 2.0 * (1.0 + 1e-8)  # Beckermann's constant, with room for rounding


class Growth(Exception):
    """Vectors outgrew their bound: the ellipse does not contain the numerical range."""


class Bounded:
    """What a recurrence on an ellipse is judged by.

    Args:
        check: steps between two checks of the norms.

    Attributes:
        backend: who makes the products.
        state: of K when B was formed.
        products: matrix products so far.
        proven: the largest index up to which the forward recurrence stayed within its bound.
    """

    backend: str

    def __init__(self, generator: Generator, ellipse: Ellipse, check: int):
        self.generator, self.ellipse, self.check = generator, ellipse, check
        self.state = generator.stiffness.stateGet()
        self.products = self.proven = 0

    def grown(self, j: int, size: float, norm: float) -> float:
        """‖x_j‖/‖x_0‖ for ‖x_j‖ = size.

        Raises:
            Growth: ‖x_j‖ > 2‖x_0‖, which cannot be if the ellipse contains W(A).
        """
        if not size <= _BOUND * norm:
            ratio = size / norm if norm > 0.0 else math.inf
            raise Growth(f"‖x_{j}‖ is {ratio:.3g} times ‖x_0‖")
        self.proven = max(self.proven, j)
        return size / norm if norm > 0.0 else 0.0

    def bounded(self, j: int, size: float, limit: float) -> None:
        """Raise Growth where ‖λ_j‖ exceeds what an ellipse around W(A) allows."""
        if not size <= limit:
            raise Growth(f"‖λ_{j}‖ is {size:.3g}, at most {limit:.3g} expected")

    def _limits(self, weights: np.ndarray, riesz: list[PETSc.Vec]) -> np.ndarray:
        """Bounds of ‖λ_j‖: λ_j = Σ_i g_i U_{i−j}(B*) M⁻¹r with U_n = F_n + s F_{n−2} + …, so that
        ‖U_n‖ ≤ n + 2."""
        norms = np.array([self.generator.mass.norm(vector) for vector in riesz])
        tails = np.cumsum((np.abs(weights) @ norms)[::-1])
        return (1.0 + 1e-8) * (np.cumsum(tails) + tails)[::-1]


class FaberRecurrence(Bounded):
    """B, B* and the three recurrences for one generator and one ellipse, by PETSc (collective)."""

    backend = "petsc"

    def __init__(self, generator: Generator, ellipse: Ellipse, check: int):
        super().__init__(generator, ellipse, check)
        self._work: list[PETSc.Vec] = []
        self.matrix = self._scaled(generator.stiffness.copy())
        self._adjoint: PETSc.Mat | None = None

    def _scaled(self, matrix: PETSc.Mat) -> PETSc.Mat:
        """(2/(a+b)) (M⁻¹ matrix − c₀ I), in place."""
        matrix.diagonalScale(self.generator.mass.inverse)
        matrix.shift(-self.ellipse.centre)
        matrix.scale(self.ellipse.scale)
        return matrix

    @property
    def adjoint(self) -> PETSc.Mat:
        """B*, formed when it is first needed: MatMult is faster than MatMultTranspose."""
        if self._adjoint is None:
            self._adjoint = self._scaled(self.generator.stiffness.transpose(PETSc.Mat()))
        return self._adjoint

    def step(self, j: int, older: PETSc.Vec | None, newer: PETSc.Vec, vector: PETSc.Vec) -> None:
        """x_j from the two vectors before it."""
        self.matrix.mult(newer, vector)
        self.products += 1
        if older is not None:
            vector.axpy(-2.0 * self.ellipse.s if j == 2 else -self.ellipse.s, older)

    def guard(self, first: int, vectors: list[PETSc.Vec], norm: float, last: int) -> float:
        """max ‖x_j‖/‖x_0‖ over the vectors looked at; ``last`` is always one of them.

        Raises:
            Growth: see :meth:`grown`.
        """
        looked_at = [
            (j, vector)
            for j, vector in enumerate(vectors, first)
            if j % self.check == 0 or j == last
        ]
        return max(
            (self.grown(j, self.generator.mass.norm(vector), norm) for j, vector in looked_at),
            default=0.0,
        )

    def accepts(self, direction: PETSc.Mat) -> bool:
        """Whether :meth:`tangent` knows such a dK: any."""
        return True

    def run(
        self,
        start: PETSc.Vec,
        norm: float,
        weights: np.ndarray,
        states: list[PETSc.Vec],
        stride: int | None = None,
    ) -> tuple[Recurrence, float]:
        """The sequence from x_0, its sums, and max ‖x_j‖/‖x_0‖ (collective).

        Args:
            start: x_0, of the given norm.
            weights: g_j(t_k), shape (m+1, K).
            states: what Σ_j g_j(t_k) x_j is added to.
            stride: vectors a segment where the sequence is walked backwards later; None: not.

        Raises:
            Growth: see :meth:`grown`.
        """
        count, template, keep = len(weights), self.generator.vector(), stride is not None
        sequence = Recurrence(
            self.step,
            count,
            stride if keep else CHUNK,
            template,
            keep=keep,
            vectors=None if keep else self._work,
        )
        growth = 0.0
        for first, vectors in sequence.forward(start):
            growth = max(growth, self.guard(first, vectors, norm, count - 1))
            accumulate(states, weights, first, vectors)
        return sequence, growth

    def tangent(
        self,
        start: PETSc.Vec,
        norm: float,
        d_start: PETSc.Vec,
        weights: np.ndarray,
        states: list[PETSc.Vec],
        derivatives: list[PETSc.Vec],
        direction: PETSc.Mat | None,
    ) -> float:
        """:meth:`run`, and what Σ_j g_j(t_k) x'_j is added to, along x'_0 and dK (collective)."""
        scaled = None
        if direction is not None:
            scaled = direction.copy()
            scaled.diagonalScale(self.generator.mass.inverse)
            scaled.scale(self.ellipse.scale)
        tangent, growth = Tangent(self, scaled, d_start), 0.0
        sequence = Recurrence(
            self.step, len(weights), CHUNK, d_start, keep=False, vectors=self._work
        )
        for first, vectors in sequence.forward(start):
            growth = max(growth, self.guard(first, vectors, norm, len(weights) - 1))
            accumulate(states, weights, first, vectors)
            tangent.accumulate(derivatives, weights, first, vectors)
        tangent.destroy()
        if scaled is not None:
            scaled.destroy()
        return growth

    def _storage(self, count: int) -> list[PETSc.Vec]:
        template, missing = self.generator.vector(), count - len(self._work)
        self._work.extend(template.duplicate() for _ in range(missing))
        return self._work[:count]

    def backward(
        self,
        weights: np.ndarray,
        riesz: list[PETSc.Vec],
        run: Recurrence | None = None,
        cotangent: Cotangent | None = None,
    ) -> PETSc.Vec:
        """M λ_0; with a run of x_j, the pairs (λ_{j+1}, x_j) go to the cotangent.

        Args:
            weights: g_j(t_k), shape (m+1, K).
            riesz: M⁻¹ r_k.

        Raises:
            Growth: ‖λ_j‖ exceeds what an ellipse around W(A) allows.
        """
        matrix, s, last = self.adjoint, self.ellipse.s, weights.shape[0] - 1
        limits = self._limits(weights, riesz)
        ring = self._storage(CHUNK + 2)
        left: list[PETSc.Vec] = []
        right: list[PETSc.Vec] = []
        one = two = None  # λ_{j+1}, λ_{j+2}
        segments = [(0, [None] * (last + 1))] if run is None else run.backward()
        for first, vectors in segments:
            for j in range(first + len(vectors) - 1, first - 1, -1):
                if run is not None and one is not None:
                    left.append(one)
                    right.append(vectors[j - first])
                new = ring[j % len(ring)]
                active = np.flatnonzero(weights[j])
                factors, terms = list(weights[j, active]), [riesz[k] for k in active]
                if two is not None:
                    factors.append(-2.0 * s if j == 0 else -s)
                    terms.append(two)
                if one is None:
                    new.zeroEntries()
                else:
                    matrix.mult(one, new)
                    self.products += 1
                new.maxpy(factors, terms)
                if j % self.check == 0:
                    self.bounded(j, self.generator.mass.norm(new), limits[j])
                one, two = new, one
                # the next segment overwrites x_j, the ring λ_{j + CHUNK + 2}
                if left and (len(left) == CHUNK or j == first):
                    cotangent.add(left, right, self.ellipse.scale)
                    left, right = [], []
        dual = one.duplicate()
        self.generator.mass.mult(one, dual)
        return dual


class Tangent:
    """x'_j in step with x_j; ``direction`` is (2/(a+b)) M⁻¹dK, or None for dK = 0."""

    def __init__(self, recurrence: FaberRecurrence, direction: PETSc.Mat | None, start: PETSc.Vec):
        self._recurrence, self._direction = recurrence, direction
        self._ring = [start.duplicate() for _ in range(CHUNK + 3)]
        start.copy(self._ring[0])

    def accumulate(
        self,
        derivatives: list[PETSc.Vec],
        weights: np.ndarray,
        first: int,
        vectors: list[PETSc.Vec],
    ) -> None:
        """Add the terms x'_{j+1} for the x_j given (and x'_0 with the first of them)."""
        ring, last = self._ring, weights.shape[0] - 1
        new = ring[:1] if first == 0 else []
        for j, vector in enumerate(vectors, first):
            if j == last:
                break
            tangent = ring[(j + 1) % len(ring)]
            older = ring[(j - 1) % len(ring)] if j > 0 else None
            self._recurrence.step(j + 1, older, ring[j % len(ring)], tangent)
            if self._direction is not None:
                self._direction.multAdd(vector, tangent, tangent)
                self._recurrence.products += 1
            new.append(tangent)
        if new:
            accumulate(derivatives, weights, first + (first > 0), new)

    def destroy(self) -> None:
        destroy(self._ring)


def accumulate(
    sums: list[PETSc.Vec], weights: np.ndarray, first: int, vectors: list[PETSc.Vec]
) -> None:
    """sums[k] += Σ_j weights[j, k] x_j, where any of these weights is left."""
    block = weights[first : first + len(vectors)]
    for k in np.flatnonzero(block.any(axis=0)):
        sums[k].maxpy(block[:, k], vectors)


def destroy(objects: Iterable[PETSc.Object]) -> None:
    for item in objects:
        item.destroy()
