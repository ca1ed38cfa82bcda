"""``task = "invert"``: the estimate, its history, and how far it is from a known truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from petsc4py import PETSc

from advdiff import store
from advdiff.checkpoint import Checkpoint
from advdiff.inverse.laplace_task import laplace
from advdiff.inverse.map import Estimate, Iteration
from advdiff.problem import Problem, Truth
from advdiff.store import Store
from advdiff.tasks.stages import TimeSplit
from advdiff.tasks.writing import (
    Say,
    attributes,
    begin,
    say_solver,
    write_solver,
    write_state,
    write_states,
    write_velocity,
)


def invert(problem: Problem, say: Say, path: Path, resume: bool) -> bool:
    if problem.experiment.reduced is not None:
        from advdiff.reduced import task

        return task.invert(problem, say, path, resume)
    checkpoint = Checkpoint(problem, path)
    start, reference = checkpoint.load() if resume else (None, None)
    clock = TimeSplit()
    difference = problem.calibrate()
    if problem.nodes is not None:
        say(
            f"gradient    {problem.nodes} Gauss nodes an interval; the last two orders differ by "
            f"{difference:.1e}"
        )
    first = reference

    def watch(entry: Iteration, m: PETSc.Vec) -> None:
        nonlocal first
        first = entry.gradient_norm if first is None else first
        checkpoint.save(m, first)
        say(
            f"iteration   {entry.iteration:4d}  objective {entry.objective:12.6g}  misfit "
            f"{entry.misfit:12.6g}  gradient {entry.gradient_norm:9.3e}  {entry.seconds:7.1f} s"
        )

    estimate = problem.invert(watch, start, reference)
    say(f"optimiser   {estimate.message}")
    say_solver(say, estimate.evaluation.linearisation.report)
    split = clock.seconds()
    say("time        " + ", ".join(f"{k} {v:.1f} s" for k, v in split.items()))
    more = laplace(problem, say, estimate) if problem.experiment.laplace else lambda file: None
    write_estimate(problem, say, path, estimate, split, more)
    checkpoint.remove()
    return estimate.converged


def write_estimate(
    problem: Problem,
    say: Say,
    path: Path,
    estimate: Estimate,
    split: dict[str, float],
    more: Callable[[Store], None] = lambda file: None,
) -> None:
    """Write an estimate, and ``more``, and say what it is worth (collective)."""
    experiment, operator, unknowns = problem.experiment, problem.operator, problem.unknowns
    solution = problem.semigroup().solve(experiment.time.times)
    truth = problem.truth
    errors = recovery(problem, truth)
    with store.create(path, problem.samples, attributes(problem)) as file:
        begin(file, problem)
        write_states(file, "theta", problem, solution.states, boundary=True, name="tracer")
        write_velocity(file, "estimate/velocity", operator.velocity, "estimated velocity")
        kappa = problem.samples.values(operator.diffusivity)
        file.field("estimate/diffusivity", kappa, "estimated diffusivity")
        write_state(file, "estimate/initial", problem, problem.initial, "initial tracer")
        if unknowns.is_small:
            coefficients = unknowns.to_numpy(estimate.m)
            file.axis("coefficient", len(coefficients))
            file.array("estimate/coefficients", coefficients, ("coefficient",))
        if truth.velocity is not None:
            write_velocity(file, "truth/velocity", truth.velocity, "true velocity")
        if truth.initial is not None:
            write_state(file, "truth/initial", problem, truth.initial, "true initial tracer")
        if truth.diffusivity is not None:
            vertices = problem.samples.values(truth.diffusivity)
            file.field("truth/diffusivity", vertices, "true diffusivity")
        _observations(file, problem, estimate.evaluation.predicted)
        _history(file, estimate.history)
        file.attributes(
            {
                "converged": estimate.converged,
                "message": estimate.message,
                **errors,
            },
            "estimate",
        )
        write_solver(
            file,
            {
                **estimate.evaluation.linearisation.report,
                "evaluations": problem.model.evaluations,
                **{f"seconds_{k}": v for k, v in split.items()},
            },
        )
        more(file)
    if experiment.unknowns.diffusivity is True:
        kappa = operator.diffusivity.x.petsc_vec.max()[1]
        say(f"estimate    diffusivity {kappa:.5g}")
    for name, value in errors.items():
        say(f"error       {name.replace('_', ' ')} {100 * value:.2f} %")


def recovery(problem: Problem, truth: Truth) -> dict[str, float]:
    """Relative errors, in L², of what was estimated, where the truth is known (collective)."""
    operator, errors = problem.operator, {}
    if truth.velocity is not None:
        errors["velocity_relative_error"] = operator.velocity.relative_error(truth.velocity)
    if truth.diffusivity is not None and problem.experiment.unknowns.diffusivity:
        norm = problem.domain.norm
        error = norm(operator.diffusivity - truth.diffusivity)
        errors["diffusivity_relative_error"] = error / norm(truth.diffusivity)
    if truth.initial is not None:
        norm, difference = operator.mass.norm, truth.initial.copy()
        difference.axpy(-1.0, problem.initial)
        errors["initial_relative_error"] = norm(difference) / norm(truth.initial)
    return errors


def _observations(file: Store, problem: Problem, predicted: np.ndarray) -> None:
    readings = problem.readings
    file.axis("sensor", len(readings.points))
    file.axis("reading", len(readings))
    file.axis("observation_time", len(readings.times))
    file.array("observations/points", readings.points, ("sensor", "dim"), long_name="sensors")
    file.array("observations/times", readings.times, ("observation_time",), long_name="times read")
    for name, values, title in (
        ("sensor", readings.sensor, "index of the sensor"),
        ("time_index", readings.time, "index of the time"),
        ("values", readings.values, "measured"),
        ("std", readings.std, "standard deviation of the noise"),
        ("predicted", predicted, "predicted by the estimate"),
    ):
        file.array(f"observations/{name}", values, ("reading",), long_name=title)


def _history(file: Store, history: list[Iteration]) -> None:
    names = Iteration.__dataclass_fields__
    file.scale("iteration", [entry.iteration for entry in history], long_name="iteration")
    for name in names:
        values = [getattr(entry, name) for entry in history]
        file.array(f"history/{name}", values, ("iteration",))
