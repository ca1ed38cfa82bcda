"""How long commands take to start: beside another commit, each by its own scripts/run.

    scripts/bench startup [--against 97809ec] [--rounds 3] [--only info,solve,…] [--json FILE]

Medians of commands in turn, after one run of each that fills the caches (forms, modules, kernels).
Beside seconds on the wall those of processor time, of all processes and of both kinds: on a shared
machine they are what can be compared.  Ratio: this checkout's over the other's.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parents[2]
SOLVE = """task = "solve"
[domain]
shape = "rectangle"
cells = [16, 16]
[physics]
diffusivity = 0.02
initial = "exp(-((x-0.3)**2 + (y-0.4)**2)/0.02)"
velocity = { stream = "0.3*sin(pi*x)*sin(pi*y)" }
[time]
final = 1.0
outputs = 10
"""
BOX = """task = "solve"
[domain]
shape = "box"
cells = [64, 64, 64]
[physics]
diffusivity = 0.02
initial = "exp(-((x-0.3)**2 + (y-0.4)**2 + (z-0.5)**2)/0.02)"
velocity = ["sin(pi*x)*cos(pi*y)", "-cos(pi*x)*sin(pi*y)", "0.0"]
[time]
final = 0.01
outputs = 1
"""
ROWS = {
    "info": ("info of a result of the other", "advdiff info {old}"),
    "solve": ("a solve, 16 × 16", "advdiff run {solve} --output {out}"),
    "readme": (
        "README's inversion, two ranks",
        "mpirun -n 2 advdiff run experiments/velocity_inversion.toml --output {out}",
    ),
    "box": ("all before the first product, 64³", "advdiff check {box}"),
}


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """A folder with the files of a commit; a folder stands for itself."""
    if Path(commit).is_dir():
        yield Path(commit).resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "checkout"
        git = ["git", "-C", str(HERE), "worktree"]
        subprocess.run([*git, "add", "-q", "--detach", str(place), commit], check=True)
        try:
            yield place
        finally:
            subprocess.run([*git, "remove", "--force", str(place)], check=True)


def timed(place: Path, command: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of a command in a checkout."""

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    began, before = time.perf_counter(), spent()
    done = subprocess.run(
        ["scripts/run", *command], cwd=place, stdin=subprocess.DEVNULL, capture_output=True
    )
    if done.returncode:
        raise SystemExit(f"{place}: {' '.join(command)}\n{done.stderr.decode(errors='replace')}")
    return time.perf_counter() - began, spent() - before


def row(name: str, places: dict[str, Path], files: dict[str, Path], rounds: int) -> dict:
    """One row of the table."""
    title, text = ROWS[name]
    command = [word.format(**files) for word in text.split()]
    seconds: dict[str, list[tuple[float, float]]] = {which: [] for which in places}
    for turn in range(rounds + 1):
        for which, place in places.items():
            found = timed(place, command)
            if turn:
                seconds[which].append(found)
    medians = {
        which: [statistics.median(part) for part in zip(*found, strict=True)]
        for which, found in seconds.items()
    }
    ratios = [a / b for a, b in zip(medians["here"], medians["other"], strict=True)]
    return {"name": name, "title": title, **medians, "ratio": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", default="97809ec", help="commit, or folder of a checkout")
    parser.add_argument("--rounds", type=int, default=3, help="of each command")
    parser.add_argument("--only", default=",".join(ROWS), help="rows, by commas")
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := set(names) - set(ROWS):
        parser.error(f"unknown row {', '.join(sorted(unknown))}")
    rows = []
    print(f"| seconds: wall (processor) | {options.against} | here | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, checkout(options.against) as other:
        files = {key: Path(folder) / f"{key}.toml" for key in ("solve", "box")}
        files["solve"].write_text(SOLVE)
        files["box"].write_text(BOX)
        files |= {"old": Path(folder) / "old.h5", "out": Path(folder) / "out.h5"}
        run = ["advdiff", "run", str(files["solve"]), "--output", str(files["old"])]
        timed(other, run)
        for name in names:
            found = row(name, {"other": other, "here": HERE}, files, options.rounds)
            rows.append(found)
            cells = ["{:.2f} ({:.2f})".format(*found[key]) for key in ("other", "here", "ratio")]
            print(f"| {found['title']} | {' | '.join(cells)} |", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
