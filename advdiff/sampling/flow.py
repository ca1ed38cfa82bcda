"""``task = "sample"`` for a flow: the posterior of velocity coefficients and diffusivity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import h5py
import numpy as np

from advdiff.concerns import after, before
from advdiff.inverse.likelihood import Gaussian, Potential
from advdiff.inverse.prior import Prior
from advdiff.problem import Problem
from advdiff.sampling.archive import Data, Layout, Variable
from advdiff.sampling.tasks import Groups, sample
from advdiff.store import Store
from advdiff.tasks.writing import write_solver, write_states

FIELDS = 200
"""Draws from which mean and standard deviation of the velocity are made, at most."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class FlowPosterior:
    """The readings' potential and the prior of a problem."""

    potential: Potential
    prior: Prior
    surrogate = cheap = None


def posterior(problem: Problem) -> FlowPosterior:
    """Of a problem, on its ranks (collective)."""
    if problem.nodes is None:
        problem.calibrate()
    readings = problem.readings
    likelihood = Gaussian(readings.values, readings.std)
    return FlowPosterior(Potential(problem.model, likelihood), problem.prior)


def sample_flow(problem: Problem, say: Say, path: Path, resume: bool) -> bool:
    """Chains into a file, then mean and spread of the velocity (collective); always True."""
    experiment, table = problem.experiment, problem.experiment.sampler
    groups = Groups(problem.comm, table.groups or 1)
    mine = problem if groups.count == 1 else Problem(experiment, groups.comm)
    readings, unknowns = problem.readings, mine.unknowns
    sizes = {
        f"{part.name}_coefficients" if part.name == "velocity" else part.name: (
            part.template.getSize()
        )
        for part in unknowns.parts
    }
    kappa = experiment.truth.diffusivity
    truth = {} if kappa is None else {"log_diffusivity": np.log([kappa])}
    ends = np.cumsum(list(sizes.values()))[:-1]

    def values(m) -> dict[str, np.ndarray]:
        return dict(zip(sizes, np.split(unknowns.to_numpy(m), ends), strict=True))

    tables = {"domain", "physics", "solver", "unknowns", "prior", "sampler"}
    one = ("reading",)
    layout = Layout(
        attributes={
            "task": experiment.task,
            "model": "flow",
            "experiment": experiment.text,
            "options": experiment.model_dump_json(),
        },
        variables={
            name: Variable({f"{name}_index": size}, name.replace("_", " "), truth.get(name))
            for name, size in sizes.items()
        },
        values=values,
        observed={"value": Data(readings.values, one, "measured")},
        constant={
            "points": Data(readings.points, ("sensor", "axis"), "sensors"),
            "times": Data(readings.times, ("observation_time",), "times read"),
            "sensor_index": Data(readings.sensor, one, "index of the sensor"),
            "time_index": Data(readings.time, one, "index of the time"),
            "std": Data(readings.std, one, "standard deviation of the noise"),
        },
        coordinates={},
        mark=experiment.model_dump_json(include=tables)
        + sha256(readings.values.tobytes()).hexdigest(),
        extend=lambda file: _fields(problem, file, list(sizes)),
        concerns=problem.concerns,
    )
    sample(posterior(mine), table, groups, layout, path, say, resume=resume)
    return True


def _fields(problem: Problem, file: h5py.File, names: list[str]) -> None:
    """``/estimate``: mean and standard deviation of velocity and speed at the vertices."""
    store = Store(file, problem.samples)
    store.axis("vertex", problem.samples.count)
    store.axis("dim", problem.domain.dim)
    store.mesh()
    draws = [file[f"posterior/{name}"] for name in names]
    chains, count = draws[0].shape[:2]
    every = -(-chains * count // FIELDS)
    sums = None
    for k in range(0, chains * count, every):
        row = divmod(k, count)
        m = problem.unknowns.from_numpy(np.concatenate([values[row] for values in draws]))
        problem.unknowns.assign(m)
        parts = [part.copy() for part in problem.operator.velocity.sampled(problem.samples)]
        squares = [part.copy() for part in parts]
        for square, part in zip(squares, parts, strict=True):
            square.pointwiseMult(part, part)
        squared = squares[0].copy()
        for square in squares[1:]:
            squared.axpy(1.0, square)
        speed = squared.copy()
        speed.sqrtabs()
        new = [*parts, speed, *squares, squared]
        if sums is None:
            sums = [0, *(vector.duplicate() for vector in new)]
            for vector in sums[1:]:
                vector.set(0.0)
        sums[0] += 1
        for total, vector in zip(sums[1:], new, strict=True):
            total.axpy(1.0, vector)
    for vector in sums[1:]:
        vector.scale(1.0 / sums[0])
    half = len(sums) // 2 + 1
    means, spreads = sums[1:half], sums[half:]
    for mean, spread in zip(means, spreads, strict=True):
        square = mean.copy()
        square.pointwiseMult(mean, mean)
        spread.axpy(-1.0, square)
        spread.sqrtabs()
    *velocity, speed = means
    *velocity_std, speed_std = spreads
    store.field("estimate/velocity", velocity, "posterior mean of the velocity")
    title = "posterior standard deviation of the velocity"
    store.field("estimate/velocity_std", velocity_std, title)
    store.field("estimate/speed", speed, "posterior mean of the speed")
    store.field("estimate/speed_std", speed_std, "posterior standard deviation of the speed")
    _at_mean(problem, store, draws)
    flow = problem.truth.velocity
    if flow is not None:
        store.field("truth/velocity", flow.sampled(problem.samples), "true velocity")


def _at_mean(problem: Problem, store: Store, draws: list[h5py.Dataset]) -> None:
    """``/theta`` and ``/solver`` at the posterior mean of the parameters, and what to warn of."""
    mean = np.concatenate([values[:].mean(axis=(0, 1)) for values in draws])
    problem.unknowns.assign(problem.unknowns.from_numpy(mean))
    problem.operator.assemble()
    times = problem.experiment.time.times
    solution = problem.semigroup().solve(times)
    problem.concerns.add(before.concerns(problem) + after.of_solver(solution.report))
    problem.concerns.add(after.of_states(problem, solution.states))
    store.scale("time", times, long_name="output time")
    name = "tracer at the posterior mean of the parameters"
    write_states(store, "theta", problem, solution.states, boundary=True, name=name)
    write_solver(store, solution.report)
