"""States at ten times: every method on the same matrix, one rank, interleaved."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import ours
import steppers
from case import Case
from implicit import Pade
from machine import TooSlow, clock, limit, with_memory

from advdiff.core.errors import ConvergenceError
from advdiff.core.petsc_errors import PETSC_ERRORS

OURS = ("auto", "faber", "shift-invert")
RIVALS = ("krylov", "expokit", "scipy", "RK 5dp", "CN", "DIRK", "Padé")
STEPPED = ("CN", "DIRK", "Padé")
HOPELESS = 4.0  # times auto: no finer mesh is tried
ENOUGH = 3.0  # times the tolerance: with a larger error a method is not among the fastest
REFERENCE = 1e-12
_SEARCH = {2: 64, 3: 8}  # the mesh where the steppers' number of steps is found
_TELLING = {2: 64, 3: 24}  # from there on the ratio to the fastest tells of finer meshes
_MOST_STEPS = 4000


def configurations(quick: bool, full: bool) -> list[tuple]:
    """(dim, n, κ, T, tolerances, whether rivals may take a minute)."""
    if quick:
        return [
            (2, 32, 1e-2, 1.0, (1e-9,), False),
            (2, 64, 1e-1, 1.0, (1e-6,), False),
            (2, 64, 1e-2, 1.0, (1e-6, 1e-9), False),
            (2, 128, 1e-2, 1.0, (1e-9,), False),
            (2, 128, 1e-3, 0.1, (1e-6,), False),
            (3, 24, 1e-2, 1.0, (1e-9,), False),
        ]
    both, found = (1e-6, 1e-9), []
    for n in (64, 128, 256):
        for kappa in (1e-1, 1e-2, 1e-3, 1e-4):
            for final in (0.1, 1.0):
                found.append((2, n, kappa, final, both, (n, kappa, final) == (256, 1e-2, 1.0)))
    for kappa in (1e-1, 1e-2, 1e-3, 1e-4) if full else (1e-1, 1e-2):
        found.append((2, 512, kappa, 0.1, both if full else both[:1], False))
        found.append((2, 512, kappa, 1.0, both if full else both[1:], False))
    for n in (24, 48):
        for kappa in (1e-1, 1e-2, 1e-3, 1e-4) if full else (1e-2,):
            for final in (0.1, 1.0):
                found.append((3, n, kappa, final, both, False))
    found.append((3, 64, 1e-2, 0.1, (1e-9,), False))
    found.append((3, 64, 1e-2, 1.0, (1e-9,), True))
    if full:
        found.append((3, 100, 1e-2, 1.0, (1e-9,), True))
    return found


def _stepper(name: str, case: Case, final: float, steps: int):
    if name == "Padé":
        return Pade(case, final, steps)
    return steppers.Implicit(name.lower(), case, final, steps)


def steps_needed(name: str, dim: int, kappa: float, final: float, tolerance: float) -> int:
    """Steps an interval with a state error within the tolerance, on a coarse mesh."""
    case = Case(dim, _SEARCH[dim], kappa)
    reference, _ = ours.forward("shift-invert", case, final, REFERENCE)
    steps = 4 if name == "CN" else 1
    while True:
        stepper = _stepper(name, case, final, steps)
        error = case.error(stepper.forward()[0], reference)
        if error <= tolerance or steps >= _MOST_STEPS:
            return min(steps, _MOST_STEPS)
        if name == "CN":
            guess = math.ceil(1.05 * steps * math.sqrt(error / tolerance))
            if steps >= 16:  # in the asymptotic range: no need to try
                return min(guess, _MOST_STEPS)
            steps = min(guess, 64)
        else:
            steps += 1


class Forward:
    """All rows, remembering what was hopeless on coarser meshes."""

    def __init__(self, minute: float = 60.0):
        self._ratios: dict[tuple, float] = {}
        self._steps: dict[tuple, int] = {}
        self._minute = minute

    def rows(self, configuration: tuple) -> Iterator[dict]:
        dim, n, kappa, final, tolerances, patient = configuration
        case = Case(dim, n, kappa)
        references = self._references(case, final)
        for tolerance in tolerances:
            yield from self._row(case, final, tolerance, references, patient)

    def _references(self, case: Case, final: float) -> dict[str, list[np.ndarray]]:
        """Faber's for all others; Faber itself is held against shift-invert or MFN."""
        faber, _ = ours.forward("faber", case, final, REFERENCE)
        method = "shift-invert" if case.dim == 2 else "krylov"
        tight = REFERENCE if case.dim == 2 else 1e-11
        other, _ = ours.forward(method, case, final, tight)
        return {"faber": other, "other": faber}

    def _row(
        self, case: Case, final: float, tolerance: float, references: dict, patient: bool
    ) -> Iterator[dict]:
        key = (case.dim, case.kappa, final, tolerance)
        runs: dict[str, Callable] = {
            name: lambda name=name: ours.forward(name, case, final, tolerance)
            for name in (*OURS, "krylov", "expokit")
        }
        runs["scipy"] = lambda: steppers.scipy_interval(case, final)
        runs["RK 5dp"] = lambda: steppers.runge_kutta(case, final, tolerance)
        results, notes = {}, {}
        if case.dim == 3 and case.n > 24:  # and a factorisation cannot be interrupted
            for name in ("shift-invert", *STEPPED):
                notes[name] = "its LU grows as N²: hopeless"
        best = math.inf
        for name in (*OURS, *RIVALS):
            old = self._ratios.get((name, *key), 0.0)
            if name not in notes and old > HOPELESS and not patient:
                notes[name] = f"{old:.0f} × auto on a coarser mesh"
            if name in notes:
                continue
            allowed = self._minute if patient else min(max(2.0, HOPELESS * best), self._minute)
            try:
                if name in STEPPED:
                    results[name] = self._stepped(name, case, final, tolerance, allowed)
                else:
                    results[name] = self._first(runs[name], allowed, name in OURS)
            except TooSlow as slow:
                notes[name] = str(slow)
                self._ratios[(name, *key)] = max(old, allowed / best)
            except (ConvergenceError, *PETSC_ERRORS) as error:
                notes[name] = str(error).splitlines()[-1][:60]
            else:
                best = min(best, results[name]["seconds"])
        self._again(runs, results)
        for name, result in results.items():
            states = result.pop("states")
            if states is not None:
                faber = name == "faber" or "faber" in result["count"]
                result["error"] = case.error(states, references["faber" if faber else "other"])
        best = min(
            result["seconds"]
            for result in results.values()
            if result.get("error", tolerance) <= ENOUGH * tolerance
        )
        for name in (*OURS, *RIVALS):
            row = {
                "part": "forward",
                "case": f"{case.dim}-D {case.n}",
                "N": case.generator.size,
                "kappa": case.kappa,
                "T": final,
                "tolerance": tolerance,
                "method": name,
            }
            if name in results:
                result = results[name]
                row |= result | {"ratio": result["seconds"] / best}
                if case.n >= _TELLING[case.dim]:
                    self._ratios[(name, *key)] = result["seconds"] / results["auto"]["seconds"]
            else:
                row["note"] = notes[name]
            yield row

    def _first(self, run: Callable, allowed: float, own: bool) -> dict:
        def limited():
            if own:
                return run()
            with limit(allowed):
                return run()

        (((states, count), memory), seconds) = clock(lambda: with_memory(limited))
        return {"seconds": seconds, "count": count, "memory": memory, "states": states}

    def _stepped(
        self, name: str, case: Case, final: float, tolerance: float, allowed: float
    ) -> dict:
        """As many steps as needed or, where that takes too long, a time from one and two steps."""
        key = (name, case.dim, case.kappa, final, tolerance)
        if key not in self._steps:
            self._steps[key] = steps_needed(*key)
        steps = self._steps[key]

        def run(count: int) -> tuple[list, str]:
            stepper = _stepper(name, case, final, count)
            return stepper.forward()[0], stepper.count()

        if steps <= 2:
            return self._first(lambda: run(steps), allowed, False)
        one = self._first(lambda: run(1), allowed, False)
        two = self._first(lambda: run(2), allowed, False)
        seconds = one["seconds"] + (steps - 1) * max(two["seconds"] - one["seconds"], 0.0)
        if seconds <= allowed:
            return self._first(lambda: run(steps), 3.0 * allowed, False)
        count = two["count"].split(" ", 1)
        count = f"{int(count[0]) // 2 * steps} {count[1]}"
        return two | {"seconds": seconds, "count": count, "states": None, "note": "extrapolated"}

    def _again(self, runs: dict[str, Callable], results: dict[str, dict]) -> None:
        """Once or twice more, in turn, what could be the fastest."""
        for _ in range(2):
            best = min(result["seconds"] for result in results.values())
            for name, result in results.items():
                if name in runs and result["seconds"] < 2.0 * best and result["seconds"] < 10.0:
                    (_, count), seconds = clock(runs[name])
                    result["seconds"] = min(result["seconds"], seconds)
                    result["count"] = count


def worst_auto(rows: list[dict]) -> list[str]:
    """Where auto is slower than 1.2 × the fastest."""
    return [
        f"{row['case']}, κ={row['kappa']:g}, T={row['T']:g}, {row['tolerance']:g}: "
        f"{row['ratio']:.2f} × ({row['count']})"
        for row in rows
        if row["method"] == "auto" and row.get("ratio", 0.0) > 1.2
    ]
