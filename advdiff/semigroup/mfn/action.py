"""y = e^{hA}x + hφ₁(hA)b by Krylov spaces of A over sub-steps, with a bound on the error.

From a state x the increment d solves d' = A d + g, d(0) = 0, with g = A x + b.  Arnoldi from
g = βv_1 gives A V = V H + η v e_mᵀ, and with that, of two schemes,

    krylov     d(s) ≈ β V w(s),             w' = H w + e_1,  w(0) = 0,   residual βη w_m(s) v
    expokit    d(s) ≈ β(V w(s) + p(s) v),   p' = η w_m,      p(0) = 0,   residual β p(s) A v

(the second is Sidje's corrected scheme, at the price of one product more).  The residual is the
defect in the differential equation itself: nothing is estimated.  The error e solves e' = A e +
residual, so that with μ the logarithmic norm of A, 0 where nothing makes the norm grow,

    ‖e(s)‖ ≤ e^{μs} (‖e(0)‖ + ∫₀ˢ ‖residual‖).

A sub-step is the longest whose residual and those before it stay within their share.  A term for
rounding, ε‖x‖ a sub-step and ε‖A‖‖x‖ a unit of time, is part of the bound.  Where A keeps a mean,
so do the increments, to rounding, since no vector of V has one.

Sources: Botchev, Grimm & Hochbruck, SIAM J. Sci. Comput. 35 (2013); Sidje, ACM TOMS 24 (1998);
Hochbruck & Lubich, SIAM J. Numer. Anal. 34 (1997), for the dimension.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from petsc4py import PETSc

from advdiff.algebra.arnoldi import Arnoldi, Operator
from advdiff.core.errors import SIZES, ConvergenceError, NotFinite

LARGEST = 40
SLACK = 10.0
"""How far above the tolerance a bound may be where rounding allows no better."""
ROUNDING = 4.0 * np.finfo(float).eps
_POINTS = 16  # at which the residual is looked at, each time that s doubles


@dataclass
class Ledger:
    """What a march may err, and what it has erred, in the norm of the operator.

    Attributes:
        tolerance: of the whole march, relative to ``scale``.
        time: of the whole march.
        scale: the norm at the start, or that of the largest increment if that is larger.
        error: bound on the norm of the error now.
        worst: the largest that was.
    """

    tolerance: float
    time: float
    scale: float = 0.0
    error: float = 0.0
    worst: float = 0.0

    def enter(self, made: float, growth: float, scale: float) -> None:
        """A sub-step has added ``made``, let what was there grow, and met a norm."""
        self.scale = max(self.scale, scale)
        self.error = growth * (self.error + made)
        self.worst = max(self.worst, self.error)


class _Step(NamedTuple):
    """A sub-step: its length, β(w, p) at its end, the bound, how much errors may grow, a norm."""

    length: float
    coefficients: np.ndarray
    error: float
    growth: float = 1.0
    scale: float = 0.0


class _Integral:
    """∫ weight·|f|, from above where |f| has one turn at most between two points."""

    def __init__(self, weight: float):
        self._weight, self._sum, self._last = weight, 0.0, 0.0

    def next(self, spacing: float, f: np.ndarray) -> np.ndarray:
        """Up to each of the next points."""
        f = self._weight * np.abs(f)
        result = self._sum + spacing * np.cumsum(np.maximum(f, [self._last, *f[:-1]]))
        self._sum, self._last = result[-1], f[-1]
        return result


class Action:
    """The action for one operator (collective); ``-advdiff_mfn_`` options are read by its owner.

    Args:
        operator: A with its inner product.
        like: a vector of its layout.
        norm: a bound or estimate of ‖A‖, for the dimension and the rounding.
        corrected: take the scheme of ``expokit``.
        dimension: of the Krylov spaces; None: chosen for every action from √(h‖A‖), ≤ LARGEST.
        most: sub-steps an action before it is an error.

    Attributes:
        actions, steps, products: what was done so far.
    """

    def __init__(
        self,
        operator: Operator,
        like: PETSc.Vec,
        norm: float,
        *,
        corrected: bool = False,
        dimension: int | None = None,
        most: int = 1000,
    ):
        self._operator, self._norm = operator, norm
        self._corrected, self._fixed, self._most = corrected, dimension, most
        self._size = like.getSize()
        self._arnoldi: Arnoldi | None = None
        self._slope, self._after = like.duplicate(), like.duplicate()
        self.actions = self.steps = self.products = 0
        self.dimension = 0

    def __call__(
        self, h: float, x: PETSc.Vec, ledger: Ledger, load: PETSc.Vec | None = None
    ) -> None:
        """x ← e^{hA}x + hφ₁(hA)b (collective).

        Args:
            load: b, a state.
            ledger: what the march may err; the bound is entered there.

        Raises:
            ConvergenceError: where the sub-steps do not suffice.
            NotFinite: where numbers overflow.
        """
        left, steps, slope = h, 0, self._slope
        ledger.scale = max(ledger.scale, self._finite(self._operator.norm(x)))
        while left > 0.0:
            size = self._finite(self._operator.norm(x))
            self._operator.apply(x, slope)
            if load is not None:
                slope.axpy(1.0, load)
            self._restart(slope)
            for wanted in self._dimensions(left, ledger.tolerance):
                self._extend(wanted)
                step = self._longest(left, size, ledger)
                if step.length == left or self._arnoldi.broken:
                    break
            if step.length == 0.0 or steps == self._most:
                self._give_up(h, left, steps, ledger)
            space = self._arnoldi
            m = space.dimension
            space.add(step.coefficients[:m], x)
            if len(step.coefficients) > m and not space.broken:
                with space.column(m) as v:
                    x.axpy(step.coefficients[m], v)
            ledger.enter(step.error, step.growth, step.scale)
            left = left - step.length if step.length < left else 0.0
            steps += 1
        self.actions += 1
        self.steps += steps

    def _restart(self, start: PETSc.Vec) -> None:
        if self._arnoldi is None:
            self._arnoldi = Arnoldi(self._operator, start, "advdiff_mfn_")
        else:
            self._arnoldi.restart(start)
        self.products += 1

    def _extend(self, wanted: int) -> None:
        space, before = self._arnoldi, self._arnoldi.dimension
        while space.dimension < wanted and not space.broken:
            space.extend()
        self.products += space.dimension - before
        self.dimension = max(self.dimension, space.dimension)

    def _dimensions(self, h: float, tolerance: float) -> list[int]:
        """At which to look: what a polynomial of e^{-sλ}, 0 ≤ λ ≤ ‖A‖, s ≤ h, needs for its first
        digit, then more, until it has them all.
        """
        if self._fixed:
            return [min(self._fixed, self._size)]
        stiffness, digits = h * self._norm, -math.log(tolerance)
        least = min(math.sqrt(stiffness * digits), stiffness)
        looks = (max(8, math.ceil(least + digits * share)) for share in (0.0, 0.25, 0.5, 0.75, 1.0))
        return sorted({min(m, LARGEST, self._size) for m in looks})

    def _bounds(
        self, left: float, tolerance: float
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Ever later times up to ``left``, β(w, p) and ∫ ‖residual‖ at them."""
        space = self._arnoldi
        m, beta, rest = space.dimension, space.norm, space.rest
        integral, integral_of_p = _Integral(rest), None
        if self._corrected and rest:
            with space.column(m) as v:
                self._operator.apply(v, self._after)
            self.products += 1
            integral_of_p = _Integral(self._operator.norm(self._after))
        for s, w in _increments(space.hessenberg, rest, left, tolerance):
            w = beta * w
            bound = integral.next(s[1] - s[0], w[m - 1])
            if integral_of_p:
                bound = np.minimum(bound + np.abs(w[m]), integral_of_p.next(s[1] - s[0], w[m]))
            yield s, w[: m + self._corrected], bound

    def _longest(self, left: float, size: float, ledger: Ledger) -> _Step:
        """The longest sub-step within its share of the tolerance; 0 where there is none."""
        space, rounding = self._arnoldi, ROUNDING * self._norm * size
        if space.norm == 0.0:
            return _Step(left, np.zeros(0), rounding * left + ROUNDING * size)
        matrix = space.hessenberg
        if not np.isfinite(matrix).all():
            raise NotFinite(f"the Krylov space has entries that are not finite; {SIZES}")
        rate = max(0.0, float(np.linalg.eigvalsh(0.5 * (matrix + matrix.T))[-1]))
        step = _Step(0.0, np.zeros(0), math.inf)
        for s, w, bound in self._bounds(left, ledger.tolerance):
            sizes = np.maximum(ledger.scale, 0.5 * np.linalg.norm(w, axis=0))
            good = bound <= np.maximum(ledger.tolerance * sizes / ledger.time, rounding) * s
            k = _POINTS if good.all() else int(np.argmin(good))
            if k:
                length = float(s[k - 1]) if s[k - 1] < (1.0 - 1e-12) * left else left
                step = _Step(
                    length,
                    w[:, k - 1],
                    float(bound[k - 1]) + rounding * length + ROUNDING * size,
                    math.exp(min(rate * length, 700.0)),
                    float(sizes[k - 1]),
                )
            if k < _POINTS:
                break
        return step

    @staticmethod
    def _finite(norm: float) -> float:
        if not math.isfinite(norm):
            raise NotFinite(f"the state has entries that are not finite; {SIZES}")
        return norm

    def _give_up(self, h: float, left: float, steps: int, ledger: Ledger) -> None:
        *_, (_, _, bound) = self._bounds(left, ledger.tolerance)
        reached = (ledger.error + float(bound[-1])) / (ledger.scale or 1.0)
        raise ConvergenceError(
            f"{'expokit' if self._corrected else 'krylov'} reached a relative error estimate of "
            f"{reached:.1e}, not {ledger.tolerance:.1e}, in {steps} of {self._most} sub-steps of "
            f"{self.dimension} vectors over a time of {h:g}; raise solver.dimension, "
            "solver.max_restarts or solver.tolerance"
        )


def _increments(
    matrix: np.ndarray, rest: float, left: float, tolerance: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(w, p) of the module's equations at ever later times, 16 each time that s doubles.

    Times and values, one column a time; the first times are those before which no residual of this
    dimension is above the tolerance, the last is ``left``.
    """
    m = len(matrix)
    generator = np.zeros((m + 2, m + 2))
    generator[:m, :m] = matrix
    generator[m, m - 1] = rest
    stiffness = left * float(np.abs(generator).sum(axis=0).max())
    generator[0, m + 1] = 1.0
    harmless = min(1.0, math.exp((math.log(tolerance) + math.lgamma(m + 1)) / m)) if rest else 1.0
    doublings = max(0, math.ceil(math.log2(max(stiffness, 1e-300) / harmless)))
    spacing, now = math.ldexp(left, -doublings) / _POINTS, 0.0
    # e^{sG} − 1, whose doubling keeps what is small; the first is a Taylor series of 1/16 at most
    term = spacing * generator
    first = term.copy()
    for j in range(2, 13):
        term = term @ generator * (spacing / j)
        first += term
    powers = [first]
    state = np.zeros((m + 2, 1))
    state[m + 1] = 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        while len(powers) < 5:
            powers.append(2.0 * powers[-1] + powers[-1] @ powers[-1])
        for k in range(doublings + 1):
            values = state + powers[0] @ state
            for power in powers[:4]:
                values = np.hstack([values, values + power @ values])
            yield now + spacing * np.arange(1, _POINTS + 1), values[: m + 1]
            now, state = now + _POINTS * spacing, values[:, -1:]
            if k:
                spacing *= 2.0
                powers = [*powers[1:], 2.0 * powers[-1] + powers[-1] @ powers[-1]]
