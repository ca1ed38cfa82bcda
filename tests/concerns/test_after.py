"""Concerns about answers, and that log, file and ``advdiff info`` say the same, once."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from advdiff import Problem, tasks
from advdiff.chains.verdict import of_chains
from advdiff.concerns import after
from advdiff.config.load import parse
from advdiff.core.ranks import Alone, on_root
from advdiff.files import concerns
from advdiff.files.result import ResultFile
from advdiff.files.shared import AtOnce
from advdiff.inverse.map import Estimate, Iteration
from advdiff.reduced.model import of_eigenbasis
from advdiff.semigroup.engine import error_estimate
from advdiff.views import info
from tests import flows
from tests.config.bad_input import COMM

STEEP = {
    "velocity": ["1", "0"],
    "diffusivity": 1e-4,
    "inflow": {"left": 0.0},
    "initial": "exp(-((x-0.3)**2 + (y-0.5)**2)/0.005)",
}


def keys(found) -> list[str]:
    return [concern.key for concern in found]


def experiment(tmp_path, **tables) -> Problem:
    tables = flows.data(8, **{"solver": {"tolerance": 1e-6}} | tables)
    return Problem(parse(tables, tmp_path / "e.toml"))


def test_log_file_and_info_say_the_same(tmp_path):
    """A front on a coarse mesh: four concerns, each once in each place."""
    said = []
    tasks.run(experiment(tmp_path, physics=STEEP), said.append)
    said = [line for line in said if line.startswith("warning")]
    assert len(said) == len(set(said)) == 4
    shown = [line for line in info.lines(tmp_path / "e.h5") if line.startswith("warning")]
    assert shown == said
    with h5py.File(tmp_path / "e.h5") as file:
        found = concerns.read(file)
        assert keys(found) == ["mesh-peclet", "closed-wall", "bounds", "mesh-error"]
        assert file["warnings/key"].dims[0].label == "warning"
    assert found[0].value == pytest.approx(1 / 8 / 2e-4)
    assert found[2].value > 0.01


def test_nothing_to_warn_of(tmp_path):
    said = []
    smooth = {"diffusivity": 0.2, "initial": "cos(pi*x)"}
    tasks.run(experiment(tmp_path, physics=smooth), said.append)
    assert not [line for line in said if line.startswith("warning")]
    with h5py.File(tmp_path / "e.h5") as file:
        assert concerns.read(file) == []
        assert file["warnings/message"].shape == (0,)
        assert 0 < file["solver"].attrs["error_estimate"] < 1e-5
    xarray = pytest.importorskip("xarray")
    with xarray.open_dataset(tmp_path / "e.h5", engine="h5netcdf", group="warnings") as data:
        assert dict(data.sizes) == {"warning": 0}


def test_bounds_of_a_source_are_unknown(tmp_path):
    problem = experiment(tmp_path, physics=STEEP | {"source": 1.0})
    assert not problem.operator.physics.keeps_bounds()
    assert after.of_range(problem, -9.0, 9.0) == []


@pytest.mark.parametrize(
    ("physics", "kept"),
    [
        ({}, True),
        ({"dirichlet": {"left": 0.0}}, True),
        ({"robin": {"left": {"coefficient": "x + 1.0", "exterior": 0.3}}}, True),
        ({"flux": {"left": 0.1}}, False),
        ({"source": "x"}, False),
        ({"velocity": ["0", "0"]}, True),
        ({"velocity": ["-x", "0"], "inflow": {"right": 0.0}}, False),
        ({"velocity": ["-1", "0"], "inflow": {"right": 0.0}}, True),
    ],
)
def test_the_mesh_is_blamed_only_where_the_equation_keeps_bounds(tmp_path, physics, kept):
    """Of a tracer far outside of its data: a flow that piles it up, say, lets it grow by itself."""
    physics = {"diffusivity": 0.2, "initial": "cos(pi*x)"} | physics
    problem = experiment(tmp_path, physics=physics)
    assert keys(after.of_range(problem, -9.0, 9.0)) == ["bounds"] * kept
    assert after.of_range(problem, -0.9, 0.9) == []


@pytest.mark.parametrize(
    ("report", "error", "found"),
    [
        ({"bound": 1e-9, "rounding": 1e-12}, 1.001e-9, []),
        ({"error_bound": 1e-9}, 1e-9, []),
        ({"actions": 4}, 4e-8, []),
        ({"error_estimate": 1e-3}, 1e-3, ["solver-error"]),
        ({"error_estimate": np.nan}, np.nan, ["solver-error"]),
        (
            {"bound": 1e-9, "rounding": 0.0, "notes": "dropped", "largest_norm_ratio": 3.0},
            1e-9,
            ["solver-enlarged"],
        ),
        (
            {"error_estimate": 1e-9, "reason": "the engine of choice gave up (x)"},
            1e-9,
            ["solver-stalled"],
        ),
        (
            {"bound": 1e-9, "backend": "petsc: no C compiler: cc: No such file"},
            1e-9,
            ["solver-uncompiled"],
        ),
        ({"bound": 1e-9, "backend": "petsc: its pattern is not symmetric"}, 1e-9, []),
    ],
)
def test_of_a_solver(report, error, found):
    report |= {"method": "m", "tolerance": 1e-8}
    assert error_estimate(report) == pytest.approx(error, nan_ok=True)
    assert keys(after.of_solver(report)) == found


def test_a_solver_short_of_its_tolerance_is_no_success(tmp_path):
    """A Krylov space of four dimensions: the answer is written, and says what it is worth."""
    solver = {"method": "shift-invert", "dimension": 4}
    problem = experiment(tmp_path, solver=solver)
    said = []
    assert tasks.run(problem, said.append) is False
    assert "solver-error" in problem.concerns
    assert any("above the tolerance" in line for line in said)
    with h5py.File(tmp_path / "e.h5") as file:
        assert "solver-error" in keys(concerns.read(file))


def test_of_an_estimate():
    history = [Iteration(0, 1.0, 1.0, 0.0, 0.5, 1, 0.0)]
    stalled = Estimate(None, history, converged=False, message="NOT reached")
    assert keys(after.of_estimate(stalled, 1e-6)) == ["optimiser-stalled"]
    reached = Estimate(None, history, converged=True)
    assert keys(after.of_estimate(reached, 1e-6)) == []
    assert keys(after.of_estimate(reached, 1.0)) == ["misfit-error"]
    assert keys(after.of_estimate(reached, np.inf)) == ["misfit-error"]


def test_of_an_eigenbasis():
    assert of_eigenbasis(10.0, "auto") == []
    assert of_eigenbasis(np.inf, "frechet") == []
    assert "not used" in of_eigenbasis(1e6, "auto")[0].message
    assert "digits" in of_eigenbasis(1e6, "spectral")[0].message


def test_of_a_laplace_approximation():
    assert after.of_laplace(np.array([9.0, 0.5]), True, 0.1) == []
    (concern,) = after.of_laplace(np.array([9.0, 0.5]), False, 0.1)
    assert concern.key == "laplace-incomplete" and concern.value == 0.5


def chains(path, rhat, ess, diverging=0.0, bfmi=(1.0, 1.0)):
    """What ``of_chains`` reads of a result."""
    with h5py.File(path, "w") as file:
        file["chain"] = [0, 1]
        for kind, value in (("rhat", rhat), ("ess_bulk", ess), ("ess_tail", 2 * ess)):
            file[f"diagnostics/x/{kind}"] = [1.0 if kind == "rhat" else 1e6, value]
        file["sample_stats/diverging"] = np.full((2, 3), diverging)
        file["sample_stats"].attrs["bfmi"] = bfmi


@pytest.mark.serial
@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((1.005, 400.0), []),
        ((1.02, 400.0), ["rhat"]),
        ((np.nan, 400.0), ["rhat"]),
        ((1.0, 150.0), ["effective-draws"]),
        ((1.0, np.nan), ["effective-draws"]),
        ((1.0, 400.0, 1.0), ["diverging"]),
        ((1.0, 400.0, 0.0, (1.0, 0.1)), ["energy"]),
    ],
)
def test_of_chains(tmp_path, values, found):
    chains(tmp_path / "c.h5", *values)
    with h5py.File(tmp_path / "c.h5") as file:
        assert keys(of_chains(file)) == found


def test_each_kind_once():
    """The later number stays, and is not said again."""
    all_of_it = concerns.Concerns()
    assert len(all_of_it.add([concerns.Concern("a", "first", 1.0)])) == 1
    assert all_of_it.add([concerns.Concern("a", "later", 2.0)]) == []
    assert [c.value for c in all_of_it] == [2.0]


@pytest.mark.serial
def test_a_file_of_an_earlier_version_has_none(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        assert concerns.read(file) == []
        found = concerns.Concerns()
        found.add([concerns.Concern("é", "Péclet κ/|u|", 3.0)])
        found.write(ResultFile(AtOnce(file), Alone()))
        assert concerns.read(file) == list(found)


def test_an_inversion_says_how_well_it_knows(tmp_path):
    """Gradient reached, numerical error of the misfit; an optimiser stopped after two steps."""
    rows = [f"{x},0.5,{t},{0.3 * x},0.05" for x in (0.2, 0.5, 0.8) for t in (0.1, 0.4)]
    on_root(COMM, lambda: (tmp_path / "d.csv").write_text("\n".join(["x,y,t,value,std", *rows])))
    tables = {
        "task": "invert",
        "observations": {"file": "d.csv"},
        "unknowns": {"velocity": {"family": "sine", "modes": [2, 2]}},
        "optimizer": {"max_iterations": 2, "gradient_tolerance": 1e-8},
    }
    said = []
    assert not tasks.run(experiment(tmp_path, **tables), said.append)
    assert any("stopped short" in line for line in said)
    with h5py.File(tmp_path / "e.h5") as file:
        attributes = file["estimate"].attrs
        assert "optimiser-stalled" in keys(concerns.read(file))
        assert 0 < attributes["misfit_error_estimate"] < 1e-4
        assert 0 < attributes["gradient_reduction"] < 1
        assert attributes["misfit"] == pytest.approx(file["history/misfit"][-1], rel=1e-6)


def test_what_is_brought_in_is_looked_at_where_it_is(tmp_path):
    """Elsewhere its expression may be anything."""
    robin = {"left": {"coefficient": 1.0, "exterior": "exp(5*x)"}}
    physics = {"diffusivity": 0.2, "initial": "cos(pi*x)", "robin": robin}
    problem = experiment(tmp_path, physics=physics)
    assert keys(after.of_range(problem, -0.9, 50.0)) == ["bounds"]
    assert after.of_range(problem, -0.9, 1.0) == []
