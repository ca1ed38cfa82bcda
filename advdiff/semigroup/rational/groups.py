"""Output times over many decades: a filter for each group of them, with a pole of its own.

A filter's vectors grow with the fourth root of the span t_K/t_1, so that beyond some decades two of
half as many decades are cheaper, though each has its factorisation; and beyond four to six there is
no single one.  Every group starts from θ0: all is linear in the data, and an adjoint is the sum of
the groups' adjoints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from petsc4py import PETSc

from advdiff.algebra.resolvent import Resolvent
from advdiff.core.errors import ConvergenceError
from advdiff.semigroup.engine import Change, Cotangent, Pullback
from advdiff.semigroup.rational.design import RationalFilter, design_filter
from advdiff.semigroup.rational.flow import FilterFlow, sweep_back

FACTORISATION = 40
"""Solves that take as long: 26 with 1e4 unknowns in two dimensions, 57 with 1e5."""

_ONE = 100.0
"""t_K/t_1 up to which more than one filter is no gain."""

_LEARNED = 30.0
"""The same of filters learned from noise, which beyond lose the digits that they gain."""

_MOST = 8


def split(times: Sequence[float], count: int) -> list[tuple[float, ...]]:
    """The times by ``count`` equal parts of their logarithm, less the parts that hold none."""
    first, span = math.log(times[0]), math.log(times[-1] / times[0])
    parts: dict[int, list[float]] = {}
    for time in times:
        part = math.ceil(count * (math.log(time) - first) / span - 1e-9) if span else 0
        parts.setdefault(min(max(part, 1), count), []).append(time)
    return [tuple(part) for part in parts.values()]


def split_by_decades(times: Sequence[float]) -> list[tuple[float, ...]]:
    """The times in parts that one filter, learned from noise, is enough for."""
    return split(
        times, max(1, math.ceil(math.log(times[-1] / times[0]) / math.log(_LEARNED) - 1e-9))
    )


def design_groups(
    flow_bound: float,
    times: Sequence[float],
    tolerance: float,
    *,
    pole: float | None = None,
    dimension: int | None = None,
    max_dimension: int = 250,
) -> tuple[RationalFilter, ...]:
    """The cheapest filters that together serve all times, with as few groups as that takes.

    Args:
        flow_bound, tolerance, max_dimension: as of :func:`design_filter`.
        pole, dimension: if given there is one filter, with these.

    Raises:
        ConvergenceError: if no number of groups does.
    """
    best: tuple[RationalFilter, ...] = ()
    least, failure = math.inf, None
    alone = pole is not None or dimension is not None or times[-1] <= _ONE * times[0]
    for count in range(1, 2 if alone else _MOST + 1):
        if count * FACTORISATION >= least:
            break
        try:
            found = tuple(
                design_filter(
                    flow_bound,
                    part,
                    tolerance,
                    pole=pole,
                    dimension=dimension,
                    max_dimension=max_dimension,
                )
                for part in split(times, count)
            )
        except ConvergenceError as error:
            failure = failure or error
            continue
        if cost(found) < least:
            best, least = found, cost(found)
    if not best:
        raise failure
    return best


def cost(filters: Sequence[RationalFilter]) -> float:
    """Solves of a sweep, the factorisations among them."""
    return sum(rational.dimension + FACTORISATION for rational in filters)


class GroupedFlow:
    """The :class:`FilterFlow` of every group, which ``destroy`` frees (collective).

    Args:
        filters: of consecutive times, each with the resolvent at its pole.
        initial: θ0.
        load: F or None.

    Attributes:
        states: y(t_k) of all groups, new vectors which belong to the caller.
        error: a bound of what they are off by, absolute; of a filter that is learned, nothing.
        rounding: what the rounding of the solves adds, relative to the states.
        recurrence: what that of the sums adds, absolute.
    """

    def __init__(
        self,
        filters: Sequence[tuple[Resolvent, RationalFilter]],
        initial: PETSc.Vec,
        load: PETSc.Vec | None,
    ):
        self._flows: list[FilterFlow] = []
        self.states: list[PETSc.Vec] = []
        try:
            for resolvent, rational in filters:
                self._flows.append(FilterFlow(resolvent, rational, initial, load))
                self.states += self._flows[-1].states
        except ConvergenceError:
            self.destroy()
            raise
        self.error = max(flow.error for flow in self._flows)
        self.rounding = max(flow.rounding for flow in self._flows)
        self.recurrence = max(flow.recurrence for flow in self._flows)

    def push(self, change: Change) -> tuple[list[PETSc.Vec], float]:
        """Derivative of the states along (dθ0, dK, dF), new vectors, and an estimate of what they
        are off by, absolute (collective)."""
        pushed = [flow.push(change) for flow in self._flows]
        return [dy for derivatives, _ in pushed for dy in derivatives], max(e for _, e in pushed)

    def pull(self, residuals: Sequence[PETSc.Vec], cotangent: Cotangent) -> Pullback:
        """Adjoint of (θ0, K, F) ↦ states; Ḡ goes to the cotangent (collective)."""
        total = None
        for flow in self._flows:
            part, residuals = residuals[: len(flow.states)], residuals[len(flow.states) :]
            total = _added(total, flow.pull(part, cotangent))
        return Pullback(*total)

    def destroy(self) -> None:
        """Free the vectors kept (collective)."""
        for flow in self._flows:
            flow.destroy()


def transpose(
    filters: Sequence[tuple[Resolvent, RationalFilter]], residuals: Sequence[PETSc.Vec]
) -> PETSc.Vec:
    """Σ_k e^{t_k Aᵀ} r_k, a new dual vector (collective)."""
    total = None
    for resolvent, rational in filters:
        count = len(rational.times)
        total = _added(total, sweep_back(resolvent, rational, residuals[:count]))
        residuals = residuals[count:]
    result, load_bar = total
    load_bar.destroy()
    return result


def _added(total, part):
    """Two pairs of dual vectors, the second of which may be None, in the place of the first."""
    if total is None:
        return part
    for one, other in zip(total, part, strict=True):
        if one is not None:
            one.axpy(1.0, other)
            other.destroy()
    return total
