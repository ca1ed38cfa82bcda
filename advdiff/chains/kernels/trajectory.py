"""The splitting of Hamilton's equations that is well defined in function space.

Half a kick by −∇Φ, an exact rotation of (ξ, v) by the angle h, half a kick (Beskos, Pinski,
Sanz-Serna & Stuart, Stoch. Proc. Appl. 121, 2011).  The rotation keeps ½|ξ|² + ½|v|², which is
infinite in the limit; what the kicks change of it is summed as ``work``, so that the energy error
is a difference of finite numbers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from petsc4py import PETSc

from advdiff.chains.kernel import State, Target


class Point(NamedTuple):
    """A point of phase space.

    ``state``: position; ``velocity``; ``work``: change of ½|ξ|² + ½|v|² since the start.
    """

    state: State
    velocity: PETSc.Vec
    work: float

    def error(self, start: State) -> float:
        """Energy here minus energy at the start of the trajectory."""
        return self.state.potential - start.potential + self.work


def energy(state: State, velocity: PETSc.Vec) -> float:
    """Φ + ½|ξ|² + ½|v|²."""
    return state.potential + 0.5 * (state.xi.dot(state.xi) + velocity.dot(velocity))


def _kick(velocity: PETSc.Vec, gradient: PETSc.Vec, half: float) -> float:
    """v −= half·∇Φ in place; the change of ½|v|²."""
    change = -half * velocity.dot(gradient) + 0.5 * half**2 * gradient.dot(gradient)
    velocity.axpy(-half, gradient)
    return change


def leap(target: Target, point: Point, angle: float, *, value: bool) -> Point | None:
    """One step of the splitting; a negative angle goes back.

    Args:
        value: whether Φ is needed at the new point (otherwise it is nan there).

    Returns:
        None where the model cannot be evaluated.
    """
    velocity = point.velocity.copy()
    work = point.work + _kick(velocity, point.state.gradient, 0.5 * angle)
    cosine, sine = math.cos(angle), math.sin(angle)
    xi = point.state.xi.copy()
    xi.scale(cosine)
    xi.axpy(sine, velocity)
    velocity.scale(cosine)
    velocity.axpy(-sine, point.state.xi)
    if value:
        potential, gradient = target.both(xi)
    else:
        potential, gradient = math.nan, target.gradient(xi)
    if gradient is None or not math.isfinite(gradient.norm()):
        return None
    work += _kick(velocity, gradient, 0.5 * angle)
    return Point(State(xi, potential, gradient), velocity, work)
