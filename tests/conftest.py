"""The same tests serial and under mpirun.

Under mpirun the ranks agree on every outcome: a test that fails anywhere fails everywhere, rank 0
alone reports, and says which rank it was. If the others do not come to agree (they wait in a
collective call that the failed rank has left), the job is aborted rather than left to hang.

    @pytest.mark.serial     for tests that make no sense under mpirun (they start it themselves, …)
    tmp_path                is one directory, the same on all ranks
"""

import os
import sys
import time

import pytest
from hypothesis import settings

import advdiff  # noqa: F401  before any DOLFINx: see advdiff.core.compat

RANKS = int(os.environ.get("OMPI_COMM_WORLD_SIZE") or os.environ.get("PMI_SIZE") or 1)
PATIENCE = float(os.environ.get("ADVDIFF_TEST_PATIENCE", 30))  # seconds
troubles = []  # in collecting
SEVERITY = ("passed", "skipped", "failed")

# compilation takes what it takes; and all ranks must draw the same examples
settings.register_profile("advdiff", deadline=None)
settings.register_profile("parallel", deadline=None, derandomize=True, database=None)
settings.load_profile("parallel" if RANKS > 1 else "advdiff")

if RANKS > 1:
    from mpi4py import MPI

    comm = MPI.COMM_WORLD.Dup()
    rank = comm.rank
else:
    comm, rank = None, 0


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    config.addinivalue_line("markers", "serial: not under mpirun")
    global real_stderr  # the one that pytest does not capture
    real_stderr = os.fdopen(os.dup(2), "w")
    if rank > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def pytest_collection_modifyitems(items):
    if RANKS > 1:
        for item in items:
            if item.get_closest_marker("serial"):
                item.add_marker(pytest.mark.skip(reason="serial only"))


def pytest_collection_finish(session):
    if RANKS > 1:
        found = comm.allgather((troubles, [item.nodeid for item in session.items]))
        if any(nodeids != found[0][1] for _, nodeids in found):
            texts = {text for theirs, _ in found for text in theirs}
            pytest.exit("\n".join(["the ranks differ in the tests they found", *texts]), 3)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if RANKS > 1:
        agree(report)
    return report


@pytest.hookimpl(trylast=True)
def pytest_unconfigure():
    """Wait for rank 0 to have said everything: at the first bad exit code mpirun kills the rest."""
    if RANKS > 1:
        request, start = comm.Ibarrier(), time.monotonic()
        while not request.Test() and time.monotonic() - start < PATIENCE:
            time.sleep(1e-3)


def agree(report):
    """Let the worst outcome among the ranks be everybody's."""
    mine, outcomes = bytearray([SEVERITY.index(report.outcome)]), bytearray(RANKS)
    request = comm.Iallgather(mine, outcomes)
    start = time.monotonic()
    while not request.Test():
        time.sleep(1e-4)
        if report.failed and time.monotonic() - start > PATIENCE:
            record("failed", report.nodeid)
            text = f"{report.nodeid} failed on rank {rank}, and others have not come back since"
            print(f"\n{report.longreprtext}\n{text}", file=real_stderr, flush=True)
            comm.Abort(1)
    if set(outcomes) in ({0}, {1}):
        return
    texts = comm.allgather(report.longreprtext)
    report.longrepr = "\n".join(
        f"--- rank {i}: {SEVERITY[code]}\n{text}"
        for i, (code, text) in enumerate(zip(outcomes, texts, strict=True))
    )
    report.outcome = "failed"


@pytest.fixture
def tmp_path(tmp_path):
    return comm.bcast(tmp_path) if RANKS > 1 else tmp_path


def record(outcome, nodeid):
    """One line a test for scripts/test, which counts them: also if this process then dies."""
    if "ADVDIFF_TALLY" in os.environ:
        with open(f"{os.environ['ADVDIFF_TALLY']}.{rank}", "a") as tally:
            tally.write(f"{outcome}\t{nodeid}\n")


def pytest_runtest_logreport(report):
    if report.when == "call" or not report.passed:
        record(report.outcome, report.nodeid)


def pytest_collectreport(report):
    if report.failed:
        record("failed", report.nodeid)
        troubles.append(report.longreprtext)
