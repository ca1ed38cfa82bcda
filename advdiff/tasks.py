"""What ``advdiff run`` does: a task computes, and its results go to disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from petsc4py import PETSc

from advdiff import paraview, result, store, surrogate
from advdiff.checkpoint import Checkpoint
from advdiff.errors import InputError, on_root
from advdiff.inverse.laplace_task import laplace
from advdiff.inverse.map import Estimate, Iteration, make_tao
from advdiff.petsc_errors import finite_numbers, good_options
from advdiff.problem import Problem, Truth
from advdiff.sampling import flow
from advdiff.sensitivity import Sensitivity
from advdiff.store import Store
from advdiff.velocity import ROUNDING, Velocity

Say = Callable[[str], None]


def check(problem: Problem) -> list[str]:
    """Everything that can be validated without solving (collective): what was found, line by line.

    Raises:
        InputError: for the first thing that is wrong.
    """
    with good_options():
        return _check(problem)


def writes(problem: Problem) -> bool:
    """False in all groups of ranks but the first."""
    return problem.groups is None or problem.groups.writes


def _check(problem: Problem) -> list[str]:
    experiment = problem.experiment
    if writes(problem):
        on_root(problem.comm, lambda: result.check_writable(experiment.output_path))
    domain = problem.domain
    operator = problem.operator
    for name in experiment.domain.open:
        domain.tag(name, "domain.open")
    problem.make_engine(operator.generator)
    lines = [
        f"task        {experiment.task}",
        f"mesh        {domain.num_vertices} vertices, dimension {domain.dim}, "
        f"boundary parts {', '.join(domain.tags) or 'none'}",
        f"unknowns    {operator.generator.size} in the state, {operator.discretization.method} "
        f"of degree {operator.degree}",
        f"times       {len(experiment.time.times)} up to {experiment.time.final:g}",
    ]
    _ = problem.initial
    divergence = operator.velocity.relative_divergence()
    if divergence > ROUNDING:
        lines.append(f"divergence  {divergence:.2g} of |grad u| (given velocity, L2)")
    if experiment.task == "sensitivity":
        for name in experiment.sensitivity.directions:
            problem.direction(name)
        lines.append(f"directions  {', '.join(experiment.sensitivity.directions)}")
        if experiment.sensitivity.method in surrogate.METHODS:
            surrogate.kernel(operator).destroy()
    if experiment.task in ("invert", "sample"):
        readings = problem.readings
        _ = problem.model, problem.prior
        make_tao(problem.comm, experiment.optimizer.type).destroy()
        lines += [
            f"readings    {len(readings)} from {len(readings.points)} sensors at "
            f"{len(readings.times)} times",
            f"parameters  {problem.unknowns.size}: "
            + ", ".join(f"{p.name} {p.template.getSize()}" for p in problem.unknowns.parts),
        ]
    _ = problem.truth
    return lines + [f"read        {key}: {source}" for key, source in problem.sources.items()]


def run(problem: Problem, say: Say, *, resume: bool = False) -> bool:
    """Run the experiment's task and write its result (collective).

    Returns:
        False where an optimisation stopped short of its tolerance (its result is written, and says
        so).
    """
    if resume and problem.experiment.task not in ("invert", "sample"):
        raise InputError(
            "--resume: only task = 'invert' and 'sample' can go on; run without --resume"
        )
    PETSc.Log.begin()
    began = time.perf_counter()
    for line in check(problem):
        say(line)
    path = problem.experiment.output_path
    if resume and problem.experiment.reduced is not None:
        raise InputError("--resume: an inversion by [reduced] has no checkpoints; run without it")
    task = {
        "solve": _solve,
        "sensitivity": _sensitivity,
        "invert": _invert,
        "sample": flow.sample_flow,
    }[problem.experiment.task]
    with finite_numbers():
        converged = task(problem, say, path, resume)
    if not writes(problem):
        return converged
    if problem.experiment.task == "sample":
        say(f"written     {path} ({time.perf_counter() - began:.1f} s)")
        return converged
    view = on_root(problem.comm, lambda: str(paraview.write(path)))
    say(f"written     {path} ({time.perf_counter() - began:.1f} s); for ParaView: {view}")
    return converged


def _attributes(problem: Problem) -> dict:
    experiment = problem.experiment
    return {
        "task": experiment.task,
        "experiment": experiment.text,
        "options": experiment.model_dump_json(),
    }


def _begin(file: Store, problem: Problem) -> None:
    times = problem.experiment.time.times
    file.scale("time", times, long_name="output time")
    file.axis("vertex", problem.samples.count)
    file.axis("dim", problem.domain.dim)
    file.mesh()


def _states(file: Store, path: str, problem: Problem, states, *, boundary: bool, name: str):
    operator, samples = problem.operator, problem.samples
    function = None

    def ordered() -> Iterable[PETSc.Vec]:
        nonlocal function
        for state in states:
            function = operator.extend(state, function, boundary=boundary)
            yield samples.values(function)

    file.fields(path, ordered(), len(states), name)


def _state(file: Store, path: str, problem: Problem, state: PETSc.Vec, name: str) -> None:
    function = problem.operator.extend(state)
    file.field(path, problem.samples.values(function), name)


def _velocity(file: Store, path: str, flow: Velocity, name: str) -> None:
    file.field(path, flow.sampled(file.samples), name)
    values = {"divergence": flow.divergence(), "relative_divergence": flow.relative_divergence()}
    file.attributes(values, path)


def _solver(file: Store, report: dict) -> None:
    file.file.require_group("solver")
    file.attributes(report, "solver")


def _say_solver(say: Say, report: dict) -> None:
    """Which engine, and why where it was chosen."""
    reason = f": {report['reason']}" if "reason" in report else ""
    say(f"solver      {report['method']}{reason}")


def _solve(problem: Problem, say: Say, path: Path, _resume: bool) -> bool:
    solution = problem.semigroup().solve(problem.experiment.time.times)
    _say_solver(say, solution.report)
    with store.create(path, problem.samples, _attributes(problem)) as file:
        _begin(file, problem)
        _states(file, "theta", problem, solution.states, boundary=True, name="tracer")
        _velocity(file, "velocity", problem.operator.velocity, "velocity")
        _state(file, "initial", problem, problem.initial, "initial tracer")
        _solver(file, solution.report)
    return True


def _sensitivity(problem: Problem, say: Say, path: Path, _resume: bool) -> bool:
    names = list(problem.experiment.sensitivity.directions)
    results = {}
    for name in names:
        began = time.perf_counter()
        results[name] = problem.sensitivity(name)
        mass = problem.operator.mass
        size = mass.norm(results[name].tangents[-1])
        say(
            f"rho         {name}: norm {size:.6g} at the end, error estimate "
            f"{results[name].error_estimate:.1e} ({time.perf_counter() - began:.1f} s)"
        )
    solution = results[names[0]].solution
    _say_solver(say, solution.report)
    with store.create(path, problem.samples, _attributes(problem)) as file:
        _begin(file, problem)
        _states(file, "theta", problem, solution.states, boundary=True, name="tracer")
        _velocity(file, "velocity", problem.operator.velocity, "velocity")
        _state(file, "initial", problem, problem.initial, "initial tracer")
        for name in names:
            title = f"derivative of the tracer along {name}"
            tangents = results[name].tangents
            _states(file, f"rho/{name}", problem, tangents, boundary=False, name=title)
            file.attributes({"error_estimate": results[name].error_estimate}, f"rho/{name}")
            if results[name].bounds:
                _certificate(file, problem, name, results[name])
        _solver(file, solution.report)
    return True


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
    _states(file, f"{path}/exact", problem, exact, boundary=False, name=title)
    sizes = [norm(state) for state in exact]
    file.array(f"{path}/exact_norm", sizes, ("time",), long_name="norm of the derivative (L2)")
    for state, tangent in zip(exact, found.tangents, strict=True):
        state.axpy(-1.0, tangent)
    errors = [norm(state) for state in exact]
    file.array(f"{path}/error", errors, ("time",), long_name="error of the surrogate (L2)")


# -- inversion ------------------------------------------------------------------------------------


def _invert(problem: Problem, say: Say, path: Path, resume: bool) -> bool:
    if problem.experiment.reduced is not None:
        from advdiff.reduced import task

        return task.invert(problem, say, path)
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
    _say_solver(say, estimate.evaluation.linearisation.report)
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
    with store.create(path, problem.samples, _attributes(problem)) as file:
        _begin(file, problem)
        _states(file, "theta", problem, solution.states, boundary=True, name="tracer")
        _velocity(file, "estimate/velocity", operator.velocity, "estimated velocity")
        kappa = problem.samples.values(operator.diffusivity)
        file.field("estimate/diffusivity", kappa, "estimated diffusivity")
        _state(file, "estimate/initial", problem, problem.initial, "initial tracer")
        if unknowns.is_small:
            coefficients = unknowns.to_numpy(estimate.m)
            file.axis("coefficient", len(coefficients))
            file.array("estimate/coefficients", coefficients, ("coefficient",))
        if truth.velocity is not None:
            _velocity(file, "truth/velocity", truth.velocity, "true velocity")
        if truth.initial is not None:
            _state(file, "truth/initial", problem, truth.initial, "true initial tracer")
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
        _solver(
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


class TimeSplit:
    """Seconds on this rank since it was made, in assembly, forward, adjoint and the rest."""

    stages = ("assembly", "forward", "adjoint")

    def __init__(self) -> None:
        self._start, self._began = self._logged(), time.perf_counter()

    def _logged(self) -> dict[str, float]:
        return {n: PETSc.Log.Event(f"advdiff.{n}").getPerfInfo()["time"] for n in self.stages}

    def seconds(self) -> dict[str, float]:
        """Stage → seconds; ``optimiser`` is what none of the others took."""
        split = {n: now - self._start[n] for n, now in self._logged().items()}
        split["optimiser"] = time.perf_counter() - self._began - sum(split.values())
        return split


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
