"""The sweeps of a rational filter over distributed vectors: states, derivative and adjoint.

Everything is linear in the data and in the vectors, so the adjoint is the recurrence read
backwards: with dual vectors (cotangents) μ_j it takes one transposed solve a step,

    λ_j = Σ_k c_j(t_k) r_k + M p_j − Σ_{i≥j} h_ji μ_i,   μ_j = λ_{j+1}/h_{j+1,j},   p_j = Rᵀ μ_j,
    Ḡ = γ Σ_j p_j q_jᵀ,   q_j = L x_j,

and needs no inner product.  The filter is held fixed in all derivatives, so they are exact for the
states computed, at any tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from petsc4py import PETSc

from advdiff.algebra.resolvent import Resolvent
from advdiff.core import progress
from advdiff.core.errors import ConvergenceError
from advdiff.semigroup.engine import Change, Cotangent, Pullback
from advdiff.semigroup.rational.design import CROUZEIX, RationalFilter

_PAIRS = 8
EPS = float(np.finfo(float).eps)
NEGLIGIBLE = 1e-3
"""Of a tolerance: rounding that is within it is not looked into."""


class FilterFlow:
    """States at all times of a filter, keeping its m vectors until ``destroy`` (collective).

    Args:
        resolvent: (M − γK)⁻¹ at the filter's pole.
        rational: the filter.
        initial: θ0.
        load: F or None.

    Attributes:
        states: y(t_k), new vectors which belong to the caller.
        error: a bound of what they are off by, absolute; 0 for a filter that is learned.
        rounding: what the rounding of the solves adds, relative to the states.
        recurrence: what that of the sums adds, absolute.

    Raises:
        ConvergenceError: if a vector grows beyond its bound, which proves P too small.
    """

    def __init__(
        self,
        resolvent: Resolvent,
        rational: RationalFilter,
        initial: PETSc.Vec,
        load: PETSc.Vec | None,
    ):
        self._resolvent = resolvent
        self._filter = rational
        self._has_load = load is not None
        final = rational.times[-1]
        negligible = NEGLIGIBLE * rational.slope / solves_rounding(1.0, resolvent.pole, final)
        self._lifted, start, rounding = lift(resolvent, initial, load, negligible)
        self.rounding = solves_rounding(rounding, resolvent.pole, final)
        norm = resolvent.generator.mass.norm
        increment = norm(start)
        self.error = CROUZEIX * rational.error * increment if rational.bounded else 0.0
        norms = [increment]
        h = rational.hessenberg
        self._vectors = [start]
        for j in progress.counted(range(rational.dimension - 1), "solves"):
            x = start.duplicate()
            resolvent.apply(self._vectors[j], x)
            x.maxpy(-h[: j + 1, j], self._vectors)
            x.scale(1.0 / h[j + 1, j])
            self._vectors.append(x)
            norms.append(norm(x))
            growth, bound = norms[-1], CROUZEIX * rational.peaks[j + 1] * increment
            if not growth <= 1.01 * bound + 1e-12 * increment:
                self.destroy()
                if rational.learned:
                    raise ConvergenceError(
                        f"vector {j + 1} of the rational filter learned from noise grows to "
                        f"{growth / increment:.3g} times the start: it does not serve this "
                        "one; shorten time.final, or take solver.method = 'krylov'"
                    )
                raise ConvergenceError(
                    f"vector {j + 1} of the rational filter has norm {growth:.3g} where the "
                    f"numerical range allows {bound:.3g}: the generator's flow_bound is too small"
                )
        self.recurrence = _recurrence_error(rational, np.array(norms))
        self.states = []
        for c in rational.coefficients.T:
            y = initial.copy()
            y.maxpy(c, self._vectors)
            self.states.append(y)

    def push(self, change: Change) -> tuple[list[PETSc.Vec], float]:
        """Derivative of the states along (dθ0, dK, dF), new vectors, and an estimate of what they
        are off by, absolute (collective); m solves.

        The derivative of e(A) z0, e the filter's error, is that of a p_j(A) z0 but for the factor
        max |z e'|, p_j and its slope being of size 1 over Ω: the largest of these is measured.
        """
        d_initial, stiffness, d_load = change
        resolvent, h = self._resolvent, self._filter.hessenberg
        mass, pole = resolvent.generator.mass, resolvent.pole
        load, part = self._lifted.duplicate(), self._lifted.duplicate()

        def source(q: PETSc.Vec) -> None:
            """load = γ dK q."""
            if stiffness is None:
                load.set(0.0)
            else:
                stiffness.mult(q, load)
                load.scale(pole)

        source(self._lifted)
        if d_load is not None:
            load.axpy(pole, d_load)
        tangent = self._lifted.duplicate()
        if d_initial is None:
            resolvent.solve(load, tangent)
        else:
            mass.mult(d_initial, part)
            load.axpy(1.0, part)
            resolvent.solve(load, tangent)
            tangent.axpy(-1.0, d_initial)
        tangents = [tangent]
        for j in range(self._filter.dimension - 1):
            self._image(j, part)
            source(part)
            mass.mult(tangents[j], part)
            load.axpy(1.0, part)
            tangent = load.duplicate()
            resolvent.solve(load, tangent)
            tangent.maxpy(-h[: j + 1, j], tangents)
            tangent.scale(1.0 / h[j + 1, j])
            tangents.append(tangent)
        derivatives = []
        for c in self._filter.coefficients.T:
            dy = load.duplicate()
            dy.set(0.0)
            dy.maxpy(c, tangents)
            if d_initial is not None:
                dy.axpy(1.0, d_initial)
            derivatives.append(dy)
        norms = np.array([self._resolvent.norm(tangent) for tangent in tangents])
        rational = self._filter
        error = CROUZEIX * max(rational.error, rational.slope) * norms.max()
        # rounding enters twice, before the direction and after it
        largest = max(norms.max(), *map(self._resolvent.norm, derivatives))
        error += _recurrence_error(rational, norms) + 2.0 * self.rounding * largest
        _destroy((load, part, *tangents))
        return derivatives, float(error)

    def pull(self, residuals: Sequence[PETSc.Vec], cotangent: Cotangent) -> Pullback:
        """Adjoint of (θ0, K, F) ↦ states; Ḡ goes to the cotangent (collective); m solves."""
        lefts = [self._lifted.duplicate() for _ in range(_PAIRS)]
        rights = [self._lifted.duplicate() for _ in range(_PAIRS)]
        filled = 0

        def visit(j: int, p: PETSc.Vec) -> None:
            nonlocal filled
            p.copy(lefts[filled])
            self._image(j, rights[filled])
            filled += 1
            if filled == _PAIRS or j < 0:
                cotangent.add(lefts[:filled], rights[:filled], self._resolvent.pole)
                filled = 0

        initial_bar, load_bar = sweep_back(self._resolvent, self._filter, residuals, visit)
        _destroy((*lefts, *rights))
        if self._has_load:
            return Pullback(initial_bar, load_bar)
        load_bar.destroy()
        return Pullback(initial_bar, None)

    def destroy(self) -> None:
        """Free the vectors kept (collective)."""
        _destroy((self._lifted, *self._vectors))

    def _image(self, j: int, q: PETSc.Vec) -> None:
        """q = L x_j, and for j = −1 what the lift of the data made: R (M θ0 + γF)."""
        if j < 0:
            self._lifted.copy(q)
            return
        q.set(0.0)
        q.maxpy(self._filter.hessenberg[: j + 2, j], self._vectors[: j + 2])


def _recurrence_error(rational: RationalFilter, norms: np.ndarray) -> float:
    """What the sums round in the states: ε Σ_i |h_ij| ‖x_i‖ / h_{j+1,j} in x_{j+1}.

    Later steps enlarge an error no more than a vector, as far as the numerical range bounds them.
    """
    h = np.abs(rational.hessenberg)
    steps = np.append(norms[:1], (h.T @ norms) / np.diag(h, -1))
    return EPS * float(np.max(steps @ np.abs(rational.coefficients)))


def solves_rounding(relative: float, pole: float, final: float) -> float:
    """What the rounding of solves does to the states until time T, relative.

    A solve off by δ is the solve of an A that is off by δ/γ where it counts, in what lives to T;
    exp(TA) is then off by δT/γ.  δ is that of the first solve (twice, for those of later vectors):
    it holds the slowest parts.
    """
    return 2.0 * relative * final / pole


def lift(
    resolvent: Resolvent, initial: PETSc.Vec, load: PETSc.Vec | None, negligible: float = 0.0
) -> tuple[PETSc.Vec, PETSc.Vec, float]:
    """R (M θ0 + γF), z0, that minus θ0: the start of the increment, and the size of the rounding
    errors of the first, relative (collective); two solves, or one where that is negligible."""
    right, start = initial.duplicate(), initial.duplicate()
    resolvent.generator.mass.mult(initial, start)
    if load is not None:
        start.axpy(resolvent.pole, load)
    resolvent.solve(start, right)
    norm = resolvent.generator.mass.norm
    scale = max(norm(right), norm(initial))
    rounding = 0.0
    if scale > 0.0:
        rounding = resolvent.rounding(start, right, negligible * scale) / scale
    right.copy(start)
    start.axpy(-1.0, initial)
    return right, start, rounding


def sweep_back(
    resolvent: Resolvent,
    rational: RationalFilter,
    residuals: Sequence[PETSc.Vec],
    visit: Callable[[int, PETSc.Vec], None] | None = None,
) -> tuple[PETSc.Vec, PETSc.Vec]:
    """∂Φ/∂θ0 and ∂Φ/∂F for residuals ∂Φ/∂y_k, new dual vectors (collective); m solves.

    Args:
        visit: called with (j, p_j) for j = m − 2 … −1; the last belongs to the lift of the data.
    """
    h, c = rational.hessenberg, rational.coefficients
    mass = resolvent.generator.mass
    dual, p, part = (residuals[0].duplicate() for _ in range(3))
    residuals = list(residuals)
    multipliers: list[PETSc.Vec] = []  # μ_{m−2}, μ_{m−3}, …
    dual.set(0.0)
    dual.maxpy(c[-1], residuals)
    for j in reversed(range(rational.dimension - 1)):
        dual.scale(1.0 / h[j + 1, j])
        multipliers.append(dual.copy())
        resolvent.solve_transpose(dual, p)
        if visit is not None:
            visit(j, p)
        mass.mult(p, dual)
        dual.maxpy(c[j], residuals)
        dual.maxpy(-h[j, j:][::-1], multipliers)
    resolvent.solve_transpose(dual, p)
    if visit is not None:
        visit(-1, p)
    mass.mult(p, part)
    part.axpy(-1.0, dual)
    part.maxpy(np.ones(len(residuals)), residuals)
    p.scale(resolvent.pole)
    _destroy((dual, *multipliers))
    return part, p


def _destroy(vectors: Iterable[PETSc.Vec]) -> None:
    for vector in vectors:
        vector.destroy()
