"""What every result file of a problem holds, and what the log says of the engine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from petsc4py import PETSc

from advdiff.core.progress import Say
from advdiff.problem.problem import Problem
from advdiff.problem.unknowns.base import Kind
from advdiff.results.store import Store
from advdiff.semigroup.engine import error_estimate


def attributes(problem: Problem) -> dict:
    experiment = problem.experiment
    return {
        "task": experiment.task,
        "experiment": experiment.text,
        "options": experiment.model_dump_json(),
    }


def begin(file: Store, problem: Problem) -> None:
    experiment = problem.experiment
    times = experiment.time.times
    file.scale("time", times, experiment.time.unit or "1", long_name="output time")
    file.axis("vertex", problem.samples.count)
    file.axis("dim", problem.domain.dim)
    file.mesh()


def write_states(
    file: Store,
    path: str,
    problem: Problem,
    states: Sequence[PETSc.Vec],
    *,
    boundary: bool,
    name: str,
) -> tuple[float, float]:
    """A field at all output times (collective).

    Returns:
        The least and the largest value that was written.
    """
    least, largest = math.inf, -math.inf

    def sampled() -> Iterator[PETSc.Vec]:
        nonlocal least, largest
        function = values = None
        for state in states:
            function = problem.operator.extend(state, function, boundary=boundary)
            values = problem.samples.values(function, values)
            least, largest = min(least, values.min()[1]), max(largest, values.max()[1])
            yield values

    file.fields(path, sampled(), len(states), name)
    return least, largest


def write_value(file: Store, path: str, problem: Problem, kind: Kind, value, name: str) -> None:
    """A value of a kind of unknown."""
    file.field(path, kind.sampled(problem, value), name)
    file.attributes(kind.about(value), path)


def describe(file: Store, problem: Problem) -> None:
    """``/quantities``: what those who read the file need to know of each."""
    kinds = [kind for kind in problem.kinds if kind.is_there(problem)]
    for place, kind in enumerate(kinds):
        path = f"quantities/{kind.key}"
        file.attributes({**kind.description(), "place": place}, path)


def write_solver(file: Store, report: dict) -> None:
    file.attributes(report | {"error_estimate": error_estimate(report)}, "solver")


def say_solver(say: Say, report: dict) -> None:
    """Which engine, and why where it was chosen."""
    reason = f": {report['reason']}" if "reason" in report else ""
    say(f"solver      {report['method']}{reason}")
    say(f"error       {error_estimate(report):.1e} of the states by the solver, relative")
