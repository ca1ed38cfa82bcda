"""When an estimate is near enough to the optimum, and when there was nothing to look for.

In white coordinates the Hessian is 1 + H with H ≥ 0, the inverse of the posterior covariance.  The
optimum of a linear model is then ‖(1 + H)^−½ g‖ ≤ ‖g‖ posterior standard deviations away, all
directions together: the norm of the gradient g bounds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from advdiff.core.errors import ConvergenceError

if TYPE_CHECKING:
    from advdiff.inverse.objective import Evaluation, Objective

DISTANCE = 0.1
"""Posterior standard deviations from the optimum."""
UNSEEN = 1e-6
"""A change of the readings, in their noise, that is none."""


@dataclass(frozen=True)
class Stop:
    """How small a gradient has to become.

    Attributes:
        distance: ‖∇_ξ‖, which bounds the distance to the optimum in posterior standard deviations.
        reduction: where it is given, ‖∇_ξ‖ relative to the first one decides instead.
    """

    distance: float = DISTANCE
    reduction: float | None = None

    def target(self, first: float) -> float:
        """The norm to reach, where the first one is this."""
        return self.distance if self.reduction is None else self.reduction * first

    def message(self, reached: float, first: float, short: str | None, work: str) -> str:
        """What was reached, in a sentence.

        Args:
            reached, first: norms of the last and the first gradient.
            short: why it ended above the target; None: it did not.
            work: what it took.
        """
        if self.reduction is None:
            wanted = f"distance tolerance {self.distance:g}"
        else:
            wanted = f"gradient tolerance {self.reduction:g}"
        verdict = "reached" if short is None else f"NOT reached{short and f' ({short})'}"
        fallen = f", gradient {reached / first:.1e} of its first norm," if first > 0.0 else ""
        return (
            f"{wanted} {verdict}: at most {reached:.2g} posterior standard deviations from the "
            f"optimum{fallen} after {work}"
        )


def unseen(objective: Objective, at: Evaluation, parts: Sequence[int]) -> list[str]:
    """Those of the parts of m that move no reading at ``at``, the latest evaluation, by name: a
    draw of their prior changes all of them by less than UNSEEN of their noise (collective).
    """
    prior, model, found = objective.prior, at.linearisation, []
    information = objective.potential.likelihood.information(at.predicted)
    noise = prior.white(0, 0)
    for i in parts:
        alone = prior.unknowns.vector()
        prior.unknowns.insert(prior.unknowns.extract(noise, i), i, alone)
        change = model.push(prior.scaled(alone))
        if not np.sqrt(information @ change**2) > UNSEEN:
            found.append(prior.unknowns.parts[i].name.replace("_", " "))
    return found


def require_seen(objective: Objective, at: Evaluation) -> None:
    """Raise where the gradient is small because no reading depends on the unknowns (collective).

    Raises:
        ConvergenceError: naming them.
    """
    parts = range(len(objective.prior.unknowns.parts))
    found = unseen(objective, at, parts)
    if len(found) == len(parts):
        raise ConvergenceError(
            f"the readings do not depend on what is unknown ({', '.join(found)}): a draw of the "
            f"prior moves none of them by {UNSEEN:g} of its noise; mind where and when there is "
            "something to read: physics.initial, physics.source, the sensors and their times"
        )
