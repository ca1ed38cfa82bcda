"""A kind of unknown: all that the program asks of one, in one class.

What a value of a kind is, its ``Value``, is its own affair: a ``Velocity``, a function, a state.
Everybody else only hands it from one method of the kind to another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeAlias

import numpy as np
from dolfinx import fem
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.config.tables.experiment import Experiment
from advdiff.core.memory import Size
from advdiff.domain.mesh import Domain
from advdiff.domain.samples import Samples
from advdiff.equation.operator import Operator
from advdiff.equation.velocity import Velocity
from advdiff.inverse.unknowns import Part, Unknowns

if TYPE_CHECKING:
    from advdiff.inverse.prior import PartPrior

Value: TypeAlias = Any
"""What a kind of unknown is a value of."""
Sampled: TypeAlias = PETSc.Vec | list[PETSc.Vec]
"""A scalar at the samples, or the components of a vector."""


def components(field: Sampled) -> list[PETSc.Vec]:
    """A field as a list, a scalar's of one."""
    return field if isinstance(field, list) else [field]


class Setting(Protocol):
    """A problem, as far as a kind of unknown asks."""

    experiment: Experiment
    comm: MPI.Comm
    domain: Domain
    samples: Samples
    operator: Operator
    initial: PETSc.Vec

    def scalar(self, value: Any, key: str) -> Callable: ...
    def velocity(self, field: Any, key: str) -> Velocity: ...
    def diffusivity(self, value: Any, key: str) -> fem.Function: ...
    def state(self, value: Any, key: str) -> PETSc.Vec: ...


class Taken(NamedTuple):
    """What of the memory an unknown takes.

    ``nodes``: numbers of a field, whose prior is factorised; ``modes``: bytes of fields that
    coefficients are multiplied by, and ``subject``: the key and its value that say how many.
    """

    nodes: float = 0.0
    modes: float = 0.0
    subject: str = ""


class Number(NamedTuple):
    """An estimate that is worth a line: its value, and where in m it comes from.

    ``part`` and ``index``: the name of a part and which of its coefficients; ``slope``: ∂value/∂m;
    ``what``: what of a log-normal quantity the value is.
    """

    value: float
    part: str
    index: int = 0
    slope: float = 1.0
    what: str = ""


class Constant(NamedTuple):
    """What chains keep beside their draws: an array, its axes, its title."""

    values: np.ndarray
    dims: tuple[str, ...]
    long_name: str


class Kind(ABC):
    """One quantity of the equation that an experiment may leave unknown.

    Every method that is given a problem is collective.

    Args:
        experiment: the validated file.

    Attributes:
        key: its name in ``[unknowns]``, ``[prior]``, ``[truth]`` and in result files.
        title: in words.
        units: in those of the user's lengths, times and tracer.
        magnitude: what the length of a vector is called; None of a scalar.
        shows_samples: whether samples of a Laplace approximation are shown, and counted whether
            they hold the truth; for what is linear in m.
        in_solutions: whether results without an estimate hold it too.
        table: what ``[unknowns]`` says of it; what counts as false where it is known.
        law: what ``[prior]`` says of it.
    """

    key: ClassVar[str]
    title: ClassVar[str]
    units: ClassVar[str]
    magnitude: ClassVar[str | None] = None
    shows_samples: ClassVar[bool] = False
    in_solutions: ClassVar[bool] = False

    def __init__(self, experiment: Experiment):
        self.experiment = experiment
        self.table, self.law = (
            getattr(table, self.key) for table in (experiment.unknowns, experiment.prior)
        )

    # -- what is known without a mesh -----------------------------------------------------------

    @property
    def is_unknown(self) -> bool:
        """Whether the experiment leaves it unknown."""
        return bool(self.table)

    @property
    @abstractmethod
    def controls(self) -> Mapping[str, int | None]:
        """What its parts move → the degree of the elements that must have, None: any; empty where
        it is known."""

    @abstractmethod
    def taken(self, size: Size, states: float) -> Taken:
        """What it takes of the memory where it is unknown.

        Args:
            states: unknowns of θ.
        """

    # -- coordinates and prior ------------------------------------------------------------------

    @abstractmethod
    def parts(self, problem: Setting) -> Sequence[Part]:
        """How m moves it."""

    @abstractmethod
    def prior(self, problem: Setting, part: Part) -> tuple[PartPrior, PETSc.Vec | None]:
        """The prior of one of its parts, and its mean where that is not 0."""

    def penalties(self, unknowns: Unknowns, index: int) -> list:
        """What is added to the objective for the part of m that is ``parts[index]``."""
        return []

    # -- values ---------------------------------------------------------------------------------

    @abstractmethod
    def read(self, problem: Setting, value: Any, key: str) -> Value:
        """What the experiment file writes under a key."""

    @abstractmethod
    def present(self, problem: Setting) -> Value:
        """Where the problem stands."""

    @abstractmethod
    def sampled(self, problem: Setting, value: Value) -> Sampled:
        """A value at the samples."""

    @abstractmethod
    def difference(self, problem: Setting, value: Value, truth: Value) -> float:
        """Of two values, in L², relative to the second."""

    def is_there(self, problem: Setting) -> bool:
        """Whether the problem has such a quantity, known or not."""
        return True

    def sampler(self, problem: Setting) -> Callable[[], Sampled]:
        """A collective function that returns the present value at the samples."""
        return lambda: self.sampled(problem, self.present(problem))

    def tangent(self, problem: Setting) -> Callable[[Mapping[str, Any]], dict[str, Sampled]]:
        """A collective function: directions of the controls → what they change at the samples, by
        name of the field (``key``, and ``magnitude``)."""
        (control,) = self.controls
        return lambda moved: {self.key: self.sampled(problem, moved[control])}

    # -- what is said and written ---------------------------------------------------------------

    @property
    def estimated(self) -> str:
        """The title of an estimate."""
        return f"estimated {self.title}"

    @property
    def titles(self) -> dict[str, str]:
        """Name of a field → title: itself, and its magnitude."""
        more = {} if self.magnitude is None else {self.magnitude: self.magnitude}
        return {self.key: self.title, **more}

    def truth(self, problem: Setting) -> Value | None:
        """``[truth]`` of it, None where nobody knows."""
        value = getattr(self.experiment.truth, self.key)
        return None if value is None else self.read(problem, value, f"truth.{self.key}")

    def recovery(self, problem: Setting, truth: Value) -> float | None:
        """How far the problem is from the truth, None where that is not to be said."""
        return self.difference(problem, self.present(problem), truth)

    def first_guess(self, problem: Setting, truth: Value) -> float | None:
        """How far the first guess was from the truth, None where that is not to be said."""
        return None

    def numbers(
        self, problem: Setting, coefficients: Mapping[str, np.ndarray]
    ) -> dict[str, Number]:
        """Estimates that are worth a line of the log each, by name.

        Args:
            coefficients: name of a part that is no field → its numbers.
        """
        return {}

    def about(self, value: Value) -> dict[str, float]:
        """Attributes of a value in a result file."""
        return {}

    def description(self) -> dict[str, Any]:
        """What those who read a result file need to know of it."""
        return {
            "title": self.title,
            "units": self.units,
            "magnitude": self.magnitude or "",
            "unknown": self.is_unknown,
        }

    # -- chains ---------------------------------------------------------------------------------

    def variable(self, part: Part) -> str:
        """The name of what every draw keeps of a part."""
        return f"{part.name}_averages" if part.is_field else part.name

    def shows(self, part: Part) -> bool:
        """Whether the field itself is kept of some draws."""
        return part.is_field

    def true_coefficients(
        self, problem: Setting, part: Part, truth: Value | None
    ) -> np.ndarray | None:
        """Of a part that is no field, None where nobody knows them."""
        return None

    def constants(self, problem: Setting, part: Part, prior: PartPrior) -> dict[str, Constant]:
        """What chains keep beside the draws of a part, by name."""
        return {}
