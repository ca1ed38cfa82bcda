"""An unknown initial state."""

from __future__ import annotations

from petsc4py import PETSc


class InitialState:
    """θ0 = m, every free nodal value."""

    name, control, is_field = "initial", "initial", True

    def __init__(self, state: PETSc.Vec):
        self.state = state
        self.template = state.duplicate()

    def assign(self, m):
        m.copy(self.state)

    def push(self, dm):
        return dm.copy()

    def pull(self, gradient, out):
        gradient.copy(out)
