"""The projection of a family onto a basis: everything that the online phase needs.

A_rj = V*M⁻¹K_jV and the loads alike, the sensors on V, the start, and the residuals
R_j = M⁻¹K_jV − V A_rj in coordinates.  The terms are shared out to the groups of ranks.

Coordinates of the residuals, whose Euclidean norm is the residual's in the norm of ``energy``, are
inner products with test functions: an orthonormal basis of all residuals (as many as there are,
exact), or ``sketch`` random fields.
"""

from __future__ import annotations

import math

import numpy as np
from petsc4py import PETSc
from slepc4py import SLEPc

from advdiff.algebra.columns import column, plain
from advdiff.problem.model import TransportModel
from advdiff.reduced.bound import ResidualBound
from advdiff.reduced.model import ReducedModel
from advdiff.reduced.offline.basis import Basis
from advdiff.reduced.offline.energy import Energy
from advdiff.reduced.offline.family import Family

PANEL = 128
"""Columns that are projected at a time."""
SHIFT = 0.2
"""δ of the energy, over the last time: the bound's factor e^{δt} is at most e^0.2."""
SIGMAS = 4.0
"""Standard deviations of a sketched norm that its safety factor covers."""


class _Block:
    """One term on V: A_rj, the load's part, and both through the test functions."""

    def __init__(self, tests: int):
        self.matrix = np.zeros((0, 0))
        self.tests = np.zeros((tests, 0))
        self.load: np.ndarray | None = None
        self.tests_load: np.ndarray | None = None


class Projection:
    """Projects a family on a growing basis.

    Args:
        model: the full model: its sensors, readings and initial state.
        family: of its operator.
        basis: V.
        residuals: "orthonormal", "sketch", or "none" for a model without a bound.
        sketch: number of random test functions.
        method: of the reduced model's derivatives.
    """

    def __init__(
        self,
        model: TransportModel,
        family: Family,
        basis: Basis,
        *,
        residuals: str = "sketch",
        sketch: int = 64,
        method: str = "auto",
    ):
        self.model, self.family, self.basis = model, family, basis
        self.residuals, self.method = residuals, method
        self._sampled: list[np.ndarray] = []
        self._tests: SLEPc.BV | None = None
        self._test_count, self._projected = 0, 0
        self.safety = 1.0
        if residuals != "none":
            self._prepare_bound(sketch)
        self._blocks = [_Block(self._test_count) for _ in family.terms]

    def _prepare_bound(self, sketch: int) -> None:
        self.sensor_norms = self._sensor_norms()
        self._shift = SHIFT / float(self.model.readings.times[-1])
        self._energy = Energy(self.model.operator, self.family.diffusivity, self._shift)
        if self.residuals == "sketch":
            self._tests, self._test_count = self._random_tests(sketch), sketch
            self.safety = 1.0 / (1.0 - SIGMAS / math.sqrt(2.0 * sketch))

    # -- what does not change with the basis ----------------------------------------------------

    def _sensor_norms(self) -> np.ndarray:
        """‖C_s‖ dual to the discrete L² (collective)."""
        sensors, basis = self.model.sensors, self.basis
        load, state = basis.template.duplicate(), basis.template.duplicate()
        found = []
        for s in range(len(sensors)):
            unit = np.zeros(len(sensors))
            unit[s] = 1.0
            sensors.spread(unit, load)
            basis.mass.solve(load, state)
            found.append(math.sqrt(load.dot(state)))
        return np.array(found)

    def _random_tests(self, count: int) -> SLEPc.BV:
        fields = [self._energy.random(seed) for seed in range(count)]
        for field in fields:
            field.scale(1.0 / math.sqrt(count))
        return self.basis.block(fields)

    # -- the projection -------------------------------------------------------------------------

    def project(self) -> ReducedModel:
        """The reduced model of the present basis (collective)."""
        family, basis, readings = self.family, self.basis, self.model.readings
        self._sample()
        offset = self.model.sensors.sample(_zero(basis.template), boundary=True)
        load = family.has_load
        sensors = np.array(self._sampled).T.reshape(len(offset), basis.size)
        start = basis.vectors.dotVec(self.model.initial)
        if load:
            sensors, start = np.column_stack([sensors, offset]), np.append(start, 1.0)
        self._project_columns()
        matrices = [self._with_load(block.matrix, block.load) for block in self._blocks]
        rows = self._residual_coordinates(matrices)
        square = [np.vstack([a, np.zeros((int(load), a.shape[1]))]).ravel() for a in matrices]
        gathered = family.groups.gather(list(zip(square, rows, strict=True)), family.count)
        bound = None
        if self.residuals != "none":
            bound = ResidualBound(
                np.array([c for _, c in gathered]),
                self._initial_error(start[: basis.size]),
                self.sensor_norms,
                self._shift,
                self.safety,
            )
        return ReducedModel(
            family.affine,
            np.array([m for m, _ in gathered]),
            start,
            sensors,
            readings.times,
            readings.sensor,
            readings.time,
            bound,
            self.method,
        )

    def _sample(self) -> None:
        """Read the columns of V that were not read yet."""
        for i in range(len(self._sampled), self.basis.size):
            with column(self.basis.vectors, i) as vector:
                state = vector.copy()
            self._sampled.append(self.model.sensors.sample(state, boundary=False))
            state.destroy()

    def _project_columns(self) -> None:
        """VᵀK_jV and the test functions on K_jV, for the columns of V that are new.

        Panel by panel: what lies below a panel follows from symmetry, where there is one.
        """
        basis = self.basis
        if basis.size == self._projected:
            return
        while self._projected < basis.size:
            self._project_panel(min(PANEL, basis.size - self._projected))
        if self.family.has_load:
            left = self._plain(0, basis.size, self._test_count)
            for term, block in zip(self.family.terms, self._blocks, strict=True):
                if term.load is not None:
                    found = left.dotVec(term.load)
                    block.tests_load, block.load = np.split(found, [self._test_count])
            left.destroy()

    def _plain(self, first: int, last: int, tests: int = 0) -> SLEPc.BV:
        """The first test functions, then columns of V, without inner product."""
        block = plain(self.basis.vectors, tests + last - first)
        for i in range(tests):
            with column(self._tests, i) as vector:
                block.insertVec(i, vector)
        for i in range(first, last):
            with column(self.basis.vectors, i) as vector:
                block.insertVec(tests + i - first, vector)
        return block

    def _project_panel(self, count: int) -> None:
        """The next columns of every term."""
        tests, old, frame = self._test_count, self._projected, self.family.frame
        blocks = self._plain(0, old, tests), self._plain(old, old + count)
        left, right = (frame.side(block) for block in blocks)
        for term, block in zip(self.family.terms, self._blocks, strict=True):
            found = frame.columns(term.data, term.sign, left, right)
            upper, found = np.split(found, [tests])
            if old == 0 or term.sign:
                below = term.sign * found[:old].T
            else:
                below = frame.below(term.data, left, right)[:, tests:]
            block.matrix = np.hstack([np.vstack([block.matrix, below]), found])
            block.tests = np.hstack([block.tests, upper])
        for part in blocks:
            part.destroy()
        self._projected = old + count

    def _with_load(self, matrix: np.ndarray, load: np.ndarray | None) -> np.ndarray:
        """[A, b] where there are loads; b is 0 where this term has none."""
        if not self.family.has_load:
            return matrix
        return np.column_stack([matrix, np.zeros(len(matrix)) if load is None else load])

    def _residual_coordinates(self, matrices: list[np.ndarray]) -> list[np.ndarray]:
        if self.residuals == "none":
            return [np.zeros(0)] * len(matrices)
        if self.residuals == "orthonormal":
            return self._orthonormal_coordinates(matrices)
        tests = self.basis.inner(self._tests, self.basis.vectors)
        return [
            (self._with_load(block.tests, block.tests_load) - tests @ matrix).ravel()
            for block, matrix in zip(self._blocks, matrices, strict=True)
        ]

    def _orthonormal_coordinates(self, matrices: list[np.ndarray]) -> list[np.ndarray]:
        basis, mass = self.basis, self.basis.mass
        residuals = []
        for term, matrix in zip(self.family.terms, matrices, strict=True):
            image = basis._allocate(matrix.shape[1])
            image.setActiveColumns(0, basis.size)
            self.family.frame.image(term.data, basis.vectors, image)
            image.setActiveColumns(0, matrix.shape[1])
            if self.family.has_load:
                image.insertVec(
                    basis.size, _zero(basis.template) if term.load is None else term.load
                )
            work = basis.template.duplicate()
            for i in range(matrix.shape[1]):
                with column(image, i) as vector:
                    mass.solve(vector, work)
                    work.copy(vector)
            basis.purge(image)
            residuals.append(image)
        span = self._spanning(residuals)
        factor = np.linalg.cholesky(self._energy_gram(span)).T
        found = [(factor @ basis.inner(span.vectors, image)).ravel() for image in residuals]
        for image in residuals:
            image.destroy()
        span.destroy()
        return found

    def _energy_gram(self, span: Basis) -> np.ndarray:
        """⟨s_i, S⁻¹ s_j⟩ of the columns of a basis, shape (size, size) (collective)."""
        loads, work, solved = self.basis.template.duplicate(), self.basis.template.duplicate(), []
        for i in range(span.size):
            with column(span.vectors, i) as vector:
                self.basis.mass.mult(vector, loads)
            self._energy.solve(loads, work)
            solved.append(work.copy())
        block = span.block(solved)
        gram = Basis.inner(span.vectors, block)
        for part in (block, *solved):
            part.destroy()
        return 0.5 * (gram + gram.T)

    def _spanning(self, residuals: list[SLEPc.BV]) -> Basis:
        """An orthonormal basis of the residuals of all groups."""
        family, basis = self.family, self.basis
        columns = basis.size + family.has_load
        limit = min(basis.template.size, family.count * columns)
        span = Basis(basis.mass, basis.template, limit, basis.gram)
        rounds = -(-family.count // family.groups.count)
        for turn in range(rounds):
            mine = []
            if turn < len(residuals):
                for i in range(columns):
                    with column(residuals[turn], i) as vector:
                        mine.append(vector.copy())
            span.extend(family.groups.vectors(mine, basis.template), 0.0)
        return span

    def _initial_error(self, coefficients: np.ndarray) -> float:
        rest = self.model.initial.copy()
        self.basis.vectors.multVec(-1.0, 1.0, rest, coefficients)
        return self.basis.mass.norm(rest)

    def state_errors(self, reduced: ReducedModel, m: np.ndarray, states, times) -> np.ndarray:
        """‖θ(t) − Vc(t)‖ for full states at ``times``, shape (time,) (collective)."""
        trajectory = reduced.at(m, times)
        errors, work = [], self.basis.template.duplicate()
        for state, x in zip(states, trajectory, strict=True):
            self.basis.lift(x[: self.basis.size], work)
            work.aypx(-1.0, state)
            errors.append(self.basis.mass.norm(work))
        return np.array(errors)


def _zero(template: PETSc.Vec) -> PETSc.Vec:
    vector = template.duplicate()
    vector.set(0.0)
    return vector
