"""The shift-invert engine: exp(tA) from Krylov spaces of the resolvent.

The number of solves does not grow under refinement, so this is the engine for a consistent mass
and for operators so stiff that thousands of products would be needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from collections.abc import Sequence

import numpy as np
from petsc4py import PETSc

from advdiff.expm.engine import ConvergenceError, Cotangent, Pullback, Solution
from advdiff.expm.generator import Generator
from advdiff.expm.krylov_flow import KrylovFlow
from advdiff.expm.resolvent import Resolvent


@dataclass(frozen=True)
class ShiftInvertOptions:
    tolerance: float = 1e-8
    pole: float | None = None
    dimension: int | None = None
    max_dimension: int = 200


class ShiftInvert:
    name = "shift-invert"

    def __init__(self, generator: Generator, options: ShiftInvertOptions | None = None):
        self.generator = generator
        self.options = options or ShiftInvertOptions()
        self._resolvent = None

    def resolvent(self, T):
        o = self.options
        digits = -np.log10(o.tolerance)
        P = self.generator.flow_bound * T
        if not np.isfinite(P):
            P = 1e3
        g = o.pole or T / np.clip(0.75 * digits * P ** (1 / 3), 4 * digits, 200)
        if self._resolvent is None or self._resolvent.pole != g:
            self._resolvent = Resolvent(self.generator, g)
        return self._resolvent

    def forward(self, initial, times, load=None, *, record=False):
        r = self.resolvent(times[-1])
        f = KrylovFlow(
            r,
            initial.copy(),
            load,
            times,
            self.options.tolerance,
            self.options.max_dimension,
            self.options.dimension,
        )
        s = Solution(
            tuple(times), f.states(), dict(m=f.dimension, est=f.estimate, conv=f.converged), f
        )
        return s

    def push(self, initial, times, stiffness=None, d_initial=None, load=None, d_load=None):
        s = self.forward(initial, times, load, record=True)
        return s, s.tape.push(d_initial, stiffness, d_load)

    def pull(self, solution, residuals, cotangent):
        return solution.tape.pull(residuals, cotangent)
