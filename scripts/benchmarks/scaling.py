"""One and two ranks, memory, and the fraction of the memory bandwidth that is reached.

Every measurement is a process (or two) of its own: ``mpirun -n R python3 scaling.py DIM N``.  Words
counted for a product: 12 bytes an entry of the matrix, and of the vectors what must be read and
written once (written lines are read first); for sums and pairs likewise.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

KAPPA, FINAL, TOLERANCE = 1e-2, 1.0, 1e-9
_FOREIGN = ("OMPI_COMM", "OMPI_UNIVERSE", "PMIX_", "PMI_", "OPAL_", "PRTE_LAUNCHED")


def tables(quick: bool) -> Iterator[tuple[list[dict], str]]:
    problems = [(2, 128, 1e9), (3, 24, 1e9)]
    if not quick:
        problems = [(2, 512, 1e18), (3, 64, 1e18), (3, 100, 0.0)]
    for dim, n, memory in problems:
        alone = _measured(1, dim, n, memory)
        rows = [*alone, *_measured(2, dim, n, memory, alone)]
        kept = "checkpoints" if memory == 0.0 else "all vectors kept"
        yield rows, f"ranks, {dim}-D {n} (N = {rows[0]['N']}), κ = {KAPPA:g}, {kept}"


def _measured(
    ranks: int, dim: int, n: int, memory: float, alone: list[dict] | None = None
) -> list[dict]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
    command = ["mpirun", "-n", str(ranks), "python3", __file__, str(dim), str(n), str(memory)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return [{"part": "scaling", "N": 0, "method": f"{ranks} ranks", "note": done.stderr[-200:]}]
    found = json.loads(done.stdout.splitlines()[-1])
    rows = []
    for i, (what, seconds) in enumerate(found["seconds"].items()):
        row = {
            "part": "scaling",
            "case": f"{dim}-D {n}",
            "N": found["N"],
            "kappa": KAPPA,
            "T": FINAL,
            "tolerance": TOLERANCE,
            "ranks": ranks,
            "method": f"{what}, {ranks} rank{'s' * (ranks > 1)}",
            "seconds": seconds,
        }
        if what == "value and gradient":
            row |= {"memory": found["peak"], "count": found["count"]}
        if what in found["fractions"]:
            row["fraction"] = found["fractions"][what]
            row["count"] = (
                f"{row['fraction']:.0%} of {found['bandwidth'] * 1e-9:.1f} GB/s (all ranks)"
            )
        if alone:
            row["speedup"] = alone[i]["seconds"] / seconds
            row["note"] = f"{row['speedup']:.2f} × one rank"
        rows.append(row)
    return rows


def _work(dim: int, n: int, memory: float) -> dict:
    from case import Case
    from machine import bandwidth, clock, peak
    from mpi4py import MPI

    from advdiff.algebra.pattern import PatternCotangent
    from advdiff.semigroup.faber.ellipse import expand
    from advdiff.semigroup.faber.engine import FaberEngine, FaberOptions

    comm = MPI.COMM_WORLD
    small = Case(dim, 4, KAPPA)  # compiles the forms and the kernels
    _both(small, FaberEngine(small.generator, FaberOptions(tolerance=TOLERANCE)))

    def timed(run):
        comm.barrier()
        result, seconds = clock(run)
        return result, comm.allreduce(seconds, MPI.MAX)

    case, assembly = timed(lambda: Case(dim, n, KAPPA))
    generator, times = case.generator, case.times(FINAL)
    options = FaberOptions(tolerance=TOLERANCE, memory=memory)
    rounds = 2 if case.generator.size < 5e5 else 1
    best: dict[str, float] = {"assembly": assembly}

    def note(what: str, seconds: float) -> None:
        best[what] = min(best.get(what, seconds), seconds)

    for _ in range(rounds):
        engine = FaberEngine(generator, options)
        solution, seconds = timed(lambda e=engine: e.forward(case.initial, times))
        note("value", seconds)
        again, seconds = timed(lambda e=engine: e.forward(case.initial, times))
        note("value, bounds known", seconds)
        _free(generator.stiffness.comm, solution, again)
        engine = FaberEngine(generator, options)
        _, seconds = timed(lambda e=engine: _both(case, e))
        note("value and gradient", seconds)
        _free(generator.stiffness.comm)
        solution = engine.forward(case.initial, times, record=True)
        residuals = case.residuals(solution.states)
        cotangent = PatternCotangent(generator.stiffness)
        _, seconds = timed(lambda e=engine, s=solution, r=residuals, c=cotangent: e.pull(s, r, c))
        note("adjoint", seconds)
        report = solution.report
        for vector in residuals:
            vector.destroy()
        _free(generator.stiffness.comm, solution)
    largest = comm.allreduce(peak())
    speed = comm.allreduce(bandwidth())
    terms = expand(engine.ellipse, times, TOLERANCE).terms
    size = float(generator.size)
    entries = float(generator.stiffness.getInfo(2)["nz_used"])
    last, sums = float(terms.max()), float((terms + 1).sum())
    product = 12.0 * entries + 4.0 * size + 24.0 * size + 24.0 * size
    forward = last * product + 8.0 * sums * size + 16.0 * size * sums / 16.0
    pairs = last * (2.0 * 24.0 * size + 16.0 * size + 20.0 * entries / 16.0)
    recomputed = last * product if report["storage"] == "checkpoints" else 0.0
    backward = last * product + 8.0 * sums * size + pairs + recomputed
    return {
        "N": generator.size,
        "seconds": best,
        "count": f"{report['products']} products forward, {report['storage']}: "
        f"{report['vectors']} vectors",
        "peak": largest,
        "bandwidth": speed,
        "fractions": {
            "value, bounds known": forward / best["value, bounds known"] / speed,
            "adjoint": backward / best["adjoint"] / speed,
        },
    }


def _free(comm, *solutions) -> None:
    from petsc4py import PETSc

    for solution in solutions:
        for state in solution.states:
            state.destroy()
        solution.tape = None
    # on several ranks what Python drops waits for this, with all its memory
    PETSc.garbage_cleanup(comm)


def _both(case, engine):
    from advdiff.algebra.pattern import PatternCotangent

    solution = engine.forward(case.initial, case.times(FINAL), record=True)
    cotangent = PatternCotangent(case.generator.stiffness)
    engine.pull(solution, case.residuals(solution.states), cotangent)
    return case.gradient(cotangent)


if __name__ == "__main__":
    result = _work(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    from mpi4py import MPI

    if MPI.COMM_WORLD.rank == 0:
        print(json.dumps(result))
