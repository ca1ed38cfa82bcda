"""The automatic choice: deterministic, the same for any number of ranks, sensible at both ends."""

import math
from dataclasses import replace

import numpy as np
import pytest
from mpi4py import MPI

from advdiff.algebra.numerical_range import bounds
from advdiff.semigroup import choose as choose_module
from advdiff.semigroup.choose import choose
from advdiff.semigroup.faber.engine import FaberEngine, FaberOptions
from tests import flows
from tests.semigroup.problems import box, bump, irregular, unit_square

TIMES = tuple(np.linspace(0.1, 1.0, 10))


def costs(choice):
    return choice.predicted["faber_cost"], choice.predicted["shift_invert_cost"]


@pytest.mark.parametrize("gradient", [False, True])
def test_same_answer_again_and_on_any_number_of_ranks(gradient):
    generator = unit_square(24, 1e-2)
    first = choose(generator, TIMES, 1e-8, gradient=gradient)
    assert choose(generator, TIMES, 1e-8, gradient=gradient) == first
    alone = choose(unit_square(24, 1e-2, MPI.COMM_SELF), TIMES, 1e-8, gradient=gradient)
    assert alone.method == first.method
    assert alone.predicted == pytest.approx(first.predicted, rel=1e-9)


def test_predicted_products_are_those_of_the_engine():
    generator = unit_square(24, 1e-2)
    choice = choose(generator, TIMES, 1e-8)
    assert choice.method == "faber"
    counts = []
    for ellipse in (choice.ellipse, None):
        engine = FaberEngine(generator, FaberOptions(tolerance=1e-8), ellipse=ellipse)
        report = engine.forward(bump(generator), TIMES).report
        assert not report["notes"]
        counts.append(report["products"])
    assert counts[0] == choice.predicted["products"]
    assert counts[1] <= counts[0] <= 1.25 * counts[1]


@pytest.mark.parametrize("make", [unit_square, irregular, box])
def test_quick_bounds_contain_the_sharp_ones(make):
    generator = make(10, 1e-2)
    quick, sharp = choose_module._quick_bounds(generator), bounds(generator)
    assert sharp.real <= (1.0 + 1e-12) * quick.real
    assert sharp.imag <= (1.0 + 1e-12) * quick.imag


def test_long_runs_get_sharp_bounds(monkeypatch):
    generator = unit_square(16, 1e-2)
    quick = choose(generator, TIMES, 1e-8)
    monkeypatch.setattr(choose_module, "BOUNDS", 0.0)
    sharp = choose(generator, TIMES, 1e-8)
    assert sharp.predicted["products"] < quick.predicted["products"]


def test_gradient_costs_more_and_the_filter_is_longer():
    generator = unit_square(24, 1e-2)
    value = choose(generator, TIMES, 1e-8)
    gradient = choose(generator, TIMES, 1e-8, gradient=True)
    assert gradient.predicted["products"] >= 2 * value.predicted["products"]
    assert gradient.predicted["solves"] > value.predicted["solves"]
    assert all(a < b for a, b in zip(costs(value), costs(gradient), strict=True))


def test_moderate_problems_take_products():
    assert choose(unit_square(48, 1e-3), TIMES, 1e-9).method == "faber"
    assert choose(box(8, 1e-2), TIMES, 1e-9).method == "faber"


def test_stiff_small_problems_take_solves():
    generator = unit_square(24, 1e-2)
    far = tuple(1e3 * t for t in TIMES)
    stiff = unit_square(24, 10.0)
    assert choose(stiff, tuple(10.0 * t for t in TIMES), 1e-9).method == "shift-invert"
    assert costs(choose(generator, far, 1e-6))[0] > 10.0 * costs(choose(generator, TIMES, 1e-6))[0]


def test_cost_of_factorising_in_three_dimensions():
    """The same matrix, taken for one of a three-dimensional mesh."""
    generator = unit_square(24, 1e-2)
    assert (
        costs(choose(generator, TIMES, 1e-8, dimension=3))[1]
        > costs(choose(generator, TIMES, 1e-8))[1]
    )


def test_a_consistent_mass_takes_solves():
    generator = flows.problem(8, degree=2).operator.generator
    choice = choose(generator, TIMES, 1e-6)
    assert choice.method == "shift-invert" and "mass" in choice.reason
    assert "products" not in choice.predicted and choice.predicted["solves"] > 0


def test_an_unknown_flow_and_a_filter_that_does_not_exist():
    generator = unit_square(16, 1e-2)
    unknown = replace(generator, flow_bound=math.inf)
    assert choose(unknown, TIMES, 1e-6, gradient=True).predicted["solves"] > 0
    endless = choose(replace(generator, flow_bound=1e9), TIMES, 1e-9, gradient=True)
    assert endless.method == "faber" and "solves" not in endless.predicted
    assert endless.predicted["shift_invert_cost"] == math.inf


def test_every_reason_is_one_line_and_predictions_are_numbers():
    choice = choose(unit_square(8, 1e-2), TIMES, 1e-6)
    assert choice.reason and "\n" not in choice.reason
    assert all(isinstance(value, (int, float)) for value in choice.predicted.values())
