"""How the Faber engine is run, and which ellipse it uses."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from mpi4py import MPI

from advdiff.algebra.generator import Generator
from advdiff.algebra.numerical_range import NumericalRange, bounds
from advdiff.semigroup.engine import ConvergenceError, EngineOptions
from advdiff.semigroup.faber.ellipse import Ellipse, search

BACKENDS = ("auto", "compiled", "petsc")
_RESTARTS = 6


@dataclass(frozen=True)
class FaberOptions(EngineOptions):
    """Options of :class:`~advdiff.semigroup.faber.engine.FaberEngine`.

    Attributes:
        tolerance: of every y_k in the L² norm, relative to ‖θ0‖ (+ what a load makes of 0, at
            least min(t_k, 1/‖A‖) ‖M⁻¹F‖; times e^{σ t_k} where the numerical range reaches σ > 0).
        memory: bytes a rank may spend on a tape that keeps every vector; above it, checkpoints.
        range: "gershgorin" or "lanczos", see ``numerical_range.bounds``.
        check: steps between two checks of ‖x_j‖ ≤ 2‖θ0‖.
        backend: "compiled" or "petsc"; "auto" is compiled where that is possible.
    """

    tolerance: float = 1e-9
    memory: float = 2.0**30
    range: str = "gershgorin"
    check: int = 16
    backend: str = "auto"

    def __post_init__(self):
        if not 1e-13 <= self.tolerance < 1.0:
            raise ValueError(f"tolerance must be in [1e-13, 1), got {self.tolerance}")
        if not self.memory >= 0.0:
            raise ValueError(f"memory must not be negative, got {self.memory}")
        if self.range not in ("gershgorin", "lanczos"):
            raise ValueError(f"range must be 'gershgorin' or 'lanczos', not {self.range!r}")
        if self.backend not in BACKENDS:
            raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, not {self.backend!r}")
        if self.check < 1:
            raise ValueError(f"check must be at least 1, got {self.check}")

    @classmethod
    def of(cls, asked: Any) -> FaberOptions:
        """See :class:`EngineOptions`; asked for are GiB."""
        return cls(asked.tolerance, 2.0**30 * asked.memory)

    @property
    def search(self) -> tuple[float, str]:
        """What the ellipse depends on."""
        return self.tolerance, self.range


def unchanged(generator: Generator, state: int) -> bool:
    """Whether K is what it was at that object state, the same answer on all ranks (collective)."""
    return generator.comm.allreduce(generator.stiffness.stateGet() == state, MPI.LAND)


class EllipseChoice:
    """The ellipse of one generator: given, or found around bounds of the numerical range, and made
    larger when the recurrence proves it wrong.

    Attributes:
        region: the bounds in use, None as long as a given ellipse needs none.
        notes: what had to be enlarged since K changed last.
    """

    def __init__(self, generator: Generator, options: FaberOptions, given: Ellipse | None):
        self._generator, self._options, self._given = generator, options, given
        self._state = -1
        self.region: NumericalRange | None = None
        self.notes: list[str] = []

    def ellipse(self, final: float) -> Ellipse:
        """The ellipse for times up to ``final`` (collective where bounds are needed): that of the
        rounded region, so that it stays while K moves little, and depends on K and the times alone,
        whatever their unit."""
        if self._given is not None:
            return self._given
        return search(self.bounded().rounded(final), final, self._options.tolerance)

    def bounded(self) -> NumericalRange:
        """The region, computed anew when K has changed (collective)."""
        if self.region is None or not unchanged(self._generator, self._state):
            if self.region is not None:
                self.notes = []
            self.region = bounds(self._generator, self._options.range)
            self._state = self._generator.stiffness.stateGet()
        return self.region

    def enlarge(self, why: str) -> None:
        """Own bounds for a given ellipse; then proven ones, no parabola, twice the box.
        Collective.

        Raises:
            ConvergenceError: nothing helped.
        """
        if len(self.notes) == _RESTARTS:
            raise ConvergenceError(f"{why}, after: {'; '.join(self.notes)}")
        if self._given is not None:
            self._given, change = None, "gave up the given ellipse"
        elif self.bounded().method.startswith("lanczos"):
            self.region = bounds(self._generator, "gershgorin")
            change = "Gershgorin's bounds instead of Lanczos'"
        elif math.isfinite(self.region.flow):
            change = f"dropped the flow bound {self.region.flow:g}"
            self.region = bounds(replace(self._generator, flow_bound=math.inf), "gershgorin")
        else:
            twice = {name: 2.0 * getattr(self.region, name) for name in ("real", "imag", "growth")}
            self.region, change = replace(self.region, **twice), "doubled the box"
        self.notes.append(f"{why}: {change}")
