"""What ``advdiff run`` does with a study: replicates spread over the ranks, one result.

Every replicate has its own seed, made of the study's seed, the law, d and its number: the result
is the same for any number of ranks, and what is there stays when laws or dimensions are added.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from mpi4py import MPI

from advdiff.config.tables.study import Study
from advdiff.core import progress
from advdiff.core.errors import InputError
from advdiff.core.progress import Say
from advdiff.core.ranks import agreed
from advdiff.files import result
from advdiff.files.result import ResultFile
from advdiff.files.shared import check_output
from advdiff.matexp import derivative
from advdiff.matexp.rates.laws import LAWS, random_rate_matrix, unit_entry
from advdiff.matexp.rates.studies import (
    RandomRates,
    SurrogateErrors,
    random_rates,
    surrogate_errors,
)


class Replicate(NamedTuple):
    """One random matrix: indices of its law, d and number; how large; whether to certify it."""

    law: int
    dimension: int
    number: int
    d: int
    certified: bool

    def rng(self, study: Study) -> np.random.Generator:
        """Its random numbers."""
        law = LAWS.index(study.matexp.laws[self.law])
        return np.random.default_rng([study.matexp.seed, law, self.d, self.number])


def replicates(study: Study) -> list[Replicate]:
    """All of them, law by law, d by d."""
    table = study.matexp
    counts, certified = table.counts("replicates"), table.counts("certified")
    return [
        Replicate(law, k, number, d, number < certified[k])
        for law, (k, d) in product(range(len(table.laws)), enumerate(table.dimensions))
        for number in range(counts[k])
    ]


def check(study: Study, comm: MPI.Comm = MPI.COMM_WORLD) -> list[str]:
    """What is going to be done, line by line (collective).

    Raises:
        InputError: where the result cannot be written.
    """
    check_output(study.output_path, comm)
    table = study.matexp
    return [
        f"task        {study.task}",
        f"laws        {', '.join(table.laws)}",
        f"matrices    {len(replicates(study))}, d = {', '.join(map(str, table.dimensions))}",
    ]


def run(study: Study, say: Say, *, resume: bool = False, comm: MPI.Comm = MPI.COMM_WORLD) -> bool:
    """Run a study and write its result (collective); always True."""
    if resume:
        raise InputError(
            "--resume: only task = 'invert' and 'sample' can go on; run without --resume"
        )
    began = time.perf_counter()
    for line in check(study, comm):
        say(line)
    one, write = {
        "surrogate-error": (_errors, _write_errors),
        "random-rates": (_rates, _write_rates),
    }[study.task]
    found = list(_spread(study, one, say, comm))
    attributes = {
        "task": study.task,
        "experiment": study.text,
        "options": study.model_dump_json(),
        "seed": study.matexp.seed,
    }
    with result.create(study.output_path, comm, attributes) as file:
        file.scale("law", study.matexp.laws, long_name="law of the rates")
        file.scale("d", study.matexp.dimensions, long_name="number of states")
        file.axis("replicate", max(study.matexp.counts("replicates")))
        write(file, study, found)
    say(f"written     {study.output_path} ({time.perf_counter() - began:.1f} s)")
    return True


def _spread(
    study: Study, one: Callable, say: Say, comm: MPI.Comm
) -> Iterator[tuple[Replicate, NamedTuple]]:
    """Every replicate with what ``one`` finds for it, on all ranks; in the replicates' order."""
    mine, began, group = [], time.perf_counter(), None
    with agreed(comm), progress.stage("study"):
        for replicate in progress.counted(replicates(study), "matrices"):
            if replicate[:2] != group:
                group = replicate[:2]
                law, seconds = study.matexp.laws[group[0]], time.perf_counter() - began
                say(f"law         {law:12s} d = {replicate.d:<5d} after {seconds:6.1f} s")
            if replicate.number % comm.size == comm.rank:
                mine.append((replicate, one(study, replicate)))
    return iter(sorted((r for part in comm.allgather(mine) for r in part), key=lambda r: r[0]))


def _table(study: Study, found: list, name: str, shape: tuple[int, ...] = ()) -> np.ndarray:
    """A field of all replicates, (law, d, replicate, *shape), nan where there is none."""
    table = study.matexp
    size = len(table.laws), len(table.dimensions), max(table.counts("replicates"))
    values = np.full((*size, *shape), np.nan)
    for replicate, fields in found:
        values[replicate[:3]] = np.reshape(getattr(fields, name), shape)
    return values


# -- surrogate-error ------------------------------------------------------------------------------


def _errors(study: Study, one: Replicate) -> SurrogateErrors:
    table, law = study.matexp, study.matexp.laws[one.law]
    return surrogate_errors(
        one.rng(study), law, one.d, table.times, 1, table.methods, int(one.certified)
    )


def _write_errors(file: ResultFile, study: Study, found: list) -> None:
    methods, times, laws = study.matexp.methods, study.matexp.times, study.matexp.laws
    file.scale("method", methods, long_name="surrogate")
    file.scale("time", times, long_name="t")
    sizes, errors = ("law", "d", "replicate", "time"), ("law", "d", "replicate", "method", "time")
    for name, path, title in (
        ("frobenius", "error/frobenius", "Frobenius norm of the surrogate's error"),
        ("spectral", "error/spectral", "2-norm of the surrogate's error"),
        ("bound", "certificate", "certificate: a bound on the 2-norm of the error"),
    ):
        values = _table(study, found, name, (len(methods), len(times)))
        file.array(path, values, errors, long_name=title)
    for name, path, title in (
        ("size", "exact/frobenius", "Frobenius norm of the derivative"),
        ("spectral_size", "exact/spectral", "2-norm of the derivative"),
    ):
        values = _table(study, found, name, (len(times),))
        file.array(path, values, sizes, long_name=title)
    values = [[_rounding(study, k, d) for d in study.matexp.dimensions] for k in range(len(laws))]
    title = "relative difference of two exact methods at the last time"
    file.array("exact/rounding", values, ("law", "d"), long_name=title)


def _rounding(study: Study, law: int, d: int) -> float:
    """How far apart two exact derivatives are, for one matrix."""
    name, last = study.matexp.laws[law], study.matexp.times[-1:]
    rng = np.random.default_rng([study.matexp.seed, LAWS.index(name), d])
    Q, J = random_rate_matrix(rng, d, name), unit_entry(rng, d)
    one, other = (derivative(Q, J, last[0], method) for method in ("frechet", "block"))
    return float(np.linalg.norm(one - other) / np.linalg.norm(one))


# -- random-rates ---------------------------------------------------------------------------------

TITLES = {
    "modulus_min": "e_m, the smallest modulus of the non-zero eigenvalues",
    "modulus_max": "e_M, the largest modulus",
    "gap": "spectral gap",
    "sigma_min": "σ_m, the smallest non-zero singular value",
    "correction": "2-norm of Q^# J (I − Q Q^#), J a unit entry",
    "printed_bound": "1/σ_m, the bound as printed",
    "mended_bound": "‖Π‖³/σ_m",
    "eigen_bound": "bound by the eigenvectors",
}


def _rates(study: Study, one: Replicate) -> RandomRates:
    law = study.matexp.laws[one.law]
    return random_rates(one.rng(study), law, one.d, 1, eigenvectors=True)


def _write_rates(file: ResultFile, study: Study, found: list) -> None:
    for name in RandomRates._fields:
        values = _table(study, found, name)
        file.array(f"rates/{name}", values, ("law", "d", "replicate"), long_name=TITLES[name])
