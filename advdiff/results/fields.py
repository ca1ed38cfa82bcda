"""Fields in chains of a flow: what of a draw is kept, and what is made of all of them.

A field has too many unknowns for a file of draws.  Of every draw its averages against cosines are
kept, for the diagnostics; of a few, evenly spaced in each chain, velocity, diffusivity and initial
tracer themselves at the sample points.  Mean, spread and quantiles are made of these.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc as fem_petsc
from petsc4py import PETSc

from advdiff.core import jit
from advdiff.inverse.likelihood import Potential
from advdiff.inverse.objective import Objective
from advdiff.inverse.unknowns import Part
from advdiff.problem.problem import Problem
from advdiff.problem.unknowns.initial import InitialState
from advdiff.results.store import Store

HIGHEST = 3
"""Half waves of the cosines, over all axes."""
QUANTILES = {"05": 0.05, "25": 0.25, "75": 0.75, "95": 0.95}
"""Ends of the names of fields → what they are."""
TITLES = {"velocity": "velocity", "diffusivity": "diffusivity", "initial": "initial tracer"}

Fields = dict[str, list[PETSc.Vec]]
"""Name → components at the samples."""


class Averages:
    """(1/|Ω|) ∫ m Π cos(π k_i (x_i − a_i)/(b_i − a_i)) of a part that is a field, |k|₁ ≤ 3.

    Of a vector, each component has its own.

    Args:
        problem: whose unknown it is.
        part: the field.

    Attributes:
        waves: half waves along each axis, shape (average, dim).
    """

    def __init__(self, problem: Problem, part: Part):
        if isinstance(part, InitialState):
            space, rows = problem.operator.space, problem.operator.states.free
        else:
            space, rows = part.function.function_space, part.rows
        msh, dim = space.mesh, problem.domain.dim
        waves = [k for k in product(range(HIGHEST + 1), repeat=dim) if sum(k) <= HIGHEST]
        components = space.dofmap.index_map_bs
        self.waves = np.array([k for k in waves for _ in range(components)])
        x, test = ufl.SpatialCoordinate(msh), ufl.TestFunction(space)
        lower, upper = problem.domain.bounds
        wave = fem.Constant(msh, np.zeros(dim))
        axis = fem.Constant(msh, np.ones(components) if components > 1 else 1.0)
        weight = 1.0
        for i in range(dim):
            weight *= ufl.cos(np.pi * wave[i] * (x[i] - lower[i]) / (upper[i] - lower[i]))
        form = jit.form(weight * ufl.inner(axis, test) * ufl.dx)
        one = jit.form(fem.Constant(msh, 1.0) * ufl.dx)
        volume = problem.comm.allreduce(fem.assemble_scalar(one))
        count = len(self.waves)
        root = count if problem.comm.rank == 0 else 0
        self._values = PETSc.Vec().createMPI((root, count), comm=problem.comm)
        self._weights = PETSc.Mat().createDense(
            (part.template.getSizes(), self._values.getSizes()), comm=problem.comm
        )
        local = self._weights.getDenseArray()
        for j, k in enumerate(self.waves):
            wave.value[:] = k
            if components > 1:
                axis.value[:] = np.eye(components)[j % components]
            load = fem_petsc.assemble_vector(form)
            load.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
            mine = load.getSubVector(rows)
            local[:, j] = mine.array_r / volume
            load.restoreSubVector(rows, mine)
            load.destroy()
        self._weights.assemble()
        self._comm = problem.comm

    def __call__(self, m: PETSc.Vec) -> np.ndarray:
        """Of the part m, on every rank (collective)."""
        self._weights.multTranspose(m, self._values)
        return self._comm.bcast(self._values.array.copy() if self._comm.rank == 0 else None)


class Snapshot:
    """m → the fields that move with it, at the sample points.

    Args:
        problem: collective on its ranks.

    Attributes:
        axes: name → the axes of the field.
    """

    def __init__(self, problem: Problem):
        self.problem, self.axes = problem, {}
        for part in problem.unknowns.parts:
            if part.name == "velocity":
                self.axes["velocity"] = ("vertex", "dim")
                self._flow = problem.operator.velocity.sampler(problem.samples)
            elif part.is_field:
                self.axes[part.control] = ("vertex",)
        self._function = None

    def __call__(self, m: PETSc.Vec) -> Fields:
        """The fields of m (collective)."""
        problem, found = self.problem, {}
        problem.unknowns.assign(m)
        if "velocity" in self.axes:
            found["velocity"] = self._flow()
        if "diffusivity" in self.axes:
            found["diffusivity"] = [problem.samples.values(problem.operator.diffusivity)]
        if "initial" in self.axes:
            self._function = problem.operator.extend(problem.initial, self._function)
            found["initial"] = [problem.samples.values(self._function)]
        return found


class Penalised:
    """A potential and what an objective's penalties add to it: factors of the likelihood."""

    def __init__(self, objective: Objective):
        self.objective, self.likelihood = objective, objective.potential.likelihood
        self.model = objective.potential.model

    def value(self, m: PETSc.Vec) -> float:
        """Φ alone (collective)."""
        return self.objective.potential.value(m) + self.objective.penalty(m)

    def linearise(self, m: PETSc.Vec):
        """Φ, ∇Φ and the model at m (collective)."""
        value, gradient, at = self.objective.potential.linearise(m)
        for penalty in self.objective.penalties:
            more, slope = penalty.value_and_gradient(m)
            value += more
            gradient.axpy(1.0, slope)
        return value, gradient, at

    def gauss_newton(self, at, dm: PETSc.Vec) -> PETSc.Vec:
        """The Gauss-Newton Hessian of Φ times dm (collective)."""
        result = self.objective.potential.gauss_newton(at, dm)
        for penalty in self.objective.penalties:
            result.axpy(1.0, penalty.hessian(dm))
        return result


def potential(problem: Problem) -> Potential | Penalised:
    """Φ of a problem, penalties included (collective)."""
    objective = problem.objective
    return Penalised(objective) if objective.penalties else objective.potential


def summarise(problem: Problem, store: Store) -> None:
    """``/estimate``: mean, spread and quantiles of the kept fields; ``/truth`` (collective)."""
    file = store.file
    template = problem.samples.vector()
    mine = slice(*template.getOwnershipRange())

    def components(values: np.ndarray) -> PETSc.Vec | list[PETSc.Vec]:
        """Values of this rank's points, (vertex) or (vertex, dim), as vectors."""
        if values.ndim == 2:
            return [components(part) for part in values.T]
        vector = template.duplicate()
        vector.setArray(values)
        return vector

    def moments(name: str, title: str, draws: np.ndarray) -> None:
        mean, std = components(draws.mean(axis=0)), components(draws.std(axis=0))
        store.field(f"estimate/{name}", mean, f"posterior mean of the {title}")
        store.field(f"estimate/{name}_std", std, f"posterior standard deviation of the {title}")

    truths, shares = _truths(problem), {}
    for name, title in TITLES.items():
        if f"fields/{name}" not in file:
            continue
        draws = file[f"fields/{name}"][:, :, mine]
        draws = draws.reshape(-1, *draws.shape[2:])
        moments(name, title, draws)
        if name == "velocity":
            moments("speed", "speed", np.linalg.norm(draws, axis=2))
        ends = {}
        for suffix, quantile in QUANTILES.items():
            ends[suffix] = np.quantile(draws, quantile, axis=0)
            text = f"{100 * quantile:.0f} % quantile of the {title}"
            store.field(f"estimate/{name}_{suffix}", components(ends[suffix]), text)
        if name in truths:
            truth = truths[name]()
            store.field(f"truth/{name}", truth, f"true {title}")
            parts = truth if isinstance(truth, list) else [truth]
            true = np.stack([part.array_r for part in parts], axis=-1).reshape(ends["05"].shape)
            inside = (ends["05"] <= true) & (true <= ends["95"])
            shares[f"{name}_inside"] = float(
                problem.comm.allreduce(inside.sum()) / problem.comm.allreduce(inside.size)
            )
    if shares:
        store.attributes(shares, "estimate")


def _truths(problem: Problem) -> dict[str, Callable[[], PETSc.Vec | list[PETSc.Vec]]]:
    """Name → its true field at the samples, where it is known."""
    truth, samples, found = problem.truth, problem.samples, {}
    if truth.velocity is not None:
        found["velocity"] = lambda: truth.velocity.sampled(samples)
    if truth.diffusivity is not None:
        found["diffusivity"] = lambda: samples.values(truth.diffusivity)
    if truth.initial is not None:
        found["initial"] = lambda: samples.values(problem.operator.extend(truth.initial))
    return found
