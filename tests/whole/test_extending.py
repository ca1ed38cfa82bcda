"""docs/extending.md does what it says: its steps, done to a copy of the package, and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

pytestmark = pytest.mark.serial

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
MOST_FILES = 3
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = {part.split("\n")[0]: part for part in PAGE.split("\n## ")[1:]}


def replaced(text: str, hunk: list[str]) -> str:
    """A text with a hunk applied, as a diff has it without line numbers."""
    before = "".join(f"{line[1:]}\n" for line in hunk if line[:1] != "+")
    after = "".join(f"{line[1:]}\n" for line in hunk if line[:1] != "-")
    assert text.count(before) == 1, f"{text.count(before)} places for:\n{before}"
    return text.replace(before, after)


def done(section: str, root: Path) -> set[str]:
    """The steps of a section, done under ``root``; the files that they touch."""
    touched = set()
    for language, body in BLOCK.findall(section):
        if language == "python":
            first, _, text = body.partition("\n")
            name = first.removeprefix("# ")
            assert not (root / name).exists()
            (root / name).write_text(text, encoding="utf-8")
            touched.add(name)
        elif language == "sh":
            command, source, name = body.split()
            assert command == "cp"
            shutil.copy(ROOT / source, root / name)
            touched.add(name)
        else:
            assert language == "diff"
            for part in re.split(r"^\+\+\+ ", body, flags=re.MULTILINE)[1:]:
                name, *lines = part.splitlines()
                text = (root / name).read_text(encoding="utf-8")
                for hunk in "\n".join(lines).split("\n@@\n"):
                    text = replaced(text, hunk.split("\n"))
                (root / name).write_text(text, encoding="utf-8")
                touched.add(name)
    return touched


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Path:
    """A copy of the package with everything added."""
    root = tmp_path_factory.mktemp("house")
    for name in ("advdiff", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    for section in SECTIONS.values():
        done(section, root)
    return root


def python(house: Path, *arguments: str) -> str:
    """What ``python ARGUMENT …`` says in the copy."""
    environment = os.environ | {"PYTHONPATH": str(house)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=house, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run(house: Path, name: str, text: str) -> h5py.File:
    """The result of an experiment, of two times up to ½."""
    more = f"""
[time]
final = 0.5
outputs = 2
[output]
file = "{name}.h5"
"""
    (house / f"{name}.toml").write_text(text + more)
    python(house, "-m", "advdiff", "run", f"{name}.toml")
    return h5py.File(house / f"{name}.h5")


KAPPA, UPTAKE = 0.1, 2.0
RATE = KAPPA * 256.0 * np.sin(np.pi / 16.0) ** 2
"""At which cos πx decays on eight linear elements, an eigenvector of their matrix."""
GRAM = (2.0 + np.cos(np.pi / 8.0)) / 3.0
"""Their Gram matrix over the lumped mass, for that vector."""
COSINE = f"""
[domain]
shape = "interval"
cells = [8]
[discretization]
mesh_error = false
[physics]
diffusivity = {KAPPA}
initial = "cos(pi*x)"
"""
PLACES, TIMES = (0.0, 0.25, 0.75), (0.25, 0.5)


def cosine(x, t, uptake=0.0):
    """The solution that starts from cos πx."""
    return np.exp(-(RATE + GRAM * uptake) * t) * np.cos(np.pi * x)


def readings(house: Path, std: float) -> str:
    """Exact ones, said to be as noisy as ``std``."""
    rows = [f"{x},{t},{float(cosine(x, t, UPTAKE))!r},{std}" for x in PLACES for t in TIMES]
    (house / f"data_{std}.csv").write_text("\n".join(["x,t,value,std", *rows]))
    return f'[observations]\nfile = "data_{std}.csv"\n'


@pytest.mark.parametrize("title", SECTIONS)
def test_each_touches_three_files_at_most(title, tmp_path):
    shutil.copytree(ROOT / "advdiff", tmp_path / "advdiff")
    for other in {"An unknown": ["A physical term"]}.get(title, []):
        done(SECTIONS[other], tmp_path)  # it is of that term
    assert 1 < len(done(SECTIONS[title], tmp_path)) <= MOST_FILES


def test_every_file_that_is_named_is_there():
    """Whole paths; and names alone, somewhere."""
    text = BLOCK.sub("", PAGE)
    names = re.findall(r"`([\w/]+\.py)`", text)
    assert len(names) > 8
    for name in names:
        found = [
            p for folder in ("advdiff", "tests", "scripts") for p in (ROOT / folder).rglob("*")
        ]
        assert any(str(path).endswith(f"/{name}") for path in found), name


def test_the_house_still_stands(house):
    """No import goes up, no folder is too full; those who go over a registry test what is new."""
    files = ("whole/test_house.py", "semigroup/test_engines.py", "chains/test_run.py")
    files += ("equation/test_discretization.py",)
    names = "registry or imports or folders or taylor or independence"
    out = python(house, "-m", "pytest", "-q", *(f"tests/{name}" for name in files), "-k", names)
    assert int(re.search(r"(\d+) passed", out)[1]) >= 8


LOSS = """
import sys
import numpy as np
import advdiff
for name in sys.argv[1:]:
    generator = advdiff.load(name).operator.generator
    x, slope = generator.vector(), generator.vector()
    x.setArray(np.random.default_rng(0).standard_normal(x.getLocalSize()))
    generator.stiffness.mult(x, slope)
    print(-x.dot(slope) / generator.mass.norm(x) ** 2)
"""


def test_a_discretisation(house):
    """A wave is carried round; whatever the mesh does not resolve keeps its norm, as in dg not."""
    text = """task = "solve"
[domain]
shape = "interval"
cells = [32]
periodic = ["x"]
[discretization]
method = "dg-central"
degree = 2
mesh_error = false
[physics]
diffusivity = 1e-9
velocity = ["1"]
initial = "cos(2*pi*x)"
"""
    with run(house, "central", text) as found:
        x, theta = found["mesh/geometry"][:, 0], found["theta"][-1]
    np.testing.assert_allclose(theta, np.cos(2.0 * np.pi * (x - 0.5)), atol=1e-3)
    other = (house / "central.toml").read_text().replace("dg-central", "dg")
    (house / "upwind.toml").write_text(other)
    central, upwind = map(float, python(house, "-c", LOSS, "central.toml", "upwind.toml").split())
    assert abs(central) < 1e-3 and upwind > 1.0


def test_a_boundary_condition(house):
    """κ∂θ/∂n = −vθ at the right: cos x decays at the rate κ where v = κ tan 1."""
    text = f"""task = "solve"
[domain]
shape = "interval"
cells = [4]
[discretization]
method = "spectral"
degree = 6
mesh_error = false
[physics]
diffusivity = 0.5
initial = "cos(x)"
deposition = {{ right = {float(0.5 * np.tan(1.0))!r} }}
"""
    with run(house, "deposition", text) as found:
        x, theta = found["mesh/geometry"][:, 0], found["theta"][-1]
    np.testing.assert_allclose(theta, np.exp(-0.25) * np.cos(x), atol=1e-7)


def test_a_physical_term(house):
    with run(house, "uptake", f'task = "solve"\n{COSINE}uptake = {UPTAKE}\n') as found:
        x, theta = found["mesh/geometry"][:, 0], found["theta"][-1]
    np.testing.assert_allclose(theta, cosine(x, 0.5, UPTAKE), atol=1e-7)


def test_an_engine(house):
    """States and their derivative along κ."""
    text = f"""task = "sensitivity"
{COSINE}
[solver]
method = "taylor"
[sensitivity.directions]
kappa = {{ diffusivity = 1.0 }}
"""
    with run(house, "taylor", text) as found:
        x, theta, rho = found["mesh/geometry"][:, 0], found["theta"][-1], found["rho/kappa"][-1]
        assert found["solver"].attrs["method"] == "taylor"
    np.testing.assert_allclose(theta, cosine(x, 0.5), atol=1e-7)
    np.testing.assert_allclose(rho, -0.5 * RATE / KAPPA * cosine(x, 0.5), atol=1e-6)


def test_an_unknown_by_the_gradient_of_that_engine(house):
    text = f"""task = "invert"
{COSINE}uptake = 1.0
[unknowns]
uptake = true
[prior.uptake]
std = 10.0
[truth]
uptake = {UPTAKE}
[solver]
method = "taylor"
[optimizer]
gradient_tolerance = 1e-7
{readings(house, 1e-4)}
"""
    with run(house, "unknown", text) as found:
        np.testing.assert_allclose(found["estimate/uptake"][:], UPTAKE, rtol=1e-5)
        assert found["estimate"].attrs["uptake_relative_error"] < 1e-5


def test_a_markov_kernel(house):
    """Mean and deviation of the posterior of log λ, beside those by quadrature."""
    text = f"""task = "sample"
{COSINE}uptake = {UPTAKE}
[unknowns]
uptake = true
[sampler]
kernel = "independence"
draws = 150
warmup = 10
{readings(house, 0.2)}
"""
    with run(house, "chains", text) as found:
        draws = found["posterior/log_uptake"][:].ravel()
    m = np.log(UPTAKE) + np.linspace(-8.0, 8.0, 4001)
    misfit = sum(
        (cosine(x, t, np.exp(m)) - cosine(x, t, UPTAKE)) ** 2 for x in PLACES for t in TIMES
    )
    density = np.exp(-0.5 * misfit / 0.2**2 - 0.5 * (m - np.log(UPTAKE)) ** 2)
    density /= density.sum()
    mean = m @ density
    std = np.sqrt((m - mean) ** 2 @ density)
    assert draws.mean() == pytest.approx(mean, abs=0.15 * std)
    assert draws.std() == pytest.approx(std, rel=0.1)
