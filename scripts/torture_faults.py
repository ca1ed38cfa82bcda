"""Runs of advdiff, and what befalls them."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 90.0
"""Seconds after which a run hangs."""
FAULTS = ("kill", "term", "term-rank", "int", "full", "quota")


@dataclass
class Outcome:
    """How a run ended.

    Attributes:
        code: exit code, 128 + n where a signal n ended it.
        lines: of ours on stderr.
        troubles: what must never happen.
    """

    code: int
    lines: list[str]
    seconds: float
    error: str
    troubles: list[str] = field(default_factory=list)


class Run:
    """``advdiff run`` in a folder, begun."""

    def __init__(self, folder: Path, ranks: int, *options: str):
        launcher = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
        self.ranks, self.began = ranks, time.monotonic()
        self.output = folder / "out"
        self.log = (folder / "log").open("w+")
        self.process = subprocess.Popen(
            [*launcher, sys.executable, "-m", "advdiff", "run", "e.toml", *options],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=self.log,
            start_new_session=True,
        )

    def workers(self) -> list[int]:
        """The processes of the ranks that there are."""
        if self.ranks == 1:
            return [self.process.pid] if self.process.poll() is None else []
        found, parents = [], {self.process.pid}
        for entry in sorted(int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()):
            try:
                stat = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
                command = Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
            if int(stat[1]) in parents and b"-m\0advdiff" in command and b"mpirun" not in command:
                found.append(entry)
        return found

    def wait(self) -> Outcome:
        """Its end, or what it takes to end it."""
        troubles, workers = [], self.workers()
        try:
            code = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            troubles.append("hang")
            for worker in self.workers():
                os.kill(worker, signal.SIGKILL)
            self.process.kill()
            code = self.process.wait()
        seconds = time.monotonic() - self.began
        patience = time.monotonic() + 10.0
        while any(Path(f"/proc/{w}/exe").exists() for w in workers):
            if time.monotonic() > patience:
                troubles.append("a rank outlived mpirun")
                break
            time.sleep(0.01)
        self.log.seek(0)
        error = self.log.read()
        self.log.close()
        if "Traceback" in error:
            troubles.append("traceback")
        lines = [line for line in error.splitlines() if "advdiff: " in line]
        return Outcome(code if code >= 0 else 128 - code, lines, seconds, error, troubles)


def moment(run: Run, rng: random.Random, seconds: float) -> None:
    """Wait for a random one: any time of the run, or while it writes."""
    if rng.random() < 0.5:
        until = run.began + rng.uniform(0.0, 1.05 * seconds)
        while run.process.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        return
    pattern = rng.choice([".*.partial", ".*.partial", ".*.chains", ".*.checkpoint", "*.h5"])
    while run.process.poll() is None and not any(run.output.glob(pattern)):
        if time.monotonic() - run.began > 2.0 * seconds:
            break
        time.sleep(0.0005)
    time.sleep(rng.choice([0.0, rng.uniform(0.0, 0.01), rng.uniform(0.0, 0.1)]))


def befall(run: Run, fault: str, rng: random.Random, seconds: float, size: int) -> Outcome:
    """Let the fault happen to a run that takes ``seconds`` and writes ``size`` bytes."""
    if fault == "full":  # its disk was made small
        return run.wait()
    if fault == "quota":
        limit = int(size * rng.uniform(0.0, 1.1))
        until = run.began + rng.uniform(0.2, 0.8) * seconds
        while run.process.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        for worker in run.workers():
            try:
                resource.prlimit(worker, resource.RLIMIT_FSIZE, (limit, limit))
            except ProcessLookupError:
                continue
        return run.wait()
    moment(run, rng, seconds)
    workers = run.workers()
    try:
        if fault == "kill" and workers:
            os.kill(rng.choice(workers), signal.SIGKILL)
        elif fault == "term-rank" and workers:
            os.kill(rng.choice(workers), signal.SIGTERM)
        elif fault == "term":
            run.process.terminate()
        elif fault == "int":
            os.killpg(run.process.pid, signal.SIGINT)
    except ProcessLookupError:
        pass
    return run.wait()
