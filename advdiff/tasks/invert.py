"""``task = "invert"``: the estimate by the full model."""

from __future__ import annotations

from pathlib import Path

from advdiff.core import progress, stopping
from advdiff.core.progress import Say
from advdiff.problem.problem import Problem
from advdiff.results.checkpoint import Checkpoint
from advdiff.results.writing import say_solver
from advdiff.tasks.estimate import conclude
from advdiff.tasks.laplace import uncertainty
from advdiff.tasks.stages import Descent, TimeSplit


def run_inversion(problem: Problem, say: Say, path: Path, resume: bool) -> bool:
    """Minimise the objective and write the result (collective).

    Returns:
        False where it stopped short of its tolerance.
    """
    checkpoint = Checkpoint(problem, path)
    if resume:
        checkpoint.load()
    else:
        checkpoint.create()
    with stopping.resumable(checkpoint.path):
        return _minimise(problem, say, path, checkpoint, resume)


def _minimise(problem: Problem, say: Say, path: Path, checkpoint: Checkpoint, resume: bool) -> bool:
    clock = TimeSplit()
    difference = problem.calibrate()
    if problem.nodes is not None:
        say(
            f"gradient    {problem.nodes} Gauss nodes an interval; the last two orders differ by "
            f"{difference:.1e}"
        )

    with progress.stage("inversion", unit="decades") as bar:
        estimate = problem.invert(Descent(say, problem.experiment.optimizer, bar), tape=checkpoint)
    if resume:
        say(f"resumed     {checkpoint.replayed} evaluations were there already")
    say(f"optimiser   {estimate.message}")
    say_solver(say, estimate.evaluation.linearisation.report)
    split = clock.seconds()
    say("time        " + ", ".join(f"{k} {v:.1f} s" for k, v in split.items()))
    found = uncertainty(problem, say, estimate)
    conclude(problem, say, path, estimate, split, found.write, found.std)
    if estimate.converged:  # else --resume with more iterations goes on
        checkpoint.remove()
    return estimate.converged
