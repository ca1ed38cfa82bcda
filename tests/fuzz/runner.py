"""One case: what the command line says to it, in this process, and whether that will do."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from hypothesis import strategies as st

from advdiff.commands import cli
from advdiff.config.tables.experiment import Experiment
from advdiff.config.tables.models import ModelExperiment
from advdiff.config.tables.study import Study
from advdiff.core import memory
from advdiff.core.errors import InputError
from advdiff.domain import gmsh_child
from advdiff.results.checkpoint import Checkpoint
from advdiff.sampling.archive import Archive
from advdiff.tasks.reduced_checkpoint import ReducedCheckpoint
from tests import command_line
from tests.fuzz import experiments, files, values
from tests.fuzz.experiments import BASES, SMALL, Case

SECONDS = 20.0
"""Of processor time that a case may take."""
RUNNING = 2.0
"""The same after which a run is cut."""
MACHINE = 2.0**27
"""Bytes of the machine on which cases run, as far as the estimate of memory knows."""
LONGEST = 300
"""Characters of a message, without the name of the folder."""
DRAWING = ("plot", "report")
"""Commands that make something of a result."""
FINE = ("ran", "refused", "stopped", "cut")


class Outcome(NamedTuple):
    """What became of a case.

    Attributes:
        verdict: ran (exit code 0), refused (2), stopped short of a tolerance (1), cut (a run whose
            check is quick, and which was not awaited), or what is wrong.
        message: what it said on stderr.
        seconds: how long it took.
    """

    verdict: str
    message: str
    seconds: float

    @property
    def is_fine(self) -> bool:
        return self.verdict in FINE


class TooSlow(BaseException):
    """The time of a case is up."""


# -- watching -------------------------------------------------------------------------------------

_seen: list[str] | None = None
RUNS = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "import", "exec", "os.mkdir")


def _audit(event: str, arguments: tuple) -> None:
    if _seen is None or event not in (*RUNS, "open"):
        return
    if event == "open" and not (isinstance(arguments[1], str) and set("wax+") & set(arguments[1])):
        return
    text = str(getattr(arguments[0], "co_names", arguments) if event == "exec" else arguments)
    if values.CANARY in text:
        _seen.append(f"{event}{text}")


@cache
def _watch() -> None:
    sys.addaudithook(_audit)


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise :class:`TooSlow` when the processor time is up (in C code: as soon as it returns)."""

    def stop(*_):
        raise TooSlow

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns)
        for p in folder.rglob("*")
        if p.is_file()
    }


# -- a case ---------------------------------------------------------------------------------------


def judge(case: Case) -> Outcome:
    """What becomes of a case; a long run of what is quickly checked is no hang."""
    if case.command != "run":
        return run(case)
    outcome = run(case, RUNNING)
    if outcome.verdict != "slow":
        return outcome
    check = run(case._replace(command="check"))
    return outcome._replace(verdict="cut") if check.verdict == "ran" else check


def run(case: Case, seconds: float = SECONDS, keep: dict[str, bytes] | None = None) -> Outcome:
    """Give a case to the command line, and judge what it does.

    Args:
        case: what to try.
        seconds: that it may take.
        keep: is filled with the files that it writes.
    """
    global _seen
    _watch()
    root = Path(tempfile.mkdtemp(prefix="advdiff-fuzz-"))
    folder = root / "of" / "case"
    folder.mkdir(parents=True)
    here, arguments = os.getcwd(), _prepare(case, folder)
    before, trouble = _listing(root), ""
    _seen = executed = []
    code: object = None
    began = time.perf_counter()
    try:
        os.chdir(folder)
        with (
            mock.patch.object(sys, "argv", arguments),
            mock.patch.object(memory, "machine", lambda comm: MACHINE),
            mock.patch.object(gmsh_child, "PATIENCE", 2),
            command_line.captured() as said,
            command_line.restored(),
            _limited(seconds),
        ):
            warnings.simplefilter("always")
            try:
                cli.main()
            except SystemExit as stop:
                code = stop.code
            except TooSlow:
                trouble = "slow"
                traceback.print_exc()
            except BaseException:
                trouble = "traceback"
                traceback.print_exc()
    finally:
        _seen = None
        os.chdir(here)
        after = _listing(root)
        if keep is not None:
            new = [name for name in after if name not in before]
            keep.update({name: (root / name).read_bytes() for name in new})
        shutil.rmtree(root, ignore_errors=True)
    duration = time.perf_counter() - began
    message = said[1].replace(str(folder), "…").replace(str(root), "…")
    if executed:
        return Outcome("executed", f"{executed[0]}\n{message}", duration)
    if trouble:
        return Outcome(trouble, message, duration)
    verdict = _judged(code, message.strip("\n")) or _wrote(case, code, before, after)
    return Outcome(verdict or FINE[{0: 0, 2: 1, 1: 2}[code]], message.strip(), duration)


def _prepare(case: Case, folder: Path) -> list[str]:
    for name, content in case.files.items():
        (folder / name).write_bytes(content)
    experiment = case.experiment
    if experiment is not None:
        text = experiment if isinstance(experiment, str) else experiments.toml_file(experiment)
        (folder / "e.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    target = "r.h5" if case.command in ("info", *DRAWING) else "e.toml"
    return ["advdiff", case.command, target, *case.arguments]


def _judged(code: object, message: str) -> str:
    """What is wrong with an exit code and what was said, if anything."""
    if code not in (0, 1, 2):
        return f"exit code {code}"
    if code == 0:
        return "noise" if message else ""
    if code == 1 and not message:  # an optimisation that says so in its result
        return ""
    lines = message.split("\n")
    if len(lines) != 1 or not message.startswith("advdiff: "):
        return "lines"
    if len(message) > LONGEST:
        return "long"
    if not message.isprintable():
        return "unprintable"
    return "" if code == 1 or _is_named(message) else "unnamed"


def _is_named(message: str) -> bool:
    """Whether a message says first which key, file, option or command is at fault."""
    text = message.removeprefix("advdiff: ")
    if ": unknown key; " in text:
        return True
    known = {k for t in (Experiment, ModelExperiment, Study) for k in t.model_fields}
    known |= {"e.toml", "r.h5", "No such", "Missing", "PETSc", "--", "-", "Option", "Got", "…"}
    return text.startswith(tuple(known)) or bool(
        re.match(r"Invalid value for|[\w'.]+( \(|[:.\[])", text)
    )


def _wrote(case: Case, code: object, before: dict, after: dict) -> str:
    """Which file was written or lost that should not have been."""
    changed = {n for n in before if after.get(n) != before[n]}
    if code in (0, 1):  # what was gone on from is done with
        changed = {n for n in changed if not Path(n).name.startswith(".e.h5.c")}
    new = {n for n in after if n not in before}
    if changed:
        return f"changed {sorted(changed)[0]}"
    if values.CANARY in " ".join(new):
        return "executed"
    may_write = case.command in DRAWING or (case.command == "run" and code in (0, 1))
    if new and not may_write:
        return f"left {sorted(new)[0]}"
    outside = [n for n in new if not n.startswith("of/case/") and "../" not in str(case)]
    return f"wrote {outside[0]}" if outside else ""


# -- all kinds ------------------------------------------------------------------------------------


@cache
def result(index: int) -> bytes:
    """The result file of a good experiment."""
    _, data, needs = BASES[index]
    written: dict[str, bytes] = {}
    outcome = run(Case("good", "run", data, _needed(needs)), 120.0, keep=written)
    assert outcome.is_fine, outcome
    return written["of/case/e.h5"]


RESULTS = (0, 1, 6, 7, 12, 14, 15)


@st.composite
def results(draw) -> Case:
    """A spoilt result for info or plot."""
    good = result(draw(st.sampled_from(RESULTS)))
    known = set(cli.app.commands)
    command = draw(st.sampled_from(["info"] * 4 + [name for name in DRAWING if name in known]))
    return Case("result", command, None, {"r.h5": draw(files.spoilt_result(good))})


@cache
def interrupted(index: int) -> dict[str, bytes]:
    """What an experiment leaves to go on from, by name."""
    _, data, needs = BASES[index]
    written: dict[str, bytes] = {}

    def stop(self):
        raise InputError("stopped")

    with (
        mock.patch.object(Checkpoint, "remove", stop),
        mock.patch.object(ReducedCheckpoint, "remove", stop),
        mock.patch.object(Archive, "finish", stop),
    ):
        run(Case("good", "run", data, _needed(needs)), 120.0, keep=written)
    return {Path(n).name: c for n, c in written.items() if n.startswith("of/case/.e.h5.c")}


RESUMED = (7, 10, 11, 12)


@st.composite
def resumptions(draw) -> Case:
    """``--resume`` from a damaged file."""
    index = draw(st.sampled_from(RESUMED))
    _, data, needs = BASES[index]
    left = {name: draw(files.damaged(content)) for name, content in interrupted(index).items()}
    return Case("resume", "run", data, _needed(needs) | left, ("--resume",))


def _needed(names: tuple[str, ...]) -> dict[str, bytes]:
    return {name: files.GOOD[name]() for name in names}


def _observed(name: str, content: st.SearchStrategy, kind: str) -> st.SearchStrategy:
    data = next(d for _, d, needs in BASES if name in needs)
    return content.map(lambda c: Case(kind, "check", data, {name: c}))


def _hdf5(content: bytes) -> Case:
    data = experiments.INVERT | {"observations": {"file": "obs.h5", "std": 0.1}}
    return Case("HDF5 data", "check", data, {"obs.h5": content})


def _grid(content: bytes, options: dict) -> Case:
    flow = {"file": "grid.nc", "components": ["u", "v"]} | options
    physics = SMALL["physics"] | {
        "velocity": flow,
        "inflow": dict.fromkeys(("left", "bottom"), 0.0),
    }
    return Case("grid", "check", SMALL | {"physics": physics}, {"grid.nc": content})


_grid_options = st.fixed_dictionaries(
    {},
    optional={
        "axes": st.sampled_from(
            [["lon", "lat"], ["x", "y"], ["x"], ["u", "v"], ["q", "q"], ["é", "x"]]
        ),
        "dimensions": st.sampled_from([["y", "x"], ["t", "y", "x"], ["y"], ["y", "y"]]),
        "interpolation": st.sampled_from(["linear", "cubic"]),
        "time": values.moments,
        "level": st.sampled_from([0, 7, 0.5, {"t": 0}, {"é": 1.0, "x": 0}]),
        "units": st.sampled_from(["m s-1", "km/h", "K", "", "é", "m/" * 90]),
        "axis_units": st.sampled_from(["m", "km", "degrees", "s", ""]),
        "plane": st.sampled_from([[0.0, 0.0], [1e300, 1e300], [0.0, 90.0]]),
        "missing": st.sampled_from([[], [0.0], [1.0, -999.0]]),
        "land": st.sampled_from(["wall", 0.0, 1e300]),
    },
)


def _mesh(name: str, content: bytes) -> Case:
    data = SMALL | {"domain": {"shape": "gmsh", "file": name}}
    return Case("mesh", "check", data, {name: content})


@st.composite
def _script(draw) -> Case:
    text = "\n".join(draw(st.lists(st.sampled_from(files.SCRIPTS), min_size=1, max_size=3)))
    return _mesh(draw(st.sampled_from(["mesh.geo", "mesh.msh"])), text.encode())


KINDS: dict[str, tuple[int, st.SearchStrategy]] = {
    "experiment": (50, experiments.experiments()),
    "tables": (6, experiments.tables_of_anything()),
    "TOML": (6, experiments.texts()),
    "command": (6, experiments.commands()),
    "CSV": (8, _observed("obs.csv", files.spoilt_csv(files.csv()), "CSV data")),
    "jumps": (2, _observed("jumps.csv", files.spoilt_csv(files.jumps()), "CSV data")),
    "waves": (2, _observed("waves.csv", files.spoilt_csv(files.waves()), "CSV data")),
    "HDF5": (5, files.spoilt_hdf5().map(_hdf5)),
    "grid": (6, st.builds(_grid, files.spoilt_grid(), _grid_options)),
    "mesh": (5, files.spoilt_msh().map(lambda c: _mesh("mesh.msh", c))),
    "script": (1, _script()),
    "result": (6, results()),
    "resume": (4, resumptions()),
}
"""Kind → how many of about a hundred cases, and the cases."""


def cases(only: tuple[str, ...] = ()) -> st.SearchStrategy:
    """Cases of all kinds, or of some."""
    chosen = [k for k in KINDS if not only or k in only]
    names = [k for k in chosen for _ in range(KINDS[k][0])]
    return st.sampled_from(names).flatmap(lambda name: KINDS[name][1])
