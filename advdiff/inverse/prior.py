"""Gaussian priors, m = m₀ + L ξ with ξ white: one part for each part of the unknowns.

``Independent``: a standard deviation a coefficient.  ``Matern``: L = (A⁻¹D)^{p−1} A⁻¹ D^{1/2} with
A = γ(κ² − Δ) by finite elements and D the lumped mass, the discretisation of a Matérn field of
smoothness ν = 2p − d/2 (Lindgren, Rue, Lindström 2011): p sparse solves, its inverse none.  A
stream function takes p = 2, so that its velocity is a field with a variance (p = 1 would give it
none).

With ∂m/∂n = 0 a Matérn field would have twice the variance at a wall, four times in a corner.  The
condition ∂m/∂n + ρm = 0 (Roininen, Huttunen and Lasanen 2014) with the ρ of :func:`robin` keeps it
even at a plane wall; where the unknown is 0 on the boundary, so is its variance.

Every part numbers its entries by ``labels``, the same on any number of ranks: noise that is drawn
by them is too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from petsc4py import PETSc

from advdiff.algebra.numbering import places
from advdiff.core.random import Random
from advdiff.inverse.unknowns import Unknowns

PART = np.uint64(48)
"""Bits of a label below those of the part."""


class PartPrior(Protocol):
    """The factor L of the covariance LLᵀ of one part; all calls collective, x and y distinct.

    Attributes:
        labels: numbers of the local entries that do not depend on the ranks, shape (local,),
            uint64.
    """

    labels: np.ndarray

    def color(self, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """y = L x."""

    def color_transpose(self, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """y = Lᵀ x."""

    def whiten(self, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """y = L⁻¹ x."""

    def whiten_transpose(self, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """y = L⁻ᵀ x."""


class Independent:
    """Independent coefficients with standard deviations ``std`` (a vector like the part)."""

    def __init__(self, std: PETSc.Vec):
        self.std = std
        self.labels = np.arange(*std.getOwnershipRange(), dtype=np.uint64)

    def color(self, x, y):
        y.pointwiseMult(self.std, x)

    def whiten(self, x, y):
        y.pointwiseDivide(x, self.std)

    color_transpose = color
    whiten_transpose = whiten


class Prior:
    """The prior of the whole parameter vector.

    Args:
        unknowns: the parts of m.
        mean: m₀.
        parts: one factor for each part.

    m has the units of its parts, ξ has none.

    >>> from mpi4py import MPI
    >>> from advdiff.models.coefficients import independent_prior, unknowns
    >>> prior = independent_prior(unknowns("m", 2, MPI.COMM_WORLD), mean=[1.0, 1.0], std=[0.5, 2.0])
    >>> m = prior.color(prior.unknowns.from_numpy([1.0, 1.0]))  # one standard deviation up
    >>> m.array, prior.whiten(m).array
    (array([1.5, 3. ]), array([1., 1.]))
    >>> prior.value_and_gradient(m)[0], prior.precision(m).array
    (1.0, array([6.  , 0.75]))
    """

    def __init__(self, unknowns: Unknowns, mean: PETSc.Vec, parts: Sequence[PartPrior]):
        self.unknowns, self.mean, self.parts = unknowns, mean, list(parts)

    def _by_part(self, verb: str, x: PETSc.Vec) -> PETSc.Vec:
        result = self.unknowns.vector()
        for i, part in enumerate(self.parts):
            source = self.unknowns.extract(x, i)
            target = source.duplicate()
            getattr(part, verb)(source, target)
            self.unknowns.insert(target, i, result)
            source.destroy()
            target.destroy()
        return result

    @cached_property
    def labels(self) -> np.ndarray:
        """Numbers of the local entries of m that do not depend on the ranks, (local,), uint64."""
        return np.concatenate([p.labels | (np.uint64(i) << PART) for i, p in enumerate(self.parts)])

    @cached_property
    def places(self) -> np.ndarray:
        """Places of the local entries of m in an order that does not depend on the ranks, part by
        part and by their labels, shape (local,) (collective)."""
        found, first = [], 0
        for part, unknown in zip(self.parts, self.unknowns.parts, strict=True):
            found.append(first + places(part.labels, self.unknowns.comm))
            first += unknown.template.getSize()
        return np.concatenate(found)

    def white(self, seed: int, draw: int) -> PETSc.Vec:
        """White noise ξ, the same on any number of ranks (collective)."""
        return Random(seed, 0, draw, self.labels).white(self.mean)

    def draw(self, seed: int, draw: int) -> PETSc.Vec:
        """A sample m₀ + Lξ of the prior; any two numbers ``draw`` have their own (collective)."""
        return self.color(self.white(seed, draw))

    def color(self, xi: PETSc.Vec) -> PETSc.Vec:
        """m = m₀ + L ξ (collective)."""
        result = self.scaled(xi)
        result.axpy(1.0, self.mean)
        return result

    def scaled(self, xi: PETSc.Vec) -> PETSc.Vec:
        """L ξ (collective)."""
        return self._by_part("color", xi)

    def color_transpose(self, gradient: PETSc.Vec) -> PETSc.Vec:
        """Lᵀ g: a gradient with respect to m becomes one with respect to ξ (collective)."""
        return self._by_part("color_transpose", gradient)

    def whiten(self, m: PETSc.Vec) -> PETSc.Vec:
        """ξ = L⁻¹ (m − m₀) (collective)."""
        difference = m.copy()
        difference.axpy(-1.0, self.mean)
        result = self._by_part("whiten", difference)
        difference.destroy()
        return result

    def precision(self, dm: PETSc.Vec) -> PETSc.Vec:
        """(LLᵀ)⁻¹ dm (collective)."""
        xi = self._by_part("whiten", dm)
        result = self._by_part("whiten_transpose", xi)
        xi.destroy()
        return result

    def value_and_gradient(self, m: PETSc.Vec) -> tuple[float, PETSc.Vec]:
        """½‖L⁻¹(m − m₀)‖² and its gradient (collective)."""
        difference = m.copy()
        difference.axpy(-1.0, self.mean)
        gradient = self.precision(difference)
        value = 0.5 * difference.dot(gradient)
        difference.destroy()
        return value, gradient


def decaying(waves: np.ndarray, std: float, decay: float) -> np.ndarray:
    """std · (|k|/min|k|)^−decay for modes of wave vectors (count, 2)."""
    size = np.linalg.norm(waves, axis=1)
    return std * (size / size.min()) ** (-decay)


def kraichnan(waves: np.ndarray, std: float) -> np.ndarray:
    """std · √(2E(|k|)), E the spectrum of Borggaard, Glatt-Holtz and Krometis (2020, example 2).

    E(k) = 1/(2πk) Σ_j (k/k_j)⁴ e^{−1.5(k/k_j)²} k_j^{−1.5} with k_j = 2^{j/2}, j = 0 … 20.
    """
    size = np.linalg.norm(waves, axis=1)[:, None]
    scales = 2.0 ** (np.arange(21) / 2.0)
    ratio = size / scales
    terms = ratio**4 * np.exp(-1.5 * ratio**2) * scales**-1.5
    return std * np.sqrt(terms.sum(axis=1) / (np.pi * size[:, 0]))


def like(template: PETSc.Vec, values: np.ndarray) -> PETSc.Vec:
    """Values known on every rank, laid out like a part of the unknowns."""
    result = template.duplicate()
    start, stop = template.getOwnershipRange()
    result.setArray(values[start:stop])
    return result
