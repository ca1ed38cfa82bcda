"""The estimate by reduced models is that of the full one, for fewer of its solutions."""

import h5py
import numpy as np
import pytest
from mpi4py import MPI

from advdiff import tasks
from advdiff.core.errors import InputError
from advdiff.reduced.offline.greedy import greedy
from advdiff.reduced.offline.groups import Groups
from advdiff.reduced.offline.trust import TrustRegion
from tests.reduced import cases

REDUCED = {"tolerance": 0.3, "snapshots": 8, "residuals": "orthonormal"}


def test_the_full_models_optimum(tmp_path):
    problem = cases.problem(tmp_path, optimizer={"gradient_tolerance": 1e-6})
    plain = problem.invert()
    evaluations = plain.history[-1].solves
    made = cases.reducer(problem, tolerance=1e-3)
    found = TrustRegion(made, made.mean, gradient_tolerance=1e-6).run()
    assert plain.converged and found.converged, found.message
    expected = made.prior.whiten(problem.unknowns.to_numpy(plain.m))
    assert made.prior.whiten(found.m) == pytest.approx(expected, abs=1e-4)
    assert found.history[-1].objective == pytest.approx(plain.history[-1].objective, rel=1e-8)
    assert 2 * made.full.evaluations < evaluations
    assert [entry.objective for entry in found.history] == sorted(
        (entry.objective for entry in found.history), reverse=True
    )


class Stop(Exception):
    """Stands for a kill."""


def test_a_stopped_estimate_resumes_to_the_same_answer(tmp_path):
    """From the second correction on: the basis is made again from its points."""

    def make(name):
        output = {"file": str(tmp_path / f"{name}.h5")}
        optimizer = {"gradient_tolerance": 1e-5}
        return cases.problem(tmp_path, 8, reduced=REDUCED, output=output, optimizer=optimizer)

    lines = []

    def killed(line: str) -> None:
        lines.append(line)
        if line.startswith("iteration      2"):
            raise Stop

    def objectives(said: list[str]) -> list[str]:
        return [line.split()[3] for line in said if line.startswith("iteration")]

    assert tasks.run(make("whole"), lambda line: None)
    with pytest.raises(Stop):
        tasks.run(make("cut"), killed)
    assert not (tmp_path / "cut.h5").exists() and (tmp_path / ".cut.h5.checkpoint").exists()
    said = []
    assert tasks.run(make("cut"), said.append, resume=True)
    assert objectives(said)[0] == objectives(lines)[1]
    m, evaluations = {}, {}
    for name in ("whole", "cut"):
        with h5py.File(tmp_path / f"{name}.h5", "r") as file:
            m[name] = file["estimate/coefficients"][:]
            evaluations[name] = file["reduced"].attrs["full_evaluations"]
    assert m["cut"] == pytest.approx(m["whole"], abs=1e-4)
    # the points of the basis are solved again, and counted
    assert evaluations["cut"] > evaluations["whole"]
    assert not list(tmp_path.glob(".*checkpoint*"))


@pytest.mark.parametrize(("before", "after"), [("all", "all"), ("all", "one"), ("one", "all")])
def test_a_stopped_estimate_resumes_in_other_groups(tmp_path, before, after):
    """The checkpoint is of the experiment, not of the layout; with a greedy basis."""

    def make(name, layout):
        output = {"file": str(tmp_path / f"{name}.h5")}
        greedy = REDUCED | {"box": 1.0, "candidates": 6, "batch": 2, "rounds": 1, "bound": 0.05}
        groups = Groups(count=MPI.COMM_WORLD.size if layout == "all" else 1)
        made = cases.problem(
            tmp_path,
            8,
            groups.domain,
            reduced=greedy,
            output=output,
            optimizer={"gradient_tolerance": 1e-5},
        )
        made.groups = groups
        return made

    def killed(line: str) -> None:
        if line.startswith("iteration      1"):
            raise Stop

    assert tasks.run(make("whole", before), lambda line: None)
    with pytest.raises(Stop):
        tasks.run(make("cut", before), killed)
    MPI.COMM_WORLD.barrier()
    assert tasks.run(make("cut", after), lambda line: None, resume=True)
    MPI.COMM_WORLD.barrier()
    found = []
    for name in ("whole", "cut"):
        with h5py.File(tmp_path / f"{name}.h5", "r") as file:
            found.append(file["estimate/coefficients"][:])
    assert found[1] == pytest.approx(found[0], abs=1e-4)
    assert not list(tmp_path.glob(".*checkpoint*"))


@pytest.mark.serial
def test_no_checkpoint_or_that_of_another_problem(tmp_path):
    def make(n=6):
        output = {"file": str(tmp_path / "run.h5")}
        return cases.problem(tmp_path, n, reduced=REDUCED, output=output)

    def resumed(problem):
        with pytest.raises(InputError) as caught:
            tasks.run(problem, lambda line: None, resume=True)
        return str(caught.value)

    def killed(line: str) -> None:
        if line.startswith("iteration      1"):
            raise Stop

    assert "no checkpoint" in resumed(make())
    with pytest.raises(Stop):
        tasks.run(make(), killed)
    assert "another experiment" in resumed(make(7))


@pytest.mark.serial
def test_a_basis_too_small_is_said(tmp_path):
    made = cases.reducer(cases.problem(tmp_path), dimension=3, corrections=2)
    found = TrustRegion(made, made.mean, gradient_tolerance=1e-8).run()
    assert not found.converged and "NOT reached" in found.message


def test_greedy_brings_the_bound_down(tmp_path):
    made = cases.reducer(
        cases.problem(tmp_path), tolerance=1e-3, box=1.0, candidates=9, batch=2, bound=0.05
    )
    made.enrich([made.evaluate(made.mean)])
    rounds = greedy(made)
    assert rounds[-1].bound <= 0.05 < rounds[0].bound
    assert rounds[-1].size > rounds[0].size
    point = made.evaluate(cases.nearby(made, 0.3))
    assert made.check(point)["state_error"] < 0.05


def test_groups_change_nothing(tmp_path):
    """Greedy choice and enrichment with every rank a group of its own, and with one group."""
    world, found = MPI.COMM_WORLD, []
    for count in {1, world.size}:
        groups = Groups(world, count)
        problem = cases.problem(tmp_path, comm=groups.domain)
        made = cases.reducer(
            problem, groups, tolerance=1e-2, box=1.0, candidates=8, batch=3, rounds=2
        )
        made.enrich([made.evaluate(made.mean)])
        rounds = greedy(made)
        found.append((rounds, made.reduced.observe(cases.nearby(made))))
    for rounds, predicted in found[1:]:
        assert [r.size for r in rounds] == [r.size for r in found[0][0]]
        assert [r.bound for r in rounds] == pytest.approx([r.bound for r in found[0][0]], rel=1e-3)
        assert predicted == pytest.approx(found[0][1], rel=1e-4, abs=1e-5)


def test_groups_share_out_and_keep_the_order():
    groups = Groups(MPI.COMM_WORLD, MPI.COMM_WORLD.size)
    assert groups.spread(lambda x: x * x, list(range(11))) == [x * x for x in range(11)]
    assert groups.gather([10 * i for i in groups.mine(7)], 7) == [10 * i for i in range(7)]
    with pytest.raises(ValueError, match="three"):
        groups.spread(lambda x: int("three") if x == 3 else x, list(range(5)))


def test_ranks_that_cannot_be_divided():
    with pytest.raises(InputError, match="--groups"):
        Groups(MPI.COMM_WORLD, MPI.COMM_WORLD.size + 1)


def test_the_task_writes_it_down(tmp_path):
    output = {"file": str(tmp_path / "result.h5")}
    reduced = {"compare": True, "box": 0.5, "candidates": 4, "rounds": 1, "bound": 1e-6}
    reduced["model"] = str(tmp_path / "model.h5")
    said = []
    problem = cases.problem(tmp_path, reduced=reduced, output=output)
    assert tasks.run(problem, said.append)
    with h5py.File(output["file"], "r") as file:
        assert file.attrs["complete"]
        group = file["reduced"].attrs
        assert group["full_evaluations"] < group["plain_evaluations"]
        assert group["distance_to_plain"] < 0.05
        assert group["bound"] >= group["state_error"] > 0.0
        assert file["reduced/size"][-1] == group["dimension"]
        assert np.diff(file["reduced/greedy_size"][:]).min() > 0
    assert any(line.startswith("compared") for line in said)
    from advdiff.reduced import ReducedModel

    model = ReducedModel.load(tmp_path / "model.h5")
    assert np.isfinite(model.observe(model.affine.reference)).all()
