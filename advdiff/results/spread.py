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

import numpy as np
from petsc4py import PETSc

from advdiff.domain.samples import Samples
from advdiff.equation.operator import Operator
from advdiff.equation.velocity import Velocity
from advdiff.inverse.laplace import NOISE, Laplace
from advdiff.inverse.unknowns import Unknowns

PROBES = 1 << 32
"""First draw of the probes: those before it are for samples."""

Fields = dict[str, list[PETSc.Vec]]
"""Name → components at the samples."""


class Directions:
    """What dm changes, at sample points, to first order at the present m.

    Args:
        operator, unknowns: assigned and assembled at the estimate.
        samples: where.
    """

    def __init__(self, operator: Operator, unknowns: Unknowns, samples: Samples):
        self.operator, self.unknowns, self.samples = operator, unknowns, samples
        self._flow = None
        self._function = None
        self._heading = [part.copy() for part in operator.velocity.sampled(samples)]
        speed = _length(self._heading)
        tiny = max(speed.max()[1], np.finfo(float).tiny) * 1e-12
        speed.shift(tiny)
        for part in self._heading:
            part.pointwiseDivide(part, speed)

    def __call__(self, dm: PETSc.Vec) -> Fields:
        """``velocity``, ``speed``, ``diffusivity``, ``initial``: those that move (collective)."""
        controls, initial = self.unknowns.push(dm)
        found = {}
        if flow := {name: controls[name] for name in ("given", "stream") if name in controls}:
            if self._flow is None:
                self._flow = Velocity(self.operator.domain, **flow).sampler(self.samples)
            found["velocity"] = self._flow()
            found["speed"] = [self._along(found["velocity"])]
        if "diffusivity" in controls:
            found["diffusivity"] = [self.samples.values(controls["diffusivity"])]
        if initial is not None:
            self._function = self.operator.extend(initial, self._function, boundary=False)
            found["initial"] = [self.samples.values(self._function)]
        return found

    def _along(self, velocity: list[PETSc.Vec]) -> PETSc.Vec:
        """The derivative of the speed: the component along the flow."""
        result = velocity[0].duplicate()
        result.set(0.0)
        for part, heading in zip(velocity, self._heading, strict=True):
            product = part.duplicate()
            product.pointwiseMult(part, heading)
            result.axpy(1.0, product)
            product.destroy()
        return result


def _length(parts: list[PETSc.Vec]) -> PETSc.Vec:
    result = parts[0].duplicate()
    result.set(0.0)
    for part in parts:
        _add_square(result, part, 1.0)
    result.sqrtabs()
    return result


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
