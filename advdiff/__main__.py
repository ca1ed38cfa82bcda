"""``python -m advdiff``, and the console script: signals are minded before anything is loaded."""

import gc

from advdiff.core import stopping


def main() -> None:
    """Run the command line."""
    stopping.install()
    gc.disable()  # what is loaded stays; a command turns it on when it begins its work
    from advdiff.commands import cli

    cli.main()


if __name__ == "__main__":
    main()
