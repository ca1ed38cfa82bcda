"""Which route scripts/run takes, on machines that are made up of a few programs on PATH."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.serial

SCRIPTS = Path(__file__).parents[2] / "scripts"
TOOLS = """awk bash cat chmod cut dirname du env find flock grep ln mkdir mv nproc paste readlink rm
sed setpriv sh sha256sum sleep sort touch"""
OLD_LIBRARY = "echo glibc 2.31"
LIBRARY = "echo glibc 2.41"
X86 = '[ "$1" != -m ] && echo Linux || echo x86_64'
ARM = '[ "$1" != -m ] && echo Linux || echo aarch64'
PYTHON = "echo /usr/bin/python3.13"
REFUSES = "echo bwrap: setting up uid map: Permission denied >&2; exit 1"


@pytest.fixture
def machine(tmp_path):
    """A function that runs scripts/run on a machine with the given programs alone."""
    bin = tmp_path / "bin"
    bin.mkdir()
    for tool in TOOLS.split():
        path = next((f for f in (Path("/usr/bin", tool), Path("/bin", tool)) if f.exists()), None)
        (bin / tool).symlink_to(path)

    def run(*command, programs=None, **environment):
        for name, text in {"getconf": LIBRARY, "uname": X86, **(programs or {})}.items():
            (bin / name).write_text(f"#!/bin/sh\n{text}\n")
            (bin / name).chmod(0o755)
        return subprocess.run(
            [SCRIPTS / "run", *command],
            env={"PATH": str(bin), "HOME": str(tmp_path), **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.fixture
def place(tmp_path):
    """The folder of the wheels, made of one program, as if it had been built there."""
    done = subprocess.run(
        ["bash", "-c", '. "$scripts/routes/wheels.sh"; wheels_place'],
        env={**os.environ, "scripts": str(SCRIPTS), "cache": f"{tmp_path}/.cache/advdiff"},
        capture_output=True,
        text=True,
        check=True,
    )
    place = Path(done.stdout.strip())
    (place / "bin").mkdir(parents=True)
    (place / "bin/python3").write_text("#!/bin/sh\necho the wheels: $ADVDIFF_INSIDE\n")
    (place / "bin/python3").chmod(0o755)
    (place / "place").write_text(str(place))
    return place


def said(done):
    """The one line of a run that came to nothing."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_a_route_that_there_is_not(machine):
    line = said(machine("true", ADVDIFF_ROUTE="wheel"))
    assert "ADVDIFF_ROUTE=wheel is none of current, wheels, root" in line


def test_a_suite_is_for_a_root(machine):
    line = said(machine("true", ADVDIFF_ROUTE="wheels", ADVDIFF_SUITE="sid"))
    assert "ADVDIFF_SUITE" in line and "ADVDIFF_ROUTE=wheels" in line


def test_the_current_python_by_name_where_there_is_none(machine):
    assert "ADVDIFF_ROUTE=current" in said(machine("true", ADVDIFF_ROUTE="current"))


@pytest.mark.parametrize(
    "programs, why",
    [
        ({}, "neither can apt"),
        ({"getconf": OLD_LIBRARY, "python3.13": PYTHON}, "glibc 2.34"),
        ({"uname": ARM, "python3.13": PYTHON}, "x86-64"),
    ],
)
def test_no_wheels_for_this_machine(machine, programs, why):
    assert why in said(machine("true", programs=programs, ADVDIFF_ROUTE="wheels"))


def test_no_compiler_is_said_before_anything_is_fetched(machine, tmp_path):
    done = machine("true", programs={"python3.13": PYTHON}, ADVDIFF_ROUTE="wheels")
    assert re.search("no C compiler here, .* install .*gcc libc6-dev", said(done))
    assert not (tmp_path / ".cache").exists()


def test_wheels_that_are_there_need_nothing_else(machine, place):
    done = machine("python3", ADVDIFF_ROUTE="wheels")
    assert (done.returncode, done.stdout, done.stderr) == (0, "the wheels: wheels\n", "")


def test_wheels_that_were_moved_are_settled(machine, place):
    (place / "place").write_text("/home/before/.cache/advdiff/" + place.name)
    done = machine("python3", ADVDIFF_ROUTE="wheels")
    assert (done.returncode, done.stdout) == (0, "the wheels: wheels\n"), done.stderr
    assert (place / "place").read_text() == str(place)
    assert f"home = {place}/bin\n" in (place / "pyvenv.cfg").read_text()


def test_a_build_that_fails_leaves_its_log_alone(machine, place):
    (place / "bin/python3").unlink()
    (place / "bin").rmdir()
    (place / "place").unlink()
    place.rmdir()
    tmp = place.with_name(place.name + ".tmp")
    tmp.mkdir()
    (tmp / "of a build that was killed").touch()
    programs = {
        "python3.13": 'case "$*" in *pip*) exit 1;; esac; ' + PYTHON,
        "cc": "cat >/dev/null",
    }
    done = machine("true", programs=programs, ADVDIFF_ROUTE="wheels")
    assert done.returncode == 2
    assert "PyPI's wheels cannot be had, see" in done.stderr
    left = {path.name.removeprefix(place.name) for path in place.parent.iterdir()}
    assert left == {".lock", ".log"}


def test_missing_tools_are_named_with_the_line_to_type(machine):
    line = machine("true", programs={"apt-get": "exit 1"}, ADVDIFF_ROUTE="root").stderr
    assert "apt-get update && apt-get install -y mmdebstrap bubblewrap" in line


def test_a_root_where_namespaces_are_refused(machine):
    programs = {"bwrap": REFUSES, "mmdebstrap": "exit 1"}
    line = said(machine("true", programs=programs, ADVDIFF_ROUTE="root"))
    assert "namespaces" in line and "ADVDIFF_ROUTE=wheels" in line


def test_every_wheel_is_pinned_by_its_sum_and_every_module_has_one():
    text = (SCRIPTS / "routes/wheels.txt").read_text()
    pins = dict(
        re.findall(
            r"^([\w-]+)==\S+ \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.M
        )
    )
    assert len(pins) == len(re.findall("^[^ #]", text, re.M))
    lines = [
        line.split("#")[0].split() for line in (SCRIPTS / "packages.txt").read_text().splitlines()
    ]
    modules = {line[1].replace("_", "-") for line in lines if len(line) == 2}
    other = {"dolfinx", "petsc4py", "slepc4py"}  # in dolfinx-solver-real
    assert modules - other - {"xdist"} - pins.keys() == set()
    assert "dolfinx-solver-real" in pins and os.path.exists(SCRIPTS / "routes/verify.py")


def test_what_petsc_needs_is_loaded_before_it_by_whoever_asks_first(tmp_path):
    for name in ("h5py", "dolfinx_solver", "petsc4py"):
        (tmp_path / f"{name}.py").write_text(f"print('{name}')")
    (tmp_path / "advdiff_order.py").write_text((SCRIPTS / "routes/order.py").read_text())
    program = "import advdiff_order, petsc4py"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.split() == ["h5py", "dolfinx_solver", "petsc4py"], done.stderr
