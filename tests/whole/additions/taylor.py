"""An engine to show how one is added: Taylor's polynomial in steps of h‖A‖ ≤ 1.

As Al-Mohy and Higham (2011), without their choice of degree and step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count, pairwise

from advdiff.semigroup.engine import EngineOptions, Pullback, Solution, checked_times


@dataclass(frozen=True)
class TaylorOptions(EngineOptions):
    """``tolerance``: relative, of the states."""

    tolerance: float = 1e-8


class Taylor:
    """y ← Σ_j v_j with v_0 = y and v_j = (h/j) M⁻¹(K v_{j−1} + [j = 1] F)."""

    name = "taylor"
    names, Options = (name,), TaylorOptions
    needs_diagonal_mass, factorises, has_exact_gradients = True, False, True

    def __init__(self, generator, options):
        self.generator, self.options = generator, options

    def _steps(self, times):
        """Of every step: its length, the degree, the output time it ends at or None."""
        times, norm = checked_times(times), self.generator.norm_bound()
        wanted = self.options.tolerance / max(1.0, times[-1] * norm)
        degree = next(m for m in count(1) if math.e / math.factorial(m + 1) < wanted)
        for k, (before, time) in enumerate(pairwise((0.0, *times))):
            number = max(1, math.ceil((time - before) * norm))
            for i in range(number):
                yield (time - before) / number, degree, k if i == number - 1 else None

    def _terms(self, y, h, degree, load, change=None, along=()):
        """v_j; or their derivatives along a change, about the terms ``along``."""
        terms, mass = [y.copy()], self.generator.mass
        for j in range(1, degree + 1):
            slope = self.generator.vector()
            self.generator.stiffness.mult(terms[-1], slope)
            if change is not None and change.stiffness is not None:
                change.stiffness.multAdd(along[j - 1], slope, slope)
            if j == 1 and load is not None:
                slope.axpy(1.0, load)
            mass.solve(slope, slope)
            slope.scale(h / j)
            terms.append(slope)
        return terms

    def _flow(self, y, times, load, change=None, *, record=False):
        """States, their derivatives where there is a change, and the start of every step."""
        times, products = checked_times(times), 0
        y, states, tangents, tape = y.copy(), [], [], []
        moved = self.generator.vector()
        if change is not None and change.initial is not None:
            change.initial.copy(moved)
        for h, degree, k in self._steps(times):
            products += degree
            if record:
                tape.append(y.copy())
            terms = self._terms(y, h, degree, load)
            y.maxpy([1.0] * degree, terms[1:])
            if change is not None:
                added = self._terms(moved, h, degree, change.load, change, terms)
                moved.maxpy([1.0] * degree, added[1:])
            if k is not None:
                states.append(y.copy())
                tangents.append(moved.copy())
        report = {"method": self.name, "tolerance": self.options.tolerance, "products": products}
        return Solution(times, states, report, (tape, load) if record else None), tangents

    # -- the four verbs ------------------------------------------------------------------------

    def forward(self, initial, times, load=None, *, record=False):
        return self._flow(initial, times, load, record=record)[0]

    def push(self, initial, times, change, load=None):
        return self._flow(initial, times, load, change)

    def transpose(self, residuals, times):
        return self._back(residuals, times)[0]

    def pull(self, solution, residuals, cotangent):
        tape, load = solution.tape
        initial, source = self._back(residuals, solution.times, tape, load, cotangent)
        return Pullback(initial, None if load is None else source)

    def _back(self, residuals, times, tape=None, load=None, cotangent=None):
        total, source = self.generator.vector(), self.generator.vector()
        slope = self.generator.vector()
        for i, (h, degree, k) in reversed(list(enumerate(self._steps(times)))):
            if k is not None:
                total.axpy(1.0, residuals[k])
            terms = self._terms(tape[i], h, degree, load) if cotangent else []
            dual = total.copy()
            for j in range(degree, 0, -1):  # dual: of v_j, to which all later ones have added
                costate = self.generator.vector()
                self.generator.mass.solve(dual, costate)
                costate.scale(h / j)
                if cotangent:
                    cotangent.add([costate], [terms[j - 1]])
                self.generator.stiffness.multTranspose(costate, slope)
                dual.waxpy(1.0, total, slope)
            source.axpy(1.0, costate)
            dual.copy(total)
        return total, source
