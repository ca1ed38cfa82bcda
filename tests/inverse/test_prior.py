"""Priors: factors and their inverses, draws, and what happens at walls."""

from __future__ import annotations

import numpy as np
import pytest
from dolfinx import fem, mesh
from mpi4py import MPI
from petsc4py import PETSc

from advdiff.inverse.matern import Matern
from advdiff.inverse.prior import kraichnan
from tests.inverse import cases

FAMILIES = list(cases.FAMILIES)


def difference(x: PETSc.Vec, y: PETSc.Vec) -> float:
    d = x.copy()
    d.axpy(-1.0, y)
    return d.norm() / y.norm()


@pytest.mark.parametrize("family", FAMILIES)
def test_factor_inverse_and_transposes_agree(tmp_path, family):
    prior = cases.problem(tmp_path, family).prior
    x, y = (cases.random(prior.mean, seed) for seed in (0, 1))
    assert difference(prior.whiten(prior.color(x)), x) < 1e-8
    assert prior.scaled(x).dot(y) == pytest.approx(x.dot(prior.color_transpose(y)), rel=1e-9)
    covariance = prior.scaled(prior.color_transpose(y))
    assert difference(prior.precision(covariance), y) < 1e-7


@pytest.mark.parametrize("family", [pytest.param("stream", marks=pytest.mark.serial), "fields"])
def test_draws_have_the_covariance_of_the_factor(tmp_path, family):
    prior = cases.problem(tmp_path, family, n=4).prior
    g, count = cases.random(prior.mean, 3), 800
    values = np.array([prior.draw(7, k).dot(g) for k in range(count)]) - prior.mean.dot(g)
    std = prior.color_transpose(g).norm()
    assert abs(values.mean()) < 4.0 * std / np.sqrt(count)
    assert values.std() == pytest.approx(std, rel=4.0 / np.sqrt(2 * count))


def on_vertices(problem, vector) -> dict[str, np.ndarray]:
    """A parameter vector as fields at the vertices in their original order, on every rank."""
    functions = problem.unknowns.push(vector)
    if "initial" in functions:
        extend = problem.operator.extend
        functions["initial"] = extend(functions["initial"], boundary=False)
    found = {}
    for name, function in functions.items():
        shape = function.function_space.value_shape
        for axis in range(shape[0]) if shape else [None]:
            part = function if axis is None else function.sub(axis).collapse()
            values = problem.samples.values(part)
            found[f"{name}{axis}"] = np.concatenate(problem.comm.allgather(values.array))
    return found


# The degree of the states: only where a state or a field is drawn does it matter.
@pytest.mark.parametrize(
    ("family", "degree"), [*((family, 1) for family in FAMILIES), ("nodal", 3), ("fields", 3)]
)
def test_draws_do_not_depend_on_the_ranks(tmp_path, family, degree):
    found = []
    for comm in (MPI.COMM_WORLD, MPI.COMM_SELF):
        problem = cases.problem(tmp_path, family, degree=degree, comm=comm)
        assert len(set(problem.prior.labels)) == problem.prior.mean.getLocalSize()
        draw = problem.prior.draw(3, 5)
        draw.axpy(-1.0, problem.prior.mean)
        found.append(on_vertices(problem, draw))
    together, alone = found
    for name in alone:
        scale = np.abs(alone[name]).max()
        assert scale > 1e-3
        np.testing.assert_allclose(together[name], alone[name], atol=1e-9 * scale)


@pytest.mark.parametrize("power", [1, 2])
def test_variance_at_a_wall_is_that_inside(power):
    """Without the Robin condition it would be twice as large (std 1.41), in a corner four times."""
    msh = mesh.create_unit_square(MPI.COMM_SELF, 24, 24)
    space = fem.functionspace(msh, ("Lagrange", 2))
    count = space.dofmap.index_map.size_local
    rows = PETSc.IS().createStride(count, 0, 1, comm=MPI.COMM_SELF)
    prior = Matern(space, rows, 0.7, 0.4, power)
    points, found = space.tabulate_dof_coordinates()[:, :2], []
    for place in ((0.5, 0.5), (0.0, 0.5), (0.5, 1.0), (0.0, 1.0)):
        unit, out = prior.root.duplicate(), prior.root.duplicate()
        unit.set(0.0)
        unit.setValue(int(np.linalg.norm(points - place, axis=1).argmin()), 1.0)
        unit.assemble()
        prior.color_transpose(unit, out)
        found.append(out.norm() / 0.7)
    np.testing.assert_allclose(found[:3], 1.0, atol=0.04)
    assert found[3] == pytest.approx(1.0, abs=0.1)


@pytest.mark.serial
def test_turbulent_spectrum():
    """std·√(2E(k)), summed by hand."""
    waves = np.array([[1.0, 0.0], [3.0, 4.0]])
    for wave, value in zip(waves, kraichnan(waves, 2.0), strict=True):
        k, energy = np.hypot(*wave), 0.0
        for j in range(21):
            kj = 2.0 ** (j / 2)
            energy += (k / kj) ** 4 * np.exp(-1.5 * (k / kj) ** 2) * kj**-1.5 / (2 * np.pi * k)
        assert value == pytest.approx(2.0 * np.sqrt(2.0 * energy))
