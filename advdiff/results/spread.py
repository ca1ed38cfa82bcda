"""How much velocity, speed, diffusivity and start vary in a Laplace approximation, point by point.

The variance of a field B dm that is linear in dm splits into what the data see and the rest,

    diag(B C Bᵀ) = Σ_i (B L v_i)² / (1 + λ_i) + diag(B L (1 − VVᵀ) Lᵀ Bᵀ).

The first sum is exact.  The second is Σ (B L (1 − VVᵀ) e_k)² over all unit vectors where the
unknowns are coefficients, which is exact too; for unknown fields it is a mean over random vectors
in place of the unit vectors, unbiased, never negative, with a relative error of √(2/probes).
The prior's variance is the same with 1 in place of 1/(1 + λ).

Speed and κ are not linear in m: their fields are the derivatives at the estimate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from petsc4py import PETSc

from advdiff.inverse.laplace import NOISE, Laplace
from advdiff.inverse.unknowns import Unknowns
from advdiff.problem.problem import Problem
from advdiff.problem.unknowns.base import components

PROBES = 1 << 32
"""First draw of the probes: those before it are for samples."""

Fields = dict[str, list[PETSc.Vec]]
"""Name → components at the samples."""


class Directions:
    """What dm changes, at sample points, to first order at the present m.

    Args:
        problem: assigned and assembled at the estimate.
    """

    def __init__(self, problem: Problem):
        self.unknowns = problem.unknowns
        kinds = [kind for kind in problem.kinds if kind.is_unknown]
        self._tangents = [kind.tangent(problem) for kind in kinds]

    def __call__(self, dm: PETSc.Vec) -> Fields:
        """The fields that move, by name, e.g. ``velocity`` and ``speed`` (collective)."""
        moved = self.unknowns.push(dm)
        found = {}
        for tangent in self._tangents:
            found |= {name: components(field) for name, field in tangent(moved).items()}
        return found


def _add_square(total: PETSc.Vec, part: PETSc.Vec, weight: float) -> None:
    square = part.duplicate()
    square.pointwiseMult(part, part)
    total.axpy(weight, square)
    square.destroy()


@dataclass(frozen=True)
class Spread:
    """Standard deviations at the samples, and of the coefficients where m is a handful of them.

    Attributes:
        prior, posterior: by field.
        prior_m, posterior_m: of the entries of m, vectors like m.
        exact: False where the part that the data leave unknown is estimated by probes.
    """

    prior: Mapping[str, list[PETSc.Vec]]
    posterior: Mapping[str, list[PETSc.Vec]]
    prior_m: PETSc.Vec
    posterior_m: PETSc.Vec
    exact: bool


def standard_deviations(
    laplace: Laplace, directions: Directions, *, probes: int = 200, seed: int = 0
) -> Spread:
    """Point by point (collective).

    Args:
        laplace: at the m that ``directions`` is at.
        probes: random vectors, where an unknown is a field.
        seed: of these.
    """
    prior, unknowns = laplace.prior, directions.unknowns
    before, after = _Sums(), _Sums()

    def add(white: PETSc.Vec, weight: float, kept: float) -> None:
        dm = prior.scaled(white)
        fields = {**directions(dm), "m": [dm]}
        before.add(fields, weight)
        after.add(fields, weight * kept)

    for value, vector in zip(laplace.pairs.values, laplace.pairs.vectors, strict=True):
        add(vector, 1.0, 1.0 / (1.0 + value))
    exact = unknowns.is_small
    source = _units(unknowns) if exact else _noise(laplace, seed, probes)
    for probe in source:
        rest = laplace.unseen(probe)
        add(rest, 1.0 if exact else 1.0 / probes, 1.0)
        for thing in (rest, probe):
            thing.destroy()
    sums = before.roots(), after.roots()
    of_m = [fields.pop("m")[0] for fields in sums]
    return Spread(*sums, *of_m, exact)


def _units(unknowns: Unknowns) -> Iterator[PETSc.Vec]:
    for k in range(unknowns.size):
        unit = unknowns.vector()
        if unit.getOwnershipRange()[0] <= k < unit.getOwnershipRange()[1]:
            unit.setValue(k, 1.0)
        unit.assemble()
        yield unit


def _noise(laplace: Laplace, seed: int, count: int) -> Iterator[PETSc.Vec]:
    for k in range(count):
        yield laplace.prior.white(seed, PROBES + NOISE + k)


class _Sums:
    """Sums of squares by field."""

    def __init__(self):
        self.sums: Fields = {}

    def add(self, fields: Fields, weight: float) -> None:
        for name, parts in fields.items():
            if name not in self.sums:
                self.sums[name] = [part.duplicate() for part in parts]
                for total in self.sums[name]:
                    total.set(0.0)
            for total, part in zip(self.sums[name], parts, strict=True):
                _add_square(total, part, weight)

    def roots(self) -> Fields:
        for parts in self.sums.values():
            for total in parts:
                total.sqrtabs()
        return self.sums
