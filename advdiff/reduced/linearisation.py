"""A reduced model at one m, its derivative and its adjoint."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from advdiff import matexp
from advdiff.reduced.exponential import Exponential
from advdiff.reduced.system import System


class ReducedLinearisation:
    """One solution of the reduced model, its derivative, its adjoint and its second derivative."""

    def __init__(self, model: System, m: np.ndarray, matrix: np.ndarray):
        self.model, self.m, self.matrix = model, m, matrix
        self._steps, self._which = model.steps
        self.states = self._solve()
        self.predicted = self._read(self.states)

    def _solve(self) -> np.ndarray:
        """x at time 0 and at the positive times, shape (1 + K, d)."""
        states = np.empty((len(self._which) + 1, self.model.dimension))
        states[0] = self.model.start
        for k, i in enumerate(self._which):
            states[k + 1] = self._exponentials[i].value @ states[k]
        return states

    @cached_property
    def _exponentials(self) -> list[Exponential]:
        return [Exponential(h * self.matrix) for h in self._steps]

    def _read(self, states: np.ndarray) -> np.ndarray:
        model = self.model
        offset = 0 if model.times[0] == 0.0 else 1
        table = states[offset:] @ model.sensors.T
        return table[model.time, model.sensor]

    def _loads(self, weights: np.ndarray) -> np.ndarray:
        """Σ of the sensors' rows by time, 0 and the positive times, shape (1 + K, d)."""
        model = self.model
        table = np.zeros((len(model.times), len(model.sensors)))
        np.add.at(table, (model.time, model.sensor), weights)
        loads = np.zeros_like(self.states)
        loads[len(self.states) - len(table) :] = table @ model.sensors
        return loads

    @property
    def _method(self) -> str:
        return self.model.method if self.model.method in matexp.METHODS else "frechet"

    def _derivative(self, direction: np.ndarray, step: float, exact: bool) -> np.ndarray:
        if exact:
            return matexp.derivative(self.matrix, direction, step, "frechet")
        options = self.model.options or {}
        return matexp.derivative(self.matrix, direction, step, self._method, **options)

    def _direction(self, dm: np.ndarray) -> np.ndarray:
        return self.model.combine(np.append(0.0, self.model.affine.slopes(self.m) * dm))

    def _tangents(
        self, dm: np.ndarray, exact: bool = False
    ) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
        direction = self._direction(dm)
        changes = [self._derivative(direction, h, exact) for h in self._steps]
        tangents = np.zeros_like(self.states)
        for k, i in enumerate(self._which):
            tangents[k + 1] = self._exponentials[i].value @ tangents[k]
            tangents[k + 1] += changes[i] @ self.states[k]
        return direction, changes, tangents

    def _adjoints(self, loads: np.ndarray) -> np.ndarray:
        """λ_1 … λ_K, what each state is worth; row 0 is λ_0, of the start."""
        adjoints = loads.copy()
        for k in range(len(self._which) - 1, -1, -1):
            adjoints[k] += self._exponentials[self._which[k]].value.T @ adjoints[k + 1]
        return adjoints

    def _block(self, left: np.ndarray, right: np.ndarray, i: int) -> np.ndarray:
        """Σ_k left_k right_{k−1}ᵀ over the steps of width h_i."""
        mine = np.flatnonzero(self._which == i)
        return left[mine + 1].T @ right[mine]

    def push(self, dm: np.ndarray) -> np.ndarray:
        """Derivative of the predictions along dm, shape (reading,)."""
        return self._read(self._tangents(np.asarray(dm, dtype=float))[2])

    def matrix_gradient(self, weights: np.ndarray) -> np.ndarray:
        """Σ_r w_r ∂(prediction r)/∂Q, shape (d, d)."""
        loads = self._loads(weights)
        adjoints = self._adjoints(loads)
        blocks = [self._block(adjoints, self.states, i) for i in range(len(self._steps))]
        if self.model.method in ("auto", "pade"):
            parts = zip(self._steps, self._exponentials, blocks, strict=True)
            return sum(h * exponential.pull(block) for h, exponential, block in parts)
        return sum(
            matexp.gradient(self.matrix, block, h, self._method, **(self.model.options or {}))
            for block, h in zip(blocks, self._steps, strict=True)
        )

    def pull(self, weights: np.ndarray) -> np.ndarray:
        """Σ_r w_r ∇(prediction r), shape (parameter,)."""
        gradient = self.matrix_gradient(np.asarray(weights, dtype=float))
        return self.model.affine.slopes(self.m) * self.model.contract(gradient)

    def curve(self, weights: np.ndarray, dm: np.ndarray, d_weights: np.ndarray) -> np.ndarray:
        """The derivative of ``pull(weights)`` along dm, while the weights change by ``d_weights``.

        Exact, from one Fréchet derivative of twice the size for every distinct step: the adjoint
        derivative of the exponential of [[Q, dQ], [0, Q]] (Higham & Relton, SIMAX 35, 2014).
        """
        affine, d = self.model.affine, self.model.dimension
        direction, changes, tangents = self._tangents(dm, exact=True)
        loads = self._loads(weights)
        adjoints = self._adjoints(loads)
        moved = self._loads(d_weights)
        for k in range(len(self._which) - 1, -1, -1):
            i = self._which[k]
            moved[k] += self._exponentials[i].value.T @ moved[k + 1]
            moved[k] += changes[i].T @ adjoints[k + 1]
        doubled = np.zeros((2 * d, 2 * d))
        doubled[:d, :d] = doubled[d:, d:] = self.matrix.T
        doubled[:d, d:] = direction.T
        first, second = np.zeros((d, d)), np.zeros((d, d))
        for i, h in enumerate(self._steps):
            block = np.zeros_like(doubled)
            block[:d, :d] = block[d:, d:] = self._block(adjoints, self.states, i)
            block[:d, d:] = self._block(moved, self.states, i)
            block[:d, d:] += self._block(adjoints, tangents, i)
            found = matexp.derivative(doubled, block, h, "frechet")
            first += found[:d, :d]
            second += found[:d, d:]
        curved = affine.curvatures(self.m) * dm * self.model.contract(first)
        return curved + affine.slopes(self.m) * self.model.contract(second)
