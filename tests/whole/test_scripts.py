"""scripts/run, as seen from a place that already has everything, and from one that has nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.serial

SCRIPTS = Path(__file__).parents[2] / "scripts"
TOOLS = ("awk", "bash", "cut", "dirname", "env", "readlink", "sed", "sha256sum", "uname")


def run(*command, **environment):
    return subprocess.run(
        [SCRIPTS / "run", *command], env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def nothing(tmp_path):
    """An environment whose PATH has neither Python nor the tools that build a root."""
    for tool in TOOLS:
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    return {"PATH": str(tmp_path), "HOME": str(tmp_path)}


def test_arguments_and_exit_code_pass_through(tmp_path):
    script = tmp_path / "a script.py"
    script.write_text("import sys; print(sys.argv[1:]); sys.exit(7)")
    done = run(sys.executable, str(script), "x y", "*", **os.environ)
    assert (done.returncode, done.stdout) == (7, "['x y', '*']\n")


def test_repository_is_importable_and_the_console_script_on_path(tmp_path):
    done = run(
        "sh",
        "-c",
        f"cd '{tmp_path}' && python3 -c 'import advdiff' && command -v advdiff",
        **os.environ,
    )
    assert done.returncode == 0, done.stderr


def test_no_command_is_an_error():
    assert run(**os.environ).returncode == 2


def test_missing_tools_are_named(nothing):
    done = run("true", **nothing)
    assert done.returncode == 2
    assert "install mmdebstrap bubblewrap" in done.stderr


def test_missing_module_is_named_with_the_line_to_type(tmp_path):
    for name in ("check_python.py", "packages.txt"):
        (tmp_path / name).write_text((SCRIPTS / name).read_text())
    with open(tmp_path / "packages.txt", "a") as packages:
        packages.write("python3-no-such-thing no_such_thing\npypi:no-other>=2 no_other\n")
    environment = {**os.environ, "H5PY_ALWAYS_USE_MPI": "1"}
    done = subprocess.run(
        [sys.executable, tmp_path / "check_python.py"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3
    assert "no no_such_thing, no_other; type" in done.stderr
    lines = (
        "install no_such_thing no_other",
        "install python3-no-such-thing && ",
        "environment.yml",
    )
    assert any(line in done.stderr for line in lines)
    assert "pypi:" not in done.stderr


@pytest.mark.parametrize("version", ["0.11.0.post0", "0.8.0"])
def test_the_version_of_a_dolfinx_from_a_wheel(tmp_path, version):
    for name in ("dolfinx", "petsc4py", "slepc4py", "mpi4py", "h5py"):
        (tmp_path / f"{name}.py").touch()
    (tmp_path / "d.dist-info").mkdir()
    (tmp_path / "d.dist-info/METADATA").write_text(
        f"Name: dolfinx-solver-real\nVersion: {version}\n"
    )
    (tmp_path / "d.dist-info").rename(tmp_path / f"dolfinx_solver_real-{version}.dist-info")
    done = subprocess.run(
        [sys.executable, "-S", SCRIPTS / "check_python.py"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert "unknown" not in done.stderr
    assert ("0.8.0 is older than 0.9" in done.stderr) == (version == "0.8.0")


def test_environment_has_what_the_package_list_has():
    conda = (SCRIPTS / "environment.yml").read_text()
    text = (SCRIPTS / "packages.txt").read_text()
    lines = [line.split("#")[0].split() for line in text.splitlines()]
    names = {line[1].replace("_", "-") for line in lines if len(line) == 2}
    assert not [name for name in names if name not in conda]
