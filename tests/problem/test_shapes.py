"""Means along segments and over balls: exact where the elements are, and of their order."""

import numpy as np
import pytest
from mpi4py import MPI
from scipy.special import j1

from advdiff.core.errors import InputError
from advdiff.core.ranks import on_root
from advdiff.domain.mesh import box
from advdiff.equation.discretization import make
from advdiff.equation.operator import Operator
from advdiff.equation.physics import Physics
from advdiff.equation.velocity import Velocity
from advdiff.problem.readings import Readings, read
from advdiff.problem.sensors import Sensors
from advdiff.problem.shapes import Shapes, unit_ball
from tests.config.bad_input import message

COMM = MPI.COMM_WORLD
A, B = np.array([0.13, 0.21, 0.3]), np.array([0.87, 0.9, 0.55])
CENTRE, RADIUS = np.array([0.45, 0.52, 0.5]), 0.37


def operator(cell: str, degree: int, n: int, offset: float = 0.0, method: str = "cg") -> Operator:
    from dolfinx import fem

    dim = {"interval": 1, "triangle": 2, "quadrilateral": 2}.get(cell, 3)
    domain = box(COMM, [offset] * dim, [offset + 1.0] * dim, [n, n + 1, n][:dim], cell)
    kappa = fem.Function(fem.functionspace(domain.mesh, ("Lagrange", 1)))
    kappa.x.array[:] = 1.0
    return Operator(make(domain, method, degree), Physics(Velocity(domain), kappa))


def shapes(dim: int, offset: float = 0.0) -> Shapes:
    """A point, a segment, one along the sides of cells, a ball and a small ball."""
    points = np.array([A, A, np.full(3, 0.5), CENTRE, CENTRE])[:, :dim] + offset
    ends, radius = np.full((5, dim), np.nan), np.full(5, np.nan)
    ends[1], ends[2] = B[:dim] + offset, points[2]
    ends[2, 0] = offset + 1.0
    radius[3:] = RADIUS, 1e-3
    return Shapes(points, ends, radius)


def mean(f, dim: int, i: int) -> float:
    """By rules that know no mesh."""
    if i == 0:
        return float(f(A[:dim]))
    if i < 3 or dim == 1:
        a, b = (A, B) if i == 1 else (np.full(3, 0.5), np.array([1.0, 0.5, 0.5]))
        if i > 2:
            r = (RADIUS, 1e-3)[i - 3]
            a, b = CENTRE - r, CENTRE + r
        s, w = np.polynomial.legendre.leggauss(30)
        at = a[:dim, None] + (0.5 + 0.5 * s) * (b - a)[:dim, None]
        return float(0.5 * w @ f(at))
    points, weights = unit_ball(dim, 20, 1)
    return float(weights @ f(CENTRE[:dim, None] + (RADIUS, 1e-3)[i - 3] * points.T))


@pytest.mark.parametrize(
    ("cell", "degree"),
    [
        ("interval", 2),
        ("triangle", 1),
        ("triangle", 3),
        ("quadrilateral", 2),
        ("tetrahedron", 2),
        ("hexahedron", 1),
    ],
)
def test_polynomials_of_the_elements_degree_are_read_exactly(cell, degree):
    where = operator(cell, degree, 4)
    dim = where.domain.dim

    def f(x):
        return (0.3 + x[0] - 0.7 * x[dim - 1]) ** degree

    found = Sensors(where, shapes(dim)).sample(where.state(f, "f"))
    np.testing.assert_allclose(found, [mean(f, dim, i) for i in range(5)], rtol=1e-12)
    ones = Sensors(where, shapes(dim)).sample(where.state(lambda x: np.ones(x.shape[1]), "1"))
    np.testing.assert_allclose(ones, 1.0, rtol=1e-14)


def test_means_of_the_unit_ball_are_those_of_the_integrals():
    for dim, square in ((2, 1 / 4), (3, 1 / 5)):
        points, weights = unit_ball(dim, 2, 1.0)
        assert weights.sum() == pytest.approx(1.0, rel=1e-14)
        np.testing.assert_allclose(weights @ points**2, square, rtol=1e-13)
        np.testing.assert_allclose(weights @ points, 0.0, atol=1e-15)


def test_a_segment_is_split_where_it_enters_a_cell():
    """The mean of a function with a kink at every vertex, which no rule over the whole has."""
    where = operator("interval", 1, 7)
    state = where.state(lambda x: np.round(7 * x[0]) % 2, "hats")
    segment = Shapes(np.array([[0.0]]), np.array([[2 / 7 + 1 / 14]]))
    # two whole hats flanks of mean 1/2, and half a flank of mean 1/4 beside it
    wanted = (2 * 0.5 + 0.5 * 0.25) / 2.5
    np.testing.assert_allclose(Sensors(where, segment).sample(state), wanted, rtol=1e-13)


@pytest.mark.parametrize(("cell", "degree"), [("triangle", 1), ("triangle", 2), ("hexahedron", 1)])
def test_means_converge_at_the_elements_order(cell, degree):
    """Over ten segments and ten balls, from the exact means of a wave."""
    dim, rng = 2 if cell == "triangle" else 3, np.random.default_rng(1)
    points, ends = rng.uniform(0.3, 0.7, (2, 20, dim))
    radius = rng.uniform(0.1, 0.3, 20)
    ends[10:], radius[:10] = np.nan, np.nan
    wave = np.array([2.0, 3.0, 1.0])[:dim]
    half = 0.5 * (ends - points)[:10] @ wave
    exact = np.sin(points[:10] @ wave + half) * np.sinc(half / np.pi)
    u = np.linalg.norm(wave) * radius[10:]
    damped = {2: 2.0 * j1(u) / u, 3: 3.0 * (np.sin(u) - u * np.cos(u)) / u**3}[dim]
    exact = np.append(exact, np.sin(points[10:] @ wave) * damped)
    errors, sizes = [], (8, 32) if dim == 2 else (4, 16)
    for n in sizes:
        where = operator(cell, degree, n)
        state = where.state(lambda x: np.sin(wave @ x[:dim]), "wave")
        off = Sensors(where, Shapes(points, ends, radius)).sample(state) - exact
        errors.append([np.linalg.norm(off[:10]), np.linalg.norm(off[10:])])
    falls = np.log2(np.divide(*errors)) / 2
    assert np.all(falls > degree + 0.8), falls


def test_far_from_the_origin_the_same_is_read():
    where = operator("triangle", 2, 4, offset=5e5)
    found = Sensors(where, shapes(2, 5e5)).sample(where.state(lambda x: (x[0] - 5e5) ** 2, "f"))
    wanted = [mean(lambda x: x[0] ** 2, 2, i) for i in range(5)]
    np.testing.assert_allclose(found, wanted, rtol=1e-8)


def test_spread_is_the_adjoint_of_the_means():
    where = operator("triangle", 2, 4)
    sensors, rng = Sensors(where, shapes(2)), np.random.default_rng(3)
    state, weights = where.state(lambda x: np.sin(5 * x[0] + x[1]), "f"), rng.normal(size=5)
    spread = sensors.spread(weights, state.duplicate())
    assert weights @ sensors.sample(state) == pytest.approx(spread.dot(state), rel=1e-12)


def test_what_sticks_out_of_the_domain_is_said():
    where = operator("triangle", 1, 4)
    nan = np.full((1, 2), np.nan)
    disc = Shapes(np.array([[0.9, 0.5]]), nan, np.array([0.2]), names=np.array(["W1"]))
    said = r"row 7: 'W1', the disc of radius 0.2 about \(0.9, 0.5\) lies 0.*outside the domain at"
    with pytest.raises(InputError, match=said):
        Sensors(where, disc, [7])
    beam = Shapes(np.array([[0.5, 0.5]]), np.array([[1.5, 0.5]]))
    with pytest.raises(
        InputError, match=r"sensor 0: the segment from \(0.5, 0.5\) to \(1.5, 0.5\)"
    ):
        Sensors(where, beam)
    near = Shapes(np.array([[0.9, 0.5]]), nan, np.array([0.101]))
    with pytest.raises(InputError, match="outside"):
        Sensors(where, near)
    found = Sensors(where, near, snap_distance=0.002).sample(where.state(lambda x: x[0], "x"))
    assert found == pytest.approx([0.9], abs=1e-4)


def test_a_file_has_points_beams_and_discs(tmp_path):
    path = tmp_path / "a.csv"
    rows = "x,y,x2,y2,radius,sensor,t,value\n.5,.5,,,,A,1,1\n.5,.5,.7,.5,,B,1,2\n.5,.5,,,.1,,1,3\n"
    on_root(COMM, lambda: path.write_text(rows + ".5,.5,.7,.5,,B,2,4\n") and None)
    readings = read(path, 2, 2.0, 0.1)
    assert len(readings.points) == 3 and readings.sensor[1] == readings.sensor[3]
    where = operator("triangle", 1, 5)
    found = Sensors(where, readings.places).sample(where.state(lambda x: x[0], "x"))
    np.testing.assert_allclose(found[readings.sensor], [0.5, 0.6, 0.5, 0.6], rtol=1e-13)
    np.testing.assert_allclose(readings.points[readings.sensor][:, 0], [0.5, 0.6, 0.5, 0.6])
    on_root(COMM, lambda: path.write_text("x,y,x2,t,value\n.5,.5,.7,1,1\n") and None)
    assert "row 2" in message(read, path, 2, 2.0, 0.1)


def test_readings_of_one_name_are_one_group_for_the_noise(tmp_path):
    path = tmp_path / "a.csv"
    rows = "x,sensor,t,value\n.1,A,1,1\n.9,A,1,2\n.5,,1,3\n.5,B,1,4\n.6,,1,5\n"
    on_root(COMM, lambda: path.write_text(rows) and None)
    readings = read(path, 1, 1.0, 0.1)
    group = readings.group
    assert group[0] == group[1] and sorted(set(group.tolist())) == [0, 1, 2, 3]
    assert readings.places.describe(readings.sensor[3]) == "'B', the sensor at (0.5)"
    assert readings.places.is_bare(readings.sensor[2])
    bare = Readings.from_rows([[0.1], [0.9], [0.1]], np.ones(3), np.ones(3), np.ones(3))
    assert bare.group.tolist() == [0, 1, 0]
