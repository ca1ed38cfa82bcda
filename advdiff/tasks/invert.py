"""``task = "invert"``: the estimate, its history, and how far it is from a known truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from petsc4py import PETSc

from advdiff import progress, stopping, store
from advdiff.checkpoint import Checkpoint
from advdiff.concerns import after, before
from advdiff.errors import ConvergenceError
from advdiff.inverse.laplace_task import laplace
from advdiff.inverse.map import Estimate, Iteration
from advdiff.mesh_error import of_readings
from advdiff.problem import Problem, Truth
from advdiff.progress import Say
from advdiff.semigroup import make_engine
from advdiff.store import Store
from advdiff.tasks.stages import TimeSplit
from advdiff.tasks.writing import (
    attributes,
    begin,
    mesh_error,
    say_solver,
    warn,
    write_solver,
    write_state,
    write_states,
    write_velocity,
)

FINER, SMALLEST = 1e-2, 1e-12
"""Tolerance of the solution that the misfit is compared with: of the run's own, and at least."""


def invert(problem: Problem, say: Say, path: Path, resume: bool) -> bool:
    if problem.experiment.reduced is not None:
        from advdiff.reduced import task

        return task.invert(problem, say, path, resume)
    checkpoint = Checkpoint(problem, path)
    if resume:
        checkpoint.load()
    else:
        checkpoint.create()
    with stopping.resumable(checkpoint.path):
        return _invert(problem, say, path, checkpoint, resume)


def _invert(problem: Problem, say: Say, path: Path, checkpoint: Checkpoint, resume: bool) -> bool:
    clock = TimeSplit()
    difference = problem.calibrate()
    if problem.nodes is not None:
        say(
            f"gradient    {problem.nodes} Gauss nodes an interval; the last two orders differ by "
            f"{difference:.1e}"
        )

    first = None

    def watch(entry: Iteration, _m: PETSc.Vec) -> None:
        nonlocal first
        first = entry.gradient_norm if first is None else first
        progress.descent(bar, entry.iteration, entry.gradient_norm / (first or 1.0))
        say(
            f"iteration   {entry.iteration:4d}  objective {entry.objective:12.6g}  misfit "
            f"{entry.misfit:12.6g}  gradient {entry.gradient_norm:9.3e}  {entry.seconds:7.1f} s"
        )

    decades = -math.log10(problem.experiment.optimizer.gradient_tolerance)
    with progress.stage("inversion", decades, "decades") as bar:
        estimate = problem.invert(watch, tape=checkpoint)
    if resume:
        say(f"resumed     {checkpoint.replayed} evaluations were there already")
    say(f"optimiser   {estimate.message}")
    say_solver(say, estimate.evaluation.linearisation.report)
    split = clock.seconds()
    say("time        " + ", ".join(f"{k} {v:.1f} s" for k, v in split.items()))
    more = laplace(problem, say, estimate) if problem.experiment.laplace else lambda file: None
    with progress.stage("write", unit="fields"):
        write_estimate(problem, say, path, estimate, split, more)
    if estimate.converged:  # else --resume with more iterations goes on
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
    guess = first_guess(problem, truth)
    report = estimate.evaluation.linearisation.report
    misfit_error, final = numerical_error(problem, estimate), estimate.history[-1]
    say(f"error       of the misfit {misfit_error:.1e}, by a solution {1 / FINER:g} times as exact")
    warn(problem, say, before.concerns(problem) + after.of_solver(report))
    warn(problem, say, after.of_states(problem, solution.states))
    warn(problem, say, after.of_estimate(estimate, misfit_error))
    predicted = estimate.evaluation.predicted
    mesh = mesh_error(problem, say, "readings", lambda: of_readings(problem, estimate.m, predicted))
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
            title = "estimated unknowns, part by part"
            file.array("estimate/coefficients", coefficients, ("coefficient",), long_name=title)
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
                "gradient_norm": final.gradient_norm,
                "gradient_reduction": final.gradient_norm
                / max(estimate.history[0].gradient_norm, np.finfo(float).tiny),
                "misfit": estimate.evaluation.misfit,
                "misfit_error_estimate": misfit_error,
                **mesh,
                **errors,
                **guess,
            },
            "estimate",
        )
        write_solver(
            file,
            {
                **report,
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
    for value in guess.values():
        say(f"first guess velocity relative error {100 * value:.2f} %")


def numerical_error(problem: Problem, estimate: Estimate) -> float:
    """|Φ − Φ'| at an estimate, Φ' from a solution that is FINER as exact; infinite where the engine
    cannot give one (collective).
    """
    model, operator = problem.model, problem.operator
    options = problem.solver_options
    options = replace(options, tolerance=max(FINER * options.tolerance, SMALLEST))
    try:
        engine = make_engine(operator.generator, options)
        states = engine.forward(problem.initial, model.times, operator.load).states
    except ConvergenceError:
        return float("inf")
    predicted = model.sample(problem.initial, states, boundary=True)
    finer = problem.objective.potential.likelihood.value(predicted)
    return abs(estimate.evaluation.misfit - finer)


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


def first_guess(problem: Problem, truth: Truth) -> dict[str, float]:
    """The relative error, in L², of ``physics.velocity``, where both are known (collective)."""
    field = problem.experiment.physics.velocity
    if truth.velocity is None or field is None or problem.experiment.unknowns.velocity is None:
        return {}
    guess = problem.velocity(field, "physics.velocity")
    return {"velocity_first_guess_error": guess.relative_error(truth.velocity)}


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
        units, title = "s" if name == "seconds" else "1", name.replace("_", " ")
        file.array(f"history/{name}", values, ("iteration",), units=units, long_name=title)
