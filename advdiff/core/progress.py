"""Where a run is: its stages, and how far each has come.

Code that computes opens a stage and counts in it:

    with progress.stage("chains", total, "steps") as bar:
        ...
        bar.at(done)

Where nobody shows it (on every rank but 0, in every program but ``advdiff run``) that costs a call
and nothing else; it never communicates.  :func:`shown` is what the command line puts around a run:
a bar with the time that remains on a terminal, and everywhere a line when a stage is over.

One stage is shown at a time, the outermost; for one that counts nothing itself the engines do so,
by :func:`within` and :func:`counted`.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO, TypeVar

T = TypeVar("T")
Say = Callable[[str], None]
"""What takes a line for the user (on rank 0)."""

BAR_EVERY = 0.1
"""Seconds between two drawings of the bar."""
LINE_EVERY = 300.0
"""Seconds after which a log hears of a stage that is not over."""
DETAILS = ("iteration", "greedy", "law")
"""First words of the lines that only ``--verbose`` shows: the inner life of a stage."""


class Silent:
    """A stage that nobody looks at."""

    done = 0.0

    def at(self, done: float, note: str = "") -> None:
        """Nothing."""


@dataclass
class Stage:
    """The stage that is shown.

    Attributes:
        name, unit: what is done, and what is counted; no unit: nothing of its own.
        total: how much there will be, None where nobody knows.
        done, note: how much there is, and words to say instead.
        start: when it was first heard of, and how much there was then.
        lendable: whether a stage within may count in its place.
    """

    name: str
    total: float | None
    unit: str
    display: Display
    began: float = field(default_factory=lambda: time.perf_counter())
    done: float = 0.0
    note: str = ""
    start: tuple[float, float] | None = None

    def __post_init__(self):
        self.lendable = not self.unit

    def lend(self, total: float | None, unit: str) -> None:
        """Let a stage within count."""
        self.lendable, self.start = False, None
        self.total, self.unit, self.done, self.note = total, unit, 0.0, ""

    def at(self, done: float, note: str = "") -> None:
        """So much is done; ``note`` is shown in place of the count."""
        if self.start is None:  # a run that was resumed begins further on
            self.start = (time.perf_counter(), done)
        self.done, self.note = done, note
        self.display.update(self)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self.began

    @property
    def remaining(self) -> float | None:
        """Seconds that it will take yet at the rate so far; None where that cannot be told."""
        if self.start is None or not self.total or not self.done > self.start[1]:
            return None
        moment, first = self.start
        rate = (self.done - first) / max(time.perf_counter() - moment, 1e-9)
        return max(self.total - self.done, 0.0) / rate

    def count(self) -> str:
        """What is done, in words."""
        if self.note or self.start is None:
            return self.note
        of = "" if self.total is None or self.done >= self.total else f" of {self.total:.0f}"
        return f"{self.done:.0f}{of} {self.unit}"

    def line(self, *, over: bool) -> str:
        """For a log."""
        parts = [self.name, self.count(), duration(self.seconds)]
        if not over and self.remaining is not None:
            parts.append(f"about {duration(self.remaining)} to go")
        return f"stage       {', '.join(part for part in parts if part)}"


class Display:
    """Stages in a log.

    Args:
        write: takes a line.
    """

    def __init__(self, write: Say):
        self.write = write
        self.current: Stage | None = None
        self._last = 0.0

    def begin(self, stage: Stage) -> None:
        """A stage opens."""
        self.current, self._last = stage, stage.began

    def update(self, stage: Stage) -> None:
        """It has come further."""
        if time.perf_counter() - self._last > LINE_EVERY:
            self._last = time.perf_counter()
            self.write(stage.line(over=False))

    def end(self, stage: Stage, *, whole: bool) -> None:
        """It is over, or was left by an exception."""
        self.current = None
        if whole:
            self.write(stage.line(over=True))


class Bar(Display):
    """The same with a bar on a terminal while a stage lasts.

    Args:
        file: what is written there.
        width: columns of the terminal.
    """

    def __init__(self, write: Say, file: TextIO, width: int):
        super().__init__(write)
        from rich.console import Console

        self._console = Console(file=file, width=width, force_terminal=True)
        self._live = None

    def begin(self, stage: Stage) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        super().begin(stage)
        self._live = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[text]}"),
            console=self._console,
            auto_refresh=False,  # a thread would have to wait for PETSc
            transient=True,
            expand=True,
        )
        self._task = self._live.add_task(stage.name, total=1.0, text="")
        self._live.start()
        self._console.show_cursor(True)  # which a killed run would leave hidden
        self._live.refresh()

    def update(self, stage: Stage) -> None:
        now = time.perf_counter()
        if now - self._last < BAR_EVERY:
            return
        self._last = now
        left = stage.remaining
        parts = [stage.count(), duration(stage.seconds)]
        if left is not None:
            parts.append(f"{duration(left)} to go")
        text = ", ".join(part for part in parts if part)
        share = stage.done / stage.total if stage.total else 0.0
        self._live.update(self._task, completed=min(share, 1.0), text=text)
        self._live.refresh()

    def end(self, stage: Stage, *, whole: bool) -> None:
        self._live.stop()
        super().end(stage, whole=whole)


_display: Display | None = None
SILENT = Silent()


@contextmanager
def stage(name: str, total: float | None = None, unit: str = "") -> Iterator[Stage | Silent]:
    """A stage of the run, from here to the end of the block (local to the rank).

    Args:
        name: a word or two.
        total: how much there is to do, None where nobody knows.
        unit: of what, in the plural; none: what is counted within tells how far it is.
    """
    if _display is None or _display.current is not None:
        yield SILENT
        return
    bar, whole = Stage(name, total, unit, _display), False
    bar.display.begin(bar)
    try:
        yield bar
        whole = True
    finally:
        bar.display.end(bar, whole=whole)


@contextmanager
def within(total: float, unit: str) -> Iterator[Stage | Silent]:
    """Count for the stage that is open, if it counts nothing itself (local to the rank)."""
    outer = None if _display is None else _display.current
    if outer is None or not outer.lendable:
        yield SILENT
        return
    outer.lend(total, unit)
    try:
        yield outer
    finally:
        outer.lendable = True


def counted(items: Sequence[T], unit: str) -> Iterator[T]:
    """The items, one after the other, counted for the stage that is open."""
    with within(len(items), unit) as bar:
        for number, item in enumerate(items, 1):
            yield item
            bar.at(number)


def descent(bar: Stage | Silent, iteration: int, fallen: float, wanted: float) -> None:
    """An optimiser's iteration: the bar counts the decades that its gradient fell, at the most.

    Args:
        fallen, wanted: norm of the gradient, here and at the end, relative to the first.
    """
    bar.total = -math.log10(wanted) if 0.0 < wanted < 1.0 else None
    decades = -math.log10(fallen) if fallen > 0.0 else 16.0
    words = f"iteration {iteration}, gradient {fallen:.1e} of its first"
    bar.at(max(bar.done, decades), words)


@contextmanager
def shown(display: Display) -> Iterator[Display]:
    """Show the stages of the block on a display (rank 0)."""
    global _display
    before, _display = _display, display
    try:
        yield display
    finally:
        _display = before


def display(write: Say, file: TextIO) -> Display:
    """A bar where the stream is a terminal's, a log elsewhere."""
    width = terminal(file)
    return Display(write) if width is None else Bar(write, file, width)


def is_trouble(line: str) -> bool:
    """Whether ``--quiet`` should let a line through: a warning, or a tolerance not reached."""
    return line.startswith("warning") or " NOT reached" in line


def duration(seconds: float) -> str:
    """``4.2 s``, ``3 min 20 s`` or ``2 h 5 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def terminal(file: TextIO) -> int | None:
    """The columns of the terminal behind a stream; None where there is none (local).

    Under Open MPI every rank 0 seems to write to a terminal, for mpirun puts one between: it is
    mpirun's own output that counts then.
    """
    try:
        descriptor = file.fileno()
        if not os.isatty(descriptor) or os.environ.get("TERM") == "dumb":
            return None
        if "OMPI_COMM_WORLD_SIZE" not in os.environ:
            return os.get_terminal_size(descriptor).columns or 80
        there = os.open(f"/proc/{os.getppid()}/fd/1", os.O_WRONLY | os.O_NOCTTY)
    except (OSError, ValueError):
        return None
    try:
        return (os.get_terminal_size(there).columns or 80) if os.isatty(there) else None
    finally:
        os.close(there)
