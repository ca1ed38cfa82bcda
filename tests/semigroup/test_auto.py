"""The automatic engine gives the states and gradients of the engine it names."""

import pytest

from advdiff.equation.cotangent import OperatorCotangent
from advdiff.semigroup.semigroup import SolverOptions, make_engine
from tests import dense, flows

TIMES = (0.1, 0.4)


@pytest.mark.parametrize("degree", [1, 2])
def test_auto_is_what_it_says(degree):
    problem = flows.through_flow(6, degree)
    operator, start = problem.operator, problem.initial
    auto = make_engine(operator.generator, SolverOptions(tolerance=1e-9))
    found = auto.forward(start, TIMES, operator.load, record=True)
    report = found.report
    assert report["method"] == ("faber" if degree == 1 else "shift-invert")
    assert "should cost" in report["reason"] or "not diagonal" in report["reason"]
    assert any(name.startswith("predicted_") for name in report)
    named = make_engine(operator.generator, SolverOptions(report["method"], 1e-9))
    expected = named.forward(start, TIMES, operator.load, record=True)
    residuals = [dense.random(start, seed) for seed in (1, 2)]
    for a, b in zip(found.states, expected.states, strict=True):
        b.axpy(-1.0, a)
        assert b.norm() < 1e-8 * a.norm()
    gradients = []
    for engine, solution in ((auto, found), (named, expected)):
        cotangent = OperatorCotangent(operator, ["diffusivity"])
        pullback = engine.pull(solution, residuals, cotangent)
        gradients.append(cotangent.pull(pullback.load)["diffusivity"])
    gradients[1].axpy(-1.0, gradients[0])
    assert gradients[1].norm() < 1e-7 * gradients[0].norm()
    total = auto.transpose(residuals, TIMES)
    total.axpy(-1.0, named.transpose(residuals, TIMES))
    assert total.norm() < 1e-8 * residuals[0].norm()


def test_predicted_products_are_those_spent():
    problem = flows.problem(16)
    engine = make_engine(problem.operator.generator, SolverOptions(tolerance=1e-8))
    report = engine.forward(problem.initial, TIMES).report
    assert report["method"] == "faber"
    assert report["products"] == report["predicted_products"]
