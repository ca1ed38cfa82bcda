"""Families of flows whose coefficients, or nodal values, are unknown: one class a family."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from petsc4py import PETSc

from advdiff.config.expression import AXES
from advdiff.config.tables.flows import VelocityPrior, VelocityUnknown
from advdiff.core import memory
from advdiff.equation.modes import fourier_modes, sine_modes
from advdiff.equation.velocity import wall_dofs
from advdiff.inverse.unknowns import Part
from advdiff.problem.unknowns.base import Number, Setting
from advdiff.problem.unknowns.parts import Modes, Nodal

if TYPE_CHECKING:
    from advdiff.inverse.prior import PartPrior


class Family(ABC):
    """One family of an experiment (methods that are given a problem are collective).

    Args:
        table, law: what ``[unknowns]`` and ``[prior]`` say of it.
        key: of the table.
        name: of its part of m.
    """

    def __init__(self, table: VelocityUnknown, law: VelocityPrior, key: str, name: str):
        self.table, self.law, self.key, self.name = table, law, key, name

    @property
    def control(self) -> str:
        """The part of the velocity that it moves."""
        return self.table.control

    @property
    def degree(self) -> int | None:
        """Of the elements that the control must have; None: any."""
        return None

    @property
    def count(self) -> tuple[str, float]:
        """What says how many flows there are, and about how many; 0: a value a node."""
        return "", 0.0

    @abstractmethod
    def part(self, problem: Setting) -> Part:
        """How m moves the velocity."""

    @abstractmethod
    def prior(self, problem: Setting, part: Part) -> tuple[PartPrior, PETSc.Vec | None]:
        """The prior of the part, and its mean where that is not 0."""

    def numbers(self, problem: Setting, m: np.ndarray) -> dict[str, Number]:
        """Coefficients that mean something by themselves, by name.

        Args:
            m: all of this part.
        """
        return {}


class _Few(Family):
    """A sum of flows, each with a coefficient."""

    def require_room(self, problem: Setting) -> None:
        """Raise InputError where the flows take more memory than there is."""
        subject, count = self.count
        size = 8.0 * problem.operator.controls[self.control].x.petsc_vec.getSize() * count
        memory.require(problem.comm, size, subject, "take fewer modes")


class _Waves(_Few):
    """Modes with wave vectors, whose variances decay with these."""

    def prior(self, problem, part):
        from advdiff.inverse.prior import Independent, decaying, kraichnan, like

        law = self.law
        if law.spectrum == "kraichnan":
            std = kraichnan(part.waves, law.std)
        else:
            std = decaying(part.waves, law.std, law.decay)
        return Independent(like(part.template, std)), None

    def _made(self, problem, modes, waves) -> Modes:
        return Modes(self.name, problem.operator, self.control, modes, waves)


class Sine(_Waves):
    """Sine modes of a stream function in a rectangle."""

    @property
    def count(self):
        return f"{self.key}.modes = {self.table.modes}", math.prod(self.table.modes)

    def part(self, problem):
        self.require_room(problem)
        return self._made(problem, *sine_modes(problem.domain, self.table.modes))


class Fourier(_Waves):
    """Fourier modes of a torus."""

    @property
    def count(self):
        largest = self.table.largest
        return f"{self.key}.largest = {largest:g}", math.pi * largest**2

    def part(self, problem):
        self.require_room(problem)
        return self._made(problem, *fourier_modes(problem.domain, self.table.largest))


class Uniform(_Few):
    """The same velocity everywhere: a number an axis."""

    @property
    def count(self):
        return f"{self.key}.family = 'uniform'", 3.0

    def part(self, problem):
        modes = [_along(axis, problem.domain.dim) for axis in range(problem.domain.dim)]
        return Modes(self.name, problem.operator, self.control, modes)

    def prior(self, problem, part):
        from advdiff.inverse.prior import Independent, like

        std = np.broadcast_to(self.law.std, problem.domain.dim)
        prior = Independent(like(part.template, std))
        if self.law.mean is None:
            return prior, None
        return prior, like(part.template, np.broadcast_to(self.law.mean, problem.domain.dim))

    def numbers(self, problem, m):
        given = problem.experiment.physics.velocity
        base = [_constant(part) for part in given] if isinstance(given, list) else [None]
        known = None not in base
        base = base if known else [0.0] * problem.domain.dim
        title = "velocity" if known or given is None else "uniform velocity"
        names = [title] if len(m) == 1 else [f"{title} {axis}" for axis in AXES[: len(m)]]
        return {n: Number(base[i] + m[i], self.name, i) for i, n in enumerate(names)}


def _constant(component: Any) -> float | None:
    """A component that is one number, as such or as text; None of another."""
    try:
        return float(component)
    except (TypeError, ValueError):
        return None


def _along(axis: int, dim: int):
    """The unit flow along an axis."""
    return lambda x: np.broadcast_to(np.eye(dim)[:, axis, None], (dim, x.shape[1]))


class Basis(_Few):
    """Flows that the experiment gives."""

    @property
    def count(self):
        return f"{self.key}.fields", len(self.table.fields)

    def part(self, problem):
        self.require_room(problem)
        flows = []
        for i, flow in enumerate(self.table.fields):
            read = problem.velocity(flow.field, f"{self.key}.fields[{i}]")
            flows.append(getattr(read, self.control))
        positive = [flow.positive for flow in self.table.fields]
        return Modes(self.name, problem.operator, self.control, flows, positive=positive)

    def prior(self, problem, part):
        from advdiff.inverse.prior import Independent, like

        mean, std = np.transpose([self._law(flow) for flow in self.table.fields])
        return Independent(like(part.template, std)), like(part.template, mean)

    def numbers(self, problem, m):
        found = {}
        for i, (flow, c) in enumerate(zip(self.table.fields, m, strict=True)):
            name = f"velocity.fields[{i}]"
            value = math.exp(c) if flow.positive else float(c)
            slope, what = (value, "median") if flow.positive else (1.0, "")
            found[name] = Number(value, self.name, i, slope, what)
        return found

    def _law(self, flow) -> tuple[float, float]:
        """Mean and standard deviation of a coefficient, of its logarithm where it is positive."""
        std = self.law.std if flow.std is None else flow.std
        if not flow.positive:
            return flow.mean, std
        spread = math.log1p((std / flow.mean) ** 2)
        return math.log(flow.mean) - 0.5 * spread, math.sqrt(spread)


class _Everywhere(Family):
    """A value a node."""

    power: ClassVar[int]
    """Of the prior's precision."""

    def part(self, problem):
        domain, outlets = problem.domain, problem.experiment.domain.open
        for name in outlets:
            domain.tag(name, "domain.open")
        space = problem.operator.controls[self.control].function_space
        held = wall_dofs(domain, space, outlets)
        return Nodal(self.name, problem.operator, self.control, held)

    def prior(self, problem, part):
        from advdiff.inverse.matern import Matern

        length = self.law.correlation_length or 0.25 * problem.domain.extent
        return Matern(part.space, part.rows, self.law.std, length, self.power), None


class StreamFunction(_Everywhere):
    """ψ: one power smoother than a velocity, so that its velocity has a variance."""

    power = 2


class NodalVelocity(_Everywhere):
    """The velocity itself."""

    power = 1

    @property
    def degree(self):
        return self.table.degree


FAMILIES: dict[str, type[Family]] = {
    "uniform": Uniform,
    "basis": Basis,
    "sine": Sine,
    "fourier": Fourier,
    "stream": StreamFunction,
    "nodal": NodalVelocity,
}


def families(tables: list[VelocityUnknown], laws: list[VelocityPrior]) -> list[Family]:
    """Those of an experiment; one law is everybody's."""
    found: list[Family] = []
    for i, table in enumerate(tables):
        key, name = "unknowns.velocity", "velocity"
        if len(tables) > 1:
            key, name = f"{key}[{i}]", f"{name}_{table.family}"
            same = sum(table.family == other.family for other in tables[:i])
            name += f"_{same + 1}" if same else ""
        found.append(FAMILIES[table.family](table, laws[i if len(laws) > 1 else 0], key, name))
    return found
