"""The objective in white coordinates, as TAO calls it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from petsc4py import PETSc

from advdiff.inverse.objective import Evaluation, Objective

VALUE, PRODUCT = 0, 1
"""What TAO asks for: the objective with its gradient, a product with the Hessian."""


class Tape(Protocol):
    """Keeps the answers that an optimiser was given, and gives them again when it is run again."""

    def replay(self, what: int, x: PETSc.Vec, out: PETSc.Vec) -> tuple[float, float] | None:
        """The next answer, its vector in ``out``: the value, and seconds since the start; None
        where there are no more (collective)."""

    def record(self, what: int, x: PETSc.Vec, value: float, out: PETSc.Vec, seconds: float) -> None:
        """Keep an answer (collective)."""


class _White:
    """The objective in white coordinates, divided by ``scale``, as TAO asks for it.

    Attributes:
        damping: what TAO adds to the Hessian, where it doubts the model.
        solves, products: evaluations, and products with the Hessian, on the tape or off.
    """

    def __init__(self, objective: Objective, tape: Tape | None):
        self.objective, self.tape, self.scale, self.damping = objective, tape, 1.0, 0.0
        self.solves = self.products = 0
        self._began = time.perf_counter()
        self._at: Evaluation | None = None
        # points: of the last evaluation asked for, of the Hessian, and where the model is
        self._asked = self._linearised = self._where = None

    @property
    def seconds(self) -> float:
        """Since the start, those of the run on the tape among them."""
        return time.perf_counter() - self._began

    def _answer(self, what: int, x: PETSc.Vec, out: PETSc.Vec, compute: Callable) -> float:
        """From the tape, else by ``compute``."""
        found = None if self.tape is None else self.tape.replay(what, x, out)
        if found is not None:
            value, seconds = found
            self._began = time.perf_counter() - seconds
            return value
        value = compute(x, out)
        if self.tape is not None:
            self.tape.record(what, x, value, out, self.seconds)
        return value

    def gradient(self, x: PETSc.Vec, out: PETSc.Vec) -> float:
        """The objective, and Lᵀg + ξ in ``out``."""
        self.solves += 1
        self._asked = x.copy()
        return self._answer(VALUE, x, out, self._gradient)

    def _gradient(self, x: PETSc.Vec, out: PETSc.Vec) -> float:
        self._move()
        gradient = self.objective.prior.color_transpose(self._at.data_gradient)
        gradient.copy(out)
        out.axpy(1.0, x)
        gradient.destroy()
        return self._at.objective

    def _move(self) -> None:
        """Evaluate where the last answer was asked for; the model stays there."""
        m = self.objective.prior.color(self._asked)
        self._at, self._where = self.objective.evaluate(m), self._asked
        m.destroy()

    def evaluate(self, _tao, x: PETSc.Vec, out: PETSc.Vec) -> float:
        value = self.gradient(x, out)
        out.scale(1.0 / self.scale)
        return value / self.scale

    def linearise(self, _tao, x: PETSc.Vec, *_matrices) -> None:
        """The Hessian is that at x: where the model is already, unless TAO looked further."""
        if not x.equal(self._asked):
            self._look(x)
        self._linearised, self.damping = self._asked, 0.0

    def shift(self, _mat, damping: float) -> None:
        """Add so much to the diagonal of the Hessian, until it is that at another point."""
        self.damping += damping

    def _look(self, x: PETSc.Vec) -> None:
        scratch = x.duplicate()
        self.gradient(x, scratch)
        scratch.destroy()

    def mult(self, _mat, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """y = (LᵀHL + 1) x / scale + damping x, at the point of ``linearise``."""
        self.products += 1
        if self._asked is not self._linearised:
            self._look(self._linearised)
            self._linearised = self._asked
        self._answer(PRODUCT, x, y, self._product)
        y.scale(1.0 / self.scale)
        if self.damping:
            y.axpy(self.damping, x)

    def _product(self, x: PETSc.Vec, y: PETSc.Vec) -> float:
        if self._where is not self._asked:  # the evaluation came from the tape
            self._move()
        self.objective.white_hessian(self._at, x).copy(y)
        y.axpy(1.0, x)
        return 0.0
