"""``python -m advdiff``."""

from advdiff.cli import main

main()
