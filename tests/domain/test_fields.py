"""Expressions and fields: their values are numpy's, on any number of ranks."""

import numpy as np
import pytest
import scipy.special
from dolfinx import fem
from hypothesis import given
from hypothesis import strategies as st
from mpi4py import MPI

from advdiff.config.expression import Expression
from advdiff.core.errors import InputError
from advdiff.domain import mesh as domains
from advdiff.domain.fields import interpolate, scalar_field, vector_field

KINDS_OF_CELLS = {
    "interval": ([5], None),
    "triangle": ([4, 3], None),
    "quadrilateral": ([4, 3], "quadrilateral"),
    "tetrahedron": ([3, 2, 2], None),
    "hexahedron": ([2, 2, 2], "hexahedron"),
}
X = np.random.default_rng(1).uniform(0.1, 0.9, (3, 50))
x, y, z = X

VALUES = {
    "1": np.ones(50),
    "-x**2": -(x**2),
    "2**-1": np.full(50, 0.5),
    "x - y - z": x - y - z,
    "x / y / z": x / y / z,
    "x**y**z": x ** (y**z),
    "pi*e": np.full(50, np.pi * np.e),
    "1e-3*x + .5": 1e-3 * x + 0.5,
    "exp(-((x-0.35)**2 + (y-0.5)**2)/0.01)": np.exp(-((x - 0.35) ** 2 + (y - 0.5) ** 2) / 0.01),
    "sin(x) + cos(y) + tan(z)": np.sin(x) + np.cos(y) + np.tan(z),
    "sinh(x)*cosh(y)*tanh(z)": np.sinh(x) * np.cosh(y) * np.tanh(z),
    "log(x) + sqrt(y) + arctan(z)": np.log(x) + np.sqrt(y) + np.arctan(z),
    "erf(x) + erfc(y) + erfcx(z)": scipy.special.erf(x)
    + scipy.special.erfc(y)
    + scipy.special.erfcx(z),
    "atan2(x, y)": np.arctan2(x, y),
    "abs(x - y) + sign(x - y) + floor(5*z)": np.abs(x - y) + np.sign(x - y) + np.floor(5 * z),
    "min(x, y) - max(y, z)": np.minimum(x, y) - np.maximum(y, z),
    "where(x < 0.5, y, z)": np.where(x < 0.5, y, z),
    "where(x < 0.5 and y >= 0.5 or not z > 0.5, 1, 2)": np.where(
        ((x < 0.5) & (y >= 0.5)) | ~(z > 0.5), 1, 2
    ),
    "(x < 0.5) + (y < 0.5) + (z <= 0.5)": (x < 0.5) * 1 + (y < 0.5) * 1 + (z <= 0.5) * 1,
    "-(x < 0.5) - (y > 0.5)": -1 * (x < 0.5) - 1 * (y > 0.5),
    "  x  ": x,
}


@pytest.mark.parametrize("text", VALUES)
def test_values(text):
    np.testing.assert_allclose(Expression(text)(X), VALUES[text], rtol=1e-15, atol=1e-15)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_numbers_are_read_as_python_reads_them(a, b):
    assert Expression(f"({a!r}) - ({b!r})")(X)[0] == a - b


def test_kinds_of_scalar():
    np.testing.assert_array_equal(scalar_field(2, "key", 2)(X), np.full(50, 2.0))
    np.testing.assert_array_equal(scalar_field("x", "key", 2)(X), x)
    np.testing.assert_array_equal(scalar_field(lambda p: p[1], "key", 2)(X), y)


def test_kinds_of_vector():
    np.testing.assert_array_equal(vector_field(["y", 3.0], "key", 2)(X), [y, np.full(50, 3.0)])
    np.testing.assert_array_equal(vector_field(lambda p: p[:2], "key", 2)(X), X[:2])


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_interpolation_is_nodal(dim):
    domain = domains.box(MPI.COMM_WORLD, [0.0] * dim, [1.0] * dim, [3] * dim)
    space = fem.functionspace(domain.mesh, ("Lagrange", 2))
    text = " + ".join(f"{k + 1}*{c}**2" for k, c in enumerate("xyz"[:dim]))
    function = interpolate(Expression(text, "key", dim), space, "key")
    points = space.tabulate_dof_coordinates()
    expected = sum((k + 1) * points[:, k] ** 2 for k in range(dim))
    np.testing.assert_allclose(function.x.array, expected, atol=1e-13)


def test_first_bad_point_is_the_same_on_any_number_of_ranks():
    domain = domains.box(MPI.COMM_WORLD, [0.0, 0.0], [1.0, 1.0], [4, 4])
    space = fem.functionspace(domain.mesh, ("Lagrange", 2, (2,)))
    bad = vector_field(["log(0.8 - y)", "sqrt(x - 0.3)"], "key", 2)
    with pytest.raises(InputError, match=r"key: not finite at 39 points, first at \(0, 0\);"):
        interpolate(bad, space, "key")


def test_an_exception_on_one_rank_is_one_on_all():
    domain = domains.box(MPI.COMM_WORLD, [0.0, 0.0], [1.0, 1.0], [4, 4])
    space = fem.functionspace(domain.mesh, ("Lagrange", 1))

    def broken(points):
        if MPI.COMM_WORLD.rank == MPI.COMM_WORLD.size - 1:
            raise RuntimeError("on the last rank")
        return points[0]

    with pytest.raises(RuntimeError, match="on the last rank"):
        interpolate(broken, space, "key")


@pytest.mark.parametrize("degree", range(9))
@pytest.mark.parametrize("shape", KINDS_OF_CELLS)
def test_values_at_nodes_are_those_of_every_cell(shape, degree):
    """DOLFINx asks a field for its value in every cell around a node, we once."""
    cells, cell = KINDS_OF_CELLS[shape]
    dim = len(cells)
    msh = domains.box(MPI.COMM_WORLD, [0.0] * dim, [1.3] * dim, cells, cell).mesh

    def scalar(x):
        return np.sin(3.0 * x[0] + x[1] ** 2 - x[2])

    def vector(x):
        return np.stack([(i + 1.0) * scalar(x) for i in range(dim)])

    for family in ("DG",) if degree == 0 else ("DG", "Lagrange"):
        for field, values in ((scalar, ()), (vector, (dim,))):
            space = fem.functionspace(msh, (family, degree, values) if values else (family, degree))
            expected = fem.Function(space)
            expected.interpolate(field)
            found = interpolate(field, space, "f")
            assert np.abs(found.x.array - expected.x.array).max(initial=0.0) < 1e-13


def test_a_field_of_the_wrong_shape_is_no_field():
    msh = domains.box(MPI.COMM_WORLD, [0.0, 0.0], [1.0, 1.0], [4, 4]).mesh
    space = fem.functionspace(msh, ("Lagrange", 1, (2,)))
    with pytest.raises(ValueError, match="values of shape"):
        interpolate(lambda x: np.ones((x.shape[1], 2)), space, "f")
