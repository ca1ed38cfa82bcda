"""What ``advdiff run`` does: a task computes, and its results go to disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from petsc4py import PETSc

from advdiff.concerns import before
from advdiff.config.tables.experiment import Experiment
from advdiff.config.tables.unused import unused
from advdiff.core import memory, progress
from advdiff.core.errors import InputError
from advdiff.core.petsc_errors import finite_numbers, good_options
from advdiff.core.progress import Say
from advdiff.core.ranks import on_root
from advdiff.equation.velocity import DIVERGENCE, VANISHING
from advdiff.files import paraview
from advdiff.files.shared import check_output
from advdiff.problem.memory import estimate as memory_needed
from advdiff.problem.problem import Problem
from advdiff.sensitivity import surrogate
from advdiff.sensitivity.constants import kernel


def check(problem: Problem) -> list[str]:
    """Everything that can be validated without solving (collective): what was found, line by line.

    Raises:
        InputError: for the first thing that is wrong.
    """
    with good_options():
        return _check(problem)


def _check(problem: Problem) -> list[str]:
    experiment = problem.experiment
    if problem.writes:
        for key, path in experiment.outputs().items():
            check_output(path, problem.comm, key)
    domain = problem.domain
    for key, name in experiment.boundary_parts():
        domain.tag(name, key)
    operator = problem.operator
    problem.make_engine(operator.generator)
    lines = [
        f"task        {experiment.task}",
        f"mesh        {domain.num_vertices} vertices, dimension {domain.dim}, "
        f"boundary parts {', '.join(domain.tags) or 'none'}",
        f"unknowns    {operator.generator.size} in the state, {operator.discretization.method} "
        f"of degree {operator.degree}",
        f"times       {len(experiment.time.times)} up to {experiment.time.final:g}",
    ]
    needed = sum(memory_needed(experiment, domain.size, problem.comm.size).values())
    free = memory.human(memory.machine(problem.comm))
    lines.append(f"memory      about {memory.human(needed)}, {free} free")
    _ = problem.initial
    divergence = operator.velocity.relative_divergence()
    if VANISHING < divergence <= DIVERGENCE:
        lines.append(f"divergence  {divergence:.2g} of |grad u| (given velocity, L2)")
    if experiment.task == "sensitivity":
        for name in experiment.sensitivity.directions:
            problem.direction(name)
        lines.append(f"directions  {', '.join(experiment.sensitivity.directions)}")
        if experiment.sensitivity.method in surrogate.METHODS:
            kernel(operator).destroy()
    if experiment.task in ("invert", "sample"):
        from advdiff.inverse.map import make_tao

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
    if ignored := unused(experiment):
        tables = ", ".join(f"[{name}]" for name in ignored)
        lines.append(f"unused      {tables}: not of this task = '{experiment.task}'")
    lines += [f"read        {key}: {source}" for key, source in problem.sources.items()]
    return lines + problem.concerns.add(before.concerns(problem, divergence))


def run(problem: Problem, say: Say, *, resume: bool = False) -> bool:
    """Run the experiment's task and write its result (collective).

    Returns:
        False where an optimisation or the solver stopped short of its tolerance (the result is
        written, and says so).
    """
    if resume and problem.experiment.task not in ("invert", "sample"):
        raise InputError(
            "--resume: only task = 'invert' and 'sample' can go on; run without --resume"
        )
    PETSc.Log.begin()
    began = time.perf_counter()
    with progress.stage("check"):
        lines = check(problem)
    for line in lines:
        say(line)
    path = problem.experiment.output_path
    task = _room(problem.experiment)
    with good_options(), finite_numbers():
        converged = task(problem, say, path, resume) and "solver-error" not in problem.concerns
    if not problem.writes:
        return converged
    view = on_root(problem.comm, lambda: str(paraview.write(path)))
    say(f"written     {path} ({time.perf_counter() - began:.1f} s); for ParaView: {view}")
    return converged


def _room(experiment: Experiment) -> Callable[[Problem, Say, Path, bool], bool]:
    """What runs the task; of the rooms only its own is loaded."""
    if experiment.task == "invert":
        if experiment.reduced is not None:
            from advdiff.tasks.reduced import run_reduced_inversion

            return run_reduced_inversion
        from advdiff.tasks.invert import run_inversion

        return run_inversion
    if experiment.task == "sample":
        from advdiff.tasks.flow import sample_flow

        return sample_flow
    from advdiff.tasks import forward

    return {"solve": forward.solve, "sensitivity": forward.sensitivity}[experiment.task]
