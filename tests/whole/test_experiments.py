"""The experiment files: all run at a reduced size, and some have exact solutions."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest

from advdiff import tasks
from advdiff.config.load import load as load_experiment
from advdiff.config.tables.models import ModelExperiment
from advdiff.config.tables.study import Study
from advdiff.problem.problem import Problem
from advdiff.sampling import run as sampling_tasks
from advdiff.tasks import study as study_tasks
from advdiff.views import info

pytest.importorskip("gmsh")
pytest.importorskip("xarray")

FOLDER = Path(__file__).parents[2] / "experiments"
NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))
FEW = ("optimizer.max_iterations=1", "solver.tolerance=1e-5")
MORE = "optimizer.max_iterations=2"
STUDY = ("matexp.dimensions=[5, 8]", "matexp.replicates=2")
DRAWS = ("sampler.draws=4", "sampler.warmup=4", "sampler.chains=2", "sampler.steps=1")
TORUS = ("domain.cells=[3, 3]", "discretization.degree=4", "unknowns.velocity.largest=2")
REDUCED = {
    "abc": ("domain.cells=[3, 3, 3]", "discretization.degree=3", "time.final=0.2"),
    "own_data": ("domain.cells=[8, 4]", *FEW),
    "channel": ("domain.mesh_size=0.1", "discretization.degree=1", *FEW, MORE),
    "harbour": ("domain.mesh_size=0.1", *FEW),
    "harbour_chains": ("domain.mesh_size=0.2", "solver.tolerance=1e-5", *DRAWS),
    "harbour_posterior": ("domain.mesh_size=0.15", "laplace.most=5", *FEW),
    "quantum": DRAWS,
    "random_rates": STUDY,
    "rate_matrix": DRAWS,
    "reduced_inversion": (*TORUS, "reduced.sensors=1"),
    "rotating_gaussian": ("domain.cells=[8, 8]", "time.final=0.3"),
    "sensitivity": ("domain.cells=[16, 16]", "time.final=0.2"),
    "surrogate_error": (*STUDY, "matexp.certified=2"),
    "surrogate_flow": ("domain.cells=[8, 8]", "time.final=0.1", "time.outputs=2"),
    "torus": (*TORUS, *FEW),
    "torus_posterior": (*TORUS, *DRAWS),
    "velocity_inversion": ("domain.cells=[16, 16]", *FEW),
    "wind": ("domain.cells=[30, 20]", *FEW),
}
"""What makes each of them a matter of seconds."""


def load(name: str, folder: Path, *overrides: str):
    """The room that knows the task, and what it runs; the result goes to ``folder``."""
    settings = (*overrides, f"output.file='{folder / name}.h5'")
    experiment = load_experiment(FOLDER / f"{name}.toml", settings)
    if isinstance(experiment, Study):
        return study_tasks, experiment
    if isinstance(experiment, ModelExperiment):
        return sampling_tasks, experiment
    return tasks, Problem(experiment)


def result(name: str, folder: Path, *overrides: str) -> Path:
    """Run it."""
    room, task = load(name, folder, *overrides)
    room.run(task, lambda line: None, resume=False)
    return folder / f"{name}.h5"


@pytest.fixture(scope="module")
def reduced(tmp_path_factory):
    """The result of an experiment at its reduced size, by name."""
    folder = tmp_path_factory.mktemp("reduced")
    return cache(lambda name: result(name, folder, *REDUCED[name]))


@pytest.mark.serial
@pytest.mark.parametrize("name", NAMES)
def test_runs_at_a_reduced_size(name, reduced):
    path = reduced(name)
    assert len(info.lines(path)) > 3
    with h5py.File(path) as file:
        if "history" in file:
            objective = file["history/objective"][:]
            assert objective[-1] < 0.9 * objective[0]


@pytest.mark.serial
def test_an_inversion_says_how_far_off_its_first_guess_was(reduced):
    path = reduced("wind")
    with h5py.File(path) as file:
        found = file["estimate"].attrs["velocity_first_guess_error"]
        assert 0.3 < found < 0.4
    assert any("first guess" in line for line in info.lines(path))


def gaussian(x: np.ndarray, t: float) -> dict[str, np.ndarray]:
    """θ and its derivatives by ω and κ at points (n, 2), on the whole plane."""
    kappa = 1e-3
    start, centre = 2 * np.pi * kappa, 0.5 * np.array([-np.sin(t), np.cos(t)])
    width = start + 4 * kappa * t
    d = x - centre
    square = (d**2).sum(axis=1)
    theta = start / width * np.exp(-square / width)
    slope = -2 / width * (-x[:, 1] * d[:, 0] + x[:, 0] * d[:, 1])
    return {
        "theta": theta,
        "rho/omega": -t * slope * theta,
        "rho/kappa": 4 * t * (square / width**2 - 1 / width) * theta,
    }


@pytest.mark.serial
def test_the_rotating_gaussian_is_the_exact_one(tmp_path):
    """On 12 × 12 cells; the experiment's 24 × 24 are some hundred times better."""
    settings = ("domain.cells=[12, 12]", "time.final=1.0", "time.outputs=2")
    with h5py.File(result("rotating_gaussian", tmp_path, *settings)) as file:
        x, t = file["mesh/geometry"][:], file["time"][-1]
        for name, exact in gaussian(x, t).items():
            error = np.linalg.norm(file[name][-1] - exact) / np.linalg.norm(exact)
            assert error < 2e-2, name


COARSE = (
    "domain.cells=[3, 3, 3]",
    "discretization.degree=3",
    "time.final=0.5",
    "time.outputs=1",
    "solver.tolerance=1e-10",
)


def test_mass_and_energy_in_the_abc_flow(tmp_path):
    """The mass stays, the L² norm falls, and neither depends on a coefficient to first order
    but by the tracer's shape: every ρ has mass 0."""
    _, problem = load("abc", tmp_path, *COARSE)
    mass, start = problem.operator.mass, problem.initial
    weights, one = start.duplicate(), start.duplicate()
    one.set(1.0)
    mass.mult(one, weights)
    found = problem.sensitivity("A")
    assert np.isclose(weights.dot(found.solution.states[-1]), weights.dot(start), rtol=1e-10)
    assert abs(weights.dot(found.tangents[-1])) < 1e-9 * weights.dot(start)
    assert mass.norm(found.solution.states[-1]) < mass.norm(start)


@pytest.mark.serial
def test_the_abc_derivatives_are_limits_of_differences(tmp_path):
    """Second order in the step, for the coefficient A."""
    tangent = load("abc", tmp_path, *COARSE)[1].sensitivity("A").tangents[-1]

    def state(a: str):
        flow = (
            f"['({a})*sin(z) + cos(y)', 'sqrt(2)*sin(x) + ({a})*cos(z)', 'sin(y)+sqrt(2)*cos(x)']"
        )
        _, problem = load("abc", tmp_path, *COARSE, f"physics.velocity={flow}")
        return problem, problem.semigroup().trajectory([0.5])[0]

    errors = []
    for step in (0.1, 0.05):
        problem, above = state(f"sqrt(3) + {step}")
        below = state(f"sqrt(3) - {step}")[1]
        above.axpy(-1.0, below)
        above.scale(0.5 / step)
        above.axpy(-1.0, tangent)
        errors.append(problem.operator.mass.norm(above))
    assert 1.9 < np.log2(errors[0] / errors[1]) < 2.1


def test_a_mode_in_still_water_answers_to_abc_exactly(tmp_path):
    """With u = 0 and θ0 = cos y, ρ along A is cos z sin y (e^{−κt} − e^{−2κt})/κ."""
    still = ("physics.velocity=['0', '0', '0']", "physics.initial='cos(y)'")
    settings = ("domain.cells=[4, 4, 4]", *still)
    with h5py.File(result("abc", tmp_path, *COARSE, *settings)) as file:
        y, z = file["mesh/geometry"][:, 1], file["mesh/geometry"][:, 2]
        decay = np.exp(-0.1 * 0.5)
        exact = np.cos(z) * np.sin(y) * (decay - decay**2) / 0.1
        error = np.linalg.norm(file["rho/A"][-1] - exact) / np.linalg.norm(exact)
        assert error < 2e-2
