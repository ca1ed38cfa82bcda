"""The shift-invert engine: exp(tA) through the resolvent (M − γK)⁻¹, for any mass.

The number of solves does not grow under refinement, so this is the engine for a consistent mass,
and where thousands of products would be needed.

* Values alone (``forward``) come from a Krylov space of the resolvent, which adapts to the data and
  so needs the fewest solves (van den Eshof & Hochbruck 2006; Moret & Novati 2004).
* What is to be differentiated or transposed (``forward(record=True)``, ``push``, ``pull``,
  ``transpose``) comes from a rational filter, a recurrence of fixed numbers: linear in θ0 and F,
  exactly differentiable, and as accurate in its derivative as asked
  (``design`` says why the Krylov process is not differentiated).  It is
  designed from the generator's flow bound or, where that is unknown or very large, learned from
  noise; the report says which.

Both approximate the same states within the tolerance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.algebra.resolvent import Resolvent
from advdiff.core.errors import ConvergenceError
from advdiff.semigroup.engine import (
    Change,
    Cotangent,
    EngineOptions,
    Pullback,
    Solution,
    checked_times,
)
from advdiff.semigroup.rational.design import RationalFilter, spanning_pole
from advdiff.semigroup.rational.flow import EPS, NEGLIGIBLE, lift, solves_rounding
from advdiff.semigroup.rational.groups import (
    GroupedFlow,
    design_groups,
    split_by_decades,
    transpose,
)
from advdiff.semigroup.rational.krylov import KrylovIncrements
from advdiff.semigroup.rational.learned import SLACK, learn_filter

PREFIX = "advdiff_shift_invert_"

LONGEST_DESIGN = 250
"""Vectors of a filter by design; beyond, one that is learned is shorter."""


@dataclass(frozen=True)
class ShiftInvertOptions(EngineOptions):
    """What can be asked of the engine; PETSc options ``-advdiff_shift_invert_<name>`` win.

    Attributes:
        tolerance: error of the states relative to ‖θ0‖ or to the largest increment,
            whichever is larger, and of their derivative along dK relative to that times the largest
            ratio of dK to K, or to the largest derivative.  A filter by design meets both for every
            start (twice the second was measured with a load), one that is learned for those that
            were measured.  ``push`` says what its derivatives are off by in ``tangent_error``,
            relative to the largest of them.
        pole: γ; by default chosen from the times, the tolerance and the generator's flow bound,
            for values and for filters apart (so that an engine asked for both factorises twice).
        dimension: exactly this many vectors instead of what the tolerance asks for.
        max_dimension: give up there.
        learn: learn the filter from noise even where the flow bound would give it for nothing;
            it is shorter where P·T exceeds some thousands.
    """

    tolerance: float = 1e-8
    pole: float | None = None
    dimension: int | None = None
    max_dimension: int = 400
    learn: bool = False

    def __post_init__(self):
        if not 0.0 < self.tolerance < 1.0:
            raise ValueError(f"tolerance must lie between 0 and 1, not {self.tolerance}")
        if self.pole is not None and not self.pole > 0.0:
            raise ValueError(f"pole must be positive, not {self.pole}")
        for name in ("dimension", "max_dimension"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")


class ShiftInvert:
    """The ``Engine`` protocol on shift-and-invert rational approximation.

    Factorisations are kept by pole until ``destroy``; K and M must not change meanwhile.

    The slope of θ(1) along dK = K is Kθ(1), here ∓e⁻²:

    >>> from advdiff.algebra.generator import Mass
    >>> K = PETSc.Mat().createAIJ(2, csr=([0, 2, 4], [0, 1, 0, 1], [-1.0, 1.0, 1.0, -1.0]))
    >>> ones, start = (PETSc.Vec().createWithArray(x) for x in ([1.0, 1.0], [1.0, 0.0]))
    >>> engine = ShiftInvert(Generator(K, Mass(ones), flow_bound=0.0))
    >>> found, [slope] = engine.push(start, [1.0], Change(stiffness=K))
    >>> found.states[0].array.round(6), slope.array.round(6)
    (array([0.567668, 0.432332]), array([-0.135335,  0.135335]))
    """

    name = "shift-invert"
    names, Options = (name,), ShiftInvertOptions
    needs_diagonal_mass, factorises, has_exact_gradients = False, True, True

    def __init__(self, generator: Generator, options: ShiftInvertOptions | None = None):
        self.generator = generator
        self.options = (options or ShiftInvertOptions()).overridden(PREFIX)
        self._resolvents: dict[float, Resolvent] = {}
        self._learned: dict[tuple[float, ...], tuple[RationalFilter, ...]] = {}

    def forward(
        self,
        initial: PETSc.Vec,
        times: Sequence[float],
        load: PETSc.Vec | None = None,
        *,
        record: bool = False,
    ) -> Solution:
        """States at all times (collective); with ``record`` through the filter, kept for ``pull``.

        The tape of a recorded solution holds m vectors until ``solution.tape.destroy()``.

        Raises:
            ValueError: for times that are not positive, finite and increasing.
            ConvergenceError: if max_dimension vectors do not reach the tolerance.
        """
        times = checked_times(times)
        if record:
            flow, report = self._filtered(initial, times, load)
            return Solution(times, flow.states, report, flow)
        states, report = self._krylov(initial, times, load)
        return Solution(times, states, report)

    def transpose(self, residuals: Sequence[PETSc.Vec], times: Sequence[float]) -> PETSc.Vec:
        """Σ_k e^{t_k Aᵀ} r_k for all times in one sweep, a new dual vector (collective)."""
        times = checked_times(times)
        _check_number(residuals, times)
        return transpose(self._filters(times), residuals)

    def push(
        self,
        initial: PETSc.Vec,
        times: Sequence[float],
        change: Change,
        load: PETSc.Vec | None = None,
    ) -> tuple[Solution, list[PETSc.Vec]]:
        """Filtered states and their exact derivative along (dθ0, dK, dF) (collective)."""
        times = checked_times(times)
        flow, report = self._filtered(initial, times, load)
        before = self._solves()
        derivatives, error = flow.push(change)
        flow.destroy()
        report["solves"] += self._solves() - before
        largest = max(map(self.generator.mass.norm, derivatives))
        exact = largest - error  # at the least
        report["tangent_error"] = error / exact if exact > 0.0 else np.inf if error > 0.0 else 0.0
        return Solution(times, flow.states, report), derivatives

    def pull(
        self, solution: Solution, residuals: Sequence[PETSc.Vec], cotangent: Cotangent
    ) -> Pullback:
        """Exact gradient of Φ(recorded states) from r_k = ∂Φ/∂y_k (collective).

        Raises:
            ValueError: if the solution was not recorded, or the number of residuals is wrong.
        """
        if solution.tape is None:
            raise ValueError("pull needs a solution made with record=True")
        _check_number(residuals, solution.times)
        return solution.tape.pull(residuals, cotangent)

    def destroy(self) -> None:
        """Free the factorisations (collective)."""
        for resolvent in self._resolvents.values():
            resolvent.destroy()
        self._resolvents.clear()

    def _krylov(
        self, initial: PETSc.Vec, times: tuple[float, ...], load: PETSc.Vec | None
    ) -> tuple[list[PETSc.Vec], dict]:
        options = self.options
        resolvent = self._resolvent(options.pole or self._krylov_pole(times[-1]))
        before = resolvent.solves
        lost = solves_rounding(1.0, resolvent.pole, times[-1])
        lifted, start, rounding = lift(
            resolvent, initial, load, NEGLIGIBLE * options.tolerance / lost
        )
        increments = KrylovIncrements(
            resolvent,
            start,
            times,
            tolerance=options.tolerance,
            scale=self.generator.mass.norm(initial),
            max_dimension=options.dimension or options.max_dimension,
            fixed=options.dimension is not None,
        )
        lifted.destroy()
        start.destroy()
        states = []
        if options.dimension is not None or increments.estimate <= options.tolerance:
            for k in range(len(times)):
                states.append(initial.copy())
                increments.add(k, states[-1])
        report = {
            "method": self.name,
            "approximation": "krylov",
            "tolerance": options.tolerance,
            "pole": resolvent.pole,
            "dimension": increments.arnoldi.dimension,
            "solves": resolvent.solves - before,
            "error_estimate": increments.estimate,
            "rounding": lost * rounding + EPS * increments.arnoldi.dimension,
        }
        increments.destroy()
        if not states:
            raise ConvergenceError(
                f"shift-invert: estimated error {report['error_estimate']:.1e} where "
                f"{options.tolerance:.1e} is asked, after {report['solves']} solves with "
                f"γ = {resolvent.pole:.3g}; raise solver.tolerance, or shorten time.final"
            )
        return states, report

    def _filtered(
        self, initial: PETSc.Vec, times: tuple[float, ...], load: PETSc.Vec | None
    ) -> tuple[GroupedFlow, dict]:
        options = self.options
        filters = self._filters(times)
        before = self._solves()
        flow = GroupedFlow(filters, initial, load)
        bounded = all(rational.bounded for _, rational in filters)
        report = {
            "method": self.name,
            "approximation": "designed filter" if bounded else "learned filter",
            "tolerance": options.tolerance,
            "pole": filters[-1][1].pole,
            "groups": len(filters),
            "dimension": sum(rational.dimension for _, rational in filters),
            "solves": self._solves() - before,
        }
        # of what is there: a state may start from 0, and be filled from outside
        norm = self.generator.mass.norm
        size = max(*map(norm, (initial, *flow.states)), np.finfo(float).tiny)
        report["rounding"] = flow.rounding + flow.recurrence / size
        if bounded:
            report["error_bound"] = flow.error / size
            return flow, report
        expected, values = self._krylov(initial, times, load)
        report["solves"] += values["solves"]
        differences = []
        for one, other in zip(expected, flow.states, strict=True):
            one.axpy(-1.0, other)
            differences.append(norm(one) / size)
            one.destroy()
        difference = float(np.max(differences))
        report["error_estimate"] = max(
            difference + values["error_estimate"], *(rational.error for _, rational in filters)
        )
        if options.dimension is None and not difference <= SLACK * options.tolerance:
            flow.destroy()
            raise ConvergenceError(
                f"the rational filter learned from noise is {difference:.1e} from this start's own "
                f"Krylov space, where {options.tolerance:.1e} is asked: it does not serve it; "
                "shorten the time span, or take solver.method = 'krylov'"
            )
        return flow, report

    def _solves(self) -> int:
        """Of all resolvents so far."""
        return sum(resolvent.solves for resolvent in self._resolvents.values())

    def _filters(self, times: tuple[float, ...]) -> list[tuple[Resolvent, RationalFilter]]:
        """By design where the flow bound is known and small enough, otherwise learned, once for
        these times."""
        return [(self._resolvent(found.pole), found) for found in self._found(times)]

    def _found(self, times: tuple[float, ...]) -> tuple[RationalFilter, ...]:
        options = self.options
        if np.isfinite(self.generator.flow_bound) and not options.learn:
            longest = min(options.max_dimension, LONGEST_DESIGN)
            try:
                return design_groups(
                    self.generator.flow_bound,
                    times,
                    options.tolerance,
                    pole=options.pole,
                    dimension=options.dimension,
                    max_dimension=longest,
                )
            except ConvergenceError:
                if options.max_dimension <= longest:
                    raise
        if times not in self._learned:
            alone = options.pole is not None or options.dimension is not None
            parts = [times] if alone else split_by_decades(times)
            self._learned[times] = tuple(map(self._learn, parts))
        return self._learned[times]

    def _learn(self, times: tuple[float, ...]) -> RationalFilter:
        """With the pole of values, and where that does not serve, with that of the times' span:
        the first is the better one for few unknowns, whose spectrum is short."""
        options = self.options
        usual = self._krylov_pole(times[-1])
        poles = (
            [options.pole]
            if options.pole
            else [usual, min(usual, spanning_pole(times, options.tolerance))]
        )
        for pole in dict.fromkeys(poles):
            try:
                return learn_filter(
                    self._resolvent(pole),
                    times,
                    options.tolerance,
                    dimension=options.dimension,
                    max_dimension=options.max_dimension,
                )
            except ConvergenceError as error:
                failure = error
        raise failure

    def _krylov_pole(self, final: float) -> float:
        """A fit to the best pole for smooth and rough states, P·T = 0 … 5000."""
        digits = -np.log10(self.options.tolerance)
        strength = self.generator.flow_bound * final
        if not np.isfinite(strength):
            strength = 1e3
        return final / float(np.clip(0.75 * digits * np.cbrt(strength), 4.0 * digits, 200.0))

    def _resolvent(self, pole: float) -> Resolvent:
        if pole not in self._resolvents:
            rtol = min(1e-10, 1e-3 * self.options.tolerance)
            self._resolvents[pole] = Resolvent(self.generator, pole, rtol)
        return self._resolvents[pole]


def _check_number(residuals: Sequence[PETSc.Vec], times: tuple[float, ...]) -> None:
    if len(residuals) != len(times):
        raise ValueError(f"{len(residuals)} residuals for {len(times)} times")
