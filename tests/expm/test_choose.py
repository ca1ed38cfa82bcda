"""The automatic choice: deterministic, the same for any number of ranks, sensible at both ends."""

import math
from dataclasses import replace

import numpy as np
import pytest
from dolfinx import fem, mesh
from dolfinx.fem.petsc import assemble_matrix
from mpi4py import MPI
from ufl import TestFunction as Test
from ufl import TrialFunction as Trial
from ufl import dx

from advdiff.expm.choose import choose
from advdiff.expm.faber import FaberEngine, FaberOptions
from advdiff.expm.generator import Mass

from .problems import box, bump, unit_square

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
    for ellipse in (None, choice.ellipse):
        engine = FaberEngine(generator, FaberOptions(tolerance=1e-8), ellipse=ellipse)
        report = engine.forward(bump(generator), TIMES).report
        assert report["products"] == choice.predicted["products"]


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
    domain = mesh.create_unit_square(MPI.COMM_WORLD, 8, 8)
    space = fem.functionspace(domain, ("Lagrange", 1))
    matrix = assemble_matrix(fem.form(Trial(space) * Test(space) * dx))
    matrix.assemble()
    generator = replace(unit_square(8, 1e-2), mass=Mass(matrix))
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
