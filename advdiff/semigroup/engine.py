"""What every engine for the action of exp(tA) offers: forward, transpose, push-forward, pull-back.

An engine is made for one ``Generator``, owns what depends on it alone
(an ellipse, a factorisation, an options prefix) and computes, for all output times at once,

    y_k = e^{t_k A} θ0 + t_k φ₁(t_k A) M⁻¹ F,        k = 1 … K

with F a constant load.  ``forward`` returns a :class:`Solution`; with ``record=True`` it keeps what
``pull`` needs (a tape: all vectors, or checkpoints, as the engine's options say).

* ``transpose``: Σ_k e^{t_k Aᵀ} r_k for residuals r_k, the plain transpose of θ0 ↦ (y_k);
* ``push``: the derivative of (y_k) along a :class:`Change` (dθ0, dK, dF);
* ``pull``: for residuals r_k = ∂Φ/∂y_k, the derivative of Φ with respect to θ0, F and K.  The
  last is a sparse matrix Ḡ = Σ λ θᵀ on the pattern of K, handed over pair by pair to a
  :class:`Cotangent`, so that dΦ = ⟨Ḡ, dK⟩ = Σ λᵀ dK θ with λ and θ *states* (M⁻¹ already applied
  to λ).

Times are positive, finite and strictly increasing.  All calls are collective on the generator's
communicator.  Nothing prints; what was done is in ``Solution.report``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
from petsc4py import PETSc

from advdiff.algebra.generator import Generator
from advdiff.core.errors import ConvergenceError, InputError, NotFinite, shortened, suggestion
from advdiff.core.petsc_errors import good_values

__all__ = [
    "Change",
    "ConvergenceError",
    "Cotangent",
    "Engine",
    "EngineOptions",
    "Pullback",
    "Solution",
]


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


def error_estimate(report: Mapping[str, Any]) -> float:
    """What a solution's report says of the states' error, relative to the initial norm or, where
    they grow, to the largest.

    The bound where there is one, else the estimate, else, for actions that are each made to a
    tolerance, the sum of those; and what rounding adds.
    """
    rounding = float(report.get("rounding", 0.0))
    for name in ("error_bound", "error_estimate", "bound"):
        if name in report:
            return float(report[name]) + rounding
    return float(report["tolerance"] * report.get("actions", 1)) + rounding


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
    """Receives Ḡ = Σ w λ θᵀ, the derivative of a scalar with respect to K on K's pattern.

    Attributes:
        entries: Ḡ on this rank's rows in the order of ``K.getValuesCSR()``, for who adds to it
            directly; None where nobody wants it.
    """

    entries: np.ndarray | None

    def add(
        self, left: Sequence[PETSc.Vec], right: Sequence[PETSc.Vec], weight: float = 1.0
    ) -> None:
        """Ḡ += weight · Σ_j left[j] right[j]ᵀ (collective)."""


class Change(NamedTuple):
    """A direction of what the states depend on; None: that does not move.

    Attributes:
        initial: dθ0, a state.
        stiffness: dK; any pattern will do.
        load: dF, a dual vector; it may move where there is no F.
    """

    initial: PETSc.Vec | None = None
    stiffness: PETSc.Mat | None = None
    load: PETSc.Vec | None = None


class Pullback(NamedTuple):
    """∂Φ/∂θ0 and ∂Φ/∂F (dual vectors; ``load`` is None where the solution had no load)."""

    initial: PETSc.Vec
    load: PETSc.Vec | None


OBJECTS = ("bv_", "range_")
"""Options of PETSc's own objects, below a prefix of ours: bases, and the numerical range's."""


def require_known(prefix: str, known: Sequence[str]) -> None:
    """Refuse an option below a prefix that nobody reads.

    Raises:
        InputError: naming it and what is known.
    """
    for name in PETSc.Options(prefix).getAll():
        if name not in known and not name.startswith(OBJECTS):
            raise InputError(f"-{prefix}{name}: no such option; {suggestion(name, known)}")


@dataclass(frozen=True)
class EngineOptions:
    """What may be asked of an engine: frozen dataclasses, their fields named as in ``[solver]``."""

    @classmethod
    def of(cls, asked: Any) -> Self:
        """The fields that ``asked``, another dataclass, has too; the others by default."""
        shared = {f.name for f in fields(cls)} & {f.name for f in fields(asked)}
        return cls(**{name: getattr(asked, name) for name in shared})

    def overridden(self, prefix: str) -> Self:
        """With what the PETSc options database holds under ``prefix``.

        Raises:
            InputError: for a value that the options refuse.
        """
        require_known(prefix, [f.name for f in fields(self)])
        given = PETSc.Options(prefix)
        read = {
            "float": given.getReal,
            "int": given.getInt,
            "bool": given.getBool,
            "str": given.getString,
        }
        found = {f.name: read[str(f.type).split()[0]] for f in fields(self)}
        with good_values(prefix):
            return replace(
                self, **{name: get(name) for name, get in found.items() if given.hasName(name)}
            )


class Engine(Protocol):
    """The interface above, and what an engine says of itself; made by ``kind(generator, options)``.

    Attributes:
        names: what the experiment file calls it, ``solver.method``; ``name`` is the one of these
            that an engine goes by.
        Options: the class of its options.
        needs_diagonal_mass: whether it cannot do without.
        factorises: whether it factorises matrices of the size of K.
        has_exact_gradients: whether ``pull`` is the derivative of the states as computed, not that
            of the exact ones to a tolerance.

    Times are in your unit, in which A is a rate.  Calls raise ValueError for times that are not
    increasing, and ConvergenceError, on every rank, where the tolerance is not reached.

    Two rooms that exchange air, θ(1) = (1 ± e⁻²)/2, by every engine:

    >>> from advdiff.algebra.generator import Mass
    >>> from advdiff.semigroup.semigroup import SolverOptions, make_engine
    >>> K = PETSc.Mat().createAIJ(2, csr=([0, 2, 4], [0, 1, 0, 1], [-1.0, 1.0, 1.0, -1.0]))
    >>> A = Generator(K, Mass(PETSc.Vec().createWithArray([1.0, 1.0])))
    >>> start = PETSc.Vec().createWithArray([1.0, 0.0])
    >>> for method in ("faber", "shift-invert", "krylov", "expokit"):
    ...     engine = make_engine(A, SolverOptions(method))
    ...     print(engine.name, engine.forward(start, [1.0]).states[0].array.round(6))
    faber [0.567668 0.432332]
    shift-invert [0.567668 0.432332]
    krylov [0.567668 0.432332]
    expokit [0.567668 0.432332]
    """

    names: ClassVar[tuple[str, ...]]
    Options: ClassVar[type[EngineOptions]]
    needs_diagonal_mass: ClassVar[bool]
    factorises: ClassVar[bool]
    has_exact_gradients: ClassVar[bool]

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
        change: Change,
        load: PETSc.Vec | None = None,
    ) -> tuple[Solution, list[PETSc.Vec]]: ...

    def pull(
        self, solution: Solution, residuals: Sequence[PETSc.Vec], cotangent: Cotangent
    ) -> Pullback: ...
