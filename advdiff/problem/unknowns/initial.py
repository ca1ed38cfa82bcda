"""The unknown initial state."""

from __future__ import annotations

import math

from advdiff.problem.unknowns.base import Kind, Setting, Taken

INITIAL = "initial"
"""The control that is no function of the operator."""


class InitialState:
    """θ0 = m, every free nodal value."""

    name, control, is_field, is_exponential = "initial", INITIAL, True, False

    def __init__(self, problem: Setting):
        self.state = problem.initial
        self.space, self.rows = problem.operator.space, problem.operator.states.free
        self.template = self.state.duplicate()

    def assign(self, m):
        m.copy(self.state)

    def push(self, dm):
        return dm.copy()

    def pull(self, gradient, out):
        gradient.copy(out)


class Initial(Kind):
    """θ at time 0, a state."""

    key, title, units = "initial", "initial tracer", "tracer"
    estimated, in_solutions = title, True

    @property
    def controls(self):
        return {INITIAL: None} if self.table else {}

    def taken(self, size, states):
        return Taken(nodes=states)

    def parts(self, problem):
        return [InitialState(problem)]

    def prior(self, problem, part):
        from advdiff.inverse.matern import Matern

        law = self.law
        length = law.correlation_length or 0.2 * problem.domain.extent
        return Matern(part.space, part.rows, law.std, length), part.state

    def read(self, problem, value, key):
        return problem.state(value, key)

    def present(self, problem):
        return problem.initial

    def sampled(self, problem, value):
        return problem.samples.values(problem.operator.extend(value))

    def difference(self, problem, value, truth):
        norm, difference = problem.operator.mass.norm, truth.copy()
        difference.axpy(-1.0, value)
        size = norm(truth)
        return norm(difference) / size if size > 0.0 else math.nan

    def sampler(self, problem):
        function = None

        def sample():
            nonlocal function
            function = problem.operator.extend(problem.initial, function)
            return problem.samples.values(function)

        return sample

    def tangent(self, problem):
        function = None

        def moved(directions):
            nonlocal function
            extend = problem.operator.extend
            function = extend(directions[INITIAL], function, boundary=False)
            return {self.key: problem.samples.values(function)}

        return moved
