"""Every kind of unknown keeps what it promises: derivative, adjoint, prior, truth, names."""

from __future__ import annotations

import numpy as np
import pytest
from dolfinx import fem
from petsc4py import PETSc

from advdiff import Problem
from advdiff.core import memory
from advdiff.problem.unknowns import KINDS
from advdiff.problem.unknowns.base import components
from tests import flows
from tests.inverse import cases

POSITIVE = {"stream": "x*y", "mean": 0.5, "std": 0.2, "positive": True}
BASIS = {"family": "basis", "fields": [{"stream": "x*(1-x)*y", "std": 0.3}, POSITIVE]}
UNKNOWNS = {
    "uniform": {"velocity": {"family": "uniform"}},
    "basis": {"velocity": BASIS},
    "sine": {"velocity": {"family": "sine", "modes": [2, 2]}},
    "stream": {"velocity": {"family": "stream"}},
    "nodal": {"velocity": {"family": "nodal", "degree": 1}},
    "number": {"diffusivity": True},
    "field": {"diffusivity": "field"},
    "initial": {"initial": True},
}
FIELDS = ("stream", "nodal", "field", "initial")
each = pytest.mark.parametrize("name", UNKNOWNS)


def problem(tmp_path, name: str) -> Problem:
    """One unknown, the truth of all known and where the problem stands."""
    physics = {"diffusivity": 0.02, "velocity": flows.CELL, "initial": flows.BLOB}
    return cases.problem(tmp_path, "sine", unknowns=UNKNOWNS[name], physics=physics, truth=physics)


def vector(thing: fem.Function | PETSc.Vec) -> PETSc.Vec:
    return thing.x.petsc_vec if isinstance(thing, fem.Function) else thing


def control(found: Problem, name: str) -> PETSc.Vec:
    return vector(found.operator.controls.get(name, found.initial))


@each
def test_push_is_the_derivative_and_pull_its_adjoint(tmp_path, name):
    found = problem(tmp_path, name)
    ((_, part),) = found.parts
    m, dm, step = found.prior.draw(0, 0), found.prior.draw(0, 1), 1e-5
    ends = []
    for sign in (1.0, -1.0):
        at = m.copy()
        at.axpy(sign * step, dm)
        found.unknowns.assign(at)
        ends.append(control(found, part.control).copy())
    found.unknowns.assign(m)
    moved = vector(found.unknowns.push(dm)[part.control]).copy()
    assert moved.norm() > 0
    ends[0].axpy(-1.0, ends[1])
    ends[0].scale(0.5 / step)
    ends[0].axpy(-1.0, moved)
    assert ends[0].norm() < 1e-8 * moved.norm()
    dual = cases.random(moved, 3)
    pulled = found.unknowns.pull({part.control: dual})
    assert pulled.dot(dm) == pytest.approx(dual.dot(moved), rel=1e-12)


@each
def test_a_part_says_what_it_is(tmp_path, name):
    """A field has its place in a space; a control that says it is, is affine in eᵐ."""
    found = problem(tmp_path, name)
    ((kind, part),) = found.parts
    assert part.is_field == (name in FIELDS) == found.experiment.unknowns.has_field
    assert part.control in kind.controls and kind.variable(part).startswith(part.name)
    if part.is_field:
        assert part.rows.getSize() == part.template.getSize()
    start, once, twice = (cases.random(found.prior.mean, 1) for _ in range(3))
    exponential = part.is_exponential
    if not isinstance(exponential, bool):
        exponential = exponential[: once.getLocalSize()]
    once.array += np.where(exponential, np.log(2.0), 1.0)
    twice.array += np.where(exponential, np.log(3.0), 2.0)
    values = []
    for m in (start, once, twice):
        found.unknowns.assign(m)
        values.append(control(found, part.control).copy())
    values[2].axpy(-2.0, values[1])
    values[2].axpy(1.0, values[0])
    assert values[2].norm() < 1e-12 * values[1].norm()


@each
def test_the_prior_stands_at_the_first_guess(tmp_path, name):
    """So does the truth here: there is nothing to recover before a step, and something after."""
    found = problem(tmp_path, name)
    ((kind, _),) = found.parts
    found.unknowns.assign(found.prior.mean)
    truth = found.truth[kind.key]
    if name != "basis":  # its prior's mean is a flow too
        assert kind.recovery(found, truth) < 1e-12
    first = kind.first_guess(found, truth)
    assert first is None or first < 1e-12
    found.unknowns.assign(found.prior.draw(0, 0))
    assert kind.recovery(found, truth) > 1e-3


@each
def test_the_tangent_is_the_derivative_at_the_samples(tmp_path, name):
    found = problem(tmp_path, name)
    ((kind, _),) = found.parts
    m, dm, step = found.prior.draw(0, 0), found.prior.draw(0, 1), 1e-5
    sample, ends = kind.sampler(found), []
    for sign in (1.0, -1.0):
        at = m.copy()
        at.axpy(sign * step, dm)
        found.unknowns.assign(at)
        ends.append([part.copy() for part in components(sample())])
    found.unknowns.assign(m)
    moved = kind.tangent(found)(found.unknowns.push(dm))
    assert set(moved) == set(kind.titles)
    for one, other, slope in zip(*ends, components(moved[kind.key]), strict=True):
        one.axpy(-1.0, other)
        one.scale(0.5 / step)
        one.axpy(-1.0, slope)
        assert one.norm() < 1e-7 * slope.norm()


LISTS = {
    "uniform and nodal": [{"family": "uniform"}, {"family": "nodal", "degree": 1}],
    "given and streams": [{"family": "basis", "fields": [["y", "0"], ["0", "x"]]}, BASIS],
}


@pytest.mark.parametrize("name", LISTS)
def test_families_add_up(tmp_path, name):
    """Each moves the flow by itself, and all together by the sum."""
    physics = {"diffusivity": 0.02, "velocity": flows.CELL, "initial": flows.BLOB}
    unknowns = {"velocity": LISTS[name]}
    found = cases.problem(tmp_path, "sine", unknowns=unknowns, physics=physics, truth=physics)
    ((kind, _), *_) = found.parts
    assert len({kind.variable(part) for _, part in found.parts}) == len(found.unknowns.parts) == 2
    sample = kind.sampler(found)

    def flow(*which):
        m = found.prior.mean.copy()
        for i in which:
            change = found.unknowns.extract(found.prior.draw(0, 0), i)
            found.unknowns.insert(change, i, m)
        found.unknowns.assign(m)
        return [part.copy() for part in sample()]

    for nothing, one, other, both in zip(flow(), flow(0), flow(1), flow(0, 1), strict=True):
        for change in (one, other):
            change.axpy(-1.0, nothing)
            assert change.norm() > 1e-3
        both.axpy(-1.0, nothing)
        both.axpy(-1.0, one)
        both.axpy(-1.0, other)
        assert both.norm() < 1e-12


def test_a_uniform_velocity_is_a_number_an_axis(tmp_path):
    """Added to that of [physics], from the mean of its prior on."""
    physics = {"diffusivity": 0.02, "velocity": [0.5, 0.0], "initial": flows.BLOB}
    physics["inflow"] = dict.fromkeys(("left", "right", "top", "bottom"), 0.0)
    prior = {"velocity": {"mean": [0.1, -0.2], "std": [1.0, 2.0]}}
    unknowns = UNKNOWNS["uniform"]
    found = cases.problem(tmp_path, "sine", unknowns=unknowns, physics=physics, prior=prior)
    found.unknowns.assign(found.prior.mean)
    kind = found.parts[0][0]
    coefficients = found.unknowns.coefficients(found.prior.mean)
    numbers = kind.numbers(found, coefficients)
    assert {name: number.value for name, number in numbers.items()} == pytest.approx(
        {"velocity x": 0.6, "velocity y": -0.2}
    )
    sampled = kind.present(found).sampled(found.samples)
    for value, expected in zip(sampled, (0.6, -0.2), strict=True):
        assert value.min()[1] == pytest.approx(expected) == pytest.approx(value.max()[1])
    unit = found.unknowns.from_numpy([1.0, 1.0])
    assert found.unknowns.to_numpy(found.prior.scaled(unit)) == pytest.approx([1.0, 2.0])


def test_a_positive_coefficient_is_log_normal(tmp_path):
    """Of the mean and the standard deviation that are asked for."""
    found = problem(tmp_path, "basis")
    ((_, part),) = found.parts
    draws = []
    for k in range(2000):
        local = found.unknowns.extract(found.prior.draw(1, k), 0).array
        draws.append(part.factors(local)[1] if len(local) else 0.0)
    draws = found.comm.allreduce(np.array(draws))
    assert draws.min() > 0
    assert draws.mean() == pytest.approx(0.5, abs=4 * 0.2 / 2000**0.5)
    assert draws.std() == pytest.approx(0.2, rel=0.1)


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_takes_memory(tmp_path, name):
    """About as many numbers as there are."""
    found = problem(tmp_path, name)
    ((kind, part),) = found.parts
    size = memory.box([6, 6], "triangle")
    taken = kind.taken(size, found.operator.generator.size)
    assert 0.5 < taken.nodes / part.template.getSize() < 2.5 and not taken.modes


def test_keys_are_those_of_the_file():
    tables = Problem(flows.problem().experiment).experiment
    for kind in KINDS:
        for table in (tables.unknowns, tables.prior, tables.truth):
            assert kind.key in type(table).model_fields
    assert {kind.key for kind in KINDS} == set(type(tables.unknowns).model_fields)
