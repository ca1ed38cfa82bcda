"""The command line: init, check, run, readings, info, plot, report, doctor.

Options with one dash go to PETSc (``-tao_monitor``, ``-advdiff_mfn_type expokit``, ``-log_view``).
Exit codes: 0 done, 1 an iteration did not converge, 2 bad input or a full disk, 3 a bug (with its
traceback), 130 and 143 stopped by Ctrl-C and SIGTERM; the same on all ranks.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from click.exceptions import Exit

from advdiff.commands import arguments
from advdiff.core import stopping
from advdiff.core.version import __version__


class Commands(click.Group):
    """The commands, in the order below; a wrong name is answered by the nearest."""

    def list_commands(self, context):
        return list(self.commands)

    def resolve_command(self, context, arguments):
        from advdiff.core.errors import InputError, shortened, suggestion

        name, known = arguments[0], self.list_commands(context)
        if name not in known and not name.startswith("-"):
            raise InputError(f"{shortened(name)}: no such command; {suggestion(name, known)}")
        return super().resolve_command(context, arguments)


@click.group(cls=Commands, invoke_without_command=True)
@click.version_option(__version__, prog_name="advdiff", message="%(prog)s %(version)s")
@click.pass_context
def app(context: click.Context) -> None:
    """Sensitivities and inversion for advection-diffusion. Options with one dash go to PETSc."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


FILE = click.Path(path_type=Path)
experiment_file = click.argument("experiment", type=FILE, metavar="EXPERIMENT.toml")
result_file = click.argument("result", type=FILE, metavar="FILE.h5")
overrides = click.option(
    "--set", "settings", multiple=True, metavar="KEY.SUB=VALUE", help="replace a value of the file"
)

READERS = ("info", "plot", "report", "--version", "--help")
"""What needs no MPI where it is not started on several ranks."""
LONGEST = 280
"""Characters of a message; of a longer one the middle is left out."""
PATIENCE = 5.0
"""Seconds to wait for ranks that do not come to an error all others have met."""
TURN = 0.1
"""Seconds that a rank leaves to those before it, of which one speaks for all."""


def _say(line: str, file=None) -> None:
    from advdiff.core.ranks import world

    if world().rank == 0:
        stream = file or sys.stdout
        print(_printable(line, stream.encoding or "utf-8"), flush=True, file=stream)


def _printable(text: str, encoding: str = "utf-8") -> str:
    """Without what a terminal would obey or cannot show, as the bytes of a damaged file may be."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return text.encode(encoding, errors="replace").decode(encoding)


def _fail(error: str, code: int, comm) -> int:
    """One line on stderr, and the code to exit with, once all ranks have come here.

    Those that do not come wait in a collective call for this one: the job ends at once.

    Args:
        comm: all ranks, for nothing but this: no call that another waits in is on it.
    """
    line = _printable(" ".join(error.split()))
    if len(line) > LONGEST:  # such as a name of a thousand letters
        line = f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"
    line = f"advdiff: {line}"
    _say(line, sys.stderr)
    if comm.size > 1:
        for other in range(1, comm.size) if comm.rank == 0 else ():
            comm.Isend(b"", other, stopping.TAG)
        arrived, until = comm.Ibarrier(), time.monotonic() + PATIENCE + TURN * min(comm.rank, 10)
        while not arrived.Test():
            if time.monotonic() > until:
                if comm.rank and not comm.Iprobe(0, stopping.TAG):
                    print(line, flush=True, file=sys.stderr)
                stopping.leave(code)
            time.sleep(1e-3)
    return code


def _task(experiment: Path, settings: Sequence[str], output: Path | None = None, groups: int = 1):
    """The room that knows the experiment's task, and what that room runs."""
    from advdiff.config.load import load as load_experiment
    from advdiff.config.tables.models import ModelExperiment
    from advdiff.config.types import STUDIES
    from advdiff.core.errors import InputError
    from advdiff.core.ranks import on_root, world

    settings = list(settings)
    if output is not None:
        settings.append(f"output.file={json.dumps(str(output.absolute()), ensure_ascii=False)}")
    loaded = load_experiment(experiment, tuple(settings))
    if groups != 1 and getattr(loaded, "reduced", None) is None:
        raise InputError(
            f"--groups {groups}: only an inversion with a table [reduced] divides its ranks; "
            "run without --groups"
        )
    if loaded.task in STUDIES:
        from advdiff.tasks import study

        return study, loaded
    _start_petsc()
    if isinstance(loaded, ModelExperiment):
        from advdiff.tasks import model

        return model, loaded
    from advdiff import tasks
    from advdiff.core import jit
    from advdiff.problem import problem

    on_root(world(), jit.require_compiler)
    if groups == 1:
        return tasks, problem.Problem(loaded)
    from advdiff.reduced.offline.groups import Groups

    divided = Groups(count=groups)
    task = problem.Problem(loaded, divided.domain)
    task.groups = divided
    return tasks, task


def _loaded() -> None:
    """All is loaded: from here on garbage is collected, of what is made from here on."""
    gc.freeze()
    gc.enable()


def _start_petsc() -> None:
    """With the options that the command line has for it."""
    options = [sys.argv[0], *click.get_current_context().obj]
    import petsc4py

    petsc4py.init(options)
    import slepc4py

    slepc4py.init(options)
    stopping.keep()


@app.command()
@click.argument("experiment", type=FILE, metavar="[FILE.toml]", default="experiment.toml")
@click.option("--task", default="solve", help="solve, sensitivity, invert or sample")
def init(experiment: Path, task: str) -> None:
    """Write a commented experiment file to start from.

    With readings beside it where it needs some.
    """
    from advdiff.commands import init as example
    from advdiff.core.errors import InputError, suggestion
    from advdiff.core.ranks import on_root, world

    if task not in example.TASKS:
        raise InputError(f"--task {task}: {suggestion(task, list(example.TASKS))}")
    _start_petsc()
    for path in on_root(world(), lambda: example.write(experiment, task)):
        _say(str(path))


@app.command()
@experiment_file
@click.option("--output", type=FILE, metavar="FILE.h5", help="the result, not output.file")
@overrides
@click.option("--resume", is_flag=True, help="go on from a checkpoint")
@click.option("--groups", default=1, help="groups of ranks ([reduced])")
@click.option("--quiet", "-q", is_flag=True, help="say only what is wrong")
@click.option("--verbose", is_flag=True, help="a line an iteration too")
def run(
    experiment: Path,
    output: Path | None,
    settings: tuple[str, ...],
    resume: bool,
    groups: int,
    quiet: bool,
    verbose: bool,
) -> None:
    """Run the experiment and write its result."""
    from advdiff.core.disk import keep_lost_writes

    keep_lost_writes()
    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose; take one of them")
    room, task = _task(experiment, settings, output, groups)
    _loaded()
    with _showing(quiet, verbose) as say:
        converged = room.run(task, say, resume=resume)
    if not converged:
        raise Exit(1)


@contextmanager
def _showing(quiet: bool, verbose: bool):
    """What a task says its lines to; the stages are shown meanwhile."""
    from advdiff.core import progress
    from advdiff.core.ranks import world

    def say(line: str) -> None:
        word = line.partition(" ")[0]
        if quiet and progress.is_trouble(line):
            _say(line, sys.stderr)
        elif not quiet and (verbose or word not in progress.DETAILS):
            _say(line)

    if quiet or world().rank:
        yield say
        return
    with progress.shown(progress.display(say, sys.stdout)):
        yield say


@app.command()
@click.argument("experiment", type=FILE, metavar="EXPERIMENT.toml", required=False)
@overrides
def check(experiment: Path | None, settings: tuple[str, ...]) -> None:
    """Validate everything that is cheap, run nothing.

    Without a file: the same as doctor.
    """
    if experiment is None:
        raise Exit(_doctor())
    room, task = _task(experiment, settings)
    _loaded()
    for line in room.check(task):
        _say(line)
    _say("ok")


@app.command()
@click.argument("file", type=FILE, metavar="FILE")
@overrides
def readings(file: Path, settings: tuple[str, ...]) -> None:
    """Say what is understood of a table of readings.

    FILE is the table, or an experiment's file (.toml) that names one.
    """
    from advdiff.core.ranks import on_root, world
    from advdiff.views import readings as view

    for line in on_root(world(), lambda: view.lines(file, settings)):
        _say(line)


@app.command()
@result_file
def info(result: Path) -> None:
    """Say what is in a result file."""
    from advdiff.views.info import lines

    for line in lines(result):
        _say(line)


@app.command()
@result_file
@click.option("--output", type=FILE, metavar="FOLDER", help="where the pictures go")
def plot(result: Path, output: Path | None) -> None:
    """Draw every picture that the result allows, as PNG (on rank 0)."""
    from advdiff.core.ranks import on_root, world
    from advdiff.files.finished import open_result

    open_result(result).close()
    from advdiff.views import plots

    _loaded()
    for path in on_root(world(), lambda: plots.draw(result, output)):
        _say(str(path))


@app.command()
@result_file
@click.option("--output", type=FILE, metavar="FILE.html", help="the page")
def report(result: Path, output: Path | None) -> None:
    """Write one HTML page: pictures, numbers, settings, warnings (on rank 0)."""
    from advdiff.core.ranks import on_root, world
    from advdiff.views import report as pages

    _loaded()
    _say(str(on_root(world(), lambda: pages.write(result, output))))


@app.command()
def doctor() -> None:
    """Say what a run finds on this machine, what is missing, and what to type."""
    raise Exit(_doctor())


def _doctor() -> int:
    from advdiff.commands import doctor as look

    return look.main()


def main() -> None:
    """The console script."""
    from advdiff.core.errors import ConvergenceError, InputError, NoRoom, suggestion
    from advdiff.core.ranks import foreign_launcher, stay_alone, world

    if trouble := foreign_launcher():
        if int(os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ.get("PMI_RANK") or 0) == 0:
            print(f"advdiff: {trouble}", flush=True, file=sys.stderr)
        sys.exit(2)
    if sys.argv[1:2] and sys.argv[1] in READERS:
        stay_alone()
    warnings.simplefilter("ignore", RuntimeWarning)  # numpy's: what overflows is said in our words
    comm = world()
    last = comm.Dup() if comm.size > 1 else comm
    if comm.rank:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    try:
        ours, petsc = arguments.split(sys.argv[1:])
        arguments.check(petsc)
        code = app(args=ours, prog_name="advdiff", standalone_mode=False, obj=petsc) or 0
    except Exit as stop:
        code = stop.exit_code
    except click.NoSuchOption as error:
        known = ["--help", *(name for option in error.ctx.command.params for name in option.opts)]
        remedy = suggestion(error.option_name, [name for name in known if name.startswith("--")])
        code = _fail(f"{error.option_name}: no such option; {remedy}", 2, last)
    except click.ClickException as error:
        code = _fail(error.format_message(), 2, last)
    except InputError as error:
        code = _fail(str(error), 2, last)
        if isinstance(error, NoRoom) and _hdf5_holds(comm):
            stopping.leave(code)
    except ConvergenceError as error:
        code = _fail(str(error), 1, last)
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "advdiff":
            raise
        code = _fail(f"{error}; type advdiff doctor", 2, last)
    except BaseException:
        if comm.size == 1:
            raise
        traceback.print_exc()
        sys.stderr.flush()
        stopping.leave(3)
    sys.stdout.flush()
    sys.exit(code)


def _hdf5_holds(comm) -> bool:
    """Whether HDF5 may want to write more as this process ends.

    A single process need not ask, for no other waits for its end.
    """
    import h5py

    return comm.size == 1 or h5py.h5f.get_obj_count() > 0
