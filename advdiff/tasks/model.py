"""Tasks whose model is no equation on a mesh."""

from __future__ import annotations

import time

from mpi4py import MPI

from advdiff.chains.run import Groups
from advdiff.config.tables.models import ModelExperiment
from advdiff.core.progress import Say
from advdiff.core.ranks import on_root
from advdiff.files.shared import check_output
from advdiff.models import posteriors
from advdiff.sampling.layout import Layout
from advdiff.sampling.run import sample
from advdiff.views import chains


def check(experiment: ModelExperiment, comm: MPI.Comm = MPI.COMM_WORLD) -> list[str]:
    """Everything that can be validated without sampling (collective): line by line.

    Raises:
        InputError: for the first thing that is wrong.
    """
    check_output(experiment.output_path, comm)
    data, _ = posteriors.read(experiment, comm)
    posterior = posteriors.build(experiment, data, None, comm)
    table = experiment.sampler
    return [
        f"task        sample, model {experiment.model.kind}",
        f"readings    {len(data['time'])}",
        f"parameters  {posterior.prior.unknowns.size}",
        f"sampler     {table.kernel}, {table.chains} chains of {table.warmup} + {table.draws}"
        + (f", every {table.thin}th kept" if table.thin > 1 else ""),
    ]


def run(
    experiment: ModelExperiment, say: Say, *, resume: bool = False, comm: MPI.Comm = MPI.COMM_WORLD
) -> bool:
    """Sample and write the result (collective); always True."""
    began, table = time.perf_counter(), experiment.sampler
    for line in check(experiment, comm):
        say(line)
    data, truth = posteriors.read(experiment, comm)
    groups = Groups(comm, table.groups or min(comm.size, table.chains))
    posterior = posteriors.build(experiment, data, truth, groups.comm)
    tables = {"model", "prior", "sampler", "observations"}
    layout = Layout(
        attributes={
            "task": experiment.task,
            "model": experiment.model.kind,
            "experiment": experiment.text,
            "options": experiment.model_dump_json(),
        },
        variables=posterior.variables,
        values=posterior.values,
        observed=posterior.observed,
        constant=posterior.constant,
        coordinates=posterior.coordinates,
        mark=experiment.model_dump_json(include=tables) + posterior.digest,
    )
    sample(posterior, table, groups, layout, experiment.output_path, say, resume=resume)
    for line in on_root(comm, lambda: chains.of(experiment.output_path)):
        say(line)
    seconds = time.perf_counter() - began
    say(f"written     {experiment.output_path} ({seconds:.1f} s)")
    return True
