"""The unknown part of the velocity: modes, a stream function, or every nodal value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc as fem_petsc
from petsc4py import PETSc

from advdiff.config.tables.flows import several
from advdiff.core import jit
from advdiff.core.errors import ConvergenceError
from advdiff.equation.velocity import DEGREE, Velocity, curl
from advdiff.problem.unknowns.base import Constant, Kind, Sampled, Setting, Taken
from advdiff.problem.unknowns.families import Family, families
from advdiff.problem.unknowns.parts import Modes

CONTROLS = ("given", "stream")
"""The parts of a velocity."""


class Flow(Kind):
    """The velocity, to which the unknown is added."""

    key, title, units, magnitude = "velocity", "velocity", "length/time", "speed"
    shows_samples = in_solutions = True

    @cached_property
    def families(self) -> list[Family]:
        """What its flow is a sum of, beside [physics]."""
        return families(self.experiment.unknowns.flows, several(self.law))

    def _family(self, part) -> Family:
        return next(family for family in self.families if family.name == part.name)

    @property
    def controls(self):
        degrees: dict[str, int | None] = {}
        for family in self.families:
            degrees[family.control] = family.degree or degrees.get(family.control)
        return degrees

    def taken(self, size, states):
        nodes, modes, subject = 0.0, 0.0, ""
        for family in self.families:
            degree, parts = DEGREE, 1
            if family.control == "given":
                largest = max(DEGREE, self.experiment.discretization.degree)
                degree, parts = self.controls["given"] or largest, size.dim
            numbers = float(size.nodes * parts * degree**size.dim)
            what, count = family.count
            nodes, modes = nodes + (0.0 if count else numbers), modes + 8.0 * numbers * count
            subject = subject or what
        return Taken(nodes=nodes, modes=modes, subject=subject)

    def parts(self, problem):
        return [family.part(problem) for family in self.families]

    def prior(self, problem, part):
        return self._family(part).prior(problem, part)

    def penalties(self, unknowns, index):
        from advdiff.inverse.penalty import DivergencePenalty

        weight = self._family(unknowns.parts[index]).law.divergence_penalty
        if unknowns.parts[index].control != "given" or not weight > 0:
            return []
        return [DivergencePenalty(unknowns, weight)]

    # -- values ---------------------------------------------------------------------------------

    def read(self, problem, value, key):
        return problem.velocity(value, key)

    def present(self, problem) -> Velocity:
        return problem.operator.velocity

    def sampled(self, problem, value):
        return value.sampled(problem.samples)

    def difference(self, problem, value, truth):
        return value.relative_error(truth)

    def first_guess(self, problem, truth):
        field = self.experiment.physics.velocity
        if field is None or not self.is_unknown:
            return None
        return self.difference(problem, self.read(problem, field, "physics.velocity"), truth)

    def about(self, value):
        return {
            "divergence": value.divergence(),
            "relative_divergence": value.relative_divergence(),
        }

    def sampler(self, problem):
        return problem.operator.velocity.sampler(problem.samples)

    def tangent(self, problem):
        return _Tangent(problem)

    def numbers(self, problem, coefficients):
        found = {}
        for family in self.families:
            if family.name in coefficients:
                found |= family.numbers(problem, coefficients[family.name])
        return found

    # -- chains ---------------------------------------------------------------------------------

    def variable(self, part):
        return super().variable(part) if part.is_field else f"{part.name}_coefficients"

    def shows(self, part):
        return True

    def true_coefficients(self, problem, part, truth):
        if part.is_field or truth is None or len(self.families) > 1:
            return None
        found, exponential = nearest(problem, part, truth), part.is_exponential
        if (found[exponential] <= 0.0).any():
            return None
        return np.where(exponential, np.log(np.where(exponential, found, 1.0)), found)

    def constants(self, problem, part, prior):
        if part.is_field:
            return {}
        std = problem.comm.bcast(prior.std.array.copy() if problem.comm.rank == 0 else None)
        index = f"{self.variable(part)}_index"
        found = {"prior_std": Constant(std, (index,), "standard deviation under the prior")}
        if part.waves is not None:
            found["wave"] = Constant(part.waves, (index, "axis"), "wave vectors")
        return found


class _Tangent:
    """Directions → what they change of velocity and speed, to first order where the problem is."""

    def __init__(self, problem: Setting):
        self._domain, self._samples = problem.domain, problem.samples
        self._flow: Callable[[], list[PETSc.Vec]] | None = None
        self._heading = [part.copy() for part in problem.operator.velocity.sampled(self._samples)]
        speed = _length(self._heading)
        tiny = max(speed.max()[1], np.finfo(float).tiny) * 1e-12
        speed.shift(tiny)
        for part in self._heading:
            part.pointwiseDivide(part, speed)

    def __call__(self, moved: Mapping[str, fem.Function]) -> dict[str, Sampled]:
        if self._flow is None:
            flow = {name: moved[name] for name in CONTROLS if name in moved}
            self._flow = Velocity(self._domain, **flow).sampler(self._samples)
        velocity = self._flow()
        return {"velocity": velocity, "speed": self._along(velocity)}

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
        square = part.duplicate()
        square.pointwiseMult(part, part)
        result.axpy(1.0, square)
        square.destroy()
    result.sqrtabs()
    return result


def nearest(problem: Setting, part: Modes, truth: Velocity) -> np.ndarray:
    """Coefficients of the flow that is nearest to the true one in L² (collective)."""
    space = part.function.function_space

    def flow(control):
        return curl(control) if part.control == "stream" else control

    part.background.copy(part.function.x.petsc_vec)
    part.function.x.scatter_forward()
    missing = truth.expression - problem.operator.velocity.expression
    test, trial = ufl.TestFunction(space), ufl.TrialFunction(space)
    load = fem_petsc.assemble_vector(jit.form(ufl.inner(missing, flow(test)) * ufl.dx))
    load.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
    mass = fem_petsc.assemble_matrix(jit.form(ufl.inner(flow(trial), flow(test)) * ufl.dx))
    mass.assemble()
    gram = part.basis.transposeMatMult(mass.matMult(part.basis))
    right, found = part.template.duplicate(), part.template.duplicate()
    part.basis.multTranspose(load, right)
    ksp = PETSc.KSP().create(found.comm)
    ksp.setOptionsPrefix("advdiff_truth_")
    ksp.setOperators(gram)
    ksp.setType("cg")
    ksp.getPC().setType("none")
    ksp.setTolerances(rtol=1e-10)
    ksp.setFromOptions()
    ksp.solve(right, found)
    if ksp.getConvergedReason() < 0:
        raise ConvergenceError(
            f"the true flow in modes: residual {ksp.getResidualNorm():.1e} after "
            f"{ksp.getIterationNumber()} iterations; mind -advdiff_truth_ options"
        )
    values = problem.comm.bcast(found.array.copy() if problem.comm.rank == 0 else None)
    for thing in (ksp, gram, mass, load):
        thing.destroy()
    return values
