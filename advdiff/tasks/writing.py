"""What every result file of a problem holds, and what the log says of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from petsc4py import PETSc

from advdiff.concerns import Concern, after
from advdiff.errors import ConvergenceError, InputError
from advdiff.mesh_error import Unknown
from advdiff.problem import Problem
from advdiff.progress import Say
from advdiff.store import Store
from advdiff.velocity import Velocity


def attributes(problem: Problem) -> dict:
    experiment = problem.experiment
    return {
        "task": experiment.task,
        "experiment": experiment.text,
        "options": experiment.model_dump_json(),
    }


def begin(file: Store, problem: Problem) -> None:
    times = problem.experiment.time.times
    file.scale("time", times, long_name="output time")
    file.axis("vertex", problem.samples.count)
    file.axis("dim", problem.domain.dim)
    file.mesh()
    problem.concerns.write(file)


def write_states(file: Store, path: str, problem: Problem, states, *, boundary: bool, name: str):
    operator, samples = problem.operator, problem.samples
    function = None

    def ordered() -> Iterable[PETSc.Vec]:
        nonlocal function
        for state in states:
            function = operator.extend(state, function, boundary=boundary)
            yield samples.values(function)

    file.fields(path, ordered(), len(states), name)


def write_state(file: Store, path: str, problem: Problem, state: PETSc.Vec, name: str) -> None:
    function = problem.operator.extend(state)
    file.field(path, problem.samples.values(function), name)


def write_velocity(file: Store, path: str, flow: Velocity, name: str) -> None:
    file.field(path, flow.sampled(file.samples), name)
    values = {"divergence": flow.divergence(), "relative_divergence": flow.relative_divergence()}
    file.attributes(values, path)


def mesh_error(problem: Problem, say: Say, what: str, estimate: Callable[[], float]) -> dict:
    """Say how much cells twice as large change ``what``, and what is to be written of it."""
    if not problem.experiment.discretization.mesh_error:
        return {}
    try:
        value = estimate()
    except (Unknown, InputError, ConvergenceError) as reason:
        say(f"mesh error  not estimated: {reason}")
        return {}
    unit = "standard deviations of their noise" if what == "readings" else "relative"
    say(f"mesh error  cells twice as large change {what} by {value:.2g} ({unit})")
    warn(problem, say, after.of_mesh(value, what))
    return {f"mesh_error_of_{what}": value}


def write_solver(file: Store, report: dict) -> None:
    file.file.require_group("solver")
    file.attributes(report | {"error_estimate": after.error_estimate(report)}, "solver")


def say_solver(say: Say, report: dict) -> None:
    """Which engine, and why where it was chosen."""
    reason = f": {report['reason']}" if "reason" in report else ""
    say(f"solver      {report['method']}{reason}")
    say(f"error       {after.error_estimate(report):.1e} of the states by the solver, relative")


def warn(problem: Problem, say: Say, found: list[Concern]) -> None:
    """Say what is new, and keep all of it for the file."""
    for line in problem.concerns.add(found):
        say(line)
