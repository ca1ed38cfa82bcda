"""Greedy enrichment over a box of parameters, driven by the bound.

Each round the bound is evaluated at every candidate (shared out to all ranks); the full model is
solved at the few where it is largest (shared out to the groups), and what it gives goes into the
basis (weak greedy: Veroy, Prud'homme, Rovas & Patera 2003; Buffa et al. 2012).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from advdiff.reduced.offline.reducer import Reducer


@dataclass(frozen=True)
class Round:
    """Where the greedy choice stands: basis size, largest bound (relative), full evaluations."""

    size: int
    bound: float
    evaluations: int


def candidates(reducer: Reducer) -> np.ndarray:
    """Points of the box, in the prior's coordinates, the same on every rank; (candidate, m)."""
    options = reducer.options
    rng = np.random.default_rng(options.seed)
    box = rng.uniform(-options.box, options.box, (options.candidates, reducer.prior.mean.size))
    return np.array([reducer.prior.color(xi) for xi in box])


def greedy(reducer: Reducer, points: np.ndarray | None = None) -> list[Round]:
    """Enrich until the bound holds at every candidate, the basis is full, or no round is left.

    Collective; needs a reduced model to start from (``reducer.enrich``) that has a bound.

    Args:
        points: candidates, (candidate, parameter); None: those of the box.
    """
    options, groups = reducer.options, reducer.groups
    points = candidates(reducer) if points is None else points
    history: list[Round] = []
    for _ in range(options.rounds + 1):
        bounds = np.array(groups.spread(reducer.relative_bound, list(points)))
        history.append(Round(reducer.basis.size, float(bounds.max()), reducer.full.evaluations))
        full = reducer.basis.size == reducer.basis.limit
        if bounds.max() <= options.bound or full or len(history) > options.rounds:
            break
        # stable: candidates of equal bound in their order
        worst = np.argsort(-bounds, kind="stable")[: options.batch]
        worst = worst[bounds[worst] > options.bound]
        mine = [
            reducer.vectors(reducer.evaluate(points[worst[i]])) for i in groups.mine(len(worst))
        ]
        sizes = groups.gather([len(v) for v in mine], len(worst))
        flat = [v for offer in mine for v in offer]
        # vectors come group by group, offers are wanted in the order of the points
        arrived = iter(groups.vectors(flat, reducer.basis.template))
        offers: list = [None] * len(worst)
        for group in range(groups.count):
            for i in range(group, len(worst), groups.count):
                offers[i] = [next(arrived) for _ in range(sizes[i])]
        reducer.extend(points[worst], offers)
    return history
