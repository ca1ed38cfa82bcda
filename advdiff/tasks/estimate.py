"""What an estimate is worth, in the log and in the result file, whatever made it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from petsc4py import PETSc

from advdiff.concerns import after, before, fit
from advdiff.concerns.mesh_error import MeshError, measure, of_readings
from advdiff.concerns.say import warn
from advdiff.core import progress
from advdiff.core.errors import ConvergenceError
from advdiff.core.progress import Say
from advdiff.files.concerns import Concern
from advdiff.inverse.map import Estimate, Iteration
from advdiff.problem.problem import Problem
from advdiff.problem.unknowns.base import Number
from advdiff.results import store
from advdiff.results.store import Store
from advdiff.results.writing import (
    attributes,
    begin,
    describe,
    write_solver,
    write_states,
    write_value,
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
        numbers: estimates that are worth a line each, and their standard deviations where these
            are known, by name.
        solution_warnings, estimate_warnings: what there is to warn of, before and after the
            tracer's bounds, which are looked at while it is written.
    """

    misfit_error: float
    recovery: dict[str, float]
    first_guess: dict[str, float]
    fit: fit.Fit
    mesh: MeshError
    numbers: dict[str, tuple[Number, float | None]]
    solution_warnings: tuple[Concern, ...]
    estimate_warnings: tuple[Concern, ...]


def conclude(
    problem: Problem,
    say: Say,
    path: Path,
    estimate: Estimate,
    split: dict[str, float],
    more: Callable[[Store], None] = lambda file: None,
    std: PETSc.Vec | None = None,
) -> None:
    """Judge an estimate, at which the problem stands, say so, and write it (collective).

    Args:
        split: seconds of the run, by what they were spent on.
        more: writes what else there is.
        std: posterior standard deviations of m, where they are known.
    """
    with progress.stage("judgement"):
        judged = judge(problem, estimate, std)
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


def judge(problem: Problem, estimate: Estimate, std: PETSc.Vec | None = None) -> Judgement:
    """What an estimate is worth (collective; solves again, finer, and on a coarser mesh)."""
    evaluation = estimate.evaluation
    misfit_error = numerical_error(problem, estimate)
    mesh = measure(
        problem, "readings", lambda: of_readings(problem, estimate.m, evaluation.predicted)
    )
    found = fit.of_predictions(problem, evaluation.predicted)
    blind = after.of_unseen(problem, estimate)
    return Judgement(
        misfit_error,
        recovery(problem),
        first_guess(problem),
        found,
        mesh,
        numbers(problem, estimate.m, std),
        (*before.concerns(problem), *after.of_solver(evaluation.linearisation.report)),
        (*after.of_estimate(estimate, misfit_error), *blind, *found.concerns, *mesh.concerns),
    )


def speak(say: Say, judged: Judgement) -> None:
    """Say what an estimate is worth, its warnings apart."""
    error = judged.misfit_error
    for line in judged.fit.lines:
        say(line)
    say(f"error       of the misfit {error:.1e}, by a solution {1 / FINER:g} times as exact")
    for line in judged.mesh.lines:
        say(line)
    for name, (number, std) in judged.numbers.items():
        say(f"estimate    {name} {shown(number, std)}")
    for name, value in judged.recovery.items():
        say(f"error       {name.replace('_', ' ')} {100 * value:.2f} %")
    for name, value in judged.first_guess.items():
        what = name.removesuffix("_first_guess_error")
        say(f"first guess {what} relative error {100 * value:.2f} %")


def numbers(
    problem: Problem, m: PETSc.Vec, std: PETSc.Vec | None
) -> dict[str, tuple[Number, float | None]]:
    """Estimates that are worth a line each, with their standard deviations (collective)."""
    coefficients = problem.unknowns.coefficients(m)
    stds = None if std is None else problem.unknowns.coefficients(std)
    return {
        name: (number, stds and abs(number.slope) * float(stds[number.part][number.index]))
        for kind in problem.kinds
        for name, number in kind.numbers(problem, coefficients).items()
    }


def shown(number: Number, std: float | None) -> str:
    """A number, to a tenth of its standard deviation and no less than five digits."""
    digits = 5
    if std and number.value:
        digits = min(max(5, 2 + math.ceil(math.log10(abs(number.value) / std))), 15)
    band = "" if std is None else f" ± {std:.2g}"
    return f"{number.value:.{digits}g}{band}{number.what and f', the {number.what}'}"


def write(
    file: Store, problem: Problem, estimate: Estimate, judged: Judgement, split: dict[str, float]
) -> None:
    """``/estimate``, ``/truth``, ``/observations``, ``/history`` and ``/solver`` (collective)."""
    _estimate(file, problem, estimate, judged)
    _truth(file, problem)
    describe(file, problem)
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


def recovery(problem: Problem) -> dict[str, float]:
    """Relative errors, in L², of what was estimated, where the truth is known and not 0
    (collective)."""
    return _compared(problem, "recovery", "relative_error")


def first_guess(problem: Problem) -> dict[str, float]:
    """The relative errors, in L², of first guesses, where both are known (collective)."""
    return _compared(problem, "first_guess", "first_guess_error")


def _compared(problem: Problem, verb: str, ending: str) -> dict[str, float]:
    known = [kind for kind in problem.kinds if kind.key in problem.truth]
    found = {
        f"{kind.key}_{ending}": getattr(kind, verb)(problem, problem.truth[kind.key])
        for kind in known
    }
    return {k: v for k, v in found.items() if v is not None and not math.isnan(v)}


def _estimate(file: Store, problem: Problem, estimate: Estimate, judged: Judgement) -> None:
    unknowns = problem.unknowns
    for kind in problem.kinds:
        if kind.is_there(problem):
            path, value = f"estimate/{kind.key}", kind.present(problem)
            write_value(file, path, problem, kind, value, kind.estimated)
    if unknowns.is_small:
        coefficients = unknowns.to_numpy(estimate.m)
        file.axis("coefficient", len(coefficients))
        title = "estimated unknowns, part by part"
        file.array("estimate/coefficients", coefficients, ("coefficient",), long_name=title)
    first, final = estimate.history[0].gradient_norm, estimate.history[-1].gradient_norm
    found = {
        "converged": estimate.converged,
        "message": estimate.message,
        "gradient_norm": final,
        "distance_bound": final,
        "gradient_reduction": final / first if first > 0.0 else math.nan,
        "misfit": estimate.evaluation.misfit,
        "misfit_error_estimate": judged.misfit_error,
    }
    for name, (number, std) in judged.numbers.items():
        found[name.replace(" ", "_")] = number.value
        if std is not None:
            found[f"{name.replace(' ', '_')}_std"] = std
    found |= judged.fit.attributes | judged.mesh.attributes | judged.recovery | judged.first_guess
    file.attributes(found, "estimate")


def _truth(file: Store, problem: Problem) -> None:
    for kind in problem.kinds:
        if kind.key in problem.truth:
            path, value = f"truth/{kind.key}", problem.truth[kind.key]
            write_value(file, path, problem, kind, value, f"true {kind.title}")


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
        ("std", problem.likelihood.scale(predicted), "standard deviation of the noise"),
        ("censored", readings.sides, "-1 below its value, 1 above, 0 known"),
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
