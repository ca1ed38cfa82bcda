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

from collections.abc import Sequence

import numpy as np
from petsc4py import PETSc

from advdiff.algebra.generator import Generator

_ROUNDING = 256 * np.finfo(float).eps
"""Of a row's sum, relative to the sum of its absolute values: what assembly leaves of 0."""


class Constants:
    """Means and loads of a generator whose constants are steady and conserved (collective).

    Attributes:
        weights: w, a dual vector with wᵀ1 = 1.
        volume: 1ᵀM1.
    """

    def __init__(self, generator: Generator):
        ones = generator.vector()
        ones.set(1.0)
        self.weights = ones.duplicate()
        generator.mass.mult(ones, self.weights)
        self.volume = self.weights.sum()
        self.weights.scale(1.0 / self.volume)
        ones.destroy()

    def mean(self, state: PETSc.Vec) -> float:
        """wᵀθ, the mean of a state."""
        return self.weights.dot(state)

    def set_mean(self, state: PETSc.Vec, mean: float) -> float:
        """Give a state this mean by adding a constant; what was added."""
        added = mean - self.mean(state)
        state.shift(added)
        return added

    def set_sum(self, dual: PETSc.Vec, total: float) -> None:
        """Give a dual vector this sum of its entries by adding a multiple of w."""
        dual.axpy(total - dual.sum(), self.weights)

    def set_means(
        self,
        states: Sequence[PETSc.Vec],
        times: Sequence[float],
        initial: PETSc.Vec | None,
        load: PETSc.Vec | None,
    ) -> float:
        """Give states at the times the means wᵀθ0 + t 1ᵀF/1ᵀM1; the largest that was added."""
        mean = 0.0 if initial is None else self.mean(initial)
        rate = 0.0 if load is None else load.sum() / self.volume
        pairs = zip(states, times, strict=True)
        return max(abs(self.set_mean(state, mean + time * rate)) for state, time in pairs)

    def destroy(self) -> None:
        """Free w (collective)."""
        self.weights.destroy()


def constants(generator: Generator) -> Constants | None:
    """The constants, if K1 = 0 and 1ᵀK = 0 but for rounding, row by row; else None (collective)."""
    return Constants(generator) if keeps_constants(generator.stiffness) else None


def keeps_constants(matrix: PETSc.Mat) -> bool:
    """Whether the sums of all rows and of all columns are 0 but for rounding (collective)."""
    ones, right, left = matrix.createVecRight(), matrix.createVecRight(), matrix.createVecLeft()
    ones.set(1.0)
    start, columns, values = matrix.getValuesCSR()
    absolute = matrix.duplicate()
    absolute.setValuesCSR(start, columns, abs(values))
    absolute.assemble()
    kept = _vanishes(matrix.mult, absolute.mult, ones, left) and _vanishes(
        matrix.multTranspose, absolute.multTranspose, ones, right
    )
    for thing in (ones, right, left, absolute):
        thing.destroy()
    return kept


def _vanishes(product, absolute, ones: PETSc.Vec, sums: PETSc.Vec) -> bool:
    product(ones, sums)
    sizes = sums.duplicate()
    absolute(ones, sizes)
    sums.abs()
    sums.axpy(-_ROUNDING, sizes)
    sizes.destroy()
    return bool(sums.max()[1] <= 0.0)
