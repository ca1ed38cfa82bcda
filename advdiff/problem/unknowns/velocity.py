"""The unknown part of the velocity: modes, a stream function, or every nodal value."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc as fem_petsc
from petsc4py import PETSc

from advdiff.core import jit, memory
from advdiff.core.errors import ConvergenceError
from advdiff.equation.modes import fourier_modes, sine_modes
from advdiff.equation.velocity import DEGREE, Velocity, curl, wall_dofs
from advdiff.problem.unknowns.base import Constant, Kind, Sampled, Setting, Taken
from advdiff.problem.unknowns.parts import Modes, Nodal

CONTROLS = ("given", "stream")
"""The parts of a velocity."""


class Flow(Kind):
    """The velocity, to which the unknown is added."""

    key, title, units, magnitude = "velocity", "velocity", "length/time", "speed"
    shows_samples = in_solutions = True

    @property
    def controls(self):
        if self.table is None:
            return {}
        return {self.table.control: self.table.degree if self.table.family == "nodal" else None}

    @property
    def _count(self) -> tuple[str, float]:
        """The key and its value that say how many modes there are, and about how many; 0: none."""
        table = self.table
        if table.family == "sine":
            return f"unknowns.velocity.modes = {table.modes}", math.prod(table.modes)
        if table.family == "fourier":
            what = f"unknowns.velocity.largest = {table.largest:g}"
            return what, math.pi * table.largest**2
        return "", 0.0

    def taken(self, size, states):
        degree, parts = DEGREE, 1
        if self.table.control == "given":
            largest = max(DEGREE, self.experiment.discretization.degree)
            degree, parts = self.controls["given"] or largest, size.dim
        nodes = float(size.nodes * parts * degree**size.dim)
        subject, count = self._count
        return Taken(modes=8.0 * nodes * count, subject=subject) if count else Taken(nodes=nodes)

    def parts(self, problem):
        operator, domain, control = problem.operator, problem.domain, self.table.control
        subject, count = self._count
        if not count:
            outlets = self.experiment.domain.open
            for name in outlets:
                domain.tag(name, "domain.open")
            space = operator.controls[control].function_space
            return [Nodal(self.key, operator, control, wall_dofs(domain, space, outlets))]
        size = 8.0 * operator.controls[control].x.petsc_vec.getSize() * count
        memory.require(problem.comm, size, subject, "take fewer modes")
        if self.table.family == "sine":
            modes, waves = sine_modes(domain, self.table.modes)
        else:
            modes, waves = fourier_modes(domain, self.table.largest)
        return [Modes(self.key, operator, control, modes, waves)]

    def prior(self, problem, part):
        from advdiff.inverse.matern import Matern
        from advdiff.inverse.prior import Independent, decaying, kraichnan, like

        law = self.law
        if not part.is_field:
            if law.spectrum == "kraichnan":
                std = kraichnan(part.waves, law.std)
            else:
                std = decaying(part.waves, law.std, law.decay)
            return Independent(like(part.template, std)), None
        length = law.correlation_length or 0.25 * problem.domain.extent
        # a stream function one power smoother, so that its velocity has a variance
        power = 2 if part.control == "stream" else 1
        return Matern(part.space, part.rows, law.std, length, power), None

    def penalties(self, unknowns, index):
        from advdiff.inverse.penalty import DivergencePenalty

        weight = self.law.divergence_penalty
        if unknowns.parts[index].control != "given" or not weight > 0:
            return []
        return [DivergencePenalty(unknowns, index, weight)]

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

    # -- chains ---------------------------------------------------------------------------------

    def variable(self, part):
        return super().variable(part) if part.is_field else f"{part.name}_coefficients"

    def shows(self, part):
        return True

    def true_coefficients(self, problem, part, truth):
        return None if part.is_field or truth is None else nearest(problem, part, truth)

    def constants(self, problem, part, prior):
        if part.is_field:
            return {}
        std = problem.comm.bcast(prior.std.array.copy() if problem.comm.rank == 0 else None)
        index = f"{self.variable(part)}_index"
        return {
            "wave": Constant(part.waves, (index, "axis"), "wave vectors"),
            "prior_std": Constant(std, (index,), "standard deviation under the prior"),
        }


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
