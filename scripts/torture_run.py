"""Kills runs of every task at random moments, resumes them, and counts what was left."""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from torture_check import contents, differences, leftovers, look, manners
from torture_experiments import ANSWER, EXPERIMENTS, GROUPED, RESUMABLE, write
from torture_faults import FAULTS, Run, befall

OTHER = 0.2
"""The share of runs that go on with another number of ranks."""
TOLERANCE = 1e-4
"""Relative, on another number of ranks."""
WAYS = ("bit for bit", "rounded", "other ranks")
"""How a resumed run agreed."""
ROUNDING = 1e-9
"""Relative, where PETSc itself is not reproducible in every bit."""


class Task:
    """An experiment in a folder of its own, and its answer for every number of ranks."""

    def __init__(self, name: str, folder: Path):
        self.name, self.folder, self.output = name, folder, folder / "out"
        self.expected, self.seconds, self.size = {}, {}, 0
        self.output.mkdir(parents=True)
        write(folder, name)

    def reference(self, ranks: int) -> dict:
        """The answer of a run that nothing befalls."""
        if ranks not in self.expected:
            outcome = self.finish(ranks, *self.groups(ranks))
            self.expected[ranks] = contents(self.output / "result.h5")
            self.seconds[ranks] = outcome.seconds
            self.size = max(p.stat().st_size for p in self.output.iterdir())
            self.clear()
        return self.expected[ranks]

    def finish(self, ranks: int, *options: str):
        """A run that nothing befalls."""
        outcome = Run(self.folder, ranks, *options).wait()
        if outcome.code:
            raise RuntimeError(f"{self.name} {options}: exit code {outcome.code}\n{outcome.error}")
        return outcome

    def groups(self, count: int) -> list[str]:
        """The option for so many groups."""
        return ["--groups", str(count)] if self.name in GROUPED else []

    def clear(self) -> None:
        """Forget all that was written."""
        for path in self.output.iterdir():
            path.unlink()

    def kill(self, fault: str, ranks: int, rng: random.Random) -> tuple[str, list[str], str]:
        """One fault: the state it left, what was wrong, and how the run was finished."""
        expected, small = self.reference(ranks), fault == "full"
        if small:
            size = int(2.5 * self.size * rng.random()) + 4096
            mount(self.output, f"size={size}")
        try:
            run = Run(self.folder, ranks, *self.groups(ranks))
            outcome = befall(run, fault, rng, self.seconds[ranks], self.size)
            state, troubles = look(self.output, self.name, expected, ROUNDING)
            troubles += manners(fault, outcome, ranks, state)
            if small:
                mount(self.output, "remount,size=1g")
            how = self.go_on(state, ranks, rng, troubles)
            if troubles:
                print(f"\n{self.name} {fault} on {ranks}: {state}, {troubles}\n{outcome.error}")
        finally:
            self.clear()
            if small:
                subprocess.run(["umount", str(self.output)], check=True)
        return ("BAD" if troubles else state), troubles, how

    def go_on(self, state: str, ranks: int, rng: random.Random, troubles: list[str]) -> str:
        """Finish what the fault left, and compare."""
        if state == "complete" and not leftovers(self.output, self.name):
            return "as it was"
        other = state == "resumable" and rng.random() < OTHER
        now = rng.choice([n for n in (1, 2, 3) if n != ranks]) if other else ranks
        resume = self.name in RESUMABLE and state == "resumable"
        try:
            groups = self.groups(now if not other or rng.random() < 0.5 else 1)
            self.finish(now, *groups, *(["--resume"] if resume else []))
            found = contents(self.output / "result.h5")
        except Exception as error:
            troubles.append(f"could not be finished: {error}")
            return "not"
        expected = self.expected[ranks]
        if resume and self.name in ANSWER:
            found, expected = ({n: c[n] for n in ANSWER[self.name]} for c in (found, expected))
            other = True
        rounded = bool(differences(found, expected, 0.0))
        wrong = differences(found, expected, TOLERANCE if other else ROUNDING)
        if wrong:
            troubles.append(f"then differs in {', '.join(wrong[:5])}")
        left = leftovers(self.output, self.name)
        if left:
            troubles.append(f"left for good: {', '.join(left)}")
        if other or not resume:
            return "other ranks" if other else "again"
        return "rounded" if rounded else "bit for bit"


def mount(folder: Path, options: str) -> None:
    """A file system in memory."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


def main() -> int:
    """Parse the options, torture, print the table."""
    parser = argparse.ArgumentParser(prog="scripts/torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="faults a task (default 50)")
    parser.add_argument("--tasks", nargs="+", default=list(EXPERIMENTS), choices=EXPERIMENTS)
    parser.add_argument("--faults", nargs="+", default=list(FAULTS), choices=FAULTS)
    parser.add_argument("--ranks", nargs="+", type=int, default=[2, 1], help="taken in turn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many")
    chosen = parser.parse_args()
    began, scratch = time.monotonic(), Path(tempfile.mkdtemp(prefix="torture"))
    states, ways = Counter(), Counter()
    try:
        for name in chosen.tasks:
            task, rng = Task(name, scratch / name), random.Random(f"{chosen.seed} {name}")
            for k in range(chosen.kills):
                if time.monotonic() - began > 60 * chosen.minutes:
                    break
                fault = chosen.faults[k % len(chosen.faults)]
                ranks = chosen.ranks[k // len(chosen.faults) % len(chosen.ranks)]
                state, _, how = task.kill(fault, ranks, rng)
                states[name, state] += 1
                states[fault, state] += 1
                ways[name, how] += 1
                ways[fault, how] += 1
                print(f"{name} {k + 1}: {fault} on {ranks}: {state}, {how}", flush=True)
    finally:
        shutil.rmtree(scratch)
    bad = table(states, ways, [*chosen.tasks, *chosen.faults])
    return 1 if bad else 0


def table(states: Counter, ways: Counter, rows: list[str]) -> int:
    """Print the counts; how many were bad."""
    columns, finished = ("absent", "complete", "resumable", "BAD"), WAYS
    print(f"\n{'':14s}" + "".join(f"{c:>12s}" for c in (*columns, *finished)))
    for row in rows:
        counts = [states[row, c] for c in columns] + [ways[row, c] for c in finished]
        print(f"{row:14s}" + "".join(f"{n or '-':>12}" for n in counts))
    return sum(n for (_, state), n in states.items() if state == "BAD")


if __name__ == "__main__":
    sys.exit(main())
