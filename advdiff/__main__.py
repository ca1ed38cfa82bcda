"""``python -m advdiff``, and the console script: signals are minded before anything is loaded."""

import gc
import os
import sys
from importlib.util import find_spec

from advdiff.core import stopping


def main() -> None:
    """Run the command line."""
    stopping.install()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a thread a rank: they share the cores
    if find_spec("click") is None:  # in a Python that has nothing yet
        from advdiff.commands import doctor

        sys.exit(doctor.main())
    gc.disable()  # what is loaded stays; a command turns it on when it begins its work
    from advdiff.commands import cli

    cli.main()


if __name__ == "__main__":
    main()
