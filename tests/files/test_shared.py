"""A file that ranks fill in turn is the one that they fill at once: entry by entry, bit by bit."""

from __future__ import annotations

import errno
import os

import h5py
import numpy as np
import pytest
from mpi4py import MPI

from advdiff import Problem, tasks
from advdiff.config.load import parse
from advdiff.core.errors import InputError, NoRoom
from advdiff.core.ranks import in_turn
from advdiff.files import result, seal, shared
from advdiff.files.reserved import Reserved
from tests import flows

WORLD = MPI.COMM_WORLD
SEVERAL = pytest.mark.skipif(WORLD.size == 1, reason="one rank has no turns")
CHANGING = ("created_at", "seconds")


@pytest.fixture
def turns(monkeypatch):
    monkeypatch.setenv(shared.SWITCH, "turns")


def described(path) -> dict[str, object]:
    """All that a file holds and how, by name; what depends on the clock apart."""
    found: dict[str, object] = {}

    def add(name: str, item: h5py.HLObject) -> None:
        found[name] = type(item)
        for key in item.attrs:
            kind = item.attrs.get_id(key)
            if not any(word in key for word in CHANGING):
                text = str(item.attrs[key]) if kind.dtype.hasobject else item.attrs[key].tobytes()
                found[f"{name}@{key}"] = kind.dtype, kind.shape, text
        if isinstance(item, h5py.Dataset):
            made = item.id.get_create_plist()
            fill = np.empty(1, item.dtype)
            made.get_fill_value(fill)
            found[f"{name}:"] = (
                item.dtype,
                item.shape,
                item.maxshape,
                (made.get_layout(), made.get_nfilters(), made.get_alloc_time()),
                (made.get_fill_time(), fill.tobytes()),
                item.id.get_storage_size(),
                [(axis.label, [scale.name for scale in axis.values()]) for axis in item.dims],
                None if any(word in name for word in CHANGING) else item[()].tobytes(),
            )

    with h5py.File(path, "r") as file:
        add("/", file)
        file.visititems(add)
    return found


def both_ways(tmp_path, monkeypatch, write) -> None:
    """``write(path)`` at once and in turn gives the same file, which has its seal."""
    paths = tmp_path / "at_once" / "e.h5", tmp_path / "in_turn" / "e.h5"
    for path in paths:
        if WORLD.rank == 0:
            path.parent.mkdir()
        WORLD.barrier()
        assert shared.writes_in_turn(WORLD) == (path is paths[1] and WORLD.size > 1)
        write(path)
        monkeypatch.setenv(shared.SWITCH, "turns")
    one, other = map(described, paths)
    assert one.keys() == other.keys()
    assert {name: (one[name], other[name]) for name in one if one[name] != other[name]} == {}
    assert [seal.is_whole(path) for path in paths] == [True, True]
    assert abs(paths[0].stat().st_size - paths[1].stat().st_size) < 1 << 14


@pytest.mark.parametrize("batch", [1, 1 << 30])
def test_every_kind_of_entry(tmp_path, monkeypatch, batch):
    """Written whenever something waits, and all at the end; ranks with nothing; texts;
    nothing at all; what is read meanwhile."""
    monkeypatch.setattr(shared, "BATCH", batch)

    def write(path) -> None:
        with result.create(path, WORLD, {"task": "none", "list": [1, "two"]}) as file:
            file.axis("row", 2 * WORLD.size + 1)
            file.axis("few", 1)
            file.axis("row", 2 * WORLD.size + 1)  # there already
            file.scale("group/word", ["ä", "longer"], long_name="words")
            file.scale("none", np.arange(0))
            file.array("none_at_all", np.arange(0.0), ("none",))
            file.attributes({"about": 1.5}, "group/sub")
            file.reserve("later", ("row", "few"), "to come")
            mine = slice(*file._share(2 * WORLD.size + 1))
            values = np.arange(mine.start, mine.stop) + 0.5
            file.dataset("field", (3, 2 * WORLD.size + 1), "f8")
            for k in range(3):
                file.file.put("field", (k, mine), values)
                values += 1.0  # nobody has kept it
            file._describe("field", ("word", "row")[:0], "m", "a field")
            read = file.file.read(lambda opened: opened["field"][:].sum(axis=1))
            whole = np.arange(2 * WORLD.size + 1) + 0.5
            np.testing.assert_allclose(read, [(whole + k).sum() for k in range(3)])
            file.file.put("later", (mine, 0), values)
            file.attributes({"after": np.arange(3)}, "field")

    both_ways(tmp_path, monkeypatch, write)


def test_the_result_of_a_run(tmp_path, monkeypatch):
    def write(path) -> None:
        problem = Problem(parse(flows.data(5), path.with_suffix(".toml")))
        assert tasks.run(problem, lambda line: None)

    both_ways(tmp_path, monkeypatch, write)


def test_numbers_in_reserved_rows(tmp_path, turns):
    path = tmp_path / "e.h5"
    with result.create(path, WORLD, {}) as file:
        for name, size in {"a": 3, "b": WORLD.size, "c": 2, "none": 0}.items():
            file.axis(name, size)
        file.reserve("cube", ("a", "b", "c"))
        file.reserve("empty", ("a", "none"))
    numbers = Reserved(path, WORLD)
    numbers.write(("cube", (1, WORLD.rank), [WORLD.rank, 0.5]), ("empty", (1,), []))
    WORLD.barrier()
    assert list(numbers.read("cube", (1,), 2 * WORLD.size)[::2]) == list(range(WORLD.size))
    assert len(numbers.read("empty", (1,), 0)) == 0
    with h5py.File(path, "r") as file:
        assert np.isnan(file["cube"][::2]).all() and (file["cube"][1, :, 1] == 0.5).all()
    assert seal.is_whole(path)
    WORLD.barrier()


@SEVERAL
def test_a_rank_opens_the_file_once_for_all_that_waits(tmp_path, turns, monkeypatch):
    plain, openings = h5py.File, []

    class Watched(plain):
        def __init__(self, name, mode):
            super().__init__(name, mode)
            openings.append(mode)

    monkeypatch.setattr(h5py, "File", Watched)
    with shared.shared(tmp_path / "e.h5", WORLD) as opened:
        file = result.ResultFile(opened, WORLD)
        file.axis("row", 100)
        mine = slice(*file._share(100))
        for k in range(30):
            file.dataset(f"{k}", (100,), "f8")
            opened.put(f"{k}", mine, np.full(mine.stop - mine.start, k))
    assert openings == ["w" if WORLD.rank == 0 else "r+"]
    with plain(tmp_path / "e.h5", "r") as whole:
        assert all((whole[f"{k}"][:] == k).all() for k in range(30))
    WORLD.barrier()


@SEVERAL
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "[Errno 28] full"), ValueError("other")])
def test_what_fails_in_one_turn_is_an_error_of_all(tmp_path, turns, monkeypatch, rank, error):
    """Nothing is left, nothing is overwritten, nobody waits, and the next try is a good one."""
    path = tmp_path / "e.h5"
    write = shared.InTurn._write

    def fails(self):
        if self.comm.rank == rank:
            raise error
        write(self)

    def go() -> None:
        with result.create(path, WORLD, {"go": 1}) as file:
            file.axis("row", 10)

    go()
    before = path.read_bytes()
    WORLD.barrier()
    monkeypatch.setattr(shared.InTurn, "_write", fails)
    with pytest.raises((OSError, ValueError), match=r"full|other"):
        go()
    WORLD.barrier()
    assert path.read_bytes() == before and not list(tmp_path.glob(".*"))
    WORLD.barrier()
    monkeypatch.setattr(shared.InTurn, "_write", write)
    go()
    assert seal.is_whole(path)
    WORLD.barrier()


@SEVERAL
def test_a_full_disk_in_one_turn_is_said_of_the_file(tmp_path, turns, monkeypatch):
    def full(self):
        with shared.room(self.path):
            if WORLD.rank == WORLD.size - 1:
                raise OSError(errno.ENOSPC, f"[Errno {errno.ENOSPC}] full")

    monkeypatch.setattr(shared.InTurn, "_write", full)
    said = r"e\.h5\.partial cannot grow \(No space"
    with pytest.raises(NoRoom, match=said), result.create(tmp_path / "e.h5", WORLD, {}):
        pass
    WORLD.barrier()
    assert not list(tmp_path.glob("*"))


def test_turns_come_in_order_and_end_with_an_error():
    """Ranks after the one that fails have none."""
    had = []
    in_turn(WORLD, lambda: had.append(WORLD.rank))
    assert had == [WORLD.rank]

    def act() -> None:
        had.append("again")
        if WORLD.rank == WORLD.size // 2:
            raise ValueError(f"of rank {WORLD.rank}")

    with pytest.raises(ValueError, match=f"of rank {WORLD.size // 2}"):
        in_turn(WORLD, act)
    assert len(had) == (2 if WORLD.size // 2 >= WORLD.rank else 1)


@SEVERAL
def test_another_word_for_the_way_is_an_error_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setenv(shared.SWITCH, "serial")
    with pytest.raises(InputError, match="ADVDIFF_HDF5 = 'serial': must be 'turns', or not set"):
        tasks.check(flows.problem(8))


@SEVERAL
def test_a_folder_that_one_machine_does_not_see(tmp_path, monkeypatch):
    """Met before the work, on all ranks, and nothing is left of the look."""
    folder = tmp_path if WORLD.rank == 0 else tmp_path / os.devnull.strip("/")
    seen = shared._blind
    monkeypatch.setattr(shared, "_blind", lambda probe: seen(folder / probe.name))
    with pytest.raises(InputError, match=r"output\.file: the folder .* is not the same on"):
        shared.check_output(tmp_path / "e.h5", WORLD)
    assert not list(tmp_path.glob(".*"))
