"""``task = "invert"`` with a table ``[reduced]``: the estimate by way of reduced models."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from petsc4py import PETSc

from advdiff.concerns.say import warn
from advdiff.core import progress, stopping
from advdiff.core.progress import Say
from advdiff.core.ranks import on_root
from advdiff.inverse.map import Estimate, Iteration
from advdiff.inverse.stop import require_seen
from advdiff.problem.problem import Problem
from advdiff.reduced.model import of_eigenbasis
from advdiff.reduced.offline.greedy import Round, greedy
from advdiff.reduced.offline.groups import Groups
from advdiff.reduced.offline.reducer import ReducedOptions, Reducer
from advdiff.reduced.offline.trust import Progress, ReducedEstimate, TrustRegion
from advdiff.reduced.spectral import eigenbasis
from advdiff.results.store import Store
from advdiff.tasks.estimate import conclude
from advdiff.tasks.reduced_checkpoint import ReducedCheckpoint
from advdiff.tasks.stages import Descent, TimeSplit


def reducer(problem: Problem) -> Reducer:
    """The offline phase of a problem with a table ``[reduced]`` (collective).

    Raises:
        InputError: where a field is unknown, or the sketch does not fit the mass.
    """
    table = problem.experiment.reduced.model_dump(exclude={"compare", "model"})
    groups = Groups(problem.comm) if problem.groups is None else problem.groups
    return Reducer(problem.model, problem.prior, ReducedOptions(**table), groups)


def run_reduced_inversion(problem: Problem, say: Say, path: Path, resume: bool = False) -> bool:
    """Run it, and write the result with a group ``/reduced`` (collective).

    Returns:
        False where it stopped short of its tolerance.
    """
    checkpoint = ReducedCheckpoint(problem, path)
    reached = None
    if resume:
        reached = checkpoint.load()
    else:
        checkpoint.remove()
    with stopping.resumable(checkpoint.path):
        return _minimise(problem, say, path, checkpoint, reached)


def _minimise(
    problem: Problem, say: Say, path: Path, checkpoint: ReducedCheckpoint, reached: Progress | None
) -> bool:
    problem.calibrate()
    clock, began = TimeSplit(), time.perf_counter()
    offline = reducer(problem)
    rounds: list[Round] = []
    if offline.options.box > 0.0 and reached is None:
        rounds = _chosen(offline, say)
    found = _optimum(problem, say, offline, reached, checkpoint.save)
    seconds = time.perf_counter() - began
    m = problem.unknowns.from_numpy(found.m)
    estimate = Estimate(m, found.history, found.converged, found.message)
    estimate.evaluation = problem.objective.evaluate(m)
    if len(found.history) == 1:  # the start was near enough
        require_seen(problem.objective, estimate.evaluation)
    summary = _summary(offline, found, seconds)
    _speak(say, found, summary)
    condition = summary["eigenbasis_condition"]
    warn(problem, say, of_eigenbasis(condition, offline.options.method))
    plain: list[Iteration] = []
    if problem.experiment.reduced.compare:
        compared, plain = _compare(problem, say, offline, found, seconds)
        summary |= compared
    problem.unknowns.assign(m)
    problem.operator.assemble()
    if not problem.writes:
        return found.converged
    more = partial(_write, found=found, rounds=rounds, summary=summary, plain=plain)
    conclude(problem, say, path, estimate, clock.seconds(), more)
    _save_model(problem, say, offline)
    if found.converged:
        checkpoint.remove()
    return found.converged


def _chosen(offline: Reducer, say: Say) -> list[Round]:
    """A basis by greedy choice, to start with (collective)."""
    with progress.stage("basis"):
        offline.enrich([offline.evaluate(offline.mean)])
        rounds = greedy(offline)
    for entry in rounds:
        say(
            f"greedy      basis {entry.size:4d}  bound {entry.bound:9.3e} at the worst of "
            f"{offline.options.candidates} points  {entry.evaluations} full evaluations"
        )
    return rounds


def _optimum(
    problem: Problem,
    say: Say,
    offline: Reducer,
    reached: Progress | None,
    save: Callable[[Progress], None],
) -> ReducedEstimate:
    """The iteration, said as it goes (collective)."""
    table = problem.experiment.optimizer
    with progress.stage("inversion", unit="decades") as bar:
        return TrustRegion(
            offline,
            problem.unknowns.to_numpy(problem.prior.mean),
            distance_tolerance=table.distance_tolerance,
            gradient_tolerance=table.gradient_tolerance,
            max_iterations=table.max_iterations,
            watch=Descent(say, table, bar, lambda: f"  basis {offline.basis.size:4d}"),
            resume=reached,
            save=save,
        ).run()


def _speak(say: Say, found: ReducedEstimate, summary: dict[str, float]) -> None:
    say(f"optimiser   {found.message}")
    say(
        f"reduced     basis {summary['dimension']}, {summary['reduced_evaluations']} reduced "
        f"evaluations in {summary['online_seconds']:.2f} s; {summary['seconds']:.1f} s in all"
    )
    if "bound" in summary:
        say(
            f"bound       {summary['bound']:.2e} of the state at the estimate, true error "
            f"{summary['state_error']:.2e}, effectivity {summary['effectivity']:.0f}"
        )


def _save_model(problem: Problem, say: Say, offline: Reducer) -> None:
    """``reduced.model``, where it is asked for (collective)."""
    experiment = problem.experiment
    if experiment.reduced.model is not None:
        target = experiment.resolve(experiment.reduced.model)
        on_root(problem.comm, lambda: offline.reduced.save(target))
        say(f"model       {target}: opens without a mesh or PETSc")


def _summary(offline: Reducer, found: ReducedEstimate, seconds: float) -> dict[str, float]:
    """What there is to say about the reduced models, by name (collective)."""
    return {
        "dimension": offline.basis.size,
        "method": offline.options.method,
        "eigenbasis_condition": eigenbasis(offline.reduced.generator(found.m)).condition,
        "rounding": offline.reduced.rounding(found.m),
        "full_evaluations": found.evaluations,
        "sensor_solves": offline.sensor_solves,
        **{f"{name}_passes": count for name, count in offline.full.passes.items()},
        "reduced_evaluations": found.reduced_evaluations,
        "online_seconds": found.online_seconds,
        **{f"offline_seconds_{name}": value for name, value in offline.seconds.items()},
        "seconds": seconds,
        **offline.check(found.point),
    }


def _compare(
    problem: Problem, say: Say, offline: Reducer, found: ReducedEstimate, seconds: float
) -> tuple[dict[str, float], list[Iteration]]:
    """The plain inversion from the same start, and how far its estimate is (collective)."""
    began = time.perf_counter()
    plain = problem.invert()
    elapsed = time.perf_counter() - began
    evaluations = plain.history[-1].solves
    passes = sum(offline.full.passes.values())
    difference: PETSc.Vec = problem.unknowns.from_numpy(found.m)
    xi = problem.prior.whiten(difference)
    xi.axpy(-1.0, problem.prior.whiten(plain.m))
    distance, objective = xi.norm(), plain.history[-1].objective
    full = found.evaluations
    say(
        f"compared    plain: {evaluations} full evaluations, {elapsed:.1f} s, objective "
        f"{objective:.8g}; reduced: {full}, {seconds:.1f} s, {found.history[-1].objective:.8g}; "
        f"{evaluations / full:.1f} x fewer, passes {2 * evaluations} and {passes}: "
        f"{2 * evaluations / passes:.1f} x, estimates {distance:.1e} prior std apart"
    )
    return {
        "plain_evaluations": evaluations,
        "plain_seconds": elapsed,
        "plain_objective": objective,
        "distance_to_plain": distance,
    }, plain.history


def _write(
    file: Store,
    found: ReducedEstimate,
    rounds: list[Round],
    summary: dict,
    plain: list[Iteration],
) -> None:
    file.attributes(summary, "reduced")
    file.axis("full_evaluation", len(found.sizes))
    file.array("reduced/size", found.sizes, ("full_evaluation",), long_name="basis size")
    if found.checks:
        file.axis("correction", len(found.checks))
        for name in found.checks[0]:
            values = [check[name] for check in found.checks]
            file.array(f"reduced/{name}", values, ("correction",), long_name=name)
    if plain:
        file.axis("plain_iteration", len(plain))
        for name, long_name in (
            ("gradient_norm", "gradient norm of the plain inversion"),
            ("solves", "full evaluations of the plain inversion"),
        ):
            values = np.array([getattr(entry, name) for entry in plain])
            label = f"reduced/plain_{name.removesuffix('_norm')}"
            file.array(label, values, ("plain_iteration",), long_name=long_name)
    if rounds:
        file.axis("round", len(rounds))
        for name in asdict(rounds[0]):
            values = np.array([getattr(entry, name) for entry in rounds])
            file.array(f"reduced/greedy_{name}", values, ("round",), long_name=name)
