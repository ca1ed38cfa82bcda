"""A script of ours in a process of its own, for what may kill or stop the process that does it.

The child starts anew (no fork: what MPI and its threads hold does not survive one) and is no rank.
Such a script imports nothing of advdiff where it is the child, for it may not find it there.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import subprocess

LAUNCHER = ("OMPI_", "PMIX_", "PMI_", "PRTE_", "MPI_LOCAL", "HYD", "MPIR_")
"""How the variables begin by which a launcher of MPI tells a process that it is a rank."""
LAUNCHED = (
    *("OMPI_COMM_WORLD_", "PMIX_", "PMI_", "PRTE_LAUNCHED", "MPI_LOCAL", "HYDI_", "HYDRA_"),
    *("SLURM_PROCID", "MV2_COMM_", "PALS_", "ALPS_APP_", "FLUX_TASK_"),
)
"""The same for any launcher, and not those by which a user speaks to MPI (``OMPI_MCA_``)."""
ALONE = {"MPI4PY_RC_INITIALIZE": "0", "H5PY_NEVER_USE_MPI": "1"}
WITHOUT = {"H5PY_ALWAYS_USE_MPI"}


class Outcome(NamedTuple):
    """How a child came to its end.

    Attributes:
        answer: the JSON of its last line; None where that is none.
        code: its exit code; −n where signal n ended it.
        error: the last line on stderr.
    """

    answer: Any
    code: int
    error: str


def start(script: Path, *arguments: Any) -> subprocess.Popen:
    """Begin to run a script with arguments, as JSON in ``sys.argv[1]`` (local)."""
    import subprocess

    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(LAUNCHER) and name not in WITHOUT
    }
    return subprocess.Popen(
        [sys.executable, "-P", str(script), json.dumps(arguments)],
        env=environment | ALONE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


def may_fork() -> bool:
    """Whether a copy of this process can go on: it has one thread, and no MPI (local)."""
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is not None and mpi.Is_initialized():
        return False
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def fork(action: Callable[[], None]) -> int:
    """Have a copy of this process do something, where it may: the exit code, as of
    :class:`Outcome` (local).
    """
    number = os.fork()
    if number:
        return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    try:
        for caught in (signal.SIGINT, signal.SIGTERM):
            signal.signal(caught, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        action()
        os._exit(0)
    finally:
        os._exit(1)


def finish(process: subprocess.Popen) -> Outcome:
    """Wait for the end of a child (local)."""
    output, error = process.communicate()
    try:
        answer = json.loads(output.strip().split("\n")[-1])
    except ValueError:
        answer = None
    return Outcome(answer, process.returncode, error.strip().split("\n")[-1])
