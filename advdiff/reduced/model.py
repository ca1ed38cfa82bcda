"""The reduced model m ↦ predicted readings: dense, small, and without PETSc.

A state of the reduced model is x = (c, 1) with θ ≈ Vc: the load stands in the last column of the
generator Q = [[V*AV, V*M⁻¹F], [0, 0]], values prescribed at the boundary in the last column of the
sensor matrix, so that neither is a case of its own below.  (Without loads there is no last entry.)

All times come from one exponential X = e^{hQ} for every distinct step h between them, x_k = X
x_{k−1}.  The adjoint marches backwards, λ_{k−1} = Xᵀλ_k + …, and the sum B = Σ λ_k x_{k−1}ᵀ meets
one adjoint derivative of the exponential (``exponential``, which shares what it can with the
exponential itself): O(r³ + K r²) for equidistant times, whatever the number of parameters, which
cost r² each (one product with the stack of the A_j).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

import advdiff
from advdiff import hdf5, matexp
from advdiff.matexp.balance import expm
from advdiff.matexp.operands import EPS
from advdiff.matexp.rounding import SAFETY
from advdiff.reduced.affine import Affine
from advdiff.reduced.bound import ResidualBound, rounding
from advdiff.reduced.exponential import Exponential

CONDITION = 1e4
"""Of an eigenbasis that "auto" takes: a bound, which is well above the condition number itself."""
FEW = 4
"""Distinct steps up to which their exponentials are cheaper than one eigendecomposition."""
ROUNDING = 1e-12
"""Relative size of what keeps a matrix from being skew, when it is rounding."""
_SAME_STEP = 8 * np.finfo(float).eps


def check_method(name: str) -> None:
    """Raise ``ValueError`` for what is no method of a reduced model."""
    known = ["auto", "pade", "spectral", *matexp.METHODS]
    if name not in known:
        raise ValueError(f"must be one of {', '.join(known)}")


@dataclass
class ReducedModel:
    """Readings of the tracer from a reduced basis; pure numpy, no communication.

    Attributes:
        affine: the functions of m.
        stack: A_0, A_1, …, each flattened, shape (1 + parameter, d²).
        start: x(0), shape (d,).
        sensors: x ↦ values at the sensors, shape (sensor, d).
        times: when they are read, increasing, the first may be 0.
        sensor, time: indices of each reading, shape (reading,).
        bound: of the error of the state; None where its matrices were not made.
        method: of :data:`advdiff.matexp.METHODS`, for the derivative of each exponential; "pade"
            takes it backwards through the steps that made the exponential (``exponential``),
            "spectral" everything from one eigendecomposition (``spectral``); "auto" the latter
            for more than a few distinct steps where the eigenbasis is sound, else "pade".
        options: of the method.
    """

    affine: Affine
    stack: np.ndarray
    start: np.ndarray
    sensors: np.ndarray
    times: np.ndarray
    sensor: np.ndarray
    time: np.ndarray
    bound: ResidualBound | None = None
    method: str = "auto"
    options: dict | None = None

    def __post_init__(self):
        self.evaluations = 0

    @property
    def dimension(self) -> int:
        """d: the basis, and one where there are loads."""
        return len(self.start)

    @cached_property
    def steps(self) -> tuple[np.ndarray, np.ndarray]:
        """The distinct steps between times, and which of them leads to each positive time."""
        times = self.times[self.times > 0.0]
        widths = np.diff(times, prepend=0.0)
        distinct, which = [], []
        for width in widths:
            same = [i for i, h in enumerate(distinct) if abs(h - width) <= _SAME_STEP * times[-1]]
            if not same:
                distinct.append(width)
            which.append(same[0] if same else len(distinct) - 1)
        return np.array(distinct), np.array(which)

    def generator(self, m: np.ndarray) -> np.ndarray:
        """Q(m), shape (d, d)."""
        return self.combine(self.affine.values(m))

    @cached_property
    def _halves(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Skew terms are half as much to read: which they are, their lower triangles, where.

        ``stack`` (of the others), those triangles, and the flat indices of lower and upper.
        """
        d = self.dimension
        rows, columns = np.tril_indices(d, -1)
        cubes = self.stack.reshape(-1, d, d)
        largest = np.abs(self.stack).max(axis=1)
        skew = np.array(
            [
                np.abs(cube + cube.T).max() <= ROUNDING * size
                for cube, size in zip(cubes, largest, strict=True)
            ]
        )
        packed = np.ascontiguousarray(cubes[skew][:, rows, columns])
        return skew, packed, self.stack[~skew], np.array([rows * d + columns, columns * d + rows])

    def combine(self, factors: np.ndarray) -> np.ndarray:
        """Σ_j factors_j A_j over all terms, shape (d, d)."""
        skew, packed, others, (lower, upper) = self._halves
        flat, half = factors[~skew] @ others, factors[skew] @ packed
        flat[lower] += half
        flat[upper] -= half
        return flat.reshape(self.dimension, self.dimension)

    def contract(self, matrix: np.ndarray) -> np.ndarray:
        """⟨A_j, matrix⟩ for every unknown, shape (parameter,)."""
        skew, packed, others, (lower, upper) = self._halves
        flat, found = matrix.ravel(), np.empty(len(skew))
        found[skew] = packed @ (flat[lower] - flat[upper])
        found[~skew] = others @ flat
        return found[1:]

    def observe(self, m: np.ndarray) -> np.ndarray:
        """Predicted readings, shape (reading,)."""
        return self.linearise(m).predicted

    def linearise(self, m: np.ndarray) -> ReducedLinearisation:
        """The model at m, with its derivatives."""
        from advdiff.reduced.spectral import SpectralLinearisation, eigenbasis

        self.evaluations += 1
        m = np.array(m, dtype=float)
        matrix = self.generator(m)
        many = len(self.steps[0]) > FEW
        if self.method == "spectral" or (self.method == "auto" and many):
            basis = eigenbasis(matrix)
            if self.method == "spectral" or basis.condition <= CONDITION:
                return SpectralLinearisation(self, m, matrix, basis)
        return ReducedLinearisation(self, m, matrix)

    def at(self, m: np.ndarray, times: np.ndarray) -> np.ndarray:
        """x(t) at other times, increasing, shape (time, d)."""
        return self._states(self.generator(m), times)

    def _states(self, matrix: np.ndarray, times: np.ndarray) -> np.ndarray:
        x, states, known = self.start, [], {}
        for step in np.diff(times, prepend=0.0):
            step = next((h for h in known if abs(h - step) <= _SAME_STEP * times[-1]), step)
            if step not in known:
                known[step] = expm(step * matrix)
            x = known[step] @ x
            states.append(x)
        return np.array(states)

    def rounding(self, m: np.ndarray) -> float:
        """Estimate of the rounding error of the states, relative to the largest of them.

        Those of the method in use are compared with others, by another exponential, for a Q with
        an ulp more or less in every entry; to `SAFETY` times the difference comes (d + t‖Q‖)ε,
        Q in balanced units.  It contains what an eigenbasis loses by the condition of its vectors.
        """
        at = self.linearise(m)
        times = self.times[self.times > 0.0]
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=at.matrix.shape)
        others = self._states(at.matrix * (1.0 + EPS * signs), times)
        difference = np.linalg.norm(at.states[1:] - others, axis=1)
        error = SAFETY * difference + rounding(at.matrix, times, others)
        largest = np.linalg.norm(at.states, axis=1).max()
        return float(error.max(initial=0.0) / (largest or 1.0))

    def state_bound(self, m: np.ndarray) -> np.ndarray:
        """Bound of ‖θ(t) − Vc(t)‖ in L² at the positive times, shape (time,)."""
        if self.bound is None:
            raise ValueError("this reduced model has no residual matrices, hence no bound")
        distinct, which = self.steps
        return self.bound.evaluate(
            self.affine.values(m),
            self.generator(m),
            self.start,
            distinct[which],
            self.affine.diffusivity(m),
        )

    def reading_bound(self, m: np.ndarray) -> np.ndarray:
        """Bound of |prediction − full prediction|, shape (reading,); 0 at time 0."""
        at_times = np.zeros(len(self.times))
        at_times[self.times > 0.0] = self.state_bound(m)
        return self.bound.sensor_norms[self.sensor] * at_times[self.time]

    # -- on disk --------------------------------------------------------------------------------

    def save(self, target: Path | h5py.Group) -> None:
        """Write everything that the online phase needs (one process)."""
        if not isinstance(target, h5py.Group):
            with h5py.File(target, "w") as file:
                self.save(file)
            return
        for name, values in self.arrays().items():
            target[name] = values
        target.attrs["method"] = self.method
        target.attrs["advdiff_version"] = advdiff.__version__

    def arrays(self) -> dict[str, np.ndarray]:
        """What is saved, by name."""
        found = {
            "reference": self.affine.reference,
            "exponential": self.affine.exponential.astype("i1"),
            **{n: getattr(self, n) for n in ("stack", "start", "sensors", "times")},
            **{n: getattr(self, n) for n in ("sensor", "time")},
        }
        return found if self.bound is None else found | self.bound.arrays()

    @classmethod
    def load(cls, source: Path | h5py.Group) -> ReducedModel:
        """Read what :meth:`save` wrote."""
        if not isinstance(source, h5py.Group):
            with hdf5.read(source) as file:
                return cls.load(file)
        data = {name: source[name][...] for name in source}
        return cls(
            Affine(data["reference"], data["exponential"].astype(bool)),
            *(data[n] for n in ("stack", "start", "sensors", "times", "sensor", "time")),
            bound=ResidualBound.from_arrays(data) if "residuals" in data else None,
            method=str(source.attrs["method"]),
        )


class ReducedLinearisation:
    """One solution of the reduced model, its derivative, its adjoint and its second derivative."""

    def __init__(self, model: ReducedModel, m: np.ndarray, matrix: np.ndarray):
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
