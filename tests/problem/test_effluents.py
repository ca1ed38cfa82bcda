"""Fluxes and mixed effluents: exact values, and how they depend on the flow and on κ."""

import numpy as np
import pytest
from mpi4py import MPI
from scipy.optimize import least_squares
from scipy.special import erfc, erfcx

from advdiff import Problem
from advdiff.config.load import parse
from advdiff.config.tables.observations import ObservationsTable
from advdiff.core.errors import InputError
from advdiff.core.ranks import on_root
from advdiff.problem.readings import Readings, read
from advdiff.problem.sensors import Sensors
from advdiff.problem.shapes import Shapes
from advdiff.reduced.offline.reducer import Reducer
from advdiff.results.checkpoint import mark
from tests.config.bad_input import message

COMM = MPI.COMM_WORLD


def tables(**more) -> dict:
    return {
        "task": "solve",
        "domain": {"shape": "rectangle", "cells": [6, 5], "open": ["left", "right"]},
        "discretization": {"degree": 2},
        "physics": {
            "velocity": ["1 + y", "0.1*x"],
            "diffusivity": "0.2 + 0.1*x",
            "initial": "exp(-4*((x-0.5)**2 + (y-0.4)**2))",
            "inflow": {"left": 1.0, "bottom": 0.0},
        },
        "time": {"final": 1.0},
    } | more


def shapes() -> Shapes:
    """A point, two fluxes at points, the outflow of a part, and its flux."""
    nan = np.nan
    points = np.array([[0.4, 0.3], [0.4, 0.3], [0.71, 0.63], [nan, nan], [nan, nan]])
    part = np.array(["", "", "", "right", "right"])
    return Shapes(points, part=part, flux=np.array([False, True, True, False, True]))


def test_values_are_those_of_the_definition():
    """θ = 1 + x² + xy, u = (1 + y, x/10), κ = 1/5 + x/10, all exact in their elements."""
    operator = Problem(parse(tables())).operator
    found = Sensors(operator, shapes()).sample(
        operator.state(lambda x: 1 + x[0] ** 2 + x[0] * x[1], "theta")
    )

    def flux(x, y):
        u, slope = np.array([1 + y, 0.1 * x]), np.array([2 * x + y, x])
        return 1 + x**2 + x * y - (0.2 + 0.1 * x) * (u @ slope) / (u @ u)

    # ∫(1+y)(2+y) = 23/6 over ∫(1+y) = 3/2; the flux: less ∫κ(2+y) = 3/4
    wanted = [1.28, flux(0.4, 0.3), flux(0.71, 0.63), 23 / 9, 23 / 9 - 0.5]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_spread_is_the_adjoint_of_sample():
    operator = Problem(parse(tables())).operator
    sensors, rng = Sensors(operator, shapes()), np.random.default_rng(0)
    state, weights = operator.state(lambda x: np.sin(3 * x[0] + x[1]), "f"), rng.normal(size=5)
    spread = sensors.spread(weights, state.duplicate())
    assert weights @ sensors.sample(state) == pytest.approx(spread.dot(state), rel=1e-12)


def test_what_an_effluent_weighs_is_where_it_leaves():
    table = tables()
    table["physics"] |= {"velocity": ["y - 0.5", "0"], "inflow": {"left": 1.0, "right": 1.0}}
    table["domain"]["cells"] = [4, 4]
    operator = Problem(parse(table)).operator
    found = Sensors(operator, shapes()[3:4]).sample(operator.state(lambda x: x[1], "y"))
    # ∫_{1/2}^1 y (y − 1/2) = 5/48 over 1/8
    np.testing.assert_allclose(found, 5 / 6, rtol=1e-12)


@pytest.mark.parametrize("family", ["nodal", "sine", "uniform"])
def test_gradients_have_the_dependence_on_flow_and_diffusivity(family):
    table = tables()
    velocity = {"family": family} | ({"modes": [2, 2]} if family == "sine" else {})
    table["unknowns"] = {"velocity": velocity, "diffusivity": "field", "initial": True}
    table["solver"] = {"tolerance": 1e-12}
    table["prior"] = {"velocity": {"std": 0.3}}
    if family == "sine":
        table["physics"]["velocity"] = {"stream": "y + 0.5*y**2 - 0.05*x**2"}
    problem = Problem(parse(table))
    where, times = shapes(), [0.0, 0.1, 0.3]
    which = np.tile(np.arange(5), 3)
    values = np.zeros(15)
    problem.readings = Readings.from_rows(where[which], np.repeat(times, 5), values, values + 1)
    rng = np.random.default_rng(4)
    m = problem.prior.mean.copy()
    weights = rng.normal(size=15)
    at = problem.model.linearise(m)
    dm = problem.prior.draw(7, 0)
    dm.axpy(-1.0, problem.prior.mean)
    slope, gradient, start = weights @ at.push(dm), at.pull(weights), weights @ at.predicted
    assert slope == pytest.approx(gradient.dot(dm), rel=1e-9)
    errors = []
    for h in (3e-2, 3e-3, 3e-4):
        moved = m.copy()
        moved.axpy(h, dm)
        errors.append(abs(weights @ problem.model.observe(moved) - start - h * slope))
    assert errors[0] > 1e-9 and errors[1] < 0.02 * errors[0] and errors[2] < 0.02 * errors[1]


def column(kind: str, times: np.ndarray) -> Problem:
    """A step of tracer into a long column, read at x = 1."""
    problem = Problem(
        parse(
            {
                "task": "solve",
                "domain": {"shape": "interval", "upper": [3.0], "cells": [180]},
                "discretization": {"degree": 2},
                "physics": {"velocity": [1.0], "diffusivity": 0.1, "inflow": {"left": 1.0}},
                "time": {"final": 2.5},
                "unknowns": {"velocity": {"family": "uniform"}, "diffusivity": True},
                "prior": {"velocity": {"mean": [0.0], "std": 1.0}},
                "solver": {"tolerance": 1e-8},
            }
        )
    )
    where = Shapes(np.ones((len(times), 1)), flux=np.full(len(times), kind == "flux"))
    problem.readings = Readings.from_rows(where, times, 0 * times, 0 * times + 1)
    return problem


def closed(kind: str, t: np.ndarray, v: float, D: float, x: float = 1.0) -> np.ndarray:
    """Lindstrom et al. (1967) and Kreft & Zuber (1978): the inlet takes the flux v."""
    a, b = (x - v * t) / (2 * np.sqrt(D * t)), (x + v * t) / (2 * np.sqrt(D * t))
    second = np.exp(-(a**2)) * erfcx(b)
    if kind == "flux":
        return 0.5 * erfc(a) + 0.5 * second
    peak = np.sqrt(v**2 * t / (np.pi * D)) * np.exp(-(a**2))
    return 0.5 * erfc(a) + peak - 0.5 * (1 + v * x / D + v**2 * t / D) * second


@pytest.mark.serial  # whole fits; what ranks may change of them stands above
def test_resident_and_flux_fits_differ_by_what_the_closed_forms_differ():
    """One effluent, fitted as what leaves and as what is there, like closed forms."""
    times = np.linspace(0.2, 2.5, 24)
    data, found, wanted = closed("flux", times, 1.0, 0.1), [], []
    for kind in ("flux", "value"):
        problem = column(kind, times)
        unknowns, model = problem.unknowns, problem.model
        start = problem.initial_guess()

        def residual(m, model=model, unknowns=unknowns):
            return model.observe(unknowns.from_numpy(m)) - data

        def jacobian(m, model=model, unknowns=unknowns):
            at = model.linearise(unknowns.from_numpy(m))
            return np.array([at.push(unknowns.from_numpy(e)) for e in np.eye(2)]).T

        np.testing.assert_allclose(residual(start) + data, closed(kind, times, 1.0, 0.1), atol=3e-5)
        v, log = least_squares(residual, start, jacobian, xtol=1e-9).x
        found.append([problem.operator.velocity.largest_speed(), np.exp(log)])
        fit = least_squares(lambda m, k=kind: closed(k, times, *m) - data, [1.0, 0.1], xtol=1e-12)
        wanted.append(fit.x)
    np.testing.assert_allclose(found, wanted, rtol=1e-3)
    (v, D), (v_resident, D_resident) = wanted
    assert abs(v_resident / v - 1) > 0.01 or abs(D_resident / D - 1) > 0.01


def test_what_cannot_be_read_is_said(tmp_path):
    problem = Problem(parse(tables()))
    operator, nan = problem.operator, np.full((1, 2), np.nan)
    with pytest.raises(
        InputError, match=r"row 3: the mean over the part .*no boundary part 'rigth'"
    ):
        Sensors(operator, Shapes(nan, part=np.array(["rigth"])), [3])
    with pytest.raises(InputError, match="row 3: the mean over the part 'left' is weighted by the"):
        Sensors(operator, Shapes(nan, part=np.array(["left"])), [3])
    still = tables()
    still["physics"] |= {"velocity": ["0", "0"], "inflow": {}}
    place = Shapes(np.array([[0.5, 0.5]]), flux=np.array([True]), names=np.array(["W1"]))
    with pytest.raises(InputError, match=r"row 4: 'W1', .* reads a flux where the velocity is 0"):
        Sensors(Problem(parse(still)).operator, place, [4])
    path = tmp_path / "a.csv"
    rows = "x,y,radius,kind,t,value\n.5,.5,.1,flux,1,1\n"
    on_root(COMM, lambda: path.write_text(rows) and None)
    assert "row 2: kind = 'flux' is of a segment or a disc" in message(read, path, 2, 1.0, 0.1)


def test_a_file_has_parts_and_fluxes(tmp_path):
    path = tmp_path / "a.csv"
    rows = "x,y,part,kind,t,value\n.5,.5,,flux,1,1\n,,right,,1,2\n,,right,flux,1,3\n"
    on_root(COMM, lambda: path.write_text(rows) and None)
    places = read(path, 2, 1.0, 0.1).places
    assert places.fluxes.tolist().count(True) == 2 and places.parts.tolist().count(True) == 2
    on_root(COMM, lambda: path.write_text("part,t,value\nright,1,1\n") and None)
    readings = read(path, 2, 1.0, 0.1)
    operator = Problem(parse(tables())).operator
    state = operator.state(lambda x: np.ones(x.shape[1]), "1")
    assert Sensors(operator, readings.places).sample(state) == pytest.approx([1.0], rel=1e-13)


def test_a_reduced_model_refuses_what_depends_on_the_flow():
    problem = column("flux", np.array([1.0, 2.0]))
    with pytest.raises(InputError, match="reduced: a reading of a flux"):
        Reducer(problem.model, problem.prior)


def test_another_shape_is_another_run():
    """A checkpoint of segments does not serve for others of the same middle."""
    marks, problem = [], column("value", np.array([1.0, 2.0]))
    table = problem.experiment.model_copy(
        update={"observations": ObservationsTable(file="a.csv", std=1.0)}
    )
    problem.experiment = table
    for half in (0.25, 0.5):
        ends = Shapes(np.full((2, 1), 1.0 - half), np.full((2, 1), 1.0 + half))
        ones = np.ones(2)
        problem.readings = Readings.from_rows(ends, [1.0, 2.0], ones, ones)
        marks.append(mark(problem))
    assert marks[0] != marks[1]
