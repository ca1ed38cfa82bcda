"""HMC that stops at a U-turn, on the splitting of function space.

A trajectory is doubled forwards or backwards until its ends approach each other; the next state is
drawn from it with weights exp(−energy error), in favour of the newer half (Hoffman & Gelman, JMLR
15, 2014, with the multinomial weights of Betancourt, arXiv:1701.02434, appendix A).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from advdiff.chains.kernel import Info, Options, State, Target, probability
from advdiff.chains.kernels.hmc import LIMIT
from advdiff.chains.kernels.trajectory import Point, energy, leap
from advdiff.core.random import Random


class Tree(NamedTuple):
    """A piece of trajectory.

    ``first``, ``last``: its ends in the direction of time; ``chosen``: a point drawn by weight;
    ``weight``: log Σ exp(−error); ``acceptance``, ``count``: Σ min(1, exp(−error)) and its terms;
    ``turning``, ``diverging``: why it may not grow.
    """

    first: Point
    last: Point
    chosen: Point
    weight: float
    acceptance: float
    count: int
    turning: bool = False
    diverging: bool = False

    @property
    def stopped(self) -> bool:
        return self.turning or self.diverging


@dataclass(frozen=True)
class NUTS:
    """``step_size`` is the angle of one rotation.

    Args:
        max_depth: at most 2^max_depth − 1 steps.

    Two unknowns of N(0, 1), each read as 1 with the standard deviation ½: their mean is 4/5.

    >>> from petsc4py import PETSc
    >>> class Target:
    ...     def value(self, xi):
    ...         return 2.0 * (xi - 1.0).norm() ** 2
    ...     def both(self, xi):
    ...         return self.value(xi), 4.0 * (xi - 1.0)
    ...     def gradient(self, xi):
    ...         return 4.0 * (xi - 1.0)
    >>> kernel = NUTS(Target(), step_size=0.3)
    >>> mean = PETSc.Vec().createWithArray([0.0, 0.0])
    >>> state = kernel.init(mean.copy())
    >>> for step in range(1000):
    ...     state, info = kernel.step(Random(0, 0, step), state)
    ...     mean += state.xi / 1000
    >>> mean.array.round(1)
    array([0.8, 0.8])
    """

    target: Target
    step_size: float = 0.1
    max_depth: int = 8
    largest: float = 0.25 * math.pi
    ideal: float = 0.8

    def init(self, xi):
        return State(xi, *self.target.both(xi))

    def step(self, rng, state):
        start = Point(state, rng.white(state.xi), 0.0)
        before = energy(state, start.velocity)
        tree = Tree(start, start, start, 0.0, 0.0, 0)
        depth = 0
        while depth < self.max_depth and not tree.stopped:
            forward = rng.uniform() < 0.5
            new = self._build(rng, tree.last if forward else tree.first, depth, forward, state)
            tree = self._join(rng, tree, new, forward, biased=True)
            depth += 1
        error = tree.chosen.error(state)
        return tree.chosen.state, Info(
            tree.chosen is not start,
            tree.acceptance / max(tree.count, 1),
            tree.count,
            before + error,
            error,
            tree.diverging,
            depth,
        )

    def _build(self, rng: Random, end: Point, depth: int, forward: bool, start: State) -> Tree:
        """2^depth steps from ``end``, fewer where it stops."""
        if depth == 0:
            angle = self.step_size if forward else -self.step_size
            point = leap(self.target, end, angle, value=True)
            error = math.inf if point is None else point.error(start)
            if not error < LIMIT:
                return Tree(end, end, end, -math.inf, 0.0, 1, diverging=True)
            return Tree(point, point, point, -error, probability(-error), 1)
        tree = self._build(rng, end, depth - 1, forward, start)
        if tree.stopped:
            return tree
        end = tree.last if forward else tree.first
        new = self._build(rng, end, depth - 1, forward, start)
        return self._join(rng, tree, new, forward, biased=False)

    @staticmethod
    def _join(rng: Random, tree: Tree, new: Tree, forward: bool, *, biased: bool) -> Tree:
        """Two neighbouring pieces as one; a point of a new piece that stopped is never drawn."""
        first, last = (tree.first, new.last) if forward else (new.first, tree.last)
        weight = float(np.logaddexp(tree.weight, new.weight))
        chance = 0.0
        if not new.stopped:
            chance = probability(new.weight - (tree.weight if biased else weight))
        chosen = new.chosen if rng.uniform() < chance else tree.chosen
        return Tree(
            first,
            last,
            chosen,
            weight,
            tree.acceptance + new.acceptance,
            tree.count + new.count,
            new.turning or _turning(first, last),
            new.diverging,
        )


def _turning(first: Point, last: Point) -> bool:
    """Whether the ends have begun to approach each other."""
    span = last.state.xi.copy()
    span.axpy(-1.0, first.state.xi)
    return span.dot(first.velocity) <= 0.0 or span.dot(last.velocity) <= 0.0


def make(target: Target, options: Options, cheap: Target | None = None) -> NUTS:
    """The kernel that the options ask for; a cheap target is of no use to it."""
    return NUTS(target, max_depth=options.max_depth)
