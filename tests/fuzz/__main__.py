"""``scripts/fuzz N [--seed S] [--only KIND …] [--jobs J]``: N cases, and what became of them.

Cases run in pieces, each a process of its own, so that one which kills the process (or hangs in C
code, where no alarm reaches it) is a finding rather than the end.
"""

from __future__ import annotations

import argparse
import contextlib
import pickle
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz import runner

PIECE = 250
PATIENCE = 180.0
"""Seconds without a case finished after which a piece is given up."""


def piece(number: int, count: int, only: tuple[str, ...], folder: Path) -> None:
    """Run cases in this process; outcomes go to a file, one by one."""
    with open(folder / f"{number}.outcomes", "ab") as file:

        @seed(number)
        @settings(
            max_examples=count,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(runner.cases(only))
        def each(case):
            (folder / f"{number}.current").write_bytes(pickle.dumps(case))
            outcome = runner.judge(case)
            pickle.dump((case, outcome), file)
            file.flush()

        each()


def watch(number: int, count: int, only: tuple[str, ...], folder: Path) -> list:
    """Run a piece in a process of its own; what it tried, with the case that killed it, if any."""
    command = [sys.executable, "-m", "tests.fuzz", str(count), "--piece", str(number)]
    command += ["--folder", str(folder), *(f"--only={kind}" for kind in only)]
    outcomes, log = folder / f"{number}.outcomes", folder / f"{number}.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        size, since = -1, time.monotonic()
        while process.poll() is None:
            time.sleep(0.2)
            now = outcomes.stat().st_size if outcomes.exists() else 0
            if now != size:
                size, since = now, time.monotonic()
            elif time.monotonic() - since > PATIENCE:
                process.kill()
    found = []
    if outcomes.exists():
        with open(outcomes, "rb") as file, contextlib.suppress(EOFError):
            while True:
                found.append(pickle.load(file))
    if process.returncode:
        case = pickle.loads((folder / f"{number}.current").read_bytes())
        verdict = "hang" if process.returncode == -9 else f"died ({process.returncode})"
        found.append((case, runner.Outcome(verdict, log.read_text()[-3000:], PATIENCE)))
    return found


def table(found: list) -> list[str]:
    """Counts by kind and verdict."""
    kinds = sorted({case.kind for case, _ in found})
    verdicts = [*runner.FINE, *sorted({o.verdict for _, o in found} - set(runner.FINE))]
    counts = Counter((case.kind, outcome.verdict) for case, outcome in found)
    lines = [f"{'kind':12s}{'cases':>8s}" + "".join(f"{v[:12]:>13s}" for v in verdicts)]
    for kind in [*kinds, "all"]:
        row = [sum(counts[k, v] for k in (kinds if kind == "all" else [kind])) for v in verdicts]
        lines.append(f"{kind:12s}{sum(row):8d}" + "".join(f"{n:13d}" for n in row))
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/fuzz")
    parser.add_argument("count", type=int, help="cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", default=[], choices=list(runner.KINDS))
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--folder", type=Path, help="for what it finds")
    parser.add_argument("--piece", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    only = tuple(options.only)
    if options.piece is not None:
        piece(options.piece, options.count, only, options.folder)
        return 0
    folder = options.folder or Path(tempfile.mkdtemp(prefix="advdiff-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    found, number, began = [], 1000 * options.seed, time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        while len(found) < options.count:
            left = options.count - len(found)
            numbers = range(number, number + min(options.jobs, -(-left // PIECE)))
            each = -(-left // len(numbers)) if left < PIECE * len(numbers) else PIECE
            tried = pool.map(lambda n, each=each: watch(n, each, only, folder), numbers)
            new = [item for part in tried for item in part]
            if not new:
                print((folder / f"{number}.log").read_text())
                return 1
            found, number = found + new, numbers[-1] + 1
            bad = sum(not outcome.is_fine for _, outcome in found)
            print(f"{len(found)} cases, {bad} bad, {time.monotonic() - began:.0f} s", flush=True)
    print("\n".join(["", *table(found), ""]))
    longest = sorted({o.message for _, o in found if o.verdict == "refused"}, key=len)[-3:]
    print("the longest messages:", *longest, sep="\n  ")
    slowest = max(found, key=lambda item: item[1].seconds)
    print(f"the slowest case: {slowest[1].seconds:.1f} s, {slowest[0].kind}")
    bad = [item for item in found if not item[1].is_fine]
    for i, (case, outcome) in enumerate(bad):
        (folder / f"bad-{i}.pickle").write_bytes(pickle.dumps((case, outcome)))
    if bad:
        print(f"{len(bad)} bad ones in {folder} (bad-*.pickle)")
    return min(len(bad), 1)


if __name__ == "__main__":
    sys.exit(main())
