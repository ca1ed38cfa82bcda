"""The registry of engines: what each says of itself, and what it takes of what is asked."""

from dataclasses import fields
from typing import get_args

import pytest
from petsc4py import PETSc

from advdiff.config.tables.equation import SolverTable
from advdiff.core.errors import InputError
from advdiff.equation.cotangent import OperatorCotangent
from advdiff.semigroup.faber.engine import FaberEngine
from advdiff.semigroup.semigroup import ENGINES, SolverOptions, make_engine
from tests import dense, flows

TIMES = (0.1, 0.4)


def test_registry_and_key_have_the_same_names():
    assert set(ENGINES) == set(get_args(SolverTable.model_fields["method"].annotation))


@pytest.mark.parametrize("method", [name for name in ENGINES if name != "auto"])
def test_every_engine_takes_what_is_asked(method):
    """Every field of the request that its options have, in the units of the options."""
    asked = SolverOptions(method, 1e-5, 17, 23, 0.5, 9)
    options = ENGINES[method].Options.of(asked)
    assert options.tolerance == 1e-5
    for field in fields(options):
        if field.name in ("dimension", "max_restarts", "nodes"):
            assert getattr(options, field.name) == getattr(asked, field.name)
    assert getattr(options, "memory", 2.0**29) == 2.0**29
    assert getattr(options, "type", method) == method
    engine = make_engine(flows.problem(4).operator.generator, asked)
    assert type(engine.engine) is ENGINES[method]
    assert engine.name == method and engine.options == options


@pytest.mark.parametrize("method", [n for n, kind in ENGINES.items() if kind.has_exact_gradients])
def test_exact_gradients_are_exact_whatever_the_tolerance(method):
    """Pull is the transpose of push to rounding, though the states are known to 1e-3 only."""
    problem = flows.problem(5)
    operator = problem.operator
    residuals = [dense.random(operator.generator.vector(), seed) for seed in (1, 2)]
    engine = make_engine(operator.generator, SolverOptions(method, 1e-3))
    solution = engine.forward(problem.initial, TIMES, record=True)
    cotangent = OperatorCotangent(operator, ["diffusivity"])
    engine.pull(solution, residuals, cotangent)
    expected = cotangent.pull(None)["diffusivity"].dot(operator.diffusivity.x.petsc_vec)
    change = operator.push({"diffusivity": operator.diffusivity.copy()})
    _, tangents = engine.push(problem.initial, TIMES, change)
    found = sum(r.dot(t) for r, t in zip(residuals, tangents, strict=True))
    assert found == pytest.approx(expected, rel=1e-10)


def test_an_engine_that_needs_a_diagonal_mass_says_so():
    generator = flows.problem(4, 2).operator.generator
    for method, kind in ENGINES.items():
        if kind.needs_diagonal_mass:
            with pytest.raises(InputError, match=f"'{method}': needs a diagonal mass.*'auto'"):
                make_engine(generator, SolverOptions(method))
        else:
            make_engine(generator, SolverOptions(method))


@pytest.mark.parametrize(
    ("key", "text", "kept"), [("memory", "0", True), ("range", "lanczos", False)]
)
def test_petsc_options_that_change_the_search_undo_the_choice_of_an_ellipse(key, text, kept):
    problem, name = flows.problem(16), f"advdiff_faber_{key}"
    PETSc.Options().setValue(name, text)
    try:
        auto = make_engine(problem.operator.generator, SolverOptions(tolerance=1e-8))
        report = auto.forward(problem.initial, TIMES).report
    finally:
        PETSc.Options().delValue(name)
    assert report["method"] == FaberEngine.name
    assert ("range_method" in report) != kept  # a range is looked at for a search alone
    assert kept or report["range_method"] == text
