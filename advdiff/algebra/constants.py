"""The constant functions, where a generator neither moves nor loses them: a closed box.

Nothing leaves a box with closed walls, or a periodic one, without a source: K1 = 0 and 1ᵀK = 0, so
that ⟨1, θ(t)⟩ = ⟨1, θ0⟩ + t 1ᵀF and a constant stays what it is.  Rounding knows nothing of it:
K1 = ε‖K‖ drifts by ε t‖A‖, and a factorisation of M − γK, nearly singular in this direction
alone, by ε γ‖A‖.  With w = M1/1ᵀM1 this direction splits off,

    exp(tA) = 1wᵀ + P exp(tA) P,        P = I − 1wᵀ,

and on what is left rounding does not grow with t.

The two conditions come together: the symmetric part of K is not positive, so that 1ᵀK1 = 0 is
enough for it to vanish at 1, and there K and −Kᵀ agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from petsc4py import PETSc

from advdiff.algebra.generator import Generator

_ROUNDING = 256 * np.finfo(float).eps
"""Of a row's sum, relative to the sum of its absolute values: what assembly leaves of 0."""


class Constants:
    """Means and loads of a generator whose constants are steady and conserved (collective).

    Below, 1 is the state of the constant function, whose entries need not be 1.

    Attributes:
        ones: 1.
        weights: w = M1/1ᵀM1.
        volume: 1ᵀM1.
    """

    def __init__(self, generator: Generator):
        self.ones = generator.ones()
        self.weights = self.ones.duplicate()
        generator.mass.mult(self.ones, self.weights)
        self.volume = self.total(self.weights)
        self.weights.scale(1.0 / self.volume)

    def mean(self, state: PETSc.Vec) -> float:
        """wᵀθ, the mean of a state."""
        return self.weights.dot(state)

    def total(self, dual: PETSc.Vec) -> float:
        """1ᵀr, of a dual vector."""
        return dual.dot(self.ones)

    def set_mean(self, state: PETSc.Vec, mean: float) -> float:
        """Give a state this mean by adding a constant; what was added."""
        added = mean - self.mean(state)
        state.axpy(added, self.ones)
        return added

    def set_total(self, dual: PETSc.Vec, total: float) -> None:
        """Give a dual vector this total by adding a multiple of w."""
        dual.axpy(total - self.total(dual), self.weights)

    def set_means(
        self,
        states: Sequence[PETSc.Vec],
        times: Sequence[float],
        initial: PETSc.Vec | None,
        load: PETSc.Vec | None,
    ) -> float:
        """Give states at the times the means wᵀθ0 + t 1ᵀF/1ᵀM1; the largest that was added."""
        mean = 0.0 if initial is None else self.mean(initial)
        rate = 0.0 if load is None else self.total(load) / self.volume
        pairs = zip(states, times, strict=True)
        return max(abs(self.set_mean(state, mean + time * rate)) for state, time in pairs)

    def kept_by(self, stiffness: PETSc.Mat) -> bool:
        """Whether K1 = 0 and 1ᵀK = 0 but for rounding, row by row (collective)."""
        start, columns, values = stiffness.getValuesCSR()
        absolute = stiffness.duplicate()
        absolute.setValuesCSR(start, columns, abs(values))
        absolute.assemble()
        size = self.ones.copy()
        size.abs()
        kept = all(
            self._vanishes(product, sizes, size)
            for product, sizes in (
                (stiffness.mult, absolute.mult),
                (stiffness.multTranspose, absolute.multTranspose),
            )
        )
        absolute.destroy()
        size.destroy()
        return kept

    def _vanishes(self, product: Callable, sizes: Callable, size: PETSc.Vec) -> bool:
        sums, limits = size.duplicate(), size.duplicate()
        product(self.ones, sums)
        sizes(size, limits)
        sums.abs()
        sums.axpy(-_ROUNDING, limits)
        largest = sums.max()[1]
        sums.destroy()
        limits.destroy()
        return bool(largest <= 0.0)

    def destroy(self) -> None:
        """Free the vectors (collective)."""
        self.ones.destroy()
        self.weights.destroy()


def constants(generator: Generator) -> Constants | None:
    """The constants of a closed box, seen from its matrices; None where it is none (collective).

    They are the generator's: nobody else destroys them.
    """
    if "constants" not in generator.made:
        generator.made["constants"] = Constants(generator)
    found = generator.made["constants"]
    kept = generator.once("closed", lambda: found.kept_by(generator.stiffness))
    return found if kept else None
