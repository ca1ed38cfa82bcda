"""``task = "solve"`` and ``"sensitivity"``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from advdiff.concerns import after
from advdiff.concerns.mesh_error import measure, of_states
from advdiff.concerns.say import warn
from advdiff.core import progress
from advdiff.core.progress import Say
from advdiff.problem.problem import Problem
from advdiff.results import store
from advdiff.results.store import Store
from advdiff.results.writing import (
    attributes,
    begin,
    say_solver,
    write_solver,
    write_states,
    write_value,
)
from advdiff.semigroup.engine import Solution
from advdiff.sensitivity.rho import Sensitivity


def solve(problem: Problem, say: Say, path: Path, _resume: bool) -> bool:
    with progress.stage("solve"):
        solution = problem.semigroup().solve(problem.experiment.time.times)
    with _judged(problem, say, path, solution):
        pass  # all that there is
    return True


def sensitivity(problem: Problem, say: Say, path: Path, _resume: bool) -> bool:
    names = list(problem.experiment.sensitivity.directions)
    results, mass = {}, problem.operator.mass
    for name in names:
        began = time.perf_counter()
        with progress.stage(f"rho {name}"):
            results[name] = problem.sensitivity(name)
        size = mass.norm(results[name].tangents[-1])
        say(
            f"rho         {name}: norm {size:.6g} at the end, error estimate "
            f"{results[name].error_estimate:.1e} ({time.perf_counter() - began:.1f} s)"
        )
    still = [name for name in names if not any(map(mass.norm, results[name].tangents))]
    if still:
        what, remedy = f"rho along {', '.join(still)}", "nothing answers to it: mind the direction"
        warn(problem, say, after.of_vanishing(0.0, what, remedy))
    solution = results[names[0]].solution
    with _judged(problem, say, path, solution) as file:
        for name in names:
            title = f"derivative of the tracer along {name}"
            tangents = results[name].tangents
            write_states(file, f"rho/{name}", problem, tangents, boundary=False, name=title)
            file.attributes({"error_estimate": results[name].error_estimate}, f"rho/{name}")
            if results[name].bounds:
                _certificate(file, problem, name, results[name])
    return True


@contextmanager
def _judged(problem: Problem, say: Say, path: Path, solution: Solution) -> Iterator[Store]:
    """Say what a solution is worth; the result file with it, for more (collective)."""
    say_solver(say, solution.report)
    mesh = measure(problem, "theta", lambda: of_states(problem, solution.states))
    for line in mesh.lines:
        say(line)
    with (
        progress.stage("write", unit="fields"),
        store.create(path, problem.samples, attributes(problem)) as file,
    ):
        begin(file, problem)
        reached = write_states(
            file, "theta", problem, solution.states, boundary=True, name="tracer"
        )
        bounds = after.of_range(problem, *reached)
        still = after.of_vanishing(
            max(map(abs, reached)),
            "the tracer",
            "mind physics.initial, physics.source and what the boundary lets in",
        )
        found = [*after.of_solver(solution.report), *bounds, *still, *mesh.concerns]
        warn(problem, say, found)
        problem.concerns.write(file)
        for kind in problem.kinds:
            if kind.in_solutions:
                value = kind.present(problem)
                write_value(file, kind.key, problem, kind, value, kind.title)
        yield file
        write_solver(file, solution.report | mesh.attributes)


def _certificate(file: Store, problem: Problem, name: str, found: Sensitivity) -> None:
    """``/surrogate/<name>``: norms and bounds and, to compare, ρ itself and the error."""
    norm, path = problem.operator.mass.norm, f"surrogate/{name}"
    for part, values, title in (
        ("norm", map(norm, found.tangents), "norm of the surrogate (L2)"),
        ("bound", (bound.value for bound in found.bounds), "bound on its error (L2)"),
        ("reason", (bound.reason for bound in found.bounds), "what the bound comes from"),
    ):
        file.array(f"{path}/{part}", list(values), ("time",), long_name=title)
    file.attributes({"method": problem.experiment.sensitivity.method}, path)
    if not problem.experiment.sensitivity.compare:
        return
    exact = problem.sensitivity(name, method="recurrence").tangents
    title = f"derivative of the tracer along {name}, itself"
    write_states(file, f"{path}/exact", problem, exact, boundary=False, name=title)
    sizes = [norm(state) for state in exact]
    file.array(f"{path}/exact_norm", sizes, ("time",), long_name="norm of the derivative (L2)")
    for state, tangent in zip(exact, found.tangents, strict=True):
        state.axpy(-1.0, tangent)
    errors = [norm(state) for state in exact]
    file.array(f"{path}/error", errors, ("time",), long_name="error of the surrogate (L2)")
