"""Reduced models measured: sizes and bounds, methods, online speed, evaluations per second.

    scripts/run python scripts/bench_reduced.py sizes       basis size, error, bound, effectivity
    scripts/run python scripts/bench_reduced.py methods     matexp's methods inside the misfit
    scripts/run python scripts/bench_reduced.py make        the model that speed and rate time
    scripts/run python scripts/bench_reduced.py speed       against the full model at N = 66 049
    scripts/run mpirun -n 2 python scripts/bench_reduced.py rate    evaluations a second

``make`` leaves its model in the folder of ``--folder`` (a temporary one), where ``speed`` and
``rate`` look: only they want a quiet machine.
Tables go to standard output as Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mpi4py import MPI
from scipy.optimize import minimize

import advdiff
from advdiff import matexp
from advdiff.reduced import GaussianPrior, ReducedMisfit, ReducedModel
from advdiff.reduced.offline.groups import Groups
from advdiff.reduced.offline.reducer import ReducedOptions, Reducer, dense_prior
from advdiff.reduced.offline.trust import TrustRegion

EXPERIMENT = Path(__file__).parents[1] / "experiments" / "reduced_inversion.toml"
SINE = EXPERIMENT.with_name("velocity_inversion.toml")
COARSE = ("domain.cells=[4, 4]",)
"""N = 1024; the Fourier modes and the readings are the same."""
COMM = MPI.COMM_WORLD
SLOW = 0.15
"""Seconds a gradient, beyond which a method is not run to the end."""


def say(*cells: object) -> None:
    """A row of a table, from rank 0."""
    if COMM.rank == 0:
        print("| " + " | ".join(str(c) for c in cells) + " |", flush=True)


def heading(*names: str) -> None:
    say(*names)
    say(*["---"] * len(names))


def seconds(function: Callable[[], object], least: float = 1.0) -> float:
    """Median time of one call."""
    times: list[float] = []
    while sum(times) < least or len(times) < 3:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def reducer(problem: advdiff.Problem, **options) -> Reducer:
    return Reducer(problem.model, problem.prior, ReducedOptions(**options))


def sizes() -> None:
    """At a point of the basis, and at a draw of the prior, on a coarse mesh."""
    problem = advdiff.load(EXPERIMENT, COARSE)
    problem.calibrate()
    heading(
        "tolerance", "basis", "at", "true error", "bound", "effectivity", "objective", "gradient"
    )
    made = reducer(problem, dimension=500, sensors=4)
    point = made.evaluate(made.mean)
    rng = np.random.default_rng(0)
    xi = rng.standard_normal(made.mean.size)
    away = made.evaluate(made.prior.color(xi))
    for tolerance in (1e-1, 3e-2, 1e-2, 3e-3, 1e-3):
        made.restart(tolerance)
        made.enrich([point])
        for name, where in (("basis point", point), ("away", away)):
            found = made.check(where)
            say(
                f"{tolerance:g}",
                made.basis.size,
                name,
                *(f"{found[k]:.1e}" for k in ("state_error", "bound")),
                f"{found['effectivity']:.0f}",
                *(f"{found[k]:.1e}" for k in ("objective_error", "gradient_error")),
            )


def methods() -> None:
    """Every method of matexp inside the misfit of one reduced model.

    The model is that of the first two points of an estimate, on a coarse mesh.  L-BFGS starts at
    the prior's mean with the exact value and each method's gradient, and is counted until the
    objective is within 1 % of the optimum.
    """
    problem = advdiff.load(EXPERIMENT, COARSE)
    problem.calibrate()
    made = reducer(problem, tolerance=3e-2, sensors=4, residuals="none", corrections=1)
    TrustRegion(made, made.mean).run()
    objective, prior, reduced = made.objective(), made.prior, made.reduced

    def steps(method: str) -> tuple[int, float]:
        """Evaluations until the target, and the objective reached."""
        values: list[float] = []

        def evaluate(xi):
            reduced.method = method
            at = objective.evaluate(prior.color(xi))
            values.append(at.objective)
            return at.objective, prior.factor.T @ at.gradient

        minimize(
            evaluate,
            np.zeros(prior.mean.size),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 300, "maxfun": 200, "ftol": 1e-12, "gtol": 1e-3},
        )
        lowest = np.minimum.accumulate(values)
        hit = np.flatnonzero(lowest <= target)
        return (int(hit[0]) + 1 if len(hit) else 0), float(lowest[-1])

    target = np.inf
    target = 1.01 * steps("frechet")[1]
    m = prior.color(0.1 * np.ones(prior.mean.size))
    reduced.method = "frechet"
    exact = objective.evaluate(m).gradient
    print(f"\nd = {reduced.dimension}, {reduced.affine.size} parameters\n")
    heading(
        "method", "ms a gradient", "relative error", "evaluations to target", "lowest objective"
    )
    for method in ("pade", "spectral", *matexp.METHODS):
        reduced.method = method
        try:
            began = time.perf_counter()
            gradient = objective.evaluate(m).gradient
            took = time.perf_counter() - began
            error = np.linalg.norm(gradient - exact) / np.linalg.norm(exact)
            took = took if took > SLOW else seconds(lambda: objective.evaluate(m), 0.3)
            if took > SLOW:
                say(method, f"{1e3 * took:.0f}", f"{error:.1e}", "not tried: too slow", "")
                continue
            count, lowest = steps(method)
        except (ValueError, OverflowError) as refusal:
            say(method, "refused: " + str(refusal)[:70], "", "", "")
            continue
        reached = str(count) if count else "never"
        say(method, f"{1e3 * took:.1f}", f"{error:.1e}", reached, f"{lowest:.6g}")


def large(cells: int) -> advdiff.Problem:
    """K = 10 times, 201 parameters, N = (cells + 1)²."""
    settings = (f"domain.cells=[{cells}, {cells}]", "unknowns.velocity.modes=[20, 10]")
    problem = advdiff.load(SINE, settings)
    problem.calibrate()
    return problem


def make(folder: Path, cells: int) -> None:
    """A reduced model with r = 100 of the large problem."""
    problem, began = large(cells), time.perf_counter()
    made = reducer(problem, tolerance=1e-7, dimension=100, residuals="none", snapshots=80)
    rng = np.random.default_rng(0)
    while made.basis.size < made.basis.limit:
        xi = 0.3 * rng.standard_normal(made.mean.size) if made.basis.size else 0.0 * made.mean
        made.enrich([made.evaluate(made.prior.color(xi))])
    offline = time.perf_counter() - began
    heading("N", "r", "parameters", "offline, s", *made.seconds)
    parts = [f"{value:.0f}" for value in made.seconds.values()]
    say(
        problem.operator.generator.size,
        made.basis.size,
        made.mean.size,
        f"{offline:.0f}",
        *parts,
    )
    if COMM.rank == 0:
        made.reduced.save(folder / "model.h5")


def speed(folder: Path, cells: int) -> None:
    """Value and gradient of the large problem by the full model and by ``make``'s, in one run."""
    problem, reduced = large(cells), ReducedModel.load(folder / "model.h5")
    m, readings = problem.initial_guess(), problem.readings
    objective = ReducedMisfit(reduced, readings.values, readings.std, dense_prior(problem.prior))
    vector = problem.unknowns.from_numpy(m)
    full = seconds(lambda: problem.objective.evaluate(vector), 5.0)
    online = seconds(lambda: objective.evaluate(m))
    heading("N", "r", "parameters", "times", "full, s", "reduced, ms", "ratio")
    say(
        problem.operator.generator.size,
        reduced.dimension,
        reduced.affine.size,
        len(readings.times),
        f"{full:.2f}",
        f"{1e3 * online:.2f}",
        f"{full / online:.0f}",
    )


def rate(folder: Path, count: int = 40, repeats: int = 25) -> None:
    """Values with gradients a second, the samples spread over all ranks."""
    model = ReducedModel.load(folder / "model.h5")
    size, readings = model.affine.size, len(model.sensor)
    prior = GaussianPrior(model.affine.reference, np.eye(size))
    objective = ReducedMisfit(model, np.zeros(readings), np.ones(readings), prior)
    samples = model.affine.reference + 0.01 * np.random.default_rng(0).standard_normal(
        (count, size)
    )
    groups = Groups(COMM, COMM.size)
    objective.evaluate(samples[0])
    times, cpu = [], time.process_time()
    for _ in range(repeats):
        COMM.barrier()
        start = time.perf_counter()
        values = groups.spread(lambda m: objective.evaluate(m).objective, list(samples))
        times.append(time.perf_counter() - start)
    took = min(times)  # other work on the machine only ever adds
    cpu = COMM.allreduce(time.process_time() - cpu) / (repeats * count)
    heading("ranks", "evaluations a second", "CPU ms an evaluation", "sum of the objectives")
    say(COMM.size, f"{count / took:.1f}", f"{1e3 * cpu:.1f}", repr(float(np.sum(values))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", choices=["sizes", "methods", "make", "speed", "rate"])
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "advdiff_bench_reduced"
    )
    parser.add_argument("--cells", type=int, default=256, help="along each side, for make, speed")
    chosen = parser.parse_args()
    if COMM.rank == 0:
        chosen.folder.mkdir(exist_ok=True)
    COMM.barrier()
    if chosen.table in ("make", "speed"):
        {"make": make, "speed": speed}[chosen.table](chosen.folder, chosen.cells)
    elif chosen.table == "rate":
        rate(chosen.folder)
    else:
        {"sizes": sizes, "methods": methods}[chosen.table]()
