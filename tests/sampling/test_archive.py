"""``task = "sample"``: the result, its groups, going on after a kill, the same on any ranks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import h5py
import numpy as np
import pytest
from mpi4py import MPI

from advdiff.chains.run import STATISTICS
from advdiff.config.load import _override, parse
from advdiff.config.load import load as load_experiment
from advdiff.core.errors import InputError
from advdiff.files.finished import open_result
from advdiff.sampling import archive
from advdiff.tasks import model
from advdiff.tasks.model import check
from advdiff.views import info, plots
from tests.command_line import advdiff
from tests.sketches import coarse

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"
RATES = """task = "sample"
[model]
kind = "rate-matrix"
states = 3
[observations]
file = "data.csv"
[truth]
file = "truth.csv"
[sampler]
draws = 12
warmup = 6
chains = 3
"""
QUANTUM = """task = "sample"
[model]
kind = "quantum"
nodes = 12
length = 4.0
modes = 3
packet = { centre = 2.0, width = 0.5 }
[observations]
file = "readings.csv"
std = 0.1
[sampler]
draws = 8
warmup = 4
chains = 2
"""
FILES = {
    "data.csv": "from,to,time\n0,1,0.5\n1,2,0.7\n2,0,0.3\n0,1,0.5\n1,1,0.2\n",
    "truth.csv": "from,to,rate\n0,1,1.0\n1,2,0.5\n2,0,2.0\n",
    "readings.csv": "time,node,quantity,value\n0.1,4,density,0.2\n0.5,6,real,0.3\n"
    "0.5,8,imaginary,-0.1\n",
}


def experiment(folder: Path, text=RATES, name="run", settings=""):
    if WORLD.rank == 0:
        for file, content in FILES.items():
            (folder / file).write_text(content)
    WORLD.barrier()
    data = tomllib.loads(text)
    for line in filter(None, settings.split("\n")):
        _override(data, line)
    return parse(data, folder / f"{name}.toml", text)


def run(folder, text=RATES, name="run", settings="", comm=WORLD, resume=False) -> Path:
    found = experiment(folder, text, name, settings)
    assert model.run(found, lambda line: None, comm=comm, resume=resume)
    return found.output_path


def assert_same(one: Path, other: Path) -> None:
    names = []
    with h5py.File(one) as a, h5py.File(other) as b:
        a.visititems(lambda name, item: names.append(name) if hasattr(item, "shape") else None)
        assert len(names) > 20
        for name in names:
            np.testing.assert_array_equal(a[name][()], b[name][()], err_msg=name)


def test_groups_and_names(tmp_path):
    with open_result(run(tmp_path)) as file:
        for name in ("log_rates", "rates"):
            draws = file[f"posterior/{name}"]
            assert [axis.label for axis in draws.dims] == ["chain", "draw", "rate"]
            assert draws.shape == (3, 12, 6) and np.isfinite(draws[:]).all()
            assert file[f"diagnostics/{name}/rhat"].shape == (6,)
            assert np.isfinite(file[f"truth/{name}"][:]).sum() == 3
        np.testing.assert_allclose(file["posterior/rates"], np.exp(file["posterior/log_rates"]))
        assert set(file["sample_stats"]) == set(STATISTICS)
        assert file["observed_data/count"][:].sum() == 5 and len(file["constant_data/time"]) == 4
        assert file.attrs["complete"] and "progress" not in file
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        (RATES, ""),
        (RATES, 'sampler.gradient="first-order"\nsampler.metric="laplace"\nsampler.steps=2'),
        (RATES, 'sampler.kernel="nuts"\nsampler.start="map"'),
        (QUANTUM, 'sampler.kernel="mala"'),
        (QUANTUM, 'sampler.kernel="delayed-acceptance"\nsampler.steps=2\nmodel.coarse=6'),
    ],
)
def test_the_same_on_any_number_of_ranks(tmp_path, text, settings):
    """All ranks in as many groups as there are chains, in one group, and this rank alone."""
    spread = run(tmp_path, text, "spread", settings)
    one = run(tmp_path, text, "one", f"{settings}\nsampler.groups=1")
    alone = run(tmp_path, text, f"alone{WORLD.rank}", settings, SELF)
    assert_same(spread, one)
    assert_same(spread, alone)


class Killed(Exception):
    pass


@pytest.mark.parametrize("life", [4, 15, 29])
def test_a_run_goes_on_bit_for_bit(tmp_path, monkeypatch, life):
    """Killed in the warm-up, among the draws, and in a later chain; with half a block written."""
    monkeypatch.setattr(archive, "EVERY", 0.0)
    whole = run(tmp_path, name="whole")
    record, left = archive.Archive.record, life

    def fragile(self, chain, link, m, stats):
        nonlocal left
        left -= 1
        if left == 0:
            slot = 1 - self._slots.get(chain, 0)
            spoilt = np.full(self.order.size, 0.5)  # in the slot that was being written
            self._numbers.write(("progress/xi", (slot, chain), spoilt))
            raise Killed
        record(self, chain, link, m, stats)

    monkeypatch.setattr(archive.Archive, "record", fragile)
    with pytest.raises(Killed):
        run(tmp_path, name="broken", settings="sampler.groups=1")
    monkeypatch.setattr(archive.Archive, "record", record)
    broken = tmp_path / "broken.h5"
    assert not broken.exists()
    run(tmp_path, name="broken", settings="sampler.groups=1", resume=True)
    assert_same(whole, broken)


@pytest.mark.serial
def test_a_killed_process_goes_on_bit_for_bit(tmp_path):
    """kill -9 once there are draws on disk."""
    more = "sampler.draws=400\nsampler.chains=1"
    whole = run(tmp_path, name="whole", settings=more)
    experiment(tmp_path)
    (tmp_path / "broken.toml").write_text(RATES)
    script = "from advdiff.sampling import archive; archive.EVERY = 0.05; "
    script += "from advdiff.commands import cli; cli.main()"
    words = ["run", str(tmp_path / "broken.toml")]
    for line in more.split("\n"):
        words += ["--set", line]
    command = [sys.executable, "-c", script, *words]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)})
    partial, deadline = tmp_path / ".broken.h5.chains", time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
        try:
            with h5py.File(partial, locking=False) as file:
                if np.max(np.nan_to_num(file["progress/numbers"][:, 0, 0])) > 50:
                    break
        except (OSError, KeyError, ValueError):
            pass
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert partial.is_file() and not (tmp_path / "broken.h5").exists()
    assert advdiff(tmp_path, *words, "--resume").code == 0
    assert_same(whole, tmp_path / "broken.h5")


def test_resume_says_what_is_wrong(tmp_path):
    with pytest.raises(InputError, match="--resume: no chains"):
        run(tmp_path, resume=True)
    partial = tmp_path / ".run.h5.chains"
    if WORLD.rank == 0:
        partial.write_text("nonsense")
    WORLD.barrier()
    with pytest.raises(InputError, match="is damaged; run without --resume"):
        run(tmp_path, resume=True)


@pytest.mark.serial
def test_a_wrong_byte_in_the_layout_is_damage(tmp_path, monkeypatch):
    """Not in draws, which may be anything."""

    def stop(self):
        raise Killed

    monkeypatch.setattr(archive.Archive, "finish", stop)
    with pytest.raises(Killed):
        run(tmp_path)
    partial = tmp_path / ".run.h5.chains"
    content = partial.read_bytes()
    with h5py.File(partial) as file:
        draws = file["posterior/log_rates"].id.get_offset()
    for at in (content.index(b"sampler"), content.index(b"TREE") + 8, content.index(b"SNOD") + 6):
        spoilt = bytearray(content)
        spoilt[at] ^= 1
        partial.write_bytes(spoilt)
        with pytest.raises(InputError, match="is damaged; run without --resume"):
            run(tmp_path, resume=True)
    spoilt = bytearray(content)
    spoilt[draws] ^= 1
    partial.write_bytes(spoilt)
    with pytest.raises(Killed):
        run(tmp_path, resume=True)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("sampler.kernel='gibbs'", "sampler.kernel = 'gibbs': must be 'pcn'"),
        ("sampler.draws=3", "sampler.draws: 3 is too few"),
        ("sampler.kernel='pcn'\nsampler.step_size=1.5", "sampler.step_size: 1.5 is above 1"),
        (
            "sampler.kernel='pcn'\nsampler.gradient='first-order'",
            "sampler.gradient: kernel = 'pcn'",
        ),
        ("sampler.kernel='delayed-acceptance'", "sampler.kernel: delayed-acceptance needs a cheap"),
        ("sampler.samples=3", "sampler.samples: unknown key"),
        ("model.states=2", "data.csv, row 4: from = 2; write a whole number from 0 to 1"),
        ("prior.decay=1.0", "prior.decay: only kind = 'quantum'"),
        ("observations.file='none.csv'", "observations.file: .*none.csv: No such file"),
        ("truth.file='data.csv'", "truth.file: .* has no column 'rate'"),
    ],
)
def test_bad_files_name_the_key(tmp_path, setting, words):
    with pytest.raises(InputError, match=words):
        run(tmp_path, settings=setting)


@pytest.mark.parametrize("name", ["rate_matrix", "quantum"])
def test_experiments_of_the_repository(name):
    found = load_experiment(EXPERIMENTS / f"{name}.toml")
    lines = check(found)
    assert any("parameters" in line for line in lines)


@pytest.mark.serial
@pytest.mark.parametrize("text", [RATES, QUANTUM])
def test_pictures_and_summary(tmp_path, text):
    result = run(tmp_path, text)
    assert len(info.lines(result)) <= 12
    with coarse():
        names = {path.stem for path in plots.draw(result)}
    assert names == {"traces", "posterior", "chains"}
