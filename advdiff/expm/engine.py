"""What every engine for the action of exp(tA) offers: forward, transpose, push-forward, pull-back.

An engine is made for one :class:`~advdiff.expm.generator.Generator`, owns what depends on it alone
(an ellipse, a factorisation, an options prefix) and computes, for all output times at once,

    y_k = e^{t_k A} θ0 + t_k φ₁(t_k A) M⁻¹ F,        k = 1 … K

with F a constant load.  ``forward`` returns a :class:`Solution`; with ``record=True`` it keeps what
``pull`` needs (a tape: all vectors, or checkpoints, as the engine's options say).

* ``transpose``: Σ_k e^{t_k Aᵀ} r_k for residuals r_k, the plain transpose of θ0 ↦ (y_k);
* ``push``: the derivative of (y_k) along (dθ0, dK, dF);
* ``pull``: for residuals r_k = ∂Φ/∂y_k, the derivative of Φ with respect to θ0, F and K.  The
  last is a sparse matrix Ḡ = Σ λ θᵀ on the pattern of K, handed over pair by pair to a
  :class:`Cotangent`, so that dΦ = ⟨Ḡ, dK⟩ = Σ λᵀ dK θ with λ and θ *states* (M⁻¹ already applied
  to λ).

Times are positive, finite and strictly increasing.  All calls are collective on the generator's
communicator.  Nothing prints; what was done is in ``Solution.report``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

from petsc4py import PETSc

from advdiff.errors import ConvergenceError, InputError, NotFinite, shortened
from advdiff.expm.generator import Generator

__all__ = ["ConvergenceError", "Cotangent", "Engine", "Pullback", "Solution"]


@dataclass
class Solution:
    """States at the output times and, if recorded, the tape for ``pull``.

    Attributes:
        times: t_1 < … < t_K.
        states: y_k, one distributed vector a time.
        report: engine, tolerance, products or solves, error estimate or bound, and whatever the
            engine has to say; plain numbers and strings, fit for HDF5 attributes.
        tape: the engine's own business.
    """

    times: tuple[float, ...]
    states: list[PETSc.Vec]
    report: dict[str, Any] = field(default_factory=dict)
    tape: Any = None


def checked_times(times: Sequence[float]) -> tuple[float, ...]:
    """The times as floats.

    Raises:
        InputError: where they are not positive, finite and strictly increasing.
    """
    try:
        checked = tuple(float(time) for time in times)
        increasing = all(a < b for a, b in pairwise((0.0, *checked)))
        good = increasing and len(checked) > 0 and math.isfinite(checked[-1])
    except (TypeError, ValueError):
        good = False
    if not good:
        text = shortened(" ".join(str(times).split())).strip("'\"")
        raise InputError(
            f"times must be positive, finite and strictly increasing numbers, got {text}; give at "
            "least one"
        )
    return checked


def finite(vectors: Sequence[PETSc.Vec], what: str) -> Sequence[PETSc.Vec]:
    """The vectors, if every entry is a finite number (collective).

    Raises:
        NotFinite: where one is not, on every rank.
    """
    for vector in vectors:
        if not math.isfinite(vector.norm()):
            raise NotFinite(f"{what} has entries that are not finite")
    return vectors


class Cotangent(Protocol):
    """Receives Ḡ = Σ w λ θᵀ, the derivative of a scalar with respect to K on K's pattern."""

    def add(
        self, left: Sequence[PETSc.Vec], right: Sequence[PETSc.Vec], weight: float = 1.0
    ) -> None:
        """Ḡ += weight · Σ_j left[j] right[j]ᵀ (collective)."""


class Pullback(NamedTuple):
    """∂Φ/∂θ0 and ∂Φ/∂F (dual vectors; ``load`` is None where the solution had no load)."""

    initial: PETSc.Vec
    load: PETSc.Vec | None


class Engine(Protocol):
    """The interface above.  ``name`` is what the experiment file calls ``solver.method``."""

    name: str
    generator: Generator

    def forward(
        self,
        initial: PETSc.Vec,
        times: Sequence[float],
        load: PETSc.Vec | None = None,
        *,
        record: bool = False,
    ) -> Solution: ...

    def transpose(self, residuals: Sequence[PETSc.Vec], times: Sequence[float]) -> PETSc.Vec: ...

    def push(
        self,
        initial: PETSc.Vec,
        times: Sequence[float],
        stiffness: PETSc.Mat | None = None,
        d_initial: PETSc.Vec | None = None,
        load: PETSc.Vec | None = None,
        d_load: PETSc.Vec | None = None,
    ) -> tuple[Solution, list[PETSc.Vec]]: ...

    def pull(
        self, solution: Solution, residuals: Sequence[PETSc.Vec], cotangent: Cotangent
    ) -> Pullback: ...
