"""Exact solutions solve what their experiments state, and θ and ρ converge to them.

The orders in L² are those of the elements, degree + 1, unless the solution itself allows less.
``python -m tests.exact`` prints them all; here is what a few seconds can check.
"""

import dataclasses

import numpy as np
import pytest

from advdiff.sensitivity.rho import sensitivity
from tests import exact
from tests.exact import CASES, Discretization

# -- the exact solutions alone -------------------------------------------------------------------


@pytest.mark.serial
@pytest.mark.parametrize("name", CASES)
def test_it_solves_its_experiment(name):
    """Differences of order 8 leave rounding; the Gaussians' tails are cut at the boundary."""
    case = CASES[name]()
    for residual in exact.residuals(case):
        allowed = {"start": 1e-6, "inside": 1e-8}.get(residual.where, 1e-9 + case.tail)
        assert residual.theta < allowed, residual
        assert residual.rho < allowed, residual


@pytest.mark.serial
@pytest.mark.parametrize("name", CASES)
def test_the_check_notices_one_percent(name):
    """Of the diffusivity and of the direction: so that nothing is checked against itself."""
    case = CASES[name]()
    physics = case.tables["physics"]
    wrong = physics | {"diffusivity": f"1.01*({physics['diffusivity']})"}
    tables = case.tables | {"physics": wrong}
    found = exact.residuals(dataclasses.replace(case, tables=tables))
    assert max(r.theta for r in found) > 1e-6
    assert max(r.rho for r in found) > 1e-6
    key, value = next(iter(case.direction.items()))
    more = [f"1.01*({v})" for v in value] if isinstance(value, list) else f"1.01*({value})"
    found = exact.residuals(dataclasses.replace(case, direction={key: more}))
    assert max(r.rho for r in found) > 1e-6


@pytest.mark.serial
@pytest.mark.parametrize("kind", ["dirichlet", "inflow", "flux", "robin"])
def test_the_check_notices_wrong_boundary_data(kind):
    found = 0
    for make in CASES.values():
        case = make()
        for name, data in case.tables["physics"].get(kind, {}).items():
            if kind == "robin":
                changed = data | {"coefficient": 1.01 * data["coefficient"]}
            else:
                changed = f"({data}) + 0.01"
            physics = case.tables["physics"]
            parts = physics[kind] | {name: changed}
            tables = case.tables | {"physics": physics | {kind: parts}}
            wrong = dataclasses.replace(case, tables=tables)
            parts = [r for r in exact.residuals(wrong) if r.where.startswith(name)]
            assert max(r.theta for r in parts) > 1e-4, (name, case)
            found += 1
    assert found > 0


# -- orders --------------------------------------------------------------------------------------

# The L-shape, whose corner limits the order, is below; the narrower Gaussian is the harder one.
PLANE = [n for n, make in CASES.items() if make().dim < 3 and n not in ("L-shape", "Gaussian 1e-3")]
SOLID = ["torus shear 3-D", "box"]
OTHERS = [
    Discretization("cg", 3),
    Discretization("cg", 1, tensor=True),
    Discretization("cg", 2, tensor=True),
    Discretization("spectral", 3, tensor=True),
    Discretization("cip", 1),
    Discretization("dg", 1, tensor=True),
]
VARIABLE = ["variable diffusivity", "cellular", "L-shape", "flux", "channel shear"]
# Every discretisation, with facets inside or not, on a torus or between walls: what ranks divide.
PARALLEL = [
    ("torus shear", Discretization("cip", 2)),
    ("torus shear", Discretization("dg", 1)),
    ("Robin", Discretization("cg", 2)),
    ("Robin", Discretization("dg", 2)),
]
ALONE = [
    *((name, Discretization("cg", 1)) for name in PLANE),
    *(("oblique inflow", on) for on in OTHERS),
    *((name, Discretization("cg", 2)) for name in VARIABLE),
    *((name, Discretization("cg", 1)) for name in SOLID),
]
RUNS = [*PARALLEL, *(pytest.param(*run, marks=pytest.mark.serial) for run in ALONE)]


@pytest.mark.parametrize(("name", "on"), RUNS, ids=lambda v: str(v).replace(", ", "-"))
def test_order(name, on):
    """Within 0.3 below; a coarse mesh may fall faster."""
    case = CASES[name]()
    last = exact.orders(case, on, levels=2)[-1]
    assert last.theta_order > case.order(on.degree) - 0.3
    assert last.rho_order > case.order(on.degree) - 0.3


# On four elements of degree 8 the interpolant of cos 2πx at their nodes is off by 1.1e-9, and
# the best polynomial by 0.7e-9; the Robin case varies less.
SPECTRAL = {"torus shear": 2.5e-9, "Robin": 1e-10}


@pytest.mark.parametrize("name", [pytest.param("torus shear", marks=pytest.mark.serial), "Robin"])
def test_spectral_elements_converge_exponentially(name):
    """On a fixed mesh of 4 × 4 quadrilaterals, down to what its polynomials can hold."""
    tight = {"solver": {"tolerance": 1e-12}, "sensitivity": {"tolerance": 1e-11}}
    rows = exact.degrees(CASES[name](), "spectral", 4, (2, 3, 4, 6, 8), **tight)
    for row in rows[1:]:
        assert row.theta_order > 2.0
        assert row.rho_order > 2.0
    assert rows[-1].theta < SPECTRAL[name]
    assert rows[-1].rho < SPECTRAL[name]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("cosine", marks=pytest.mark.serial),
        pytest.param("Gaussian 1e-3", marks=pytest.mark.serial),
        "Ogata-Banks",
        "torus shear",
    ],
)
def test_the_three_methods_agree(name):
    case, on = CASES[name](), Discretization("cg", 1)
    problem = case.problem(on, case.sizes(1, 1)[0] // 2)
    given = (problem.operator, case.direction_of(problem), problem.initial, [0.3, 0.5])
    a, b, c = (
        sensitivity(*given, method=method, tolerance=1e-7).tangents[-1]
        for method in ("quadrature", "augmented", "recurrence")
    )
    norm = problem.operator.mass.norm
    size = norm(a)
    assert np.isfinite(size) and size > 0
    for other in (b, c):
        other.axpy(-1.0, a)
        assert norm(other) <= 2e-7 * size
