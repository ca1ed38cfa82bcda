"""What is said of boundary data: values that jump, a flow that turns, layers the mesh has not."""

from __future__ import annotations

import pytest

from advdiff.concerns import before
from tests import flows

KEYS = ("dirichlet-jump", "inflow-turns", "steep-diffusivity")


def found(n: int, degree: int = 1, **physics) -> dict[str, float]:
    """Concerns of data: kind → number."""
    problem = flows.problem(n, degree, physics={"velocity": None} | physics)
    return {c.key: c.value for c in before.concerns(problem) if c.key in KEYS}


@pytest.mark.parametrize("method", ["cg", pytest.param("dg", marks=pytest.mark.serial)])
@pytest.mark.parametrize("text", ["where(y < 0.5, 0.0, 2.0)", "where(y <= 0.3, 2.0, 0.0)"])
def test_held_values_that_jump(method, text):
    """At a node or within a facet; smooth ones and a constant do not."""
    for n in (8, 16):
        problem = flows.problem(
            n,
            2,
            physics={"velocity": None, "dirichlet": {"left": text}},
            discretization={"method": method},
        )
        (concern,) = before.concerns(problem)
        assert concern.key == "dirichlet-jump"
        assert 0.5 <= concern.value <= 2.0
    assert found(8, dirichlet={"left": "sin(pi*y)"}) == {}
    assert found(8, dirichlet={"left": 1.0}) == {}


def test_held_values_that_differ_where_parts_meet():
    assert found(8, dirichlet={"left": 1.0, "bottom": 0.0}) == {"dirichlet-jump": 1.0}
    assert found(8, dirichlet={"left": "1 - y", "bottom": "1 - x"}) == {}
    assert found(8, dirichlet={"left": 1.0, "right": 0.0}) == {}


@pytest.mark.parametrize("n", [7, 8])
def test_a_flow_that_turns_within_a_facet(n):
    """u = (½ − y, 0): at y = ½, in the middle of a facet of each side for odd n."""
    value = {"left": 1.0, "right": 1.0}
    here = found(n, velocity=["0.5 - y", "0"], inflow=value, diffusivity=1.0)
    assert here == ({"inflow-turns": 2.0} if n % 2 else {})
    # through both facets of a corner's cell, in and out
    sides = dict.fromkeys(("left", "right", "bottom", "top"), 0.0)
    assert found(n, velocity=["1", "1"], inflow=sides, diffusivity=1.0) == {}


@pytest.mark.serial
def test_steep_diffusivity():
    """One column of eight is taken linear, and is not; none where the degree follows."""
    here = found(8, 2, diffusivity="where(x <= 0.45, 1.0, 0.01)")
    assert here == {"steep-diffusivity": pytest.approx(1 / 8)}
    assert found(8, 2, diffusivity="exp(-4*x)") == {}
    assert found(8, 2, diffusivity="1e-6 + x") == {}
    assert found(8, 1, diffusivity="where(x <= 0.45, 1.0, 0.01)") == {}
