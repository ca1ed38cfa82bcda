"""Concerns are said once and kept."""

from __future__ import annotations

from advdiff.core.progress import Say
from advdiff.files.concerns import Concern
from advdiff.problem.problem import Problem


def warn(problem: Problem, say: Say, found: list[Concern]) -> None:
    """Say what is new, and keep all of it for the file."""
    for line in problem.concerns.add(found):
        say(line)
