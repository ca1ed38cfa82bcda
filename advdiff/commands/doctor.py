"""``advdiff doctor``: what a run finds on this machine, what is missing, and what to type.

Needs nothing but Python, so that it can say what else there should be.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from advdiff.core import compat
from advdiff.core.version import __version__

CHECKOUT = Path(__file__).parents[2]
NEEDED = ("numpy", "scipy", "numba", "pydantic", "click", "rich", "matplotlib", "pandas")
NEEDED += ("arviz_stats",)
"""Modules that come as wheels everywhere, as pyproject.toml lists them."""
SOLVERS = {"mumps": "MUMPS", "superlu_dist": "SuperLU_DIST", "umfpack": "UMFPACK"}
"""PETSc's name of a package of direct solvers → its own."""
PARTITIONERS = {"has_ptscotch": "PT-SCOTCH", "has_parmetis": "ParMETIS", "has_kahip": "KaHIP"}
"""DOLFINx's name of what it was built with → its own."""
OLDEST, WHEELS_FROM = (0, 9), (3, 12)
"""DOLFINx that will do, and the Python that has it as a wheel."""
SOURCE = "#include <Python.h>\n#include <math.h>\ndouble f(double x) { return sqrt(x); }\n"
PATIENCE = 30
"""Seconds for a program that tells its version, or compiles three lines."""


class Finding(NamedTuple):
    """A line of the answer.

    Attributes:
        name: what was looked for.
        text: what was found.
        remedy: what to type, where something is missing.
        needed: whether no run works without.
    """

    name: str
    text: str
    remedy: str | None = None
    needed: bool = False


def findings() -> list[Finding]:
    """All there is to say, in a dozen lines (collective: PETSc starts on all ranks)."""
    return [
        Finding("advdiff", f"{__version__}, Python {platform.python_version()} ({sys.prefix})"),
        _machine(),
        *_found("MPI", _mpi),
        *_found("PETSc", _petsc, _direct, _multigrid),
        *_found("SLEPc", _slepc),
        *_found("DOLFINx", _dolfinx, _partitioners),
        *_found("h5py", _h5py),
        _compiler(),
        _modules(),
        _gmsh(),
    ]


def lines(found: list[Finding]) -> list[str]:
    """The answer, then what to type, each line once, and the verdict last."""
    said = [f"{finding.name:<13}{finding.text}" for finding in found]
    for remedy in dict.fromkeys(finding.remedy for finding in found if finding.remedy):
        names = ", ".join(finding.name for finding in found if finding.remedy == remedy)
        said.append(f"for {names}: {remedy}")
    missing = [finding.name for finding in found if finding.needed]
    said.append(f"no run works here without {', '.join(missing)}" if missing else "ok: a run works")
    return said


def works(found: list[Finding]) -> bool:
    """Whether a run would."""
    return not any(finding.needed for finding in found)


def _found(name: str, *looks: Callable[[], Finding]) -> list[Finding]:
    """What looks at a library find, or why it cannot be loaded."""
    try:
        return [look() for look in looks]
    except Exception as error:
        return [Finding(name, f"none: {_line(error)}", _solver(), needed=True)]


def _line(error: object, longest: int = 200) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= longest else text[:longest] + "…"


def _solver() -> str:
    """What to type for MPI, PETSc, SLEPc, DOLFINx and h5py."""
    wheels = sys.version_info >= WHEELS_FROM and platform.machine() == "x86_64"
    checkout = (CHECKOUT / "pyproject.toml").is_file()
    if wheels and sys.platform == "linux" and sys.prefix != sys.base_prefix:
        what = [f"{CHECKOUT}[solver]"] if checkout else _extra()
        return f"type   {sys.executable} -m pip install {shlex.join(what)}"
    if checkout:
        return f"type   {shlex.quote(str(CHECKOUT / 'scripts/run'))} advdiff …   which brings them"
    return "make a venv of Python 3.12 or later, and there   pip install 'advdiff[solver]'"


def _extra() -> list[str]:
    """The packages of the extra ``solver`` of an advdiff that was installed."""
    try:
        required = metadata.requires("advdiff") or []
    except metadata.PackageNotFoundError:
        required = []
    marked = [text.partition(";") for text in required]
    return [name.strip() for name, _, marker in marked if "solver" in marker]


def _machine() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = os.environ.get("OMP_NUM_THREADS", "as many threads as cores")
    try:
        from advdiff.core import memory

        free = f"{memory.human(memory.free())} of memory free"
    except ImportError:
        free = "memory not known"
    return Finding("machine", f"{cores} cores, {free}, OMP_NUM_THREADS: {threads}")


def _mpi() -> Finding:
    import mpi4py
    from mpi4py import MPI

    library = re.split(r"[\n,]", MPI.Get_library_version().strip())[0]
    text = f"{' '.join(library.replace('Version:', '').split())}, mpi4py {mpi4py.__version__}"
    ranks = MPI.COMM_WORLD.size
    beside = Path(sys.prefix, "bin", "mpirun")
    mpirun = str(beside) if beside.is_file() else shutil.which("mpirun")
    if mpirun is None:
        return Finding("MPI", f"{text}, no mpirun", "one rank works; for more install mpirun")
    return Finding("MPI", f"{text}, {ranks} rank{'s' * (ranks > 1)}; {mpirun}")


def _petsc() -> Finding:
    import numpy as np
    from petsc4py import PETSc

    bits = 8 * np.dtype(PETSc.IntType).itemsize
    kind = np.dtype(PETSc.ScalarType).name
    text = f"{'.'.join(map(str, PETSc.Sys.getVersion()))}, {kind}, indices of {bits} bits"
    if np.dtype(PETSc.ScalarType) != np.float64:
        return Finding("PETSc", text, "advdiff needs one of real numbers: " + _solver(), True)
    return Finding("PETSc", text)


def _has(package: str) -> bool:
    from petsc4py import PETSc

    return PETSc.Sys.hasExternalPackage(package)


def _direct() -> Finding:
    found = [name for key, name in SOLVERS.items() if _has(key)]
    text = ", ".join(["PETSc's own on one rank", *found])
    if not _has("mumps"):
        return Finding("direct", f"{text}; no MUMPS", "several ranks need a PETSc with MUMPS")
    return Finding("direct", text)


def _multigrid() -> Finding:
    known = "hypre, gamg" if _has("hypre") else "gamg (no hypre: -…_pc_type gamg in its place)"
    return Finding("multigrid", known)


def _slepc() -> Finding:
    from slepc4py import SLEPc

    return Finding("SLEPc", ".".join(map(str, SLEPc.Sys.getVersion())))


def _dolfinx() -> Finding:
    import dolfinx
    import ffcx

    text = f"{dolfinx.__version__}, FFCx {ffcx.__version__} ({Path(dolfinx.__file__).parent})"
    version = tuple(int(part) for part in re.findall(r"\d+", dolfinx.__version__)[:2])
    if version < OLDEST:
        return Finding("DOLFINx", text, "older than 0.9: " + _solver(), True)
    return Finding("DOLFINx", text)


def _partitioners() -> Finding:
    import dolfinx

    found = [name for key, name in PARTITIONERS.items() if getattr(dolfinx, key, False)]
    remedy = None if found else "several ranks need one of them"
    return Finding("partitioners", ", ".join(found) or "none", remedy)


def _h5py() -> Finding:
    import h5py

    kind = "parallel" if h5py.get_config().mpi else "serial: several ranks write in turn"
    return Finding("h5py", f"{h5py.__version__} on HDF5 {h5py.version.hdf5_version}, {kind}")


def _compiler() -> Finding:
    """Forms are compiled as three lines are."""
    trouble = compat.compiler_trouble()
    if trouble is not None:
        text, _, remedy = trouble.partition("; ")
        return Finding("compiler", text, remedy, needed=True)
    command = compat.compiler()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "form.c")
        source.write_text(SOURCE)
        include = sysconfig.get_path("include")
        flags = ["-shared", "-fPIC", f"-I{include}", str(source), "-o", f"{folder}/form.so", "-lm"]
        done = _said(*command, *flags)
    if done.returncode:
        words = done.stdout.strip().split("\n")[0]
        return Finding("compiler", f"{command[0]} fails: {_line(words)}", compat.COMPILER, True)
    version = _said(*command, "--version").stdout.split("\n")[0]
    return Finding("compiler", f"{shutil.which(command[0])}: {version}")


def _said(*command: str) -> subprocess.CompletedProcess:
    """How a program has ended, and what it has said."""
    try:
        return subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, str(error))


def _modules() -> Finding:
    missing = [name.replace("_", "-") for name in NEEDED if find_spec(name) is None]
    if missing:
        remedy = f"type   {sys.executable} -m pip install {' '.join(missing)}"
        return Finding("modules", f"no {', '.join(missing)}", remedy, needed=True)
    optional = [name for name in ("xarray", "h5netcdf") if find_spec(name)]
    return Finding("modules", ", ".join((*NEEDED, *optional)))


def _gmsh() -> Finding:
    """In a process of its own: its wheel wants libraries of a desktop."""
    name = "gmsh"
    if find_spec(name) is None:
        remedy = f"type   {sys.executable} -m pip install gmsh   for domains of its files"
        return Finding(name, "none", remedy)
    done = _said(sys.executable, "-c", "import gmsh; print(gmsh.GMSH_API_VERSION)")
    said = done.stdout.strip().split("\n")[-1]
    if done.returncode:
        remedy = "type   apt-get install libglu1-mesa libxft2 libxcursor1 libxinerama1"
        return Finding(name, f"cannot be loaded: {_line(said)}", remedy)
    return Finding(name, said)


def main() -> int:
    """Print the answer on rank 0; 0 where a run works, else 2, on all ranks (collective)."""
    from advdiff.core.ranks import world

    found = findings()
    comm = world()
    bad = not works(found)
    if comm.size > 1:
        bad = any(comm.allgather(bad))
    if comm.rank == 0:
        print("\n".join(lines(found)), flush=True)
    return 2 if bad else 0
