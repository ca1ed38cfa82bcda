"""Fields in chains of a flow: what of a draw is kept, and what is made of all of them.

A field has too many unknowns for a file of draws.  Of every draw its averages against cosines are
kept, for the diagnostics; of a few, evenly spaced in each chain, velocity, diffusivity and initial
tracer themselves at the sample points.  Mean, spread and quantiles are made of these.
"""

from __future__ import annotations

from functools import partial
from itertools import product

import h5py
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
from advdiff.problem.unknowns.base import Sampled, components
from advdiff.results.store import Store
from advdiff.results.writing import describe

HIGHEST = 3
"""Half waves of the cosines, over all axes."""
QUANTILES = {"05": 0.05, "25": 0.25, "75": 0.75, "95": 0.95}
"""Ends of the names of fields → what they are."""

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
        space, rows = part.space, part.rows
        msh, dim = space.mesh, problem.domain.dim
        waves = [k for k in product(range(HIGHEST + 1), repeat=dim) if sum(k) <= HIGHEST]
        size = space.dofmap.index_map_bs
        self.waves = np.array([k for k in waves for _ in range(size)])
        x, test = ufl.SpatialCoordinate(msh), ufl.TestFunction(space)
        lower, upper = problem.domain.bounds
        wave = fem.Constant(msh, np.zeros(dim))
        axis = fem.Constant(msh, np.ones(size) if size > 1 else 1.0)
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
            if size > 1:
                axis.value[:] = np.eye(size)[j % size]
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
        self.problem, self.axes, self._samplers = problem, {}, {}
        for kind, part in problem.parts:
            if kind.shows(part):
                self.axes[kind.key] = ("vertex",) if kind.magnitude is None else ("vertex", "dim")
                self._samplers[kind.key] = kind.sampler(problem)

    def __call__(self, m: PETSc.Vec) -> Fields:
        """The fields of m (collective)."""
        self.problem.unknowns.assign(m)
        return {key: components(sample()) for key, sample in self._samplers.items()}


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
    template = problem.samples.vector()
    mine = slice(*template.getOwnershipRange())

    def vectors(values: np.ndarray) -> Sampled:
        """Values of this rank's points, (vertex) or (vertex, dim)."""
        if values.ndim == 2:
            return [vectors(part) for part in values.T]
        vector = template.duplicate()
        vector.setArray(values)
        return vector

    def moments(name: str, title: str, draws: np.ndarray) -> None:
        mean, std = vectors(draws.mean(axis=0)), vectors(draws.std(axis=0))
        store.field(f"estimate/{name}", mean, f"posterior mean of the {title}")
        store.field(f"estimate/{name}_std", std, f"posterior standard deviation of the {title}")

    shares = {}
    for kind in problem.kinds:
        name, title = kind.key, kind.title
        draws = store.file.read(partial(_kept, name, mine))
        if draws is None:
            continue
        draws = draws.reshape(-1, *draws.shape[2:])
        moments(name, title, draws)
        if kind.magnitude is not None:
            moments(kind.magnitude, kind.magnitude, np.linalg.norm(draws, axis=2))
        ends = {}
        for suffix, quantile in QUANTILES.items():
            ends[suffix] = np.quantile(draws, quantile, axis=0)
            text = f"{100 * quantile:.0f} % quantile of the {title}"
            store.field(f"estimate/{name}_{suffix}", vectors(ends[suffix]), text)
        if name in problem.truth:
            truth = kind.sampled(problem, problem.truth[name])
            store.field(f"truth/{name}", truth, f"true {title}")
            values = [part.array_r for part in components(truth)]
            true = np.stack(values, axis=-1).reshape(ends["05"].shape)
            inside = (ends["05"] <= true) & (true <= ends["95"])
            shares[f"{name}_inside"] = float(
                problem.comm.allreduce(inside.sum()) / problem.comm.allreduce(inside.size)
            )
    if shares:
        store.attributes(shares, "estimate")
    describe(store, problem)


def _kept(name: str, mine: slice, file: h5py.File) -> np.ndarray | None:
    """The draws of a field that are kept, (chain, kept, vertex, …), of this rank (local)."""
    path = f"fields/{name}"
    return file[path][:, :, mine] if path in file else None
