"""The words of a command line: ours, and PETSc's, which have one dash."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

OPTIONS = ("output", "set", "resume", "groups", "quiet", "verbose", "task")
"""Our own, which take two dashes."""


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Our own arguments, and PETSc's: one dash and a word, with the value that may follow."""
    ours, petsc, i = [], [], 0
    while i < len(arguments):
        word = arguments[i]
        if len(word) > 2 and word[0] == "-" and word[1] != "-":
            petsc.append(word)
            following = arguments[i + 1 : i + 2]
            if following and not _is_option(following[0]) and not following[0].endswith(".toml"):
                petsc += following
                i += 1
        else:
            ours.append(word)
        i += 1
    return ours, petsc


def _is_option(word: str) -> bool:
    """True for ``-name``, False for a value such as ``-1e-3``."""
    return word.startswith("-") and not word[1:2].isdigit() and word[1:2] != "."


def check(petsc: list[str]) -> None:
    """What PETSc would take and ignore, or stumble over before it can raise anything."""
    from advdiff.core.errors import InputError

    for word, following in pairwise([*petsc, ""]):
        name = word[1:].partition("=")[0]
        if word[0] == "-" and name in OPTIONS:
            raise InputError(f"{word}: an option of advdiff takes two dashes; write -{word}")
        if word == "-options_file" and not Path(following).is_file():
            raise InputError(f"-options_file {following}: no such file; give PETSc's options file")
