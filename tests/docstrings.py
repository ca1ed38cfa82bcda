"""Runs the examples in docstrings; a test names the modules, and what must have an example."""

from __future__ import annotations

import doctest
import importlib
import pkgutil


def modules(package: str) -> list[str]:
    """The names of a package and of all modules below it."""
    found = importlib.import_module(package)
    below = pkgutil.walk_packages(found.__path__, f"{package}.")
    return [package, *sorted(module.name for module in below)]


def run(module: str) -> int:
    """Run the examples of one module; how many there were. AssertionError says what differs."""
    report: list[str] = []
    examples = 0
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder().find(importlib.import_module(module)):
        examples += len(test.examples)
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)
    return examples


def examples(name: str) -> int:
    """How many examples the docstring of one public object has, "package.object"."""
    package, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(package), attribute)
    return len(doctest.DocTestParser().get_examples(found.__doc__ or ""))
