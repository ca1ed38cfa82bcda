"""How far the mesh is from the equation: the same once more, on cells twice as large.

The difference is the error of the larger cells, nearly: that of the run's own is less by some
2^(degree + 1) where both resolve the flow, and no more where they do not.  It is reported as it is,
which errs on the safe side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from petsc4py import PETSc

from advdiff.concerns import after
from advdiff.config.expression import AXES
from advdiff.config.tables.experiment import Experiment
from advdiff.config.tables.space import FEWEST
from advdiff.core import progress
from advdiff.core.errors import ConvergenceError, InputError
from advdiff.files.concerns import Concern
from advdiff.problem.problem import Problem
from advdiff.problem.sensors import Sensors

POINTS = {1: 100, 2: 24, 3: 8}
"""Dimension → points along an axis where two solutions are compared."""


class Unknown(ValueError):
    """Why there is no estimate."""


@dataclass(frozen=True)
class MeshError:
    """What cells twice as large change.

    Attributes:
        what: "theta" or "readings".
        value: relative, or in standard deviations of the noise; None: not estimated.
        reason: why it was not, or empty where nobody asked.
    """

    what: str
    value: float | None = None
    reason: str = ""

    @property
    def lines(self) -> list[str]:
        """For the log."""
        if self.value is None:
            return [f"mesh error  not estimated: {self.reason}"] if self.reason else []
        unit = "standard deviations of their noise" if self.what == "readings" else "relative"
        change = f"change {self.what} by {self.value:.2g} ({unit})"
        return [f"mesh error  cells twice as large {change}"]

    @property
    def attributes(self) -> dict[str, float]:
        """For the result file."""
        return {} if self.value is None else {f"mesh_error_of_{self.what}": self.value}

    @property
    def concerns(self) -> list[Concern]:
        """What there is to warn of."""
        return [] if self.value is None else after.of_mesh(self.value, self.what)


def measure(problem: Problem, what: str, difference: Callable[[], float]) -> MeshError:
    """The ``difference`` that cells twice as large make, where it is wanted and there is one
    (collective).
    """
    if not problem.experiment.discretization.mesh_error:
        return MeshError(what)
    try:
        return MeshError(what, difference())
    except (Unknown, InputError, ConvergenceError) as reason:
        return MeshError(what, reason=str(reason))


def coarser(experiment: Experiment) -> Experiment:
    """The same with cells twice as large.

    Raises:
        Unknown: where the mesh does not say how.
    """
    table = experiment.domain
    if table.shape == "gmsh":
        if table.mesh_size is None:
            raise Unknown("domain.mesh_size is not given")
        changes = {"mesh_size": 2.0 * table.mesh_size}
    else:
        fewest = [FEWEST if axis in table.periodic else 1 for axis in AXES]
        cells = [max(n // 2, least) for n, least in zip(table.cells, fewest, strict=False)]
        if any(2 * a > b for a, b in zip(cells, table.cells, strict=True)):
            raise Unknown(f"domain.cells = {table.cells} are too few to halve")
        changes = {"cells": cells}
    domain = table.model_copy(update=changes)
    return experiment.model_copy(update={"domain": domain})


def _beside(problem: Problem) -> Problem:
    """The problem of a coarser mesh."""
    other = Problem(coarser(problem.experiment), problem.comm)
    other.is_compared = True
    return other


def of_states(problem: Problem, states: Sequence[PETSc.Vec]) -> float:
    """Relative root mean square difference of θ on a lattice of points at the output times, the
    largest (collective); for built-in shapes.

    Raises:
        Unknown: where there is none.
    """
    table = problem.experiment.domain
    if table.shape == "gmsh":
        raise Unknown("only built-in shapes are compared")
    count = POINTS[table.dim]
    inside = (np.arange(count) + 0.5) / count
    axes = [a + (b - a) * inside for a, b in zip(*table.corners, strict=True)]
    points = np.array(list(product(*axes)))
    other = _beside(problem)
    with progress.stage("mesh error"):
        found = other.semigroup().trajectory(problem.experiment.time.times)
        ours, theirs = Sensors(problem.operator, points), Sensors(other.operator, points)
        errors, sizes = [], []
        for a, b in zip(states, found, strict=True):
            values = ours.sample(a)
            errors.append(np.linalg.norm(values - theirs.sample(b)))
            sizes.append(np.linalg.norm(values))
    if not max(sizes) > 0.0:
        raise Unknown("the tracer is 0 wherever it is compared")
    return float(max(errors) / max(sizes))


def of_readings(problem: Problem, m: PETSc.Vec, predicted: np.ndarray) -> float:
    """Root mean square difference of predicted readings, in standard deviations of their noise
    (collective); for coefficients, which mean the same on both meshes.

    Raises:
        Unknown: where there is none.
    """
    if not problem.unknowns.is_small:
        raise Unknown("an unknown is a field, which belongs to its mesh")
    other = _beside(problem)
    with progress.stage("mesh error"):
        values = problem.unknowns.to_numpy(m)
        there = other.model.observe(other.unknowns.from_numpy(values))
    return float(np.sqrt(np.mean(((there - predicted) / problem.likelihood.scale(predicted)) ** 2)))
