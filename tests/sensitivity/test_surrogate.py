"""Surrogates of ρ against ρ itself: their bounds hold, and are of use somewhere."""

from dataclasses import replace
from functools import cache

import h5py
import numpy as np
import pytest
from mpi4py import MPI
from petsc4py import PETSc

from advdiff import Problem, tasks
from advdiff.core.errors import ConvergenceError, InputError
from advdiff.files.finished import open_result
from advdiff.sensitivity import constants, surrogate
from advdiff.sensitivity.certificate import remainder_of
from advdiff.sensitivity.rho import sensitivity
from advdiff.views import plots
from advdiff.views.plots import canvas
from tests import dense, flows

TIMES = (1e-3, 1e-2, 0.1, 0.5, 2.0, 16.0)
TORUS = {
    "domain": {"periodic": ["x", "y"]},
    "physics": {
        "velocity": {"stream": "sin(2*pi*x)*cos(2*pi*y)/6 + 0.1*sin(2*pi*y)"},
        "initial": "0.5 - 0.25*cos(2*pi*x) - 0.25*cos(2*pi*y)",
        "diffusivity": 0.05,
    },
    "sensitivity": {
        "directions": {
            "stream": {"velocity": {"stream": "cos(2*pi*x + 2*pi*y)/6"}},
            "kappa": {"diffusivity": "1 + 0.5*cos(2*pi*x)"},
            "squeeze": {"velocity": ["sin(2*pi*x)", "0.5*sin(2*pi*y)"]},
        }
    },
}
CLOSED = {
    "physics": {"initial": "cos(pi*x)*cos(pi*y)", "diffusivity": "0.1 + 0.05*x"},
    "sensitivity": {
        "directions": {
            "stream": {"velocity": {"stream": "sin(2*pi*x)*sin(pi*y)/pi"}},
            "kappa": {"diffusivity": "1 + y"},
            "squeeze": {"velocity": ["sin(pi*x)", "0*y"]},
        }
    },
}
PLACES = {"torus": TORUS, "closed": CLOSED}
KINDS = {
    "cg1": ("cg", 1, "triangle"),
    "cg2": ("cg", 2, "triangle"),
    "cg1 quadrilateral": ("cg", 1, "quadrilateral"),
    "spectral": ("spectral", 3, "quadrilateral"),
    "cip": ("cip", 1, "triangle"),
    "dg1": ("dg", 1, "triangle"),
}


def make(place, kind, n=6, **changes):
    method, degree, cell = KINDS[kind]
    tables = {name: dict(table) for name, table in PLACES[place].items()}
    tables["domain"] = tables.get("domain", {}) | {"cell": cell}
    for name, table in changes.items():
        tables[name] = tables.get(name, {}) | table
    return flows.problem(n, degree, task="sensitivity", discretization={"method": method}, **tables)


@cache
def shared(place, kind, n=6):
    """One that nobody changes."""
    return make(place, kind, n)


@cache
def along(problem, name, method, times, tolerance=1e-9):
    """ρ or a surrogate of it; tests of several surrogates share the ρ they compare with."""
    return sensitivity(
        problem.operator,
        problem.direction(name),
        problem.initial,
        times,
        method=method,
        tolerance=tolerance,
        options=replace(problem.solver_options, tolerance=0.1 * tolerance),
    )


def both(problem, name, method, times=TIMES, tolerance=1e-9):
    """ρ, its surrogate with the bounds, and the L² norms of ρ and of the error."""
    exact, found = (along(problem, name, m, times, tolerance) for m in ("recurrence", method))
    norm = problem.operator.mass.norm
    errors = []
    for a, b in zip(exact.tangents, found.tangents, strict=True):
        difference = b.copy()
        difference.axpy(-1.0, a)
        errors.append(norm(difference))
    return found, np.array([norm(v) for v in exact.tangents]), np.array(errors)


def rounding(sizes, tolerance=1e-9):
    """What the recurrence's own tolerance leaves in a measured error."""
    return 10 * tolerance * sizes.max()


def alone(*values):
    """What shows nothing new about ranks."""
    return pytest.param(*values, marks=pytest.mark.serial)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["cg1", *map(alone, [*KINDS][1:])])
@pytest.mark.parametrize("name", ["stream", "kappa", "squeeze"])
@pytest.mark.parametrize("method", surrogate.METHODS)
def test_bounds_hold(place, kind, name, method):
    # a consistent mass has shift-invert, which is not for long spans
    times, tolerance = (TIMES[:5], 1e-6) if kind == "cg2" else (TIMES, 1e-9)
    found, sizes, errors = both(shared(place, kind), name, method, times, tolerance)
    bounds = np.array([bound.value for bound in found.bounds])
    assert np.all(errors <= bounds + rounding(sizes, tolerance)), (errors, bounds)
    if kind == "cg2":
        return
    if method == "asymptotic" or name != "squeeze":
        assert bounds[-1] < 0.5 * sizes.max()  # says something at the end
    assert found.error_estimate > 0.0


def test_short_time_bound_is_of_use():
    """It is far below ρ itself as t → 0, and does not depend on the mesh where θ0 is smooth."""
    times = (1e-4, 1e-3, 1e-2)
    values = []
    for n in (4, 8):
        found, sizes, errors = both(shared("torus", "spectral", n), "stream", "first-order", times)
        bounds = np.array([bound.value for bound in found.bounds])
        assert np.all(errors <= bounds)
        assert np.all(bounds < 0.5 * sizes)
        assert all(bound.reason.startswith("short time") for bound in found.bounds)
        values.append(bounds[-1])
    assert values[1] < 1.05 * values[0]


def test_energy_bound_does_not_grow_under_refinement():
    values = []
    for n in (6, 12):
        found, sizes, errors = both(shared("closed", "cg1", n), "stream", "first-order", (4.0,))
        assert found.bounds[0].reason == "long time, energy"
        assert errors[0] <= found.bounds[0].value + rounding(sizes)
        values.append(found.bounds[0].value)
    assert values[-1] <= values[0]


@pytest.mark.parametrize(
    ("kind", "name", "provable"),
    [
        ("cg1", "stream", True),
        alone("cg2", "stream", True),
        alone("spectral", "stream", True),
        ("cg1", "kappa", True),
        alone("spectral", "kappa", True),
        alone("cg1 quadrilateral", "stream", False),
        alone("cg1 quadrilateral", "kappa", False),
        alone("cip", "stream", False),
        alone("dg1", "stream", False),
        ("dg1", "kappa", False),
        ("cg1", "squeeze", False),
    ],
)
def test_energy_is_claimed_only_where_it_is_proved(kind, name, provable):
    problem = shared("torus", kind)
    operator = problem.operator
    kernel = constants.kernel(operator)
    directions = problem.direction(name).controls
    matrix = operator.push(directions).stiffness
    found = remainder_of(operator, kernel, matrix, directions)
    assert np.isfinite(found.flow + found.spread) == provable
    assert np.isfinite(found.norm)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["cg1", alone("cg2"), alone("spectral")])
@pytest.mark.parametrize("name", ["stream", "kappa"])
def test_bothremainder_ofs_bound_rho_for_the_worst_start(place, kind, name):
    """‖e^{tA} pushed along J, as a matrix, ‖₂ in L²: the lemma for every θ0 at once."""
    problem = shared(place, kind, 4 if kind != "spectral" else 3)
    operator = problem.operator
    kernel = constants.kernel(operator)
    directions = problem.direction(name).controls
    matrix = operator.push(directions).stiffness
    remainder = remainder_of(operator, kernel, matrix, directions)
    mass = operator.mass
    m = np.diag(dense.vector(mass.diagonal)) if mass.is_diagonal else dense.matrix(mass.matrix)
    lower = np.linalg.inv(np.linalg.cholesky(m))
    a = lower @ dense.matrix(operator.generator.stiffness) @ lower.T
    j = lower @ dense.matrix(matrix) @ lower.T
    from advdiff import matexp

    assert np.linalg.norm(j, 2) <= remainder.norm * (1 + 1e-9)
    for t in (0.01, 0.1, 1.0, 5.0):
        worst = np.linalg.norm(matexp.derivative(a, j, t, method="block"), 2)
        decay, grown = np.exp(-remainder.gap * t), 1 + 2 * remainder.gap * t
        energy = np.sqrt(0.5 * remainder.flow * t * grown) + 0.5 * remainder.spread * grown
        for bound in (decay * energy, decay * t * remainder.norm):
            assert worst <= bound * (1 + 1e-9)


def test_first_order_is_exact_to_second_order():
    times = (1e-3, 2e-3, 4e-3, 8e-3)
    _, _, errors = both(shared("torus", "cg1"), "stream", "first-order", times)
    orders = np.log2(errors[1:] / errors[:-1])
    assert np.all(np.abs(orders - 2.0) < 0.1), orders


@pytest.mark.parametrize("kind", ["cg1", alone("spectral"), "dg1"])
def test_asymptotic_finds_the_limit_of_rho(kind):
    """Along ∇·v ≠ 0 ρ tends to −A^#JΠθ0 (+ the mean's response); the error decays like te^{−gt}."""
    problem, times = shared("torus", kind), (1.0, 4.0, 16.0)
    found, sizes, errors = both(problem, "squeeze", "asymptotic", times)
    assert sizes[-1] > 0.1 * sizes.max()
    assert errors[2] < 1e-5 * sizes[2]
    assert found.bounds[2].value < 1e-2 * sizes[2]
    _, _, first = both(problem, "squeeze", "first-order", times)
    assert first[2] > 0.5 * sizes[2]


def test_a_change_of_the_start_alone_is_exact():
    tables = {"directions": {"start": {"initial": "x*y"}}}
    problem = make("closed", "cg1", sensitivity=tables)
    for method in surrogate.METHODS:
        found, sizes, errors = both(problem, "start", method)
        assert np.all(errors < 1e-8 * sizes)
        assert found.error_estimate < 1e-8


def test_group_inverse_solves_and_projects():
    problem = shared("closed", "cg2")
    kernel = constants.kernel(problem.operator)
    state = dense.random(problem.initial, 3)
    found = kernel.group_inverse(state)
    assert abs(kernel.mean(found)) < 1e-13 * found.norm()
    moved = found.duplicate()
    problem.operator.generator.mult(found, moved)
    moved.axpy(-1.0, kernel.remove_mean(state))
    assert moved.norm() < 1e-9 * state.norm()


def test_a_failed_solve_is_an_error():
    options = {
        "advdiff_group_ksp_type": "gmres",
        "advdiff_group_pc_type": "none",
        "advdiff_group_ksp_max_it": "1",
    }
    for name, value in options.items():
        PETSc.Options().setValue(name, value)
    try:
        problem = make("closed", "cg1")
        kernel = constants.kernel(problem.operator)
        with pytest.raises(ConvergenceError, match="advdiff_group_"):
            kernel.group_inverse(problem.initial)
    finally:
        for name in options:
            PETSc.Options().delValue(name)


@pytest.mark.parametrize(
    "physics",
    [
        {"dirichlet": {"left": "y"}},
        alone({"dirichlet": {"left": 0.0}}),
        alone({"flux": {"left": 1.0}}),
        alone({"robin": {"left": {"coefficient": 1.0, "exterior": 0.0}}}),
        alone({"source": "x"}),
        alone({"velocity": ["x", "0"], "inflow": {"right": 0.0}}),
        {"velocity": ["1.0", "0"], "inflow": {"left": 1.0}},
    ],
)
def test_open_problems_are_refused(physics):
    problem = make("closed", "cg1", 2, physics=physics)
    for method in surrogate.METHODS:
        with pytest.raises(InputError) as caught:
            sensitivity(
                problem.operator,
                problem.direction("stream"),
                problem.initial,
                [0.1],
                method=method,
            )
        text = str(caught.value)
        assert text.startswith("sensitivity.method: ")
        assert "\n" not in text
        assert "recurrence" in text


def picture(path, name):
    """That one is drawn."""
    with open_result(path) as file, canvas.style():
        png, _ = canvas.png(plots.contents(file)[name]())
    assert png.startswith(b"\x89PNG")


def experiment(folder, comm, method):
    name = f"serial{MPI.COMM_WORLD.rank}.h5" if comm.size < MPI.COMM_WORLD.size else "world.h5"
    problem = make(
        "torus",
        "cg1",
        4,
        sensitivity={"method": method, "compare": True},
        output={"file": str(folder / name)},
    )
    return Problem(problem.experiment, comm)


@pytest.mark.parametrize("method", surrogate.METHODS)
def test_the_file_holds_the_certificate_whatever_the_ranks(tmp_path, method):
    found = []
    world = MPI.COMM_WORLD
    for comm in (world, MPI.COMM_SELF) if world.size > 1 else (world,):
        problem = experiment(tmp_path, comm, method)
        assert tasks.run(problem, lambda line: None)
        with h5py.File(problem.experiment.output_path, "r") as file:
            assert set(file["surrogate"]) == {"stream", "kappa", "squeeze"}
            parts = {}
            for name, group in file["surrogate"].items():
                assert group.attrs["method"] == method
                assert [d.label for d in group["bound"].dims] == ["time"]
                assert np.all(group["error"][:] <= group["bound"][:] + 1e-7)
                gap = group["exact"][:] - file[f"rho/{name}"][:]
                assert np.abs(gap).max() > 0
                parts[name] = {k: group[k][:] for k in ("norm", "bound", "error", "exact_norm")}
            found.append(parts)
        if comm is MPI.COMM_WORLD and comm.size == 1 and method == "first-order":
            picture(problem.experiment.output_path, "surrogate_squeeze")
    for name, parts in found[0].items():
        for part, values in parts.items():
            scale = found[-1][name][part].max()
            assert np.allclose(values, found[-1][name][part], rtol=1e-5, atol=1e-6 * scale), part


def test_a_picture_without_a_surface(tmp_path):
    """In one dimension norms alone: a constant flow on a circle."""
    problem = flows.problem(
        8,
        task="sensitivity",
        domain={"shape": "interval", "cells": [8], "periodic": ["x"]},
        physics={"velocity": [1.0], "initial": "cos(2*pi*x)"},
        sensitivity={
            "method": "first-order",
            "compare": True,
            "directions": {"faster": {"velocity": [1.0]}},
        },
        output={"file": str(tmp_path / "line.h5")},
    )
    assert tasks.run(problem, lambda line: None)
    with h5py.File(tmp_path / "line.h5", "r") as file:
        group = file["surrogate/faster"]
        # J commutes with A: first-order is exact
        assert np.all(group["error"][:] < 1e-6 * group["exact_norm"][:].max())
    if problem.comm.size == 1:
        picture(tmp_path / "line.h5", "surrogate_faster")
