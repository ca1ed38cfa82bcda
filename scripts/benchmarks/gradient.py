"""Value and gradient, for seventeen parameters and all nodal velocities: engines and adjoints.

Everyone is asked for a gradient error of 1e-6 in the worse of the two families, against a much
tighter gradient of another engine; TSAdjoint gives the seventeen alone.  All nodal velocities come
from the sparse cotangent Ḡ, which the adjoints of Crank–Nicolson and Padé form as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import ours
from case import OUTPUTS, Case
from implicit import CrankNicolson, Pade
from machine import clock, with_memory
from steppers import AdjointRungeKutta

TARGET = 1e-6
FINAL = 1.0
TOLERANCES = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
_MOST = 12  # Padé steps an interval


def tables(quick: bool, full: bool) -> Iterator[tuple[list[dict], str]]:
    meshes = [(2, 64)] if quick else [(2, 128), (2, 256), *([(2, 512)] if full else [])]
    for dim, n in meshes:
        for kappa in (1e-2,) if quick else (1e-2, 1e-3):
            case = Case(dim, n, kappa)
            what = f"{dim}-D {n} (N = {case.generator.size}), κ = {kappa:g}, T = {FINAL:g}"
            yield _equal_error(case), f"value and gradient to {TARGET:g}, {what}"
            yield _cost(case, 1e-9), f"value, and value and gradient, tolerance 1e-09, {what}"
    for n in (16,) if quick else (48,):
        case = Case(3, n, 1e-2)
        what = f"3-D {n} (N = {case.generator.size}), κ = 0.01, T = {FINAL:g}"
        yield _cost(case, 1e-9), f"value, and value and gradient, tolerance 1e-09, {what}"


def _distance(found: tuple, reference: tuple) -> float:
    return max(
        float(np.linalg.norm(a - b) / np.linalg.norm(b))
        for a, b in zip(found, reference, strict=True)
    )


def _row(case: Case, method: str, tolerance: float | None = None, **values) -> dict:
    return {
        "part": "gradient",
        "case": f"{case.dim}-D {case.n}",
        "N": case.generator.size,
        "kappa": case.kappa,
        "T": FINAL,
        "tolerance": tolerance,
        "method": method,
        **values,
    }


def _equal_error(case: Case) -> list[dict]:
    faber, _ = ours.gradient("faber", case, FINAL, 1e-12)
    filtered, _ = ours.gradient("shift-invert", case, FINAL, 1e-11)
    runs: dict[str, Callable] = {}
    rows = []
    for method, reference in (("auto", filtered), ("faber", filtered), ("shift-invert", faber)):
        for tolerance in TOLERANCES:
            found, _ = ours.gradient(method, case, FINAL, tolerance)
            if _distance(found, reference) <= TARGET:
                break
        rows.append(_row(case, method, tolerance, error=_distance(found, reference)))
        runs[method] = lambda m=method, t=tolerance: ours.gradient(m, case, FINAL, t)
    for steps in range(1, _MOST + 1):
        found = Pade(case, FINAL, steps).gradient()
        if _distance(found, faber) <= TARGET:
            break
    rows.append(_row(case, "Padé", error=_distance(found, faber)))
    runs["Padé"] = lambda: (
        (pade := Pade(case, FINAL, steps)).gradient(),
        f"{pade.count()} each way",
    )
    for row in rows:
        ((_, row["count"]), row["memory"]), row["seconds"] = clock(
            lambda row=row: with_memory(runs[row["method"]])
        )
    for _ in range(2):
        for row in rows:
            if row["seconds"] < 5.0:
                row["seconds"] = min(row["seconds"], clock(runs[row["method"]])[1])
    rows.append(_crank_nicolson(case, faber))
    rows.append(_runge_kutta(case, faber))
    for row in rows:
        row["ratio"] = row["seconds"] / min(other["seconds"] for other in rows)
        if row["tolerance"] is not None:
            row["count"] += f" (tolerance {row['tolerance']:g})"
    return rows


def _crank_nicolson(case: Case, reference: tuple) -> dict:
    """Steps from the error at twenty an interval and second order; time from one interval less."""
    coarse = 20
    found, first = clock(lambda: CrankNicolson(case, FINAL, coarse).gradient())
    error = _distance(found, reference)
    _, less = clock(lambda: CrankNicolson(case, FINAL, coarse).gradient(OUTPUTS // 2))
    step = (first - less) / (coarse * (OUTPUTS - OUTPUTS // 2))
    steps = math.ceil(coarse * math.sqrt(error / TARGET))
    return _row(
        case,
        "CN",
        error=TARGET,
        seconds=first + step * OUTPUTS * (steps - coarse),
        count=f"{steps * OUTPUTS} solves each way",
        memory=8 * case.generator.size * steps * OUTPUTS,
        note="extrapolated",
    )


def _runge_kutta(case: Case, reference: tuple) -> dict:
    """One interval of ten; all ten, and the error, where that is quick."""
    outputs = OUTPUTS if case.n <= 64 else 1
    method = AdjointRungeKutta(case, FINAL, outputs)
    (found, memory), seconds = clock(lambda: with_memory(method.gradient))
    row = _row(
        case,
        "TSAdjoint RK4",
        seconds=seconds * OUTPUTS / outputs,
        count=f"{4 * method.steps * OUTPUTS} products each way, 17 parameters only",
        memory=None if memory is None else memory * OUTPUTS // outputs,
    )
    if outputs == OUTPUTS:
        error = np.linalg.norm(found - reference[0]) / np.linalg.norm(reference[0])
        return row | {"error": float(error)}
    return row | {"note": "extrapolated"}


def _cost(case: Case, tolerance: float) -> list[dict]:
    """What the gradient adds to the value; ratio to Faber's (auto's) value."""
    engines = ("faber", "shift-invert") if case.dim == 2 and case.n <= 256 else ("faber",)
    runs: dict[str, Callable] = {}
    for method in engines:
        runs[f"{method} value"] = lambda m=method: ours.forward(m, case, FINAL, tolerance)
        runs[f"{method} gradient"] = lambda m=method: ours.gradient(m, case, FINAL, tolerance)
    runs["faber gradient, checkpoints"] = lambda: ours.gradient(
        "faber", case, FINAL, tolerance, memory=0.0
    )
    rows = []
    for name, run in runs.items():
        ((_, count), memory), seconds = clock(lambda run=run: with_memory(run))
        row = _row(case, name, tolerance, seconds=seconds, count=count, memory=memory)
        rows.append(row)
    for _ in range(2):
        for row in rows:
            if row["seconds"] < 10.0:
                row["seconds"] = min(row["seconds"], clock(runs[row["method"]])[1])
    for row in rows:
        value = f"{row['method'].split()[0]} value"
        row["ratio"] = row["seconds"] / next(r["seconds"] for r in rows if r["method"] == value)
    return rows
