"""``python -m advdiff``, and the console script: signals are minded before anything is loaded."""

from advdiff.core import stopping


def main() -> None:
    """Run the command line."""
    stopping.install()
    from advdiff.commands import cli

    cli.main()


if __name__ == "__main__":
    main()
