"""Studies from experiment file to picture: the same numbers on any number of ranks, no mesh."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import h5py
import numpy as np
import pytest
from matplotlib.image import imread
from mpi4py import MPI

from advdiff.config.load import load as load_experiment
from advdiff.config.load import parse
from advdiff.core.errors import InputError
from advdiff.files.finished import open_result
from advdiff.matexp import LAWS
from advdiff.matexp.rates.studies import (
    SURROGATES,
    predicted_moduli,
    random_rates,
    surrogate_errors,
)
from advdiff.problem import problem
from advdiff.tasks import study as tasks
from advdiff.views import info, plots
from advdiff.views.plots import canvas
from tests.sketches import coarse

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
ERRORS = """task = "surrogate-error"
[matexp]
dimensions = [4, 8]
replicates = 2
certified = [2, 1]
times = [1e-6, 0.1, 1.0, 30.0]
"""
RATES = """task = "random-rates"
[matexp]
laws = ["cauchy", "exponential"]
dimensions = [3, 8]
replicates = [3, 2]
seed = 5
"""


def run(folder: Path, text: str, name: str = "study", comm: MPI.Comm = MPI.COMM_WORLD) -> Path:
    """The result of a study."""
    study = parse(tomllib.loads(text), folder / f"{name}.toml", text)
    assert tasks.run(study, lambda line: None, comm=comm)
    return study.output_path


def test_errors_and_certificates_with_their_axes(tmp_path):
    with open_result(run(tmp_path, ERRORS)) as file:
        assert list(file["law"].asstr()) == list(LAWS)
        assert list(file["method"].asstr()) == list(SURROGATES)
        axes = [axis.label for axis in file["error/spectral"].dims]
        assert axes == ["law", "d", "replicate", "method", "time"]
        assert file["error/spectral"].dims[1][0][:].tolist() == [4, 8]
        error, bound = file["error/spectral"][:], file["certificate"][:]
        assert error.shape == bound.shape == (3, 2, 2, 5, 4)
        size = file["exact/spectral"][:][:, :, :, None]
        missing = np.isnan(bound).all(axis=(3, 4))
        assert missing[:, 1, 1].all() and missing.sum() == 3 and not np.isnan(error).any()
        # the reference has a rounding error of its own
        assert (error <= np.where(np.isnan(bound), np.inf, bound) + 1e-13 * size).all()
        direct = surrogate_errors(
            np.random.default_rng([0, 1, 8, 1]), "effects", 8, file["time"][:], 1, certified=0
        )
        np.testing.assert_array_equal(error[1, 1, 1], direct.spectral[:, 0])


def test_rates_have_a_seed_each(tmp_path):
    """A replicate does not depend on which laws and dimensions stand beside it."""
    with open_result(run(tmp_path, RATES)) as file:
        values = file["rates/modulus_min"][:]
        assert values.shape == (2, 2, 3) and np.isnan(values).sum() == 2
        rng = np.random.default_rng([5, LAWS.index("exponential"), 8, 1])
        assert values[1, 1, 1] == random_rates(rng, "exponential", 8, 1, True).modulus_min
        assert {axis.label for axis in file["rates/gap"].dims} == {"law", "d", "replicate"}


@pytest.mark.parametrize("text", [ERRORS, RATES])
def test_results_do_not_depend_on_the_ranks(tmp_path, text):
    """All ranks together, and this rank alone."""
    together = run(tmp_path, text, "together")
    alone = run(tmp_path, text, f"alone{MPI.COMM_WORLD.rank}", MPI.COMM_SELF)
    with h5py.File(together) as file, h5py.File(alone) as other:
        names = []
        file.visititems(lambda name, item: names.append(name) if hasattr(item, "shape") else None)
        assert len(names) >= 10
        for name in names:
            np.testing.assert_array_equal(file[name][()], other[name][()])


def look(path: Path) -> None:
    """A picture shows something, and is small."""
    assert len(np.unique(imread(path)[::5, ::5, :3].reshape(-1, 3), axis=0)) > 15
    assert path.stat().st_size < 400_000


@pytest.mark.serial
@pytest.mark.parametrize(
    ("text", "names"),
    [
        (ERRORS, {"absolute_errors", "relative_errors", "errors_against_d"}),
        (RATES, {"random_rates"}),
    ],
)
def test_pictures_and_summary(tmp_path, text, names):
    result = run(tmp_path, text)
    with coarse():
        paths = plots.draw(result)
    assert {path.stem for path in paths} == names
    with h5py.File(result) as file, canvas.style():
        for name in names & {"absolute_errors"}:  # the others are like this one
            look(canvas.save(plots.contents(file)[name](), tmp_path / f"{name}.png"))
    lines = info.lines(result)
    assert len(lines) <= 10 and any("exponential" in line for line in lines)


@pytest.mark.serial
def test_info_and_plot_need_neither_mesh_nor_petsc_nor_mpi(tmp_path):
    """Also in a Python that has none of them."""
    result = run(tmp_path, RATES)
    script = f"""
import sys
for name in ("mpi4py", "petsc4py", "slepc4py", "dolfinx", "basix", "ufl"):
    sys.modules[name] = None
from advdiff.commands import cli
for words in (["info", {str(result)!r}], ["plot", {str(result)!r}]):
    sys.argv = ["advdiff", *words]
    try:
        cli.main()
    except SystemExit as stop:
        assert not stop.code, stop.code
"""
    serial = {"H5PY_NEVER_USE_MPI": "1", "PATH": "/usr/bin:/bin", "MPLBACKEND": "Agg"}
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=serial | {"PYTHONPATH": root, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "random-rates" in done.stdout and "random_rates.png" in done.stdout
    look(tmp_path / "study_pictures" / "random_rates.png")


@pytest.mark.parametrize("name", ["surrogate_error", "random_rates"])
def test_experiments_of_the_repository(name):
    study = load_experiment(EXPERIMENTS / f"{name}.toml")
    assert study.task == name.replace("_", "-") and set(study.matexp.laws) == set(LAWS)
    with pytest.raises(InputError, match="advdiff run"):
        problem.load(EXPERIMENTS / f"{name}.toml")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("replicates = [1]", "matexp.replicates: 1 entries; give one number, or one for each"),
        ("replicates = 0", "matexp.replicates: 0 is too few"),
        ("certified = -1", "matexp.certified = -1: must be a number of replicates"),
        pytest.param(f"replicates = {10**400}", "matexp.replicates = 1000", id="huge"),
        ('laws = ["normal"]', r"matexp.laws\[0\] = 'normal': must be"),
        ('laws = ["cauchy", "cauchy"]', "matexp.laws: has an entry twice"),
        ("law = 1", "matexp.law: unknown key; did you mean 'laws'"),
        ("seed = 1\n[physics]\ndiffusivity = 1.0", "physics: unknown key"),
        ("times = []", "matexp.times: missing"),
    ],
)
def test_bad_files_name_the_key(tmp_path, line, words):
    text = f'task = "surrogate-error"\n[matexp]\ndimensions = [4, 8]\n{line}'
    if "times" not in line:
        text = text.replace("[matexp]", "[matexp]\ntimes = [1.0]")
    with pytest.raises(InputError, match=words):
        parse(tomllib.loads(text), tmp_path / "bad.toml", text)


def test_an_unknown_task_is_named_before_the_keys_that_it_would_explain(tmp_path):
    with pytest.raises(InputError, match=r"'sole': must be 'solve', .* of a study, 'surrogate-"):
        parse({"task": "sole", "matexp": {}}, tmp_path / "bad.toml")


@pytest.mark.parametrize("law", LAWS)
def test_moduli_are_near_those_that_the_row_sums_predict(law):
    study = random_rates(np.random.default_rng(7), law, 150, 6)
    low, high = predicted_moduli(law, 150)
    assert np.median(study.modulus_min) == pytest.approx(low, rel=0.25)
    factor = np.median(study.modulus_max) / high
    assert abs(np.log(factor)) < np.log(4 if law == "cauchy" else 1.25)
