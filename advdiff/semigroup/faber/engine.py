"""The Faber recurrence: exp(tA)θ0 for all times from one sequence of products, and its adjoint.

With an ellipse E around the numerical range of A (``ellipse.py``) and B = (2/(a+b))(A − c₀I),

    x_0 = θ0,  x_1 = B x_0,  x_2 = B x_1 − 2s x_0,  x_{j+1} = B x_j − s x_{j−1},
    y_k = Σ_j g_j(t_k) x_j + Σ_j (∫₀^{t_k} g_j) f_j,         f_j the same sequence from M⁻¹F.

Nothing but products and sums of vectors; no inner product, no factorisation.  The gradient of the
*computed* y_k, the ellipse held fixed, is the recurrence run backwards:

    λ_j = Σ_k g_j(t_k) M⁻¹r_k + B* λ_{j+1} − s λ_{j+2}   (2s for j = 0),    ∂Φ/∂θ0 = M λ_0,
    Ḡ = (2/(a+b)) Σ_j λ_{j+1} x_jᵀ,                                          B* = M⁻¹ Bᵀ M.

The recurrences themselves are in ``faber_recurrence.py``; this file chooses the ellipse, starts
again if it was wrong, and reports.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mpi4py import MPI
from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.core.errors import ConvergenceError, InputError, NotFinite
from advdiff.semigroup.engine import Change, Cotangent, Pullback, Solution, checked_times, finite
from advdiff.semigroup.faber.checkpoints import Recurrence, checkpoint_stride
from advdiff.semigroup.faber.compiled import CompiledRecurrence, Trail
from advdiff.semigroup.faber.ellipse import Ellipse, Expansion, expand
from advdiff.semigroup.faber.layout import Layout, laid_out
from advdiff.semigroup.faber.options import EllipseChoice, FaberOptions, unchanged
from advdiff.semigroup.faber.recurrence import Bounded, FaberRecurrence, Growth, destroy


@dataclass(frozen=True)
class _Tape:
    recurrence: Bounded
    expansion: Expansion
    sequences: list[Recurrence | Trail]  # from θ0 and, with a load, from M⁻¹F


class FaberEngine:
    """The engine (see ``engine.py``) for a diagonal mass.

    Args:
        generator: A; K may change in place between calls, the bounds are then computed anew.
        options: see :class:`FaberOptions`; PETSc options under ``prefix`` override them.
        ellipse: use this ellipse (say, of another engine) instead of searching for one, so that
            values at neighbouring parameters differ smoothly; PETSc options that change the
            search have one made.
        prefix: of the PETSc options: tolerance, memory, range, check, backend.

    Attributes:
        ellipse: the one used last, None before the first call.

    Raises:
        ValueError: the mass is not diagonal; options out of range. (A K that is not finite is
            noticed by the first call.)

    >>> from advdiff.algebra.generator import Mass
    >>> K = PETSc.Mat().createAIJ(2, csr=([0, 2, 4], [0, 1, 0, 1], [-1.0, 1.0, 1.0, -1.0]))
    >>> ones, start = (PETSc.Vec().createWithArray(x) for x in ([1.0, 1.0], [1.0, 0.0]))
    >>> engine = FaberEngine(Generator(K, Mass(ones)))
    >>> found = engine.forward(start, [1.0])
    >>> found.states[0].array.round(6), found.report["bound"] < engine.options.tolerance
    (array([0.567668, 0.432332]), True)
    """

    name = "faber"
    names, Options = (name,), FaberOptions
    needs_diagonal_mass, factorises, has_exact_gradients = True, False, True

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
        self.generator, self._prefix = generator, prefix
        asked = options or FaberOptions()
        self.options = asked.overridden(prefix)
        self.ellipse = ellipse if self.options.search == asked.search else None
        self._choice = EllipseChoice(generator, self.options, self.ellipse)
        self._recurrence: Bounded | None = None
        self._spent = self._wasted = 0  # products before this call, and in vain during it
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

        The report holds ``bound``, the error bound 2 Σ_{j>m} |g_j| ‖θ0‖ + 2 Σ_{j>m} |∫g_j| ‖M⁻¹F‖
        relative to ‖θ0‖ or, if larger, the largest ‖y_k‖; ``rounding``, what comes on top; and
        ``notes``, empty unless a bound of the numerical range had to be enlarged.

        Raises:
            ValueError: bad times, or a vector that is not finite (on every rank).
            ConvergenceError: ‖x_j‖ grows whatever the ellipse.
        """
        times = checked_times(times)
        starts = self._starts(initial, load)

        def run(recurrence: Bounded, expansion: Expansion) -> Solution:
            states = self._zeros(len(times))
            stride = self._stride(expansion, len(starts)) if record else None
            sequences, growth = [], 0.0
            for (start, norm), weights in zip(starts, expansion.pair, strict=False):
                sequence, ratio = recurrence.run(start, norm, weights, states, stride)
                sequences.append(sequence)
                growth = max(growth, ratio)
            report = self._report(expansion, growth, starts, states)
            tape = None
            if record:
                report["storage"] = "all" if stride > expansion.last else "checkpoints"
                report["vectors"] = sum(sequence.size for sequence in sequences)
                tape = _Tape(recurrence, expansion, sequences)
            return Solution(times, states, report, tape)

        try:
            return self._attempt(run, times, load is not None)
        finally:
            destroy(start for start, _ in starts)

    def transpose(self, residuals: Sequence[PETSc.Vec], times: Sequence[float]) -> PETSc.Vec:
        """Σ_k e^{t_k Aᵀ} r_k, by the recurrence run backwards (collective).

        Costs twice as much unless ``forward`` has tried this ellipse on some vector before.

        Raises:
            ValueError: bad times, numbers that differ, a vector that is not finite.
            ConvergenceError: the recurrence grows whatever the ellipse.
        """
        times = checked_times(times)
        riesz = self._riesz(residuals, times)

        def run(recurrence: Bounded, expansion: Expansion) -> PETSc.Vec:
            if recurrence.proven < expansion.last:
                # λ_j hardly shows a wrong ellipse, a sequence x_j does
                norm, nothing = self.generator.mass.norm(riesz[-1]), expansion.weights[:, :0]
                recurrence.run(riesz[-1], norm, nothing, [])
            return recurrence.backward(expansion.weights, riesz)

        try:
            return self._attempt(run, times, False)
        finally:
            destroy(riesz)

    def push(
        self,
        initial: PETSc.Vec,
        times: Sequence[float],
        change: Change,
        load: PETSc.Vec | None = None,
    ) -> tuple[Solution, list[PETSc.Vec]]:
        """y_k and their derivative along (dK, dθ0, dF), nothing stored (collective).

        The derivative is that of the computed y_k; dK may have any pattern.

        Raises:
            ValueError, ConvergenceError: as for :meth:`forward`.
        """
        times = checked_times(times)
        d_initial, stiffness, d_load = change
        if d_load is not None and load is None:
            load = self.generator.vector()
            load.zeroEntries()
        elif d_load is None and load is not None:
            d_load = self.generator.vector()
            d_load.zeroEntries()
        starts = self._starts(initial, load)
        d_starts = [start for start, _ in self._starts(d_initial, d_load)]

        def run(recurrence: Bounded, expansion: Expansion):
            if stiffness is not None and not recurrence.accepts(stiffness):
                recurrence = self._by_petsc(recurrence.ellipse)
            states, derivatives = self._zeros(len(times)), self._zeros(len(times))
            growth = 0.0
            for (start, norm), d_start, weights in zip(
                starts, d_starts, expansion.pair, strict=False
            ):
                ratio = recurrence.tangent(
                    start, norm, d_start, weights, states, derivatives, stiffness
                )
                growth = max(growth, ratio)
            report = self._report(expansion, growth, starts, states)
            return Solution(times, states, report), derivatives

        try:
            return self._attempt(run, times, load is not None)
        finally:
            destroy(start for start, _ in starts)
            destroy(d_starts)

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
        recurrence, expansion = tape.recurrence, tape.expansion
        if not unchanged(self.generator, recurrence.state):
            raise NotFinite("the stiffness matrix has changed since the forward run")
        riesz = self._riesz(residuals, solution.times)
        gradients = []
        try:
            for sequence, weights in zip(tape.sequences, expansion.pair, strict=False):
                gradients.append(recurrence.backward(weights, riesz, sequence, cotangent))
        except Growth as growth:
            raise ConvergenceError(f"the adjoint recurrence grows: {growth}") from None
        finally:
            destroy(riesz)
        if len(gradients) == 1:
            return Pullback(gradients[0], None)
        self.generator.mass.solve(gradients[1], gradients[1])  # F enters as M⁻¹F
        return Pullback(*gradients)

    # ---- what they share ------------------------------------------------------------------

    def _attempt(self, run: Callable, times: tuple[float, ...], load: bool) -> Any:
        """run(recurrence, expansion), again with a larger region as long as x_j grows."""
        self._wasted = 0
        while True:
            ellipse = self._choice.ellipse(times[-1])
            recurrence = self._prepared(ellipse)
            expansion = expand(ellipse, times, self.options.tolerance, load=load)
            self._spent = recurrence.products - self._wasted
            self.ellipse = ellipse
            try:
                return run(recurrence, expansion)
            except Growth as growth:
                self._wasted = recurrence.products - self._spent
                self._choice.enlarge(str(growth))

    def _prepared(self, ellipse: Ellipse) -> Bounded:
        """The recurrence for this ellipse, the last one again if nothing has changed."""
        last = self._recurrence
        if last is None or last.ellipse != ellipse or not unchanged(self.generator, last.state):
            layout = self._layout()
            if isinstance(layout, Layout):
                check = self.options.check
                self._recurrence = CompiledRecurrence(self.generator, ellipse, check, layout)
            else:
                self._recurrence = self._by_petsc(ellipse)
        return self._recurrence

    def _by_petsc(self, ellipse: Ellipse) -> FaberRecurrence:
        return FaberRecurrence(self.generator, ellipse, self.options.check)

    def _layout(self) -> Layout | str:
        """Where the compiled recurrence has the rows of K, or why it has not (collective).

        Raises:
            InputError: it was asked for.
        """
        if self.options.backend == "petsc":
            return "asked for"
        layout = laid_out(self.generator)
        if self.options.backend == "compiled" and isinstance(layout, str):
            raise InputError(f"-{self._prefix}backend compiled: {layout}; take 'auto' or 'petsc'")
        return layout

    def _backend(self) -> str:
        layout = self._layout()
        return self._recurrence.backend + (f": {layout}" if isinstance(layout, str) else "")

    def _stride(self, expansion: Expansion, sequences: int) -> int:
        """Vectors a segment: all where they fit into the memory."""
        count = expansion.last + 1
        rows = self.generator.comm.allreduce(self._template.local_size, MPI.MAX)
        fits = 8.0 * rows * count * sequences <= self.options.memory
        return count if fits else checkpoint_stride(count)

    def _zeros(self, count: int) -> list[PETSc.Vec]:
        vectors = [self._template.duplicate() for _ in range(count)]
        for vector in vectors:
            vector.zeroEntries()
        return vectors

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
        finite(states[:1], "the initial state")
        finite(states[1:], "the load")
        return [(state, mass.norm(state)) for state in states]

    def _riesz(self, residuals: Sequence[PETSc.Vec], times: tuple[float, ...]) -> list[PETSc.Vec]:
        """M⁻¹ r_k."""
        if len(residuals) != len(times):
            raise ValueError(f"{len(residuals)} residuals for {len(times)} times")
        riesz = []
        for k, residual in enumerate(residuals):
            riesz.append(self._template.duplicate())
            self.generator.mass.solve(residual, riesz[-1])
            finite(riesz[-1:], f"residual {k}")
        return riesz

    def _report(
        self,
        expansion: Expansion,
        growth: float,
        starts: list[tuple[PETSc.Vec, float]],
        states: list[PETSc.Vec],
    ) -> dict[str, Any]:
        ellipse, region = expansion.ellipse, self._choice.region
        bound = expansion.bound
        if len(starts) > 1 and starts[1][1] > 0.0:
            # a load's share is of its own norm, over all the time
            size = max(starts[0][1], *map(self.generator.mass.norm, states))
            share = expansion.load_bound * starts[1][1]
            bound = bound + share / size if size > 0.0 else math.inf
        report = {
            "method": self.name,
            "tolerance": self.options.tolerance,
            "bound": bound,
            "rounding": ellipse.rounding(expansion.times[-1]),
            "products": self._recurrence.products - self._spent,
            "terms": expansion.last,
            "ellipse_centre": ellipse.centre,
            "ellipse_a": ellipse.a,
            "ellipse_b": ellipse.b,
            "growth": ellipse.growth,
            "largest_norm_ratio": growth,
            "storage": "none",
            "backend": self._backend(),
            "notes": "; ".join(self._choice.notes),
        }
        if region is not None:
            report |= {
                "range_method": region.method,
                "range_real": region.real,
                "range_imag": region.imag,
                "range_flow": region.flow,
            }
        return report
