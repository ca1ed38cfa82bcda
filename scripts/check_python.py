"""Does this Python have what advdiff needs? Looks, and imports nothing of it.

Exit code 0: yes.  1: not the solver itself (DOLFINx, …): use a root.  3: the solver, but not the
rest; the one line to type has been printed.
"""

import importlib.util
import os
import re
import sys
import sysconfig

SCRIPTS = os.path.dirname(os.path.abspath(__file__))
DOLFINX = ("fenics-dolfinx", "dolfinx-solver-real", "dolfinx-solver-complex")
"""Distributions that have it: everybody's, and one maintainer's wheels."""
SOLVER = ("dolfinx", "petsc4py", "slepc4py", "mpi4py", "h5py")


def say(text):
    print("scripts/run: " + text, file=sys.stderr)


def needed():
    """Map each module to its package, of Debian or pypi:, from packages.txt."""
    with open(os.path.join(SCRIPTS, "packages.txt")) as lines:
        words = [line.split("#")[0].split() for line in lines]
    return {pair[1]: pair[0] for pair in words if len(pair) == 2}


def dolfinx_version():
    from importlib import metadata

    for name in DOLFINX:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return "0.0 (unknown)"


def trouble_with_solver(missing):
    """Return why the solver here cannot be used, or None."""
    absent = [name for name in SOLVER if name in missing]
    if absent:
        return "no " + ", ".join(absent)
    version = dolfinx_version()
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < (0, 9):
        return "DOLFINx " + version + " is older than 0.9"
    return None


def main():
    packages = needed()
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if "dolfinx" in missing:
        return 1
    trouble = trouble_with_solver(missing)
    if trouble:
        say(f"{sys.executable} has DOLFINx, but {trouble}")
        return 1
    if not missing:
        return 0
    if os.path.exists(os.path.join(sys.prefix, "conda-meta")):
        line = f"conda env update --prefix {sys.prefix} --file {SCRIPTS}/environment.yml"
    elif sys.prefix == sys.base_prefix and os.path.exists(
        os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    ):
        wanted = [packages[name] for name in missing]
        debian = [name for name in wanted if not name.startswith("pypi:")]
        pypi = [f"'{name[5:]}'" for name in wanted if name.startswith("pypi:")]
        pip = [sys.executable, "-m pip install --break-system-packages", *pypi]
        lines = ([["apt-get install", *debian]] if debian else []) + ([pip] if pypi else [])
        line = " && ".join(" ".join(words) for words in lines)
    else:
        line = sys.executable + " -m pip install " + " ".join(missing)
    say(f"{sys.executable} has DOLFINx, but no {', '.join(missing)}; type\n    {line}")
    return 3


if __name__ == "__main__":
    sys.exit(main())
