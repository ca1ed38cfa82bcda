"""What an estimate is worth, in the log and in the result file, whatever made it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from advdiff.concerns import after, before, fit
from advdiff.concerns.mesh_error import MeshError, measure, of_readings
from advdiff.concerns.say import warn
from advdiff.core import progress
from advdiff.core.errors import ConvergenceError
from advdiff.core.progress import Say
from advdiff.files.concerns import Concern
from advdiff.inverse.map import Estimate, Iteration
from advdiff.problem.problem import Problem, Truth
from advdiff.results import store
from advdiff.results.store import Store
from advdiff.results.writing import (
    attributes,
    begin,
    write_solver,
    write_state,
    write_states,
    write_velocity,
)
from advdiff.semigroup.semigroup import make_engine

FINER, SMALLEST = 1e-2, 1e-12
"""Tolerance of the solution that the misfit is compared with: of the run's own, and at least."""


@dataclass(frozen=True)
class Judgement:
    """What an estimate is worth.

    Attributes:
        misfit_error: as :func:`numerical_error` says.
        recovery, first_guess: as the functions of these names say; empty where nothing is known.
        fit: what is left of the readings.
        mesh: what cells twice as large change of the readings.
        diffusivity: the estimate of a constant one, or None.
        solution_warnings, estimate_warnings: what there is to warn of, before and after the
            tracer's bounds, which are looked at while it is written.
    """

    misfit_error: float
    recovery: dict[str, float]
    first_guess: dict[str, float]
    fit: fit.Fit
    mesh: MeshError
    diffusivity: float | None
    solution_warnings: tuple[Concern, ...]
    estimate_warnings: tuple[Concern, ...]


def conclude(
    problem: Problem,
    say: Say,
    path: Path,
    estimate: Estimate,
    split: dict[str, float],
    more: Callable[[Store], None] = lambda file: None,
) -> None:
    """Judge an estimate, at which the problem stands, say so, and write it (collective).

    Args:
        split: seconds of the run, by what they were spent on.
        more: writes what else there is.
    """
    with progress.stage("judgement"):
        judged = judge(problem, estimate)
        solution = problem.semigroup().solve(problem.experiment.time.times)
    speak(say, judged)
    with (
        progress.stage("write", unit="fields"),
        store.create(path, problem.samples, attributes(problem)) as file,
    ):
        begin(file, problem)
        reached = write_states(
            file, "theta", problem, solution.states, boundary=True, name="tracer"
        )
        bounds = after.of_range(problem, *reached)
        warn(problem, say, [*judged.solution_warnings, *bounds, *judged.estimate_warnings])
        problem.concerns.write(file)
        write(file, problem, estimate, judged, split)
        more(file)


def judge(problem: Problem, estimate: Estimate) -> Judgement:
    """What an estimate is worth (collective; solves again, finer, and on a coarser mesh)."""
    truth, unknowns = problem.truth, problem.experiment.unknowns
    evaluation = estimate.evaluation
    misfit_error = numerical_error(problem, estimate)
    mesh = measure(
        problem, "readings", lambda: of_readings(problem, estimate.m, evaluation.predicted)
    )
    found = fit.of_predictions(problem, evaluation.predicted)
    blind = after.of_unseen(problem, estimate)
    kappa = problem.operator.diffusivity.x.petsc_vec
    return Judgement(
        misfit_error,
        recovery(problem, truth),
        first_guess(problem, truth),
        found,
        mesh,
        kappa.max()[1] if unknowns.diffusivity is True else None,
        (*before.concerns(problem), *after.of_solver(evaluation.linearisation.report)),
        (*after.of_estimate(estimate, misfit_error), *blind, *found.concerns, *mesh.concerns),
    )


def speak(say: Say, judged: Judgement) -> None:
    """Say what an estimate is worth, its warnings apart."""
    error = judged.misfit_error
    say(judged.fit.line)
    say(f"error       of the misfit {error:.1e}, by a solution {1 / FINER:g} times as exact")
    for line in judged.mesh.lines:
        say(line)
    if judged.diffusivity is not None:
        say(f"estimate    diffusivity {judged.diffusivity:.5g}")
    for name, value in judged.recovery.items():
        say(f"error       {name.replace('_', ' ')} {100 * value:.2f} %")
    for value in judged.first_guess.values():
        say(f"first guess velocity relative error {100 * value:.2f} %")


def write(
    file: Store, problem: Problem, estimate: Estimate, judged: Judgement, split: dict[str, float]
) -> None:
    """``/estimate``, ``/truth``, ``/observations``, ``/history`` and ``/solver`` (collective)."""
    _estimate(file, problem, estimate, judged)
    _truth(file, problem, problem.truth)
    _observations(file, problem, estimate.evaluation.predicted)
    _history(file, estimate.history)
    seconds = {f"seconds_{name}": value for name, value in split.items()}
    report = estimate.evaluation.linearisation.report
    write_solver(file, {**report, "evaluations": problem.model.evaluations, **seconds})


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
    """Relative errors, in L², of what was estimated, where the truth is known and not 0
    (collective)."""
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
        size = norm(truth.initial)
        errors["initial_relative_error"] = norm(difference) / size if size > 0.0 else math.nan
    return {name: error for name, error in errors.items() if not math.isnan(error)}


def first_guess(problem: Problem, truth: Truth) -> dict[str, float]:
    """The relative error, in L², of ``physics.velocity``, where both are known (collective)."""
    field = problem.experiment.physics.velocity
    if truth.velocity is None or field is None or problem.experiment.unknowns.velocity is None:
        return {}
    guess = problem.velocity(field, "physics.velocity")
    error = guess.relative_error(truth.velocity)
    return {} if math.isnan(error) else {"velocity_first_guess_error": error}


def _estimate(file: Store, problem: Problem, estimate: Estimate, judged: Judgement) -> None:
    operator, unknowns = problem.operator, problem.unknowns
    write_velocity(file, "estimate/velocity", operator.velocity, "estimated velocity")
    kappa = problem.samples.values(operator.diffusivity)
    file.field("estimate/diffusivity", kappa, "estimated diffusivity")
    write_state(file, "estimate/initial", problem, problem.initial, "initial tracer")
    if unknowns.is_small:
        coefficients = unknowns.to_numpy(estimate.m)
        file.axis("coefficient", len(coefficients))
        title = "estimated unknowns, part by part"
        file.array("estimate/coefficients", coefficients, ("coefficient",), long_name=title)
    first, final = estimate.history[0].gradient_norm, estimate.history[-1].gradient_norm
    numbers = {
        "converged": estimate.converged,
        "message": estimate.message,
        "gradient_norm": final,
        "distance_bound": final,
        "gradient_reduction": final / first if first > 0.0 else math.nan,
        "misfit": estimate.evaluation.misfit,
        "misfit_error_estimate": judged.misfit_error,
    }
    numbers |= judged.fit.attributes | judged.mesh.attributes | judged.recovery | judged.first_guess
    file.attributes(numbers, "estimate")


def _truth(file: Store, problem: Problem, truth: Truth) -> None:
    if truth.velocity is not None:
        write_velocity(file, "truth/velocity", truth.velocity, "true velocity")
    if truth.initial is not None:
        write_state(file, "truth/initial", problem, truth.initial, "true initial tracer")
    if truth.diffusivity is not None:
        vertices = problem.samples.values(truth.diffusivity)
        file.field("truth/diffusivity", vertices, "true diffusivity")


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
