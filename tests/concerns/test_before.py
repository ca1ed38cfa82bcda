"""Each concern about mesh, flow and boundary: its number against the exact one, and its absence."""

from __future__ import annotations

import numpy as np
import pytest

from advdiff.concerns import before
from tests import flows

THROUGH = {"inflow": {"left": 0.0}, "velocity": ["1", "0"], "diffusivity": 0.02}


def found(n=8, **tables) -> dict[str, float]:
    """Concerns of a problem: kind → number."""
    problem = flows.problem(n, **tables)
    return {c.key: c.value for c in before.concerns(problem)}


@pytest.mark.parametrize(
    ("degree", "cell"),
    [(1, "triangle"), pytest.param(2, "quadrilateral", marks=pytest.mark.serial)],
)
def test_mesh_peclet(degree, cell):
    """|u|h/2κp for a uniform flow along an axis of a uniform mesh."""
    physics = THROUGH | {"velocity": ["3", "0"]}
    domain = {"cell": cell, "open": ["right"]}
    value = found(8, degree=degree, physics=physics, domain=domain)["mesh-peclet"]
    assert value == pytest.approx(3.0 / 8 / (2 * 0.02) / degree)


@pytest.mark.serial
def test_mesh_peclet_is_of_the_direction_of_the_flow():
    """Cells four times as long as wide: the flow across them sees the width."""
    shape = {"cells": [4, 16], "cell": "quadrilateral"}
    along, across = (
        before.mesh_peclet(
            flows.problem(domain=shape, physics={"velocity": u, "inflow": sides}).operator
        ).largest
        for u, sides in (
            (["1", "0"], {"left": 0.0}),
            (["0", "1"], {"bottom": 0.0}),
        )
    )
    assert along == pytest.approx(4 * across)


def test_the_share_of_the_domain():
    """u = (x, −y), κ such that |u|h/2κ > 1 where |u| > ½."""
    n = 64
    sides = dict.fromkeys(("left", "right", "bottom", "top"), 0.0)
    physics = {"velocity": ["1.0", "0"], "diffusivity": "0.5/64/(0.5+x)", "inflow": sides}
    found = before.mesh_peclet(flows.problem(n, degree=1, physics=physics).operator)
    assert found.share == pytest.approx(0.5, abs=0.02)
    assert found.largest == pytest.approx(1.5, abs=0.02)


@pytest.mark.serial
def test_no_flow_no_concern():
    assert found(physics={"velocity": ["0", "0"]}) == {}
    assert found(physics={"velocity": None}) == {}
    assert found(physics={"diffusivity": 0.2}) == {}


def test_boundary_layer():
    """Half a cell over κ/(u·n) at a wall with a value where the flow leaves; none without one."""
    held = found(8, physics=THROUGH | {"dirichlet": {"right": 1.0}, "diffusivity": 0.01})
    assert held["boundary-layer"] == pytest.approx(0.5 / 8 / 0.01)
    free = found(8, physics=THROUGH | {"diffusivity": 0.01}, domain={"open": ["right"]})
    assert "boundary-layer" not in free
    thick = found(8, physics=THROUGH | {"dirichlet": {"right": 1.0}, "diffusivity": 1.0})
    assert thick == {}


def test_closed_wall():
    """What leaves through a wall, and not through an outlet; a stream function constant there."""
    assert found(8, physics=THROUGH | {"diffusivity": 1.0})["closed-wall"] == pytest.approx(1.0)
    assert found(8, physics=THROUGH | {"diffusivity": 1.0}, domain={"open": ["right"]}) == {}


def test_backflow():
    """An estimate may come in at an outlet, where nothing says what it brings."""
    problem = flows.problem(8, physics=THROUGH | {"diffusivity": 1.0}, domain={"open": ["right"]})
    given = problem.operator.velocity.given
    given.x.array[:] *= -1.0
    problem.conditions.clear()
    found = {c.key: c.value for c in before.concerns(problem)}
    assert found == {"backflow": pytest.approx(1.0), "closed-wall": pytest.approx(1.0)}


def test_a_wall_without_a_name():
    """Facets that no tag names are walls as well."""
    problem = flows.problem(8, physics=THROUGH | {"diffusivity": 1.0})
    _ = problem.operator
    del problem.domain.tags["right"]
    (concern,) = before.concerns(problem)
    assert concern.key == "closed-wall"
    assert "without a name" in concern.message
    assert concern.value == pytest.approx(1.0)


@pytest.mark.parametrize("kappa", [0.5, pytest.param(5.0, marks=pytest.mark.serial)])
def test_divergence(kappa):
    """|div u|/|∇u| of (x, 0) is 1; linear fields are exact."""
    sides = dict.fromkeys(("left", "right", "bottom", "top"), 0.0)
    physics = {"velocity": ["x", "0"], "diffusivity": kappa, "inflow": sides}
    assert found(8, physics=physics) == {"divergence": pytest.approx(1.0)}
    physics["velocity"] = ["y", "x"]
    assert found(8, physics=physics) == {}


def test_a_velocity_beyond_all_numbers():
    """An absurd flow is the run's own error; looking at it is none."""
    sides = dict.fromkeys(("left", "right"), 0.0)
    with np.errstate(all="ignore"):
        assert found(physics={"velocity": ["1e200", "0"], "inflow": sides})["mesh-peclet"] > 1e100
