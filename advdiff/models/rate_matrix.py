"""A continuous-time Markov chain seen at discrete times: transition probabilities and gradients.

The unknowns are the logarithms x of the off-diagonal rates, row by row.  A prediction is
(e^{tQ})_{ij}, the probability of a transition i → j in the time t; the likelihood of independent
transitions is ``inverse.likelihood.Counts``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.inverse.likelihood import Counts, Potential
from advdiff.matexp import bilinear_gradient, derivative, from_log_rates, gradient
from advdiff.matexp.aggregate import GRADIENT_CONDITION
from advdiff.matexp.balance import expm
from advdiff.matexp.rates.rates import log_rates_pullback, log_rates_pushforward
from advdiff.matexp.spectral import MAX_CONDITION, Eigenbasis, divided_difference, eigenbasis
from advdiff.models.coefficients import unknowns

Gradient = Literal["exact", "per-term", "first-order", "asymptotic", "kernel-exact"]
GRADIENTS = get_args(Gradient)
ACCURACY = 1e-8
"""Relative rounding error of a gradient at which the eigenbasis still serves."""
CHUNK = 2**20
"""Numbers held at once by a push."""


@dataclass(frozen=True)
class Transitions:
    """What was seen, once for every distinct (from, to, time).

    Attributes:
        origin, target: states, shape (transition,), from 0.
        time: between them, shape (transition,).
        count: how often, shape (transition,).
    """

    origin: np.ndarray
    target: np.ndarray
    time: np.ndarray
    count: np.ndarray

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def collect(cls, origin, target, time, count=1.0) -> Transitions:
        """From one row a transition; equal rows are counted."""
        rows = np.stack([np.asarray(column, float) for column in (origin, target, time)], axis=1)
        distinct, index = np.unique(rows, axis=0, return_inverse=True)
        weights = np.broadcast_to(np.asarray(count, float), len(rows))
        count = np.bincount(index.ravel(), weights=weights, minlength=len(distinct))
        return cls(distinct[:, 0].astype(int), distinct[:, 1].astype(int), distinct[:, 2], count)

    @classmethod
    def simulate(cls, rng: np.random.Generator, Q: np.ndarray, times: np.ndarray) -> Transitions:
        """One long path of the chain with generator Q, looked at after each of the times (n,)."""
        state, rows = int(rng.integers(len(Q))), []
        for t, row in zip(times, rng.random(len(times)), strict=True):
            cumulative = np.cumsum(expm(t * Q)[state])
            after = int(min(np.searchsorted(cumulative, row * cumulative[-1]), len(Q) - 1))
            rows.append((state, after, t))
            state = after
        return cls.collect(*np.array(rows).T)


class RateMatrixModel:
    """x ↦ transition probabilities, a ``Model``.

    Args:
        d: number of states.
        transitions: what is predicted.
        comm: m lives on its rank 0; all ranks do the same small work.
        gradient: of ``pull``.  "exact": aggregated in one eigenbasis; "per-term": a Fréchet
            derivative for each transition, the plain way; the others are surrogates
            (``matexp.bilinear_gradient``).

    Rates are one over the unit of the times, which is yours.

    >>> seen = Transitions.collect([0, 0, 0], [0, 1, 1], [1.0, 1.0, 1.0])
    >>> seen.count  # of 0 → 0 and 0 → 1
    array([1., 2.])
    >>> model = RateMatrixModel(2, seen)
    >>> model.observe(model.unknowns.from_numpy([0.0, 0.0])).round(6)  # both rates e⁰
    array([0.567668, 0.432332])
    """

    def __init__(
        self,
        d: int,
        transitions: Transitions,
        comm: MPI.Comm = MPI.COMM_SELF,
        gradient: Gradient = "exact",
    ):
        self.d, self.transitions, self.gradient = d, transitions, gradient
        self.unknowns = unknowns("log_rates", d * (d - 1), comm)
        self.off = ~np.eye(d, dtype=bool)
        self.left = np.eye(d)[transitions.origin]
        self.right = np.eye(d)[transitions.target]

    def matrix(self, x: np.ndarray) -> np.ndarray:
        """Entries (d, d) with zero diagonal from the unknowns (d² − d,)."""
        result = np.zeros((self.d, self.d))
        result[self.off] = x
        return result

    def generator(self, m: PETSc.Vec) -> tuple[np.ndarray, np.ndarray]:
        """Log rates (d, d) and the rate matrix (collective)."""
        x = self.matrix(self.unknowns.to_numpy(m))
        with np.errstate(over="raise"):
            return x, from_log_rates(x)

    def derived(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """What a draw is also looked at as."""
        return {"rates": np.exp(x)}

    def observe(self, m: PETSc.Vec) -> np.ndarray:
        """Probabilities of the transitions (collective)."""
        return RateMatrixLinearisation(self, *self.generator(m)).predicted

    def linearise(self, m: PETSc.Vec) -> RateMatrixLinearisation:
        """The model at m (collective)."""
        return RateMatrixLinearisation(self, *self.generator(m))

    def potential(self) -> Potential:
        """−log likelihood of the transitions."""
        return Potential(self, Counts(self.transitions.count))


class RateMatrixLinearisation:
    """The chain with one rate matrix.

    Attributes:
        predicted: probabilities, shape (transition,).
        basis: eigenbasis of Q, None where it is too ill-conditioned.
    """

    def __init__(self, model: RateMatrixModel, x: np.ndarray, Q: np.ndarray):
        self.model, self.x, self.Q = model, x, Q
        basis = eigenbasis(Q)
        self.basis: Eigenbasis | None = basis if basis.condition <= GRADIENT_CONDITION else None
        self.predicted = self._predict()

    def _predict(self) -> np.ndarray:
        seen = self.model.transitions
        if self.basis is not None:
            alpha, beta = self.basis.vectors[seen.origin], self.basis.inverse.T[seen.target]
            growth = np.exp(seen.time[:, None] * self.basis.values)
            return np.einsum("bi,bi,bi->b", alpha, growth, beta).real
        distinct, group = np.unique(seen.time, return_inverse=True)
        flows = expm(distinct[:, None, None] * self.Q)
        return flows[group, seen.origin, seen.target]

    def push(self, dm: PETSc.Vec) -> np.ndarray:
        """Derivative of the probabilities along dm, exact, shape (transition,) (collective)."""
        model, seen = self.model, self.model.transitions
        J = log_rates_pushforward(self.x, model.matrix(model.unknowns.to_numpy(dm)))
        if self.basis is None:
            distinct, group = np.unique(seen.time, return_inverse=True)
            flows = derivative(self.Q, J, distinct, "frechet")
            return flows[group, seen.origin, seen.target]
        values, V, inverse, _ = self.basis
        inner, result = inverse @ J @ V, np.empty(len(seen))
        step = max(1, CHUNK // model.d**2)
        for k in range(0, len(seen), step):
            part = slice(k, k + step)
            time = seen.time[part, None, None]
            Phi = divided_difference(values[:, None], values[None, :], time)
            left, right = V[seen.origin[part]], inverse.T[seen.target[part]]
            result[part] = np.einsum("bi,bij,bj->b", left, Phi * inner, right).real
        return result

    def pull(self, weights: np.ndarray) -> PETSc.Vec:
        """Σ_b w_b ∇(probability b), exact or the model's surrogate of it (collective)."""
        model = self.model
        G = PULLS[model.gradient](self, weights)
        gradient = log_rates_pullback(self.x, G)
        return model.unknowns.from_numpy(gradient[model.off])

    def _aggregated(self, weights: np.ndarray, method: str, limit: float) -> np.ndarray:
        model, t = self.model, self.model.transitions.time
        left = weights[:, None] * model.left
        return bilinear_gradient(
            self.Q,
            left,
            model.right,
            t,
            method,
            basis=self.basis,
            max_condition=limit,
            accuracy=ACCURACY,
        )

    def _per_term(self, weights: np.ndarray) -> np.ndarray:
        seen, total = self.model.transitions, np.zeros_like(self.Q)
        for i, j, t, w in zip(seen.origin, seen.target, seen.time, weights, strict=True):
            direction = np.zeros_like(self.Q)
            direction[i, j] = w
            total += gradient(self.Q, direction, t, "frechet")
        return total


SURROGATES = GRADIENTS[2:]
PULLS: dict[str, Callable[[RateMatrixLinearisation, np.ndarray], np.ndarray]] = {
    "exact": lambda at, w: at._aggregated(w, "auto", GRADIENT_CONDITION),
    "per-term": lambda at, w: at._per_term(w),
} | {name: lambda at, w, name=name: at._aggregated(w, name, MAX_CONDITION) for name in SURROGATES}
"""∂/∂Q of Σ w p, by the name of ``gradient``."""
