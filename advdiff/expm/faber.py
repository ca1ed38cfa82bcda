"""The Faber recurrence: exp(tA)θ0 for all times from one sequence of products, and its adjoint.

With an ellipse E around the numerical range of A (``ellipse.py``) and B = (2/(a+b))(A − c₀I),

    x_0 = θ0,  x_1 = B x_0,  x_2 = B x_1 − 2s x_0,  x_{j+1} = B x_j − s x_{j−1},
    y_k = Σ_j g_j(t_k) x_j + Σ_j (∫₀^{t_k} g_j) f_j,         f_j the same sequence from M⁻¹F.

Nothing but products and sums of vectors; no inner product, no factorisation.  The gradient of the
*computed* y_k, the ellipse held fixed, is the recurrence run backwards:

    λ_j = Σ_k g_j(t_k) M⁻¹r_k + B* λ_{j+1} − s λ_{j+2}   (2s for j = 0),    ∂Φ/∂θ0 = M λ_0,
    Ḡ = (2/(a+b)) Σ_j λ_{j+1} x_jᵀ,                                          B* = M⁻¹ Bᵀ M.

All vectors are states, so A = M⁻¹K and A* = M⁻¹Kᵀ are formed once as sparse matrices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.expm.checkpoints import CHUNK, Recurrence, checkpoint_stride
from advdiff.expm.ellipse import Ellipse, Expansion, expand, search
from advdiff.expm.engine import ConvergenceError, Cotangent, Pullback, Solution
from advdiff.expm.generator import Generator
from advdiff.expm.numerical_range import NumericalRange, bounds

_RESTARTS = 6
_FABER_BOUND = 2.0 * (1.0 + 1e-8)  # Beckermann's constant, with room for rounding


@dataclass(frozen=True)
class FaberOptions:
    """How the recurrence is run.

    Attributes:
        tolerance: of every y_k in the L² norm, relative to ‖θ0‖ (+ t_k ‖M⁻¹F‖ with a load; times
            e^{σ t_k} where the numerical range reaches σ > 0).
        memory: bytes a rank may spend on a tape that keeps every vector; above it, checkpoints.
        range: "gershgorin" or "lanczos", see ``numerical_range.bounds``.
        check: steps between two checks of ‖x_j‖ ≤ 2‖θ0‖.
    """

    tolerance: float = 1e-9
    memory: float = 2.0**30
    range: str = "gershgorin"
    check: int = 16

    def __post_init__(self):
        if not 1e-13 <= self.tolerance < 1.0:
            raise ValueError(f"tolerance must be in [1e-13, 1), got {self.tolerance}")
        if not self.memory >= 0.0:
            raise ValueError(f"memory must not be negative, got {self.memory}")
        if self.check < 1:
            raise ValueError(f"check must be at least 1, got {self.check}")

    def from_petsc(self, prefix: str) -> FaberOptions:
        """These options, overridden by what the PETSc options database holds under ``prefix``."""
        given = PETSc.Options(prefix)
        return replace(
            self,
            tolerance=given.getReal("tolerance", self.tolerance),
            memory=given.getReal("memory", self.memory),
            range=given.getString("range", self.range),
            check=given.getInt("check", self.check),
        )


@dataclass
class _Operators:
    """B and B* of one ellipse; ``state`` tells whether K has changed since."""

    ellipse: Ellipse
    state: int
    forward: PETSc.Mat
    adjoint: PETSc.Mat | None = None


@dataclass(frozen=True)
class _Tape:
    operators: _Operators
    expansion: Expansion
    runs: list[Recurrence]  # from θ0 and, with a load, from M⁻¹F


class _Growth(Exception):
    """‖x_j‖ > 2‖x_0‖: a bound of the numerical range was wrong."""


class FaberEngine:
    """The engine (see ``engine.py``) for a diagonal mass.

    Args:
        generator: A; K may change in place between calls, the bounds are then computed anew.
        options: see :class:`FaberOptions`; PETSc options under ``prefix`` override them.
        ellipse: use this ellipse (say, of another engine) instead of searching for one, so that
            values at neighbouring parameters differ smoothly.
        prefix: of the PETSc options: tolerance, memory, range, check.

    Attributes:
        ellipse: the one used last, None before the first call.

    Raises:
        ValueError: the mass is not diagonal; options out of range; K is not finite.
    """

    name = "faber"

    def __init__(
        self,
        generator: Generator,
        options: FaberOptions | None = None,
        *,
        ellipse: Ellipse | None = None,
        prefix: str = "advdiff_faber_",
    ):
        if not generator.mass.is_diagonal:
            raise ValueError(
                "the Faber recurrence needs a diagonal mass (lumped P1, collocated spectral "
                "elements); for a consistent mass use the shift-invert engine"
            )
        self.generator = generator
        self.options = (options or FaberOptions()).from_petsc(prefix)
        self.ellipse = ellipse
        self._given = ellipse
        self._region: NumericalRange | None = None
        self._region_state = -1
        self._notes: list[str] = []
        self._cache: _Operators | None = None
        self._work: list[PETSc.Vec] = []
        self._template = generator.vector()

    # ---- the four verbs -------------------------------------------------------------------

    def forward(
        self,
        initial: PETSc.Vec,
        times: Sequence[float],
        load: PETSc.Vec | None = None,
        *,
        record: bool = False,
    ) -> Solution:
        """y_k for all times (collective).

        The report holds ``bound``, the a priori error bound 2 Σ_{j>m} |g_j| relative to the norms
        named in :class:`FaberOptions`; ``rounding``, a rough size of what comes on top; and
        ``notes``, empty unless a bound of the numerical range had to be enlarged.

        Raises:
            ValueError: bad times, or a vector that is not finite (on every rank).
            ConvergenceError: ‖x_j‖ grows whatever the ellipse.
        """
        times = _checked_times(times)
        starts = self._starts(initial, load)

        def run(operators: _Operators, expansion: Expansion) -> Solution:
            states = [self._template.duplicate() for _ in times]
            for state in states:
                state.zeroEntries()
            runs, growth = [], 0.0
            for (start, norm), weights in zip(starts, expansion.pair, strict=False):
                recurrence = self._recurrence(operators, expansion, len(starts), record)
                for first, vectors in recurrence.forward(start):
                    growth = max(growth, self._guard(expansion, first, vectors, norm))
                    _accumulate(states, weights, first, vectors)
                runs.append(recurrence)
            report = self._report(expansion, len(starts) * expansion.last, growth)
            report["vectors"] = sum(run.size for run in runs) if record else runs[0].size
            tape = None
            if record:
                kept = runs[0].size == expansion.last + 1
                report["storage"] = "all" if kept else "checkpoints"
                tape = _Tape(operators, expansion, runs)
            return Solution(times, states, report, tape)

        try:
            return self._attempt(run, times, load is not None)
        finally:
            _destroy(start for start, _ in starts)

    def transpose(self, residuals: Sequence[PETSc.Vec], times: Sequence[float]) -> PETSc.Vec:
        """Σ_k e^{t_k Aᵀ} r_k, by the recurrence run backwards (collective).

        Raises:
            ValueError: bad times, numbers that differ, a vector that is not finite.
            ConvergenceError: the recurrence grows whatever the ellipse.
        """
        times = _checked_times(times)
        riesz = self._riesz(residuals, times)

        def run(operators: _Operators, expansion: Expansion) -> PETSc.Vec:
            return self._backward(operators, expansion.weights, riesz)

        try:
            return self._attempt(run, times, False)
        finally:
            _destroy(riesz)

    def push(
        self,
        initial: PETSc.Vec,
        times: Sequence[float],
        stiffness: PETSc.Mat | None = None,
        d_initial: PETSc.Vec | None = None,
        load: PETSc.Vec | None = None,
        d_load: PETSc.Vec | None = None,
    ) -> tuple[Solution, list[PETSc.Vec]]:
        """y_k and their derivative along (dK, dθ0, dF), nothing stored (collective).

        The derivative is that of the computed y_k; dK may have any pattern.

        Raises:
            ValueError, ConvergenceError: as for :meth:`forward`.
        """
        times = _checked_times(times)
        if d_load is not None and load is None:
            load = self.generator.vector()
            load.zeroEntries()
        elif d_load is None and load is not None:
            d_load = self.generator.vector()
            d_load.zeroEntries()
        starts = self._starts(initial, load)
        d_starts = [start for start, _ in self._starts(d_initial, d_load)]
        generator_direction = None
        if stiffness is not None:
            generator_direction = stiffness.copy()
            generator_direction.diagonalScale(self.generator.mass.inverse)

        def run(operators: _Operators, expansion: Expansion):
            states = [self._template.duplicate() for _ in times]
            derivatives = [self._template.duplicate() for _ in times]
            for vector in states + derivatives:
                vector.zeroEntries()
            direction = None
            if generator_direction is not None:
                direction = generator_direction.copy()
                direction.scale(operators.ellipse.scale)
            growth = 0.0
            for (start, norm), d_start, weights in zip(
                starts, d_starts, expansion.pair, strict=False
            ):
                tangent = _Tangent(operators, direction, d_start)
                recurrence = self._recurrence(operators, expansion, 1, False)
                for first, vectors in recurrence.forward(start):
                    growth = max(growth, self._guard(expansion, first, vectors, norm))
                    _accumulate(states, weights, first, vectors)
                    tangent.accumulate(derivatives, weights, first, vectors)
                tangent.destroy()
            if direction is not None:
                direction.destroy()
            products = (3 if direction is not None else 2) * len(starts) * expansion.last
            return Solution(times, states, self._report(expansion, products, growth)), derivatives

        try:
            return self._attempt(run, times, load is not None)
        finally:
            _destroy(start for start, _ in starts)
            _destroy(d_starts)
            if generator_direction is not None:
                generator_direction.destroy()

    def pull(
        self, solution: Solution, residuals: Sequence[PETSc.Vec], cotangent: Cotangent
    ) -> Pullback:
        """The exact gradient of the computed y_k (collective); see the module's formulas.

        Raises:
            ValueError: no tape, K changed since the forward run, numbers that differ, a vector
                that is not finite.
            ConvergenceError: λ_j grows although x_j did not.
        """
        tape = solution.tape
        if not isinstance(tape, _Tape):
            raise ValueError("the solution has no tape: call forward(..., record=True)")
        operators, expansion = tape.operators, tape.expansion
        if operators.state != self.generator.stiffness.stateGet():
            raise ValueError("the stiffness matrix has changed since the forward run")
        riesz = self._riesz(residuals, solution.times)
        gradients = []
        try:
            for run, weights in zip(tape.runs, expansion.pair, strict=False):
                gradients.append(self._backward(operators, weights, riesz, run, cotangent))
        except _Growth as growth:
            raise ConvergenceError(f"the adjoint recurrence grows: {growth}") from None
        finally:
            _destroy(riesz)
        if len(gradients) == 1:
            return Pullback(gradients[0], None)
        self.generator.mass.solve(gradients[1], gradients[1])  # F enters as M⁻¹F
        return Pullback(*gradients)

    # ---- what they share ------------------------------------------------------------------

    def _attempt(self, run: Callable, times: tuple[float, ...], load: bool) -> Any:
        """run(operators, expansion), again with a larger region as long as x_j grows."""
        while True:
            ellipse = self._given
            if ellipse is None:
                ellipse = search(self._bounds(), times[-1], self.options.tolerance)
            operators = self._operators(ellipse)
            expansion = expand(ellipse, times, self.options.tolerance, load=load)
            self.ellipse = ellipse
            try:
                return run(operators, expansion)
            except _Growth as growth:
                if len(self._notes) == _RESTARTS:
                    notes = "; ".join(self._notes)
                    raise ConvergenceError(f"{growth}, after: {notes}") from None
                self._enlarge(str(growth))

    def _enlarge(self, why: str) -> None:
        """The next larger region: own bounds, proven bounds, no parabola, twice the box."""
        if self._given is not None:
            self._given = None
            self._notes.append(f"{why}: gave up the given ellipse")
            return
        region = self._bounds()
        if region.method.startswith("lanczos"):
            self._region = bounds(self.generator, "gershgorin")
            self._notes.append(f"{why}: Gershgorin's bounds instead of Lanczos'")
        elif math.isfinite(region.flow):
            self._region = bounds(replace(self.generator, flow_bound=math.inf), "gershgorin")
            self._notes.append(f"{why}: dropped the flow bound {region.flow:g}")
        else:
            growth = 2.0 * region.growth
            self._region = replace(
                region, real=2.0 * region.real, imag=2.0 * region.imag, growth=growth
            )
            self._notes.append(f"{why}: doubled the box")

    def _bounds(self) -> NumericalRange:
        state = self.generator.stiffness.stateGet()
        if self._region is None or state != self._region_state:
            self._region = bounds(self.generator, self.options.range)
            self._region_state = state
            self._notes = []
        return self._region

    def _operators(self, ellipse: Ellipse) -> _Operators:
        state = self.generator.stiffness.stateGet()
        cached = self._cache
        if cached is None or cached.ellipse != ellipse or cached.state != state:
            forward = self._scaled(self.generator.stiffness.copy(), ellipse)
            self._cache = _Operators(ellipse, state, forward)
        return self._cache

    def _adjoint(self, operators: _Operators) -> PETSc.Mat:
        """B*, formed when it is first needed: MatMult beats MatMultTranspose."""
        if operators.adjoint is None:
            transposed = self.generator.stiffness.transpose(PETSc.Mat())
            operators.adjoint = self._scaled(transposed, operators.ellipse)
        return operators.adjoint

    def _scaled(self, matrix: PETSc.Mat, ellipse: Ellipse) -> PETSc.Mat:
        """(2/(a+b)) (M⁻¹ matrix − c₀ I), in place."""
        matrix.diagonalScale(self.generator.mass.inverse)
        matrix.shift(-ellipse.centre)
        matrix.scale(ellipse.scale)
        return matrix

    def _recurrence(
        self, operators: _Operators, expansion: Expansion, sequences: int, record: bool
    ) -> Recurrence:
        count, matrix, s = expansion.last + 1, operators.forward, operators.ellipse.s

        def step(j: int, older: PETSc.Vec | None, newer: PETSc.Vec, vector: PETSc.Vec) -> None:
            matrix.mult(newer, vector)
            if older is not None:
                vector.axpy(-2.0 * s if j == 2 else -s, older)

        if not record:
            return Recurrence(step, count, CHUNK, self._template, keep=False, vectors=self._work)
        rows = self.generator.comm.allreduce(self._template.local_size, MPI.MAX)
        fits = 8.0 * rows * count * sequences <= self.options.memory
        stride = count if fits else checkpoint_stride(count)
        return Recurrence(step, count, stride, self._template, keep=True)

    def _guard(
        self, expansion: Expansion, first: int, vectors: list[PETSc.Vec], norm: float
    ) -> float:
        """max ‖x_j‖/‖x_0‖ over the vectors that are looked at."""
        growth = 0.0
        for j, vector in enumerate(vectors, first):
            if j > 0 and (j % self.options.check == 0 or j == expansion.last):
                size = self.generator.mass.norm(vector)
                if not size <= _FABER_BOUND * norm:
                    ratio = size / norm if norm > 0.0 else math.inf
                    raise _Growth(f"‖x_{j}‖ is {ratio:.3g} times ‖x_0‖")
                growth = max(growth, size / norm if norm > 0.0 else 0.0)
        return growth

    def _backward(
        self,
        operators: _Operators,
        weights: np.ndarray,
        riesz: list[PETSc.Vec],
        run: Recurrence | None = None,
        cotangent: Cotangent | None = None,
    ) -> PETSc.Vec:
        """M λ_0; with a run of x_j, its pairs (λ_{j+1}, x_j) are handed to the cotangent."""
        matrix, s, scale = self._adjoint(operators), operators.ellipse.s, operators.ellipse.scale
        ring = self._storage(CHUNK + 2)
        limits = self._adjoint_limits(weights, riesz)
        left: list[PETSc.Vec] = []
        right: list[PETSc.Vec] = []

        def hand_over() -> None:
            if left:
                cotangent.add(left, right, scale)
                left.clear()
                right.clear()

        last = weights.shape[0] - 1
        one = two = None  # λ_{j+1}, λ_{j+2}
        segments = run.backward() if run is not None else [(0, [None] * (last + 1))]
        for first, vectors in segments:
            for j in range(first + len(vectors) - 1, first - 1, -1):
                if run is not None and one is not None:
                    left.append(one)
                    right.append(vectors[j - first])
                    if len(left) == CHUNK:
                        hand_over()
                adjoint = ring[j % len(ring)]
                active = np.flatnonzero(weights[j])
                factors, terms = list(weights[j, active]), [riesz[k] for k in active]
                if two is not None:
                    factors.append(-2.0 * s if j == 0 else -s)
                    terms.append(two)
                if one is None:
                    adjoint.zeroEntries()
                else:
                    matrix.mult(one, adjoint)
                adjoint.maxpy(factors, terms)
                if j % self.options.check == 0:
                    size = self.generator.mass.norm(adjoint)
                    if not size <= limits[j]:
                        raise _Growth(f"‖λ_{j}‖ is {size:.3g}, its bound {limits[j]:.3g}")
                one, two = adjoint, one
            hand_over()
        dual = self._template.duplicate()
        self.generator.mass.mult(one, dual)
        return dual

    def _adjoint_limits(self, weights: np.ndarray, riesz: list[PETSc.Vec]) -> np.ndarray:
        """Bounds of ‖λ_j‖: λ_j = Σ_i g_i U_{i−j}(B*) R with U_n = F_n + s F_{n−2} + …, so that
        ‖U_n‖ ≤ n + 2."""
        norms = np.array([self.generator.mass.norm(vector) for vector in riesz])
        tails = np.cumsum((np.abs(weights) @ norms)[::-1])
        return (1.0 + 1e-8) * (np.cumsum(tails) + tails)[::-1]

    def _storage(self, count: int) -> list[PETSc.Vec]:
        missing = count - len(self._work)
        self._work.extend(self._template.duplicate() for _ in range(missing))
        return self._work[:count]

    def _starts(
        self, initial: PETSc.Vec | None, load: PETSc.Vec | None
    ) -> list[tuple[PETSc.Vec, float]]:
        """θ0 (zero for None) and, with a load, M⁻¹F, as own vectors with their norms."""
        mass = self.generator.mass
        first = self._template.duplicate()
        if initial is None:
            first.zeroEntries()
        else:
            initial.copy(first)
        states = [first]
        if load is not None:
            states.append(self._template.duplicate())
            mass.solve(load, states[1])
        starts = [(state, mass.norm(state)) for state in states]
        for (_, norm), what in zip(starts, ("initial state", "load"), strict=False):
            if not math.isfinite(norm):
                raise ValueError(f"the {what} has entries that are not finite")
        return starts

    def _riesz(self, residuals: Sequence[PETSc.Vec], times: tuple[float, ...]) -> list[PETSc.Vec]:
        """M⁻¹ r_k."""
        if len(residuals) != len(times):
            raise ValueError(f"{len(residuals)} residuals for {len(times)} times")
        riesz = []
        for k, residual in enumerate(residuals):
            riesz.append(self._template.duplicate())
            self.generator.mass.solve(residual, riesz[-1])
            if not math.isfinite(riesz[-1].norm()):
                raise ValueError(f"residual {k} has entries that are not finite")
        return riesz

    def _report(self, expansion: Expansion, products: int, growth: float) -> dict[str, Any]:
        ellipse, region = expansion.ellipse, self._region
        report = {
            "engine": self.name,
            "tolerance": self.options.tolerance,
            "bound": expansion.bound,
            "rounding": ellipse.rounding(expansion.times[-1]),
            "products": products,
            "terms": expansion.last,
            "ellipse_centre": ellipse.centre,
            "ellipse_a": ellipse.a,
            "ellipse_b": ellipse.b,
            "growth": ellipse.growth,
            "largest_norm_ratio": growth,
            "storage": "none",
            "notes": "; ".join(self._notes),
        }
        if region is not None:
            report |= {
                "range_method": region.method,
                "range_real": region.real,
                "range_imag": region.imag,
                "range_flow": region.flow,
            }
        return report


class _Tangent:
    """x'_{j+1} = B x'_j − s x'_{j−1} + (2/(a+b)) M⁻¹dK x_j, in step with x_j."""

    def __init__(self, operators: _Operators, direction: PETSc.Mat | None, start: PETSc.Vec):
        self._operators, self._direction = operators, direction
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
        ring, s, matrix = self._ring, self._operators.ellipse.s, self._operators.forward
        last = weights.shape[0] - 1
        new = ring[:1] if first == 0 else []
        for j, vector in enumerate(vectors, first):
            if j == last:
                break
            tangent = ring[(j + 1) % len(ring)]
            matrix.mult(ring[j % len(ring)], tangent)
            if self._direction is not None:
                self._direction.multAdd(vector, tangent, tangent)
            if j > 0:
                tangent.axpy(-2.0 * s if j == 1 else -s, ring[(j - 1) % len(ring)])
            new.append(tangent)
        if new:
            _accumulate(derivatives, weights, first + (first > 0), new)

    def destroy(self) -> None:
        _destroy(self._ring)


def _accumulate(
    sums: list[PETSc.Vec], weights: np.ndarray, first: int, vectors: list[PETSc.Vec]
) -> None:
    """sums[k] += Σ_j weights[j, k] x_j, where any of these weights is left."""
    block = weights[first : first + len(vectors)]
    for k in np.flatnonzero(block.any(axis=0)):
        sums[k].maxpy(block[:, k], vectors)


def _destroy(vectors: Iterable[PETSc.Vec]) -> None:
    for vector in vectors:
        vector.destroy()


def _checked_times(times: Sequence[float]) -> tuple[float, ...]:
    checked = tuple(float(time) for time in times)
    increasing = all(a < b for a, b in pairwise((0.0, *checked)))
    if not checked or not increasing or not math.isfinite(checked[-1]):
        raise ValueError(f"times must be positive, finite and strictly increasing, got {checked}")
    return checked
