"""What is left after a fault: absent, complete, resumable, or bad."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
from torture_experiments import PICTURED, RESUMABLE

from advdiff.core.errors import InputError
from advdiff.files.finished import open_result

COST = re.compile("seconds|created_at|evaluations|ranks")
"""What two runs with the same answer may differ in."""
CODES = {
    "kill": {137},
    "term": {143},
    "term-rank": {143},
    "int": {130},
    "full": {2},
    "quota": {2},
}
REUSED = (
    ".result.h5.partial",
    ".result.h5.checkpoint",
    ".result.h5.checkpoint.partial",
    ".result.h5.chains",
    ".result.vtkhdf.partial",
    ".result.h5.writable",
)
"""Files that the next run goes on from or writes over."""


def contents(path: Path) -> dict[str, np.ndarray]:
    """Everything in a finished result but what it cost."""
    found = {}
    with open_result(path) as file:

        def add(name, item):
            for key, value in item.attrs.items():
                if key not in ("DIMENSION_LIST", "REFERENCE_LIST"):
                    found[f"{name}@{key}"] = np.asarray(value)
            if isinstance(item, h5py.Dataset):
                found[name] = np.asarray(item[()])

        add("", file)
        file.visititems(add)
    return {name: value for name, value in found.items() if not COST.search(name)}


def differences(found: dict, expected: dict, tolerance: float) -> list[str]:
    """Where two results differ; bit for bit where the tolerance is 0."""
    names = sorted(found.keys() ^ expected.keys())
    for name in found.keys() & expected.keys():
        a, b = found[name], expected[name]
        if a.dtype.kind == "f" and tolerance and a.shape == b.shape:
            size = max(np.nanmax(np.abs(b), initial=0.0), 1e-3)
            same = np.allclose(a, b, rtol=0, atol=tolerance * size, equal_nan=True)
        elif a.dtype.kind == "f":
            same = a.tobytes() == b.tobytes()
        else:
            same = np.array_equal(a, b)
        if not same:
            names.append(name)
    return names


STARTING = 0.2
"""Seconds in which Python does not mind signals yet."""


def manners(fault: str, outcome, ranks: int, state: str) -> list[str]:
    """What is wrong with how a run ended."""
    troubles = list(outcome.troubles)
    if outcome.code == 0:
        return troubles
    if ranks > 1 and fault in ("term", "int"):
        # mpirun has a code of its own, and passes on what the ranks say or not
        return troubles + ([f"{len(outcome.lines)} lines"] if len(outcome.lines) > 1 else [])
    if outcome.code not in CODES[fault]:
        troubles.append(f"exit code {outcome.code}")
    # before Python minds signals, and when it does no more, they speak for themselves
    mute = fault in ("term", "term-rank", "int") and (
        state == "complete" or outcome.seconds < STARTING
    )
    if fault != "kill" and len(outcome.lines) != 1 and not (mute and not outcome.lines):
        troubles.append(f"{len(outcome.lines)} lines")
    if fault in ("full", "quota") and "cannot grow" not in "".join(outcome.lines):
        troubles.append("the line does not say that the disk is full")
    return troubles


def leftovers(output: Path, task: str) -> list[str]:
    """Files beside the result that should not be there."""
    wanted = {"result.h5"} | ({"result.vtkhdf"} if task in PICTURED else set())
    return sorted({p.name for p in output.iterdir()} - wanted)


def look(output: Path, task: str, expected: dict, tolerance: float) -> tuple[str, list[str]]:
    """The state of the output before anything is run again, and what is wrong with it."""
    extra = [name for name in leftovers(output, task) if name not in REUSED]
    troubles = [f"left: {', '.join(extra)}"] if extra else []
    result = output / "result.h5"
    if not result.exists():
        there = any((output / name).exists() for name in REUSED[1:4:2])
        return "resumable" if task in RESUMABLE and there else "absent", troubles
    try:
        wrong = differences(contents(result), expected, tolerance)
    except InputError as error:
        return "BAD", [*troubles, str(error)]
    return "complete", troubles + ([f"differs in {', '.join(wrong[:5])}"] if wrong else [])
