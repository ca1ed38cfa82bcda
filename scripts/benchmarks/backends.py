"""The compiled recurrence beside PETSc's, in turn: seconds of the processor, medians of five.

Processor time, so that a busy machine disturbs less.  Share: of the bandwidth that one product, its
update and the output sums a step would need, of what the machine has; beyond 100 % steps share the
matrix in the cache.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import ours
from case import OUTPUTS, Case
from machine import bandwidth
from petsc4py import PETSc

FINAL, TOLERANCE, TURNS = 1.0, 1e-9, 5
BACKENDS = ("compiled", "petsc")
_OPTION = "advdiff_faber_backend"


def tables(quick: bool) -> Iterator[tuple[list[dict], str]]:
    speed = bandwidth()
    for dim, n in ((2, 64), (2, 128)) if quick else ((2, 64), (2, 256), (2, 512), (3, 48)):
        case = Case(dim, n, 1e-2)
        runs = {
            "value": lambda case=case: ours.forward("faber", case, FINAL, TOLERANCE)[1],
            "gradient": lambda case=case: ours.gradient("faber", case, FINAL, TOLERANCE)[1],
        }
        rows = [row for what, run in runs.items() for row in _in_turn(case, what, run, speed)]
        yield rows, f"backends, {dim}-D {n} (N = {case.generator.size}), κ = 0.01, T = 1, 1e-9"


def _in_turn(case: Case, what: str, run: Callable[[], str], speed: float) -> list[dict]:
    spent: dict[str, list[float]] = {backend: [] for backend in BACKENDS}
    count = ""
    for _ in range(TURNS + 1):
        for backend, seconds in spent.items():
            PETSc.Options().setValue(_OPTION, backend)
            begin = time.process_time()
            count = run()
            seconds.append(time.process_time() - begin)
    PETSc.Options().delValue(_OPTION)
    found = {backend: statistics.median(seconds[1:]) for backend, seconds in spent.items()}
    products = int(count.split()[0])
    entries = case.generator.stiffness.getInfo()["nz_used"]
    moved = products * (12.0 * entries + 8.0 * (4.0 + 0.64 * OUTPUTS) * case.generator.size)
    return [
        {
            "part": "backends",
            "case": f"{case.dim}-D {case.n}",
            "N": case.generator.size,
            "method": f"{backend} {what}",
            "seconds": seconds,
            "ratio": seconds / min(found.values()),
            "count": count,
            "note": f"{moved / seconds / speed:.0%} of the bandwidth" if what == "value" else "",
        }
        for backend, seconds in found.items()
    ]
