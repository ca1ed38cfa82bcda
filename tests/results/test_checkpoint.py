"""A run that was stopped and goes on is the run that was not, bit for bit."""

from functools import cache

import numpy as np
import pytest
from mpi4py import MPI
from petsc4py import PETSc

from advdiff import Problem, tasks
from advdiff.config.load import parse
from advdiff.core.errors import InputError
from advdiff.core.ranks import on_root
from advdiff.inverse.white import VALUE
from advdiff.results import checkpoint as module
from advdiff.results.checkpoint import Checkpoint
from tests import flows
from tests.inverse.test_inversion import SINE, inverse_problem, observations

WORLD = MPI.COMM_WORLD
STREAM = {"velocity": {"family": "stream"}, "diffusivity": True}
UNKNOWNS = {"coefficients": SINE, "field": STREAM}


class Stop(Exception):
    """Stands for a kill."""


def problem(tmp_path, unknowns, type="lmvm"):
    # trust regions look far away: the recurrence alone would not do, and each step is dear
    solver, most = ({"method": "auto"}, 5) if type == "ntr" else ({}, 8)
    table = {"type": type, "max_iterations": most, "gradient_tolerance": 1e-9}
    return inverse_problem(tmp_path, unknowns, optimizer=table, solver=solver)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The runs that nothing befell, by unknowns and optimiser, each made once."""
    folder = WORLD.bcast(tmp_path_factory.mktemp("whole"))
    return cache(lambda kind, type="lmvm": problem(folder, UNKNOWNS[kind], type).invert())


def stopped(made, path, at: int) -> None:
    """Run until the model is to be evaluated for the ``at``-th time."""
    tape, evaluate = Checkpoint(made, path), made.model.linearise
    tape.create()

    def linearise(m):
        if made.model.evaluations == at:
            raise Stop
        return evaluate(m)

    made.model.linearise = linearise
    with pytest.raises(Stop):
        made.invert(tape=tape)


def resumed(made, path):
    tape = Checkpoint(made, path)
    tape.load()
    return made.invert(tape=tape), tape


def bits(estimate) -> tuple:
    """All that must be the same: not the seconds."""
    rows = [
        (e.iteration, e.objective, e.misfit, e.gradient_norm, e.solves, e.hessian_products)
        for e in estimate.history
    ]
    return rows, estimate.m.array.tobytes(), estimate.message


def same(a, b) -> bool:
    """Bit for bit where two runs that nothing befell are.

    They are on one rank.  On several, sums are made in the order in which messages come: always
    where MUMPS factorises the prior of a field, often on three ranks, now and then on two.
    """
    if WORLD.size == 1:
        return bits(a) == bits(b)
    values = [[e.objective for e in x.history] for x in (a, b)]
    distance = a.m.copy()
    distance.axpy(-1.0, b.m)
    return np.allclose(*values, rtol=1e-8) and distance.norm() < 1e-6 * b.m.norm()


ALONE = pytest.mark.serial
"""Optimisers that ask ranks for nothing that the others do not."""
# Both kinds of unknowns with values and gradients alone and with products of the Hessian, stopped
# early, midway and late; the other optimisers, which only ask in another order, once each.
STOPS = [
    ("lmvm", "coefficients", (1, 4, 7)),
    ("lmvm", "field", (4,)),
    ("nls", "coefficients", (4,)),
    ("nls", "field", (1, 7)),
    pytest.param("cg", "field", (4,), marks=ALONE),
    pytest.param("bqnls", "coefficients", (4,), marks=ALONE),
    pytest.param("ntr", "coefficients", (4,), marks=ALONE),
]


@pytest.mark.parametrize(("type", "kind", "stops"), STOPS)
def test_resumes_bit_for_bit(tmp_path, whole, type, kind, stops):
    unknowns = UNKNOWNS[kind]
    for at in stops:
        path = tmp_path / f"{at}.h5"
        stopped(problem(tmp_path, unknowns, type), path, at)
        again, tape = resumed(problem(tmp_path, unknowns, type), path)
        assert tape.replayed >= at
        assert same(again, whole(kind, type))


def test_a_run_may_be_stopped_many_times(tmp_path, whole):
    path = tmp_path / "x.h5"
    stopped(problem(tmp_path, SINE), path, 2)
    for _ in range(2):  # two evaluations more each time
        made = problem(tmp_path, SINE)
        tape, evaluate = Checkpoint(made, path), made.model.linearise
        tape.load()

        def linearise(m, made=made, evaluate=evaluate):
            if made.model.evaluations == 2:
                raise Stop
            return evaluate(m)

        made.model.linearise = linearise
        with pytest.raises(Stop):
            made.invert(tape=tape)
    again, tape = resumed(problem(tmp_path, SINE), path)
    assert tape.replayed == 6
    assert same(again, whole("coefficients"))


def test_a_torn_record_is_computed_again(tmp_path, whole):
    path = tmp_path / "x.h5"
    stopped(problem(tmp_path, SINE), path, 6)
    file = Checkpoint(problem(tmp_path, SINE), path).path
    content = on_root(WORLD, file.read_bytes)
    spoilt = bytearray(content)
    spoilt[-20] ^= 1
    for torn in (content[:-5], bytes(spoilt), content + b"more"):
        on_root(WORLD, lambda torn=torn: file.write_bytes(torn) and None)
        again, tape = resumed(problem(tmp_path, SINE), path)
        assert tape.replayed == 6 - (torn[: len(content)] != content)
        assert same(again, whole("coefficients"))


def test_the_file_is_bounded(tmp_path, whole, monkeypatch):
    path = tmp_path / "x.h5"
    size = problem(tmp_path, SINE).unknowns.size
    limit = module.TITLE + 8 * size + 3 * (module.HEAD.itemsize + 8 * size)
    monkeypatch.setattr(module, "LARGEST", limit)
    stopped(problem(tmp_path, SINE), path, 7)
    again, tape = resumed(problem(tmp_path, SINE), path)
    assert tape.path.stat().st_size <= limit
    assert tape.replayed == 3
    assert same(again, whole("coefficients"))


def test_another_optimiser_forgets_what_it_would_not_have_asked(tmp_path, whole):
    path = tmp_path / "x.h5"
    stopped(problem(tmp_path, SINE, "cg"), path, 7)
    again, tape = resumed(problem(tmp_path, SINE, "lmvm"), path)
    assert 0 < tape.replayed < 7
    assert same(again, whole("coefficients"))


@pytest.mark.parametrize("kind", UNKNOWNS)
def test_other_ranks_resume(tmp_path, whole, kind):
    """As if the entries had been written in another order."""
    unknowns, path = UNKNOWNS[kind], tmp_path / "x.h5"
    made = problem(tmp_path, unknowns)
    stopped(made, path, 6)
    tape = Checkpoint(made, path)
    size, file = made.unknowns.size, tape.path

    def turn():
        content = file.read_bytes()
        start = module.TITLE
        labels = np.frombuffer(content, "u8", size, start)[::-1]
        with file.open("r+b") as out:
            out.seek(start)
            out.write(labels.tobytes())
            for k in range(7):
                place = tape._place(k) + module.HEAD.itemsize
                if place < len(content):
                    out.seek(place)
                    values = np.frombuffer(content, "f8", size, place)[::-1]
                    out.write(values.tobytes())
                    head = np.frombuffer(content, module.HEAD, 1, place - module.HEAD.itemsize)
                    out.seek(place - module.HEAD.itemsize)
                    out.write(recomputed(head.copy(), values).tobytes())

    def recomputed(head, values):
        lone = Checkpoint.__new__(Checkpoint)
        lone.comm, lone._places, lone.start, lone.stop = MPI.COMM_SELF, slice(0, size), 0, size
        head["check"] = lone._sum(head[0], values)
        return head

    on_root(WORLD, turn)
    again, tape = resumed(problem(tmp_path, unknowns), path)
    assert tape.replayed == 6
    assert same(again, whole(kind))
    # what was added since is there in the new order
    once_more, tape = resumed(problem(tmp_path, unknowns), path)
    assert tape.replayed > 6
    assert same(once_more, whole(kind))


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    made = problem(tmp_path, SINE)
    tape = Checkpoint(made, tmp_path / "x.h5")
    tape.create()
    x: PETSc.Vec = made.unknowns.vector()
    tape.record(VALUE, x, 1.0, x, 0.0)
    monkeypatch.setattr(module.os, "pwrite", full)
    with pytest.raises(InputError, match=r"x\.h5.* cannot grow"):
        tape.record(VALUE, x, 2.0, x, 0.0)
    monkeypatch.undo()
    tape = Checkpoint(made, tmp_path / "x.h5")
    tape.load()
    assert tape.replay(VALUE, x, x) == (1.0, 0.0)
    assert tape.replay(VALUE, x, x) is None


def test_an_estimate_that_stopped_short_goes_on(tmp_path):
    """``--resume`` with more iterations, as its warning says; then nothing is left."""
    file = observations(tmp_path, flows.problem(2))

    def run(iterations: int, resume: bool) -> bool:
        tables = flows.data(
            6,
            task="invert",
            observations={"file": file},
            unknowns=SINE,
            prior={"velocity": {"std": 0.2}},
            optimizer={"max_iterations": iterations},
            output={"file": "short.h5"},
        )
        made = Problem(parse(tables, tmp_path / "short.toml"))
        return tasks.run(made, said.append, resume=resume)

    said: list[str] = []
    assert not run(2, False)
    assert any("NOT reached (optimizer.max_iterations)" in line for line in said)
    said.clear()
    assert run(100, True)
    assert any(line.startswith("resumed ") for line in said)
    WORLD.barrier()
    assert not list(tmp_path.glob(".*"))
