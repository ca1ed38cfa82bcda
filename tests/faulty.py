"""The command line with a fault: ``python -m tests.faulty FUNCTION RANK FAULT ARGUMENT …``.

FUNCTION is ``module:name`` or ``module:class.name``.  On RANK (or on ``all``) it raises FAULT, an
exception, and the other ranks come to it only once that has been unwound; or it sleeps, where FAULT
is that; or, where it is a number, files may have no more bytes from its first call on.
"""

import importlib
import resource
import sys
import time

from mpi4py import MPI

from advdiff.commands import cli
from advdiff.core import errors, stopping


def main() -> None:
    where, rank, fault, *arguments = sys.argv[1:]
    module, _, path = where.partition(":")
    owner = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    whole = getattr(owner, name)

    def fails(*_arguments, **_keywords):
        raise getattr(errors, fault, RuntimeError)(f"a fault in {where}")

    def follows(*arguments, **keywords):
        time.sleep(0.3)
        return whole(*arguments, **keywords)

    def limits(*arguments, **keywords):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(fault), int(fault)))
        return whole(*arguments, **keywords)

    def sleeps(*_arguments, **_keywords):
        time.sleep(60)

    if rank == "all" or int(rank) == MPI.COMM_WORLD.rank:
        setattr(owner, name, limits if fault.isdigit() else sleeps if fault == "sleep" else fails)
    else:
        setattr(owner, name, follows)
    cli.PATIENCE = 1.0
    sys.argv = ["advdiff", *arguments]
    stopping.install()
    cli.main()


main()
