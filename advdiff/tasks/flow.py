"""``task = "sample"`` for a flow: the posterior of velocity, diffusivity and initial state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from petsc4py import PETSc

from advdiff.concerns import after, before, fit
from advdiff.concerns.mesh_error import measure, of_readings
from advdiff.core.progress import Say
from advdiff.core.ranks import on_root
from advdiff.files.shared import Shared
from advdiff.inverse.likelihood import Potential
from advdiff.inverse.prior import Prior
from advdiff.inverse.unknowns import Part
from advdiff.problem.problem import Problem
from advdiff.problem.unknowns.base import Kind
from advdiff.results import fields
from advdiff.results.store import Store
from advdiff.results.writing import write_solver, write_states
from advdiff.sampling.archive import mean
from advdiff.sampling.layout import Data, Layout, Snapshots, Variable
from advdiff.sampling.order import Order
from advdiff.sampling.run import Groups, sample
from advdiff.tasks.cheap import ReducedPotential, reduce
from advdiff.views import chains


@dataclass(frozen=True)
class FlowPosterior:
    """The readings' potential and the prior of a problem."""

    potential: Potential | fields.Penalised
    prior: Prior
    reduce: Callable[[Sequence[PETSc.Vec]], ReducedPotential] | None = None
    surrogate = cheap = None


def posterior(problem: Problem) -> FlowPosterior:
    """Of a problem, on its ranks (collective)."""
    if problem.nodes is None:
        problem.calibrate()
    cheaper = None if problem.experiment.reduced is None else partial(reduce, problem)
    return FlowPosterior(fields.potential(problem), problem.prior, cheaper)


def sample_flow(problem: Problem, say: Say, path: Path, resume: bool) -> bool:
    """Chains into a file, then mean and spread of the velocity (collective); always True."""
    experiment, table = problem.experiment, problem.experiment.sampler
    groups = Groups(problem.comm, table.groups or 1)
    mine = problem if groups.count == 1 else Problem(experiment, groups.comm)
    readings, unknowns = problem.readings, mine.unknowns
    snapshot, parts = fields.Snapshot(mine), [_kept(mine, *each) for each in mine.parts]
    truth, described = _truth(problem), _constants(problem)

    def values(m) -> dict[str, np.ndarray]:
        return {v.name: v.of(unknowns.extract(m, i)) for i, v in enumerate(parts)}

    tables = {"domain", "physics", "discretization", "solver", "unknowns", "prior", "sampler"}
    tables |= {"reduced", "time"}
    one = ("reading",)
    layout = Layout(
        attributes={
            "task": experiment.task,
            "model": "flow",
            "experiment": experiment.text,
            "options": experiment.model_dump_json(),
        },
        variables={
            v.name: Variable({v.axis: v.size}, v.name.replace("_", " "), truth.get(v.name))
            for v in parts
        },
        values=values,
        observed={"value": Data(readings.values, one, "measured")},
        constant={
            "points": Data(readings.points, ("sensor", "axis"), "sensors"),
            "times": Data(readings.times, ("observation_time",), "times read"),
            "sensor_index": Data(readings.sensor, one, "index of the sensor"),
            "time_index": Data(readings.time, one, "index of the time"),
            "std": Data(readings.std, one, "standard deviation of the noise"),
            "censored": Data(readings.sides, one, "-1 below its value, 1 above, 0 known"),
            **described,
            **{
                f"{v.name}_waves": Data(v.waves, (v.axis, "axis"), "half waves of the cosines")
                for v in parts
                if v.waves is not None
            },
        },
        coordinates={},
        mark=experiment.model_dump_json(include=tables)
        + experiment.observations.noise.model_dump_json()
        + sha256(readings.values.tobytes() + readings.sides.tobytes()).hexdigest(),
        extend=partial(_extend, problem),
        snapshots=Snapshots(
            snapshot.axes,
            {"vertex": problem.samples.count, "dim": problem.domain.dim},
            snapshot,
            table.fields,
        ),
        concerns=problem.concerns,
    )
    sample(posterior(mine), table, groups, layout, path, say, resume=resume)
    for line in on_root(groups.world, lambda: chains.of(path)):
        say(line)
    return True


def _extend(problem: Problem, file: Shared) -> None:
    """What is made of all draws (collective)."""
    store = Store(file, problem.samples)
    store.axis("vertex", problem.samples.count)
    store.axis("dim", problem.domain.dim)
    store.mesh()
    fields.summarise(problem, store)
    time = problem.experiment.time
    store.scale("time", time.times, time.unit or "1", long_name="output time")
    _at_mean(problem, store)


def _at_mean(problem: Problem, store: Store) -> None:
    """``/theta``, ``/solver`` and what is left of the readings at the posterior mean of the
    parameters, and what to warn of."""
    m = mean(store.file, Order(problem.unknowns.vector(), problem.prior.places))
    problem.unknowns.assign(m)
    problem.operator.assemble()
    solution = problem.semigroup().solve(problem.experiment.time.times)
    problem.concerns.add(before.concerns(problem) + after.of_solver(solution.report))
    name = "tracer at the posterior mean of the parameters"
    reached = write_states(store, "theta", problem, solution.states, boundary=True, name=name)
    problem.concerns.add(after.of_range(problem, *reached))
    predicted = problem.model.observe(m)
    left = fit.of_predictions(problem, predicted)
    mesh = measure(problem, "readings", lambda: of_readings(problem, m, predicted))
    problem.concerns.add(left.concerns + mesh.concerns)  # said at the end
    write_solver(store, solution.report | left.attributes | mesh.attributes)


@dataclass(frozen=True)
class _Kept:
    """What every draw keeps of a part: all its coefficients, or the averages of a field."""

    name: str
    size: int
    of: Callable[[PETSc.Vec], np.ndarray]
    waves: np.ndarray | None = None

    @property
    def axis(self) -> str:
        return f"{self.name}_index"


def _kept(problem: Problem, kind: Kind, part: Part) -> _Kept:
    name = kind.variable(part)
    if part.is_field:
        averages = fields.Averages(problem, part)
        return _Kept(name, len(averages.waves), averages, averages.waves)

    def coefficients(m: PETSc.Vec) -> np.ndarray:
        return problem.comm.bcast(m.array.copy() if problem.comm.rank == 0 else None)

    return _Kept(name, part.template.getSize(), coefficients)


def _truth(problem: Problem) -> dict[str, np.ndarray]:
    """What is known of the unknowns' true values, by variable (collective)."""
    found = {
        kind.variable(part): kind.true_coefficients(problem, part, problem.truth.get(kind.key))
        for kind, part in problem.parts
        if not part.is_field
    }
    return {name: values for name, values in found.items() if values is not None}


def _constants(problem: Problem) -> dict[str, Data]:
    """What is known of the parts beside their draws (collective)."""
    found = {}
    for (kind, part), prior in zip(problem.parts, problem.prior.parts, strict=True):
        found |= {k: Data(*v) for k, v in kind.constants(problem, part, prior).items()}
    return found
