"""``task = "sample"`` for a flow: the posterior of velocity coefficients and diffusivity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import h5py
import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc as fem_petsc
from petsc4py import PETSc

from advdiff.errors import ConvergenceError
from advdiff.inverse.likelihood import Gaussian, Potential
from advdiff.inverse.prior import Independent, Prior
from advdiff.parts import Modes
from advdiff.problem import Problem
from advdiff.sampling.archive import Data, Layout, Variable
from advdiff.sampling.reduced import ReducedPotential, reduce
from advdiff.sampling.tasks import Groups, sample
from advdiff.store import Store
from advdiff.velocity import curl

FIELDS = 200
"""Draws from which mean, standard deviation and quantiles of the velocity are made, at most."""
QUANTILES = {"05": 0.05, "25": 0.25, "75": 0.75, "95": 0.95}
"""Ends of the names of fields → what they are."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class FlowPosterior:
    """The readings' potential and the prior of a problem."""

    potential: Potential
    prior: Prior
    reduce: Callable[[Sequence[PETSc.Vec]], ReducedPotential] | None = None
    surrogate = cheap = None


def posterior(problem: Problem) -> FlowPosterior:
    """Of a problem, on its ranks (collective)."""
    if problem.nodes is None:
        problem.calibrate()
    readings = problem.readings
    likelihood = Gaussian(readings.values, readings.std)
    cheaper = None if problem.experiment.reduced is None else partial(reduce, problem)
    return FlowPosterior(Potential(problem.model, likelihood), problem.prior, cheaper)


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
    truth, described = _truth(problem), _modes(problem)
    ends = np.cumsum(list(sizes.values()))[:-1]

    def values(m) -> dict[str, np.ndarray]:
        return dict(zip(sizes, np.split(unknowns.to_numpy(m), ends), strict=True))

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
            **described,
        },
        coordinates={},
        mark=experiment.model_dump_json(include=tables)
        + sha256(readings.values.tobytes()).hexdigest(),
        extend=lambda file: _fields(problem, file, list(sizes)),
    )
    sample(posterior(mine), table, groups, layout, path, say, resume=resume)
    return True


def _truth(problem: Problem) -> dict[str, np.ndarray]:
    """What is known of the unknowns' true values, by variable (collective)."""
    found, table = {}, problem.experiment.truth
    if isinstance(table.diffusivity, float):
        found["log_diffusivity"] = np.log([table.diffusivity])
    for part in problem.unknowns.parts:
        if isinstance(part, Modes) and problem.truth.velocity is not None:
            found["velocity_coefficients"] = nearest(problem, part)
    return found


def nearest(problem: Problem, part: Modes) -> np.ndarray:
    """Coefficients of the flow that is nearest to the true one in L² (collective)."""
    space = part.function.function_space

    def flow(control):
        return curl(control) if part.control == "stream" else control

    problem.unknowns.assign(problem.unknowns.vector())
    missing = problem.truth.velocity.expression - problem.operator.velocity.expression
    test, trial = ufl.TestFunction(space), ufl.TrialFunction(space)
    load = fem_petsc.assemble_vector(fem.form(ufl.inner(missing, flow(test)) * ufl.dx))
    load.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
    mass = fem_petsc.assemble_matrix(fem.form(ufl.inner(flow(trial), flow(test)) * ufl.dx))
    mass.assemble()
    gram = part.basis.transposeMatMult(mass.matMult(part.basis))
    right, found = part.template.duplicate(), part.template.duplicate()
    part.basis.multTranspose(load, right)
    ksp = PETSc.KSP().create(found.comm)
    ksp.setOptionsPrefix("advdiff_truth_")
    ksp.setOperators(gram)
    ksp.setType("cg")
    ksp.getPC().setType("none")
    ksp.setTolerances(rtol=1e-10)
    ksp.setFromOptions()
    ksp.solve(right, found)
    if ksp.getConvergedReason() < 0:
        raise ConvergenceError(
            f"the true flow in modes: residual {ksp.getResidualNorm():.1e} after "
            f"{ksp.getIterationNumber()} iterations; mind -advdiff_truth_ options"
        )
    values = problem.comm.bcast(found.array.copy() if problem.comm.rank == 0 else None)
    for thing in (ksp, gram, mass, load):
        thing.destroy()
    return values


def _modes(problem: Problem) -> dict[str, Data]:
    """Wave vectors of the modes and their standard deviations under the prior (collective)."""
    found = {}
    for part, prior in zip(problem.unknowns.parts, problem.prior.parts, strict=True):
        if isinstance(part, Modes) and isinstance(prior, Independent):
            std = problem.comm.bcast(prior.std.array.copy() if problem.comm.rank == 0 else None)
            index = "velocity_coefficients_index"
            found["wave"] = Data(problem.waves, (index, "axis"), "wave vectors")
            found["prior_std"] = Data(std, (index,), "standard deviation under the prior")
    return found


def _fields(problem: Problem, file: h5py.File, names: list[str]) -> None:
    """``/estimate``: mean, spread and quantiles of velocity and speed at the vertices."""
    store = Store(file, problem.samples)
    store.axis("vertex", problem.samples.count)
    store.axis("dim", problem.domain.dim)
    store.mesh()
    draws = [file[f"posterior/{name}"] for name in names]
    chains, count = draws[0].shape[:2]
    every = -(-chains * count // FIELDS)
    flows = []
    for k in range(0, chains * count, every):
        row = divmod(k, count)
        m = problem.unknowns.from_numpy(np.concatenate([values[row] for values in draws]))
        problem.unknowns.assign(m)
        parts = problem.operator.velocity.sampled(problem.samples)
        flows.append([part.array.copy() for part in parts])
    template = parts[0]
    # this rank's vertices alone: (draw, axis, vertex)
    velocity = np.array(flows)
    speed = np.linalg.norm(velocity, axis=1)

    def field(values: np.ndarray) -> PETSc.Vec:
        vector = template.duplicate()
        vector.setArray(values)
        return vector

    def components(values: np.ndarray) -> list[PETSc.Vec]:
        return [field(part) for part in values]

    mean = components(velocity.mean(axis=0))
    store.field("estimate/velocity", mean, "posterior mean of the velocity")
    store.field("estimate/speed", field(speed.mean(axis=0)), "posterior mean of the speed")
    spread = field(speed.std(axis=0))
    store.field("estimate/speed_std", spread, "posterior standard deviation of the speed")
    for name, quantile in QUANTILES.items():
        values = components(np.quantile(velocity, quantile, axis=0))
        title = f"{100 * quantile:.0f} % quantile of each component of the velocity"
        store.field(f"estimate/velocity_{name}", values, title)
    flow = problem.truth.velocity
    if flow is not None:
        store.field("truth/velocity", flow.sampled(problem.samples), "true velocity")
